"""Reductions. Each sums in an order that the shape alone decides."""

import numpy as np

from minigrad.kernels import specification
from minigrad.kernels.elementwise import _exp
from minigrad.kernels.jit import contiguous, jit


@jit(fastmath={"contract", "reassoc"})  # reassoc: vectors of partial sums along the middle axis
def _sum_middle(x, out):
    A, N, B = x.shape
    for a in range(A):
        if B == 1:
            total = out.dtype.type(0)
            for n in range(N):
                total += x[a, n, 0]
            out[a, 0] = total
        else:
            out[a] = 0
            for n in range(N):
                for b in range(B):
                    out[a, b] += x[a, n, b]


@jit(fastmath={"contract", "reassoc"})
def _logsumexp_last(x, top, out):
    for a in range(x.shape[0]):
        shift = top[a] if np.isfinite(top[a]) else out.dtype.type(0)
        total = out.dtype.type(0)
        for n in range(x.shape[1]):
            total += _exp(x[a, n] - shift)
        out[a] = shift + np.log(total)


def sum_middle(x):
    if x.dtype.char not in "fd":
        return specification.sum_middle(x)
    out = np.empty((x.shape[0], x.shape[2]), x.dtype)
    _sum_middle(contiguous(x), out)
    return out


def logsumexp_last(x):
    if x.dtype.char not in "fd" or x.shape[1] == 0:
        return specification.logsumexp_last(x)
    out = np.empty(x.shape[0], x.dtype)
    _logsumexp_last(contiguous(x), x.max(axis=1), out)
    return out
