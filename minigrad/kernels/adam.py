"""Adam's update in one pass: the four arrays are read once, three are written."""

import math

from minigrad.kernels.compile import accelerates, flat, jit, prange
from minigrad.kernels.threads import pool
from minigrad.ops.updates import adam_

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


@accelerates(adam_, lambda *arrays, **static: () if writable(*arrays) else None)
def adam_kernel(p, m, v, step, g, lr, *, betas, eps):
    step += 1
    t, (beta1, beta2) = int(step), betas
    rate, root = lr.item() / (1 - beta1**t), 1 / math.sqrt(1 - beta2**t)
    # 1 − β in double precision: made from a float32 β₂ = 0.999 it would be off by 10⁻⁵ of itself.
    constants = map(p.dtype.type, (rate, 1 - beta1, beta2, 1 - beta2, root, eps))
    arrays = flat(p), flat(g), flat(m), flat(v)
    if p.size < 2 * PIECE:
        _piece(*arrays, *constants, 0, p.size)
    else:
        with pool:
            _pieces(*arrays, *constants, PIECE)


def writable(p, m, v, *others):
    return p.flags.carray and m.flags.carray and v.flags.carray
