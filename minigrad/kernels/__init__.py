"""Pure functions on arrays, in two versions: `specification` (NumPy) and numba.

`MINIGRAD_BACKEND` (numba, the default, or numpy) says which one a process starts with.
"""

import os
from contextlib import contextmanager

from minigrad.kernels import specification
from minigrad.kernels.specification import *  # noqa: F403

NAMES = specification.__all__

_active = "numpy"


def _use(name):
    global _active
    if name == "numpy":
        source = vars(specification)
    elif name == "numba":
        _check_numba()
        from minigrad.kernels import adam, conv, elementwise, gemm, images, normalize, reduce

        modules = gemm, conv, images, normalize, reduce, adam, elementwise
        source = {name: kernel for module in modules for name, kernel in vars(module).items()}
    else:
        raise ValueError(f"MINIGRAD_BACKEND is {name!r}: choose numba or numpy")
    globals().update({kernel: source[kernel] for kernel in NAMES})
    _active = name


def _check_numba():
    """Raises ImportError, which names the other backend, where numba cannot compile."""
    otherwise = "Set MINIGRAD_BACKEND=numpy to run without numba: slower, and nothing is compiled"
    try:
        import numba
    except Exception as error:  # it is missing, or too old for this NumPy, or a setting is wrong
        raise ImportError(f"minigrad: numba does not start: {error}. {otherwise}.") from error
    if numba.config.DISABLE_JIT:
        raise ImportError(
            f"minigrad: NUMBA_DISABLE_JIT is set, and these kernels run compiled only. {otherwise}."
        )


@contextmanager
def backend(name):
    """Compute with the given backend inside the block. For checks: it switches all threads."""
    before = _active
    _use(name)
    try:
        yield
    finally:
        _use(before)


_use(os.environ.get("MINIGRAD_BACKEND") or "numba")
