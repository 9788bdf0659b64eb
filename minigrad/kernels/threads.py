"""The threads that all parallel kernels share, and how they wait for the next one."""

import ctypes
import os
import sys
import threading
from pathlib import Path

import numba


class _Pool:
    """The threads that all parallel kernels share: `with pool:` around each call of one.

    It is a lock, because two Python threads that enter parallel kernels at once abort the process
    under numba's simplest threading layer.

    And it decides how threads wait for the next kernel, which in training is never far. OpenMP's,
    as in PyTorch, spin for a while before they sleep; those of TBB sleep at once, and to wake them
    costs a tenth of a training step, more on a virtual machine. Beside another busy process it is
    the other way round: there NUMBA_THREADING_LAYER=tbb is faster, for whoever has time does the
    work that is left. So TBB is the second choice, where there is no OpenMP.
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
        try:  # numba looks for TBB by name; loaded from where pip puts it, it is found
            ctypes.CDLL(str(Path(sys.prefix, "lib", "libtbb.so.12")), mode=ctypes.RTLD_GLOBAL)
        except OSError:
            pass
        self._started = True

    def __exit__(self, *_):
        self._lock.release()


pool = _Pool()
