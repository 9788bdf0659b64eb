"""Adam's update in one pass: the four arrays are read once, three are written."""

import math

from numba import prange

from minigrad.kernels import specification
from minigrad.kernels.jit import jit, pool

PIECE = 2**13  # elements; below two pieces the other threads are not woken


@jit()
def _piece(p, g, m, v, rate, keep1, keep2, root, eps, start, stop):
    one = p.dtype.type(1)
    for i in range(start, stop):
        m[i] += (one - keep1) * (g[i] - m[i])
        v[i] = keep2 * v[i] + (one - keep2) * g[i] * g[i]
        p[i] -= rate * m[i] / (math.sqrt(v[i]) * root + eps)


@jit(parallel=True)
def _pieces(p, g, m, v, rate, keep1, keep2, root, eps, size):
    for piece in prange((p.size + size - 1) // size):
        stop = min(p.size, (piece + 1) * size)
        _piece(p, g, m, v, rate, keep1, keep2, root, eps, piece * size, stop)


def adam_step(p, g, m, v, lr, beta1, beta2, eps, step):
    if p.dtype.char not in "fd":
        return specification.adam_step(p, g, m, v, lr, beta1, beta2, eps, step)
    rate, root = lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)
    constants = map(p.dtype.type, (rate, beta1, beta2, root, eps))
    arrays = (array.reshape(-1) for array in (p, g, m, v))
    if p.size < 2 * PIECE:
        _piece(*arrays, *constants, 0, p.size)
    else:
        with pool:
            _pieces(*arrays, *constants, PIECE)
