"""Kernels accelerate operations, and define none: everything works without this folder, too.

`MINIGRAD_BACKEND` (numba, the default, or numpy) says whether a process uses kernels at all. Each
kernel registers itself for a primitive, by `accelerates` in compile.py; `evaluate` in
core/primitive.py asks it, at each operation, whether it takes the operands.
"""

import os
from importlib import import_module

from minigrad.core.interpreter import setting


def backend(name) -> setting:
    """Return a block in which this thread uses numba's kernels, or the forwards alone."""
    if name not in ("numba", "numpy"):
        raise ValueError(f"MINIGRAD_BACKEND is {name!r}: choose numba or numpy")
    if name == "numba":
        _load()
    return setting(accelerates=name == "numba")


def _load():
    _check_numba()
    for family in (
        "elementwise",
        "reduce",
        "gemm",
        "conv",
        "pooling",
        "concatenate",
        "normalize",
        "draws",
        "adam",
    ):
        import_module(f"minigrad.kernels.{family}")


def _check_numba():
    """Raise an ImportError that names the other backend, if numba cannot compile."""
    otherwise = "Set MINIGRAD_BACKEND=numpy to run without numba: slower, and nothing is compiled"
    try:
        import numba
    except Exception as error:  # it is missing or too old for this NumPy, or a setting is wrong
        raise ImportError(f"minigrad: numba does not start: {error}. {otherwise}.") from error
    if numba.config.DISABLE_JIT:
        raise ImportError(
            f"minigrad: NUMBA_DISABLE_JIT is set, and these kernels run compiled only. {otherwise}."
        )


backend(os.environ.get("MINIGRAD_BACKEND") or "numba")
