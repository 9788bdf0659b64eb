"""What tests share: PyTorch, the data sets, the generator, the backends; Ctrl-C for children."""

import importlib.util
import signal

import pytest

from minigrad import data, random

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


def loaded(name):
    try:
        return data.load(name)
    except data.DataError as error:
        pytest.skip(f"NOT TESTED, FOR WANT OF {name.upper()}: {error}")


@pytest.fixture(scope="session")
def mnist():
    return loaded("mnist")


@pytest.fixture(scope="session")
def fashion():
    return loaded("fashion-mnist")


@pytest.fixture
def generator():
    """The one generator from seed 0, and whatever a test does to it is undone."""
    with random.fork(0):
        yield


@pytest.fixture(params=["numpy", "numba"])
def backend(request):
    """Imported here alone: test_backends.py runs tests in a copy that has no kernels."""
    from minigrad import kernels

    with kernels.backend(request.param):
        yield request.param


def pytest_terminal_summary(terminalreporter):
    if importlib.util.find_spec("torch") is None:
        terminalreporter.section("PyTorch IS NOT INSTALLED", sep="!", red=True, bold=True)
        terminalreporter.line(
            "No operation, optimiser or model was compared with PyTorch in this run. `make test` "
            "installs the CPU build; by hand: pip install torch"
        )
