"""Says loudly when the comparisons with PyTorch did not run."""

import importlib.util


def pytest_terminal_summary(terminalreporter):
    if importlib.util.find_spec("torch") is None:
        terminalreporter.section("PyTorch IS NOT INSTALLED", sep="!", red=True, bold=True)
        terminalreporter.line(
            "No operation, optimiser or model was compared with PyTorch in this run. `make test` "
            "installs the CPU build; by hand: pip install torch"
        )
