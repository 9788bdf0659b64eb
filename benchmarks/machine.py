"""These functions measure how much this machine can multiply-add and move per second."""

import platform
import time

import numpy as np

from minigrad.kernels.compile import jit, prange
from minigrad.kernels.tile import HEIGHT, WIDTH, tile
from minigrad.kernels.vectors import REGISTER

DEPTH, PIECES = 128, 16  # rows of the panel, and pieces of the work


@jit(parallel=True)
def _tiles(a, b, out, rounds):
    """Add to tiles of a matrix product, whose operands stay in the nearest cache."""
    for piece in prange(PIECES):
        for _ in range(rounds):
            columns = out.shape[1] // HEIGHT
            tile(HEIGHT, columns, a, 0, 1, HEIGHT, b, 0, DEPTH, out[piece], 0, columns, True)


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
    columns, rounds = WIDTH * REGISTER // 4, 2000
    a, b = np.ones(HEIGHT * DEPTH, np.float32), np.ones(columns * DEPTH, np.float32)
    out = np.zeros((PIECES, HEIGHT * columns), np.float32)
    _tiles(a, b, out, 1)
    seconds = _best(lambda: _tiles(a, b, out, rounds))
    return 2 * HEIGHT * columns * DEPTH * rounds * PIECES / seconds


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
