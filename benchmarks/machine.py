"""These functions measure how much this machine can multiply-add and move per second."""

import platform
import time

import numba
import numpy as np

from minigrad.kernels.compile import prange
from minigrad.kernels.threads import shareable
from minigrad.kernels.tile import HEIGHT, WIDTH, tile
from minigrad.kernels.vectors import REGISTER

DEPTH = 128  # rows of the panel


@shareable()
def _tiles(a, b, out, rounds):
    """Add to tiles of a matrix product, whose operands stay in the nearest cache."""
    for piece in prange(len(out)):
        for _ in range(rounds):
            columns = out.shape[1] // HEIGHT
            tile(HEIGHT, columns, a, 0, 1, HEIGHT, b, 0, DEPTH, out[piece], 0, columns, True)


@shareable()
def _update(p, g, m, v):
    for i in prange(p.size):
        m[i] += g[i]
        v[i] -= g[i]
        p[i] += m[i] + v[i]


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
    out = np.zeros((4 * numba.get_num_threads(), HEIGHT * columns), np.float32)
    _tiles(a, b, out, 1, share=True)
    seconds = _best(lambda: _tiles(a, b, out, rounds, share=True))
    return 2 * out.size * DEPTH * rounds / seconds


def bandwidth(traffic):
    """Return the bytes per second that additions, in place of Adam's update, read and write.

    traffic: the bytes that a step's Adam does, in four arrays, of which three are written. So they
    are as large as the step's own, and stay in the caches where those do.
    """
    arrays = [np.zeros(traffic // 7 // 4, np.float32) for _ in range(4)]
    _update(*arrays, share=True)
    return traffic / _best(lambda: _update(*arrays, share=True), repeats=50)


def describe():
    """Return the processor's name and number of cores, as far as the system tells."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        return f"{names[0]}, {len(names)} cores"
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
