"""`jit` compiles a kernel, and `accelerates` says which primitive the kernel is for."""

import ctypes
import os
import sys
import threading
from functools import wraps

import llvmlite.binding as llvm
import numba
import numpy as np

from minigrad.core.primitive import Kernel
from minigrad.kernels.cache import Cache

COMPILED = (np.dtype("float32"), np.dtype("float64"))  # other dtypes go to the forward


_HOST = llvm.get_host_cpu_features()


def has(feature):
    """Return whether the processor that numba compiles for has a feature, by LLVM's name for it."""
    if numba.config.CPU_FEATURES is None:
        return bool(_HOST.get(feature))
    return f"+{feature}" in numba.config.CPU_FEATURES.split(",")


if has("avx512f") and numba.config.CPU_FEATURES is None:
    # By default LLVM uses only 256 of the 512 bits, because older processors lowered their clock
    # for the full width.
    numba.config.CPU_FEATURES = f"{_HOST.flatten()},-prefer-256-bit"


if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
    # By default glibc returns the memory of large arrays to the system when they are freed, and the
    # system must clear the same pages again for the next training step: 2,500 for a GAN's step.
    ctypes.CDLL(None).mallopt(-3, 2**25)  # M_MMAP_THRESHOLD, at its maximum
    ctypes.CDLL(None).mallopt(-1, 2**30)  # M_TRIM_THRESHOLD


def jit(task=None, **options):
    """Compile by `numba.njit` with this project's settings.

    task: the function that the compiled one is about, if it is a closure, for the cache
    options: those of numba

    In NumPy's error model 1/0 is inf, not an exception. `contract` lets a·b + c become one fused
    multiply-add. No setting assumes that NaN, infinity or −0 do not occur.
    """
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}} | options

    def decorate(function):
        dispatcher = numba.njit(**options)(function)
        if os.path.isfile(function.__code__.co_filename):  # code typed at a prompt has no file
            dispatcher._cache = Cache(task or function, shared=task is not None)
        return dispatcher

    return decorate


class _Collecting(threading.local):
    """The jobs that a thread collects to do them later, or None: see jobs.py."""

    jobs: list | None = None


collecting = _Collecting()


class CopyNeeded(Exception):
    """A kernel would copy an operand while its jobs are collected, and not each time again."""


def contiguous(array):
    """Return the array itself, or a copy that is C-contiguous, aligned and writable.

    numba compiles a kernel anew for each layout and for read-only arrays, so only one is used.
    """
    if array.flags.carray:
        return array
    if collecting.jobs is not None:
        raise CopyNeeded
    return np.array(array, order="C")


def flat(array):
    """Return the array's elements in C order, contiguous."""
    return contiguous(array).reshape(-1)


def accelerates(primitive, results, dtypes=COMPILED, only_jobs=False):
    """Register the decorated function as `run`, with `results`, of a primitive's `Kernel`.

    only_jobs: whether all that it does to values are jobs, so that they can be collected
    """

    def register(run):
        @wraps(run)
        def at_once(*arrays, **static):
            before = collecting.jobs
            if before is None:
                return run(*arrays, **static)
            # It is not the kernel whose jobs are collected: a signal's handler runs, or a __del__.
            collecting.jobs = None
            try:
                run(*arrays, **static)
            finally:
                collecting.jobs = before

        at_once.only_jobs = only_jobs
        primitive.kernel = Kernel(dtypes, results, at_once)
        return run

    return register


def like(x, *others, **static):
    """Return one result like x, for `accelerates`, or None if the operands' shapes differ."""
    if any([other.shape != x.shape for other in others]):
        return None
    return ((x.shape, x.dtype),)
