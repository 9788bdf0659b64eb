"""These functions measure how much this machine can multiply-add and move per second."""

import platform
import time

import numpy as np

from minigrad.kernels import vectors
from minigrad.kernels.compile import jit, prange


@jit(parallel=True)
def _multiply_adds(data, out, rounds, pieces):
    """Do nothing but fused multiply-adds, on five vectors per thread that stay in registers."""
    for piece in prange(pieces):
        v = vectors.load(data, 0)
        a0 = a1 = a2 = a3 = a4 = v
        for _ in range(rounds):
            a0 = vectors.fma(data[0], a0, v)
            a1 = vectors.fma(data[0], a1, v)
            a2 = vectors.fma(data[0], a2, v)
            a3 = vectors.fma(data[0], a3, v)
            a4 = vectors.fma(data[0], a4, v)
        at = piece * 5 * 64
        vectors.store(out, at, a0)
        vectors.store(out, at + 64, a1)
        vectors.store(out, at + 128, a2)
        vectors.store(out, at + 192, a3)
        vectors.store(out, at + 256, a4)


@jit(parallel=True)
def _add(a, b, out):
    for i in prange(a.size):
        out[i] = a[i] + b[i]


def _best(function, repeats=7):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def flops():
    """Return the peak float32 FLOP per second of all cores; a multiply-add counts as two."""
    lanes, rounds, pieces = vectors.BYTES // 4, 300_000, 8
    data, out = np.full(64, 0.5, np.float32), np.empty(pieces * 5 * 64, np.float32)
    _multiply_adds(data, out, 1, pieces)
    seconds = _best(lambda: _multiply_adds(data, out, rounds, pieces))
    return 2 * 5 * lanes * rounds * pieces / seconds


def bandwidth(size=2**25):
    """Return the bytes per second of c = a + b on arrays far larger than the caches."""
    a, b, c = (np.ones(size, np.float32) for _ in range(3))
    _add(a, b, c)
    return 3 * a.nbytes / _best(lambda: _add(a, b, c))


def describe():
    """Return the processor's name and number of cores, as far as the system tells."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        return f"{names[0]}, {len(names)} cores"
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
