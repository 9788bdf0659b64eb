"""All kernels share one pool of threads, and run in the calling thread alone where that pays."""

import ctypes
import os
import sys
import threading
from functools import wraps
from pathlib import Path

import numba

from minigrad.kernels.compile import jit


class _Pool:
    """Each call of a parallel kernel is inside `with pool:`, by `shareable`.

    The pool is a lock, because two Python threads that enter parallel kernels at once abort the
    process under numba's simplest threading layer.

    It also chooses OpenMP's threads or, where there is no OpenMP, TBB's. OpenMP's threads, as in
    PyTorch, spin for a while before they sleep, and in training the next kernel soon comes. TBB's
    threads sleep at once, and waking them costs a tenth of a training step, or more on a virtual
    machine. Beside another busy process, however, TBB is faster, because a thread that has time
    takes over the work of others: set NUMBA_THREADING_LAYER=tbb there.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._started = False

    def __enter__(self):
        if not self._started:
            self._start()
        self._lock.acquire()

    def _start(self):
        if "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
            numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]
        try:  # numba finds TBB, which it looks for by name, once it is loaded from pip's folder
            ctypes.CDLL(str(Path(sys.prefix, "lib", "libtbb.so.12")), mode=ctypes.RTLD_GLOBAL)
        except OSError:
            pass
        self._started = True

    def __exit__(self, *_):
        self._lock.release()


pool = _Pool()


def shareable(**options):
    """Compile a function, whose loops over prange threads may share, for one thread and for many.

    It is called with share=True where the work is worth waking the other threads. options: of `jit`
    """

    def decorate(function):
        alone, shared = jit(**options)(function), jit(parallel=True, **options)(function)

        @wraps(function)
        def run(*arguments, share):
            if share:
                with pool:
                    shared(*arguments)
            else:
                alone(*arguments)

        run.versions = alone, shared
        return run

    return decorate
