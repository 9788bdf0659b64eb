"""Reductions. Each sums in an order that the shape alone decides."""

import math

import numpy as np

from minigrad import ops
from minigrad.kernels.compile import accelerates, contiguous, flat, jit
from minigrad.kernels.elementwise import _exp
from minigrad.ops.reductions import axes_of, reduced_shape

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


def _reduced(x, *, axis, keepdims):
    return ((reduced_shape(x, axis, keepdims), x.dtype),)


@accelerates(ops.sum, _reduced)
def sum(y, x, *, axis, keepdims):
    """Axes side by side are summed at once, as the middle one of three; then those further left.
    No element is moved for it."""
    if axis is None:  # the usual case, and a short cut
        return _sum_rows(contiguous(x).reshape(1, x.size), y.reshape(1))
    axes = sorted(axes_of(x, axis))
    if not axes:
        y[...] = x
    while axes:
        first = last = axes.pop()
        while first - 1 in axes:
            first = axes.pop()
        left, middle, right = x.shape[:first], x.shape[first : last + 1], x.shape[last + 1 :]
        sizes = [math.prod(part) for part in (left, middle, right)]
        out = np.empty(sizes[0] * sizes[2], x.dtype) if axes else y.reshape(-1)
        _sum_middle(x.reshape(sizes), out.reshape(sizes[0], sizes[2]))
        x = out.reshape(*left, *(1,) * len(middle), *right)


def _sum_middle(x, out):
    A, N, B = x.shape
    if B == 1:
        _sum_rows(contiguous(x).reshape(A, N), out.reshape(A))
    else:
        _sum_columns(contiguous(x), np.empty(B, x.dtype), out)


@accelerates(ops.logsumexp, lambda x, **static: _reduced(x, **static) if x.size else None)
def logsumexp(y, x, *, axis, keepdims):
    axes = axes_of(x, axis)
    others = [i for i in range(x.ndim) if i not in axes]
    sizes = [math.prod(x.shape[i] for i in part) for part in (others, axes)]
    last = contiguous(x.transpose(*others, *axes).reshape(sizes))
    _logsumexp_last(last, last.max(axis=1), flat(y))
