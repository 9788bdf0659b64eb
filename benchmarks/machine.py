"""These functions measure how much this machine can multiply-add and move per second."""

import platform
import time

import numpy as np

from minigrad.kernels.jobs import shareable
from minigrad.kernels.tile import HEIGHT, WIDTH, tile
from minigrad.kernels.vectors import REGISTER
from minigrad.processors import get_num_threads

DEPTH = 128  # rows of the panel


@shareable()
def _tiles(start, stop, a, b, out, rounds):
    """Add to tiles of a matrix product, whose operands stay in the nearest cache."""
    for piece in range(start, stop):
        for _ in range(rounds):
            columns = out.shape[1] // HEIGHT
            tile(HEIGHT, columns, a, 0, 1, HEIGHT, b, 0, columns, DEPTH, out[piece], 0, columns,
                 True, False, b, (0, 0, 0, 0, 0))  # fmt: skip


@shareable()
def _update(start, stop, p, g, m, v):
    p, g, m, v = p[start:stop], g[start:stop], m[start:stop], v[start:stop]
    for i in range(p.size):
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
    out = np.zeros((4 * get_num_threads(), HEIGHT * columns), np.float32)
    _tiles(len(out), len(out), a, b, out, 1)
    seconds = _best(lambda: _tiles(len(out), len(out), a, b, out, rounds))
    return 2 * out.size * DEPTH * rounds / seconds


def bandwidth(traffic):
    """Return the bytes per second that additions, in place of Adam's update, read and write.

    traffic: the bytes that a step's Adam does, in four arrays, of which three are written. So they
    are as large as the step's own, and stay in the caches where those do.
    """
    arrays = [np.zeros(traffic // 7 // 4, np.float32) for _ in range(4)]
    pieces, size = traffic // 2**18, arrays[0].size
    _update(pieces, size, *arrays)
    return traffic / _best(lambda: _update(pieces, size, *arrays), repeats=50)


def describe():
    """Return the processor's name and number of cores, as far as the system tells."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        return f"{names[0]}, {len(names)} cores"
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
