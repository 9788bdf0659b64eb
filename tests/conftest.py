"""What tests share: PyTorch on one thread, loud words if it is missing, Ctrl-C for children."""

import importlib.util
import signal

import pytest

# A shell that starts pytest in the background has it ignore Ctrl-C, and so would every process that
# a test starts. With a handler here, children start with the default again.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def torch():
    """On one thread: its pool and numba's would spin against each other."""
    torch = pytest.importorskip("torch", reason="NOT COMPARED WITH PYTORCH: it is not installed")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def kernels_for_tiny_products():
    """Tiny products are left to NumPy, but their edges are where a product's kernel goes wrong."""
    from minigrad.kernels import gemm

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gemm, "TINY", 0)
        yield


def pytest_terminal_summary(terminalreporter):
    if importlib.util.find_spec("torch") is None:
        terminalreporter.section("PyTorch IS NOT INSTALLED", sep="!", red=True, bold=True)
        terminalreporter.line(
            "No operation, optimiser or model was compared with PyTorch in this run. `make test` "
            "installs the CPU build; by hand: pip install torch"
        )
