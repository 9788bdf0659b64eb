"""Reductions. Each sums in an order that the shape alone decides."""

import numpy as np

from minigrad.kernels import specification
from minigrad.kernels.elementwise import _exp
from minigrad.kernels.jit import COMPILED, contiguous, jit

BLOCK = 4096  # summed apart, so that the rounding error of a long sum stays that of a short one


@jit(fastmath={"contract", "reassoc"})  # reassoc: a vector of partial sums along the row
def _sum_rows(x, out):
    for a in range(x.shape[0]):
        out[a] = 0
        for start in range(0, x.shape[1], BLOCK):
            block = x[a, start : start + BLOCK]
            total = out.dtype.type(0)
            for n in range(block.size):
                total += block[n]
            out[a] += total


@jit()
def _sum_columns(x, total, out):
    for a in range(x.shape[0]):
        out[a] = 0
        for start in range(0, x.shape[1], BLOCK):
            total[:] = 0
            for row in x[a, start : start + BLOCK]:
                for b in range(total.size):
                    total[b] += row[b]
            out[a] += total


@jit(fastmath={"contract", "reassoc"})
def _logsumexp_last(x, top, out):
    for a in range(x.shape[0]):
        shift = top[a] if np.isfinite(top[a]) else out.dtype.type(0)
        total = out.dtype.type(0)
        for n in range(x.shape[1]):
            total += _exp(x[a, n] - shift)
        out[a] = shift + np.log(total)


def sum_middle(x):
    if x.dtype not in COMPILED:
        return specification.sum_middle(x)
    A, N, B = x.shape
    out = np.empty((A, B), x.dtype)
    if B == 1:
        _sum_rows(contiguous(x).reshape(A, N), out.reshape(A))
    else:
        _sum_columns(contiguous(x), np.empty(B, x.dtype), out)
    return out


def logsumexp_last(x):
    if x.dtype not in COMPILED or x.shape[1] == 0:
        return specification.logsumexp_last(x)
    out = np.empty(x.shape[0], x.dtype)
    _logsumexp_last(contiguous(x), x.max(axis=1), out)
    return out
