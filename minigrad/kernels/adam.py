"""Adam's update is a single pass, which reads four arrays and writes three of them."""

import math

from minigrad.kernels.compile import accelerates, flat, jit, prange
from minigrad.kernels.threads import shareable
from minigrad.ops.updates import adam_

PIECE = 2**13  # elements in a piece; fewer than two pieces run in the calling thread


# Contraction is off: LLVM may fuse either of two products with their sum, and its choice can change
# from one compilation to the next.
@jit(fastmath=False)
def _piece(p, g, m, v, rate, weight1, beta2, weight2, root, eps, start, stop):
    # With indices from 0, which can't be negative, numba makes vector code, six times as fast.
    p, g, m, v = p[start:stop], g[start:stop], m[start:stop], v[start:stop]
    for i in range(p.size):
        m[i] += weight1 * (g[i] - m[i])
        v[i] = beta2 * v[i] + weight2 * g[i] * g[i]
        p[i] -= rate * m[i] / (math.sqrt(v[i]) * root + eps)


@shareable
def _pieces(p, g, m, v, rate, weight1, beta2, weight2, root, eps, size):
    for piece in prange((p.size + size - 1) // size):
        stop = min(p.size, (piece + 1) * size)
        _piece(p, g, m, v, rate, weight1, beta2, weight2, root, eps, piece * size, stop)


@accelerates(adam_, lambda *arrays, **static: () if writable(*arrays) else None)
def adam_kernel(p, m, v, step, g, lr, *, betas, eps):
    step += 1
    t, (beta1, beta2) = int(step), betas
    rate, root = lr.item() / (1 - beta1**t), 1 / math.sqrt(1 - beta2**t)
    # 1 − β is taken in double precision: a float32 β₂ = 0.999 gives it a relative error of 10⁻⁵.
    constants = map(p.dtype.type, (rate, 1 - beta1, beta2, 1 - beta2, root, eps))
    arrays = flat(p), flat(g), flat(m), flat(v)
    _pieces(*arrays, *constants, PIECE, share=p.size >= 2 * PIECE)


def writable(p, m, v, *others):
    """Return whether the kernel can write p, m and v in place."""
    return p.flags.carray and m.flags.carray and v.flags.carray
