"""Adam's update in one pass: the four arrays are read once, three are written."""

import math

from minigrad.kernels import specification
from minigrad.kernels.jit import COMPILED, contiguous, jit, pool, prange

PIECE = 2**13  # elements; below two pieces the other threads are not woken


@jit(fastmath=False)  # two products are added: which one is fused with the sum, LLVM decides anew
def _piece(p, g, m, v, rate, rest1, beta2, rest2, root, eps, start, stop):
    # Indices from 0 are vector code, six times as fast: numba need not ask whether one is negative.
    p, g, m, v = p[start:stop], g[start:stop], m[start:stop], v[start:stop]
    for i in range(p.size):
        m[i] += rest1 * (g[i] - m[i])
        v[i] = beta2 * v[i] + rest2 * g[i] * g[i]
        p[i] -= rate * m[i] / (math.sqrt(v[i]) * root + eps)


@jit(parallel=True)
def _pieces(p, g, m, v, rate, rest1, beta2, rest2, root, eps, size):
    for piece in prange((p.size + size - 1) // size):
        stop = min(p.size, (piece + 1) * size)
        _piece(p, g, m, v, rate, rest1, beta2, rest2, root, eps, piece * size, stop)


def adam_step(p, g, m, v, lr, beta1, beta2, eps, step):
    if p.dtype not in COMPILED or not all(array.flags.carray for array in (p, m, v)):
        return specification.adam_step(p, g, m, v, lr, beta1, beta2, eps, step)
    rate, root = lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)
    # 1 − β in double precision: made from a float32 β₂ = 0.999 it would be off by 10⁻⁵ of itself.
    constants = map(p.dtype.type, (rate, 1 - beta1, beta2, 1 - beta2, root, eps))
    arrays = (array.reshape(-1) for array in (p, contiguous(g), m, v))
    if p.size < 2 * PIECE:
        _piece(*arrays, *constants, 0, p.size)
    else:
        with pool:
            _pieces(*arrays, *constants, PIECE)
