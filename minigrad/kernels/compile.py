"""How a kernel is compiled, what it is given, and how it says which primitive it is for."""

import ctypes
import os
import sys

import llvmlite.binding as llvm
import numba
import numpy as np
from numba import prange

from minigrad.core.primitive import Kernel
from minigrad.kernels.cache import Cache

__all__ = ["COMPILED", "accelerates", "contiguous", "flat", "jit", "like", "prange"]

COMPILED = (np.dtype("float32"), np.dtype("float64"))  # other dtypes go to the forward


if llvm.get_host_cpu_features().get("avx512f") and not numba.config.CPU_FEATURES:
    # LLVM uses half of these registers, for the sake of processors that ran slower with the whole.
    features = llvm.get_host_cpu_features().flatten()
    numba.config.CPU_FEATURES = f"{features},-prefer-256-bit"


if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
    # glibc gives the memory of large arrays back as soon as they are freed, and the system would
    # have to clear the same pages for the next training step: 2,500 of them in a step of the GAN.
    ctypes.CDLL(None).mallopt(-3, 2**25)  # M_MMAP_THRESHOLD, at its maximum
    ctypes.CDLL(None).mallopt(-1, 2**30)  # M_TRIM_THRESHOLD


def jit(**options):
    """`numba.njit` with this project's settings. Options are numba's.

    NumPy's error model: 1/0 is inf, not an exception. `contract` lets a·b + c become one fused
    multiply-add; nothing that would assume away NaN, infinity or the sign of zero.
    """
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}} | options

    def decorate(function):
        dispatcher = numba.njit(**options)(function)
        if os.path.isfile(function.__code__.co_filename):  # not what is typed at a prompt
            dispatcher._cache = Cache(function)
        return dispatcher

    return decorate


def contiguous(array):
    """The array itself, or a copy of it: C-contiguous, aligned and writable.

    numba compiles a kernel anew for each layout, and for read-only arrays; so one layout is all.
    """
    return array if array.flags.carray else np.array(array, order="C")


def flat(array):
    """Its elements in C order, contiguous."""
    return contiguous(array).reshape(-1)


def accelerates(primitive, results, dtypes=COMPILED):
    """Decorates a function that computes a primitive faster: see `Kernel` for both functions."""

    def register(run):
        primitive.kernel = Kernel(dtypes, results, run)
        return run

    return register


def like(x, *others, **static):
    """For `accelerates`: one result like the first operand, which the others must be like, too."""
    if any([other.shape != x.shape for other in others]):
        return None
    return ((x.shape, x.dtype),)
