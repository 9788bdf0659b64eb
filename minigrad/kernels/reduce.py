"""Each of these reductions sums in an order that depends on the shape alone."""

import math

import numpy as np

from minigrad import ops
from minigrad.kernels.compile import accelerates, contiguous, flat, jit
from minigrad.kernels.elementwise import _exp
from minigrad.ops.reductions import axes_of, reduced_shape

BLOCK = 4096  # numbers summed apart, so that a long sum rounds as little as a short one


@jit(fastmath={"contract", "reassoc"})  # reassoc allows a vector of partial sums
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
def _sum_columns(x, out):
    A, N, B = x.shape
    total = np.empty(B, x.dtype)
    for a in range(A):
        columns, result = x[a], out[a]  # LLVM makes better code of loops over flat arrays
        result[:] = 0
        for start in range(0, N, BLOCK):
            total[:] = 0
            for n in range(start, min(N, start + BLOCK)):
                row = columns[n]
                for b in range(B):
                    total[b] += row[b]
            for b in range(B):
                result[b] += total[b]


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
    """Sum adjacent axes at once, as the middle one of three axes, and then any further to the left.

    No element is moved.
    """
    if axis is None:  # a short cut for the usual case
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
        _sum_columns(contiguous(x), out)


@accelerates(ops.logsumexp, lambda x, **static: _reduced(x, **static) if x.size else None)
def logsumexp(y, x, *, axis, keepdims):
    axes = axes_of(x, axis)
    others = [i for i in range(x.ndim) if i not in axes]
    sizes = [math.prod(x.shape[i] for i in part) for part in (others, axes)]
    last = contiguous(x.transpose(*others, *axes).reshape(sizes))
    _logsumexp_last(last, last.max(axis=1), flat(y))
