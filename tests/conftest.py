"""Says loudly when PyTorch was not compared with; lets the tests' children hear Ctrl-C."""

import importlib.util
import signal

# A shell that starts pytest in the background has it ignore Ctrl-C, and so would every process that
# a test starts. With a handler here, children start with the default again.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter):
    if importlib.util.find_spec("torch") is None:
        terminalreporter.section("PyTorch IS NOT INSTALLED", sep="!", red=True, bold=True)
        terminalreporter.line(
            "No operation, optimiser or model was compared with PyTorch in this run. `make test` "
            "installs the CPU build; by hand: pip install torch"
        )
