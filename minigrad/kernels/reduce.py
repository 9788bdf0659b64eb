"""Each of these reductions sums in an order that depends on the shape alone.

A row is summed in PARTS, one element to each in turn, and these are then added by halves: so the
loop runs in vectors of any width (see vectors.py), and its bits do not depend on theirs. A long row
is cut into blocks, so that it rounds as little as a short one.
"""

import math

import numpy as np

from minigrad import ops
from minigrad.kernels import scalars, vectors
from minigrad.kernels.compile import accelerates, contiguous, flat, jit
from minigrad.kernels.jobs import shareable
from minigrad.kernels.scratch import scratch
from minigrad.ops.reductions import axes_of, reduced_shape

BLOCK = 4096  # numbers that are summed apart
PIECE = 2**12  # elements, at least, that a thread takes at a time


@jit(fastmath=False)
def sum_row(row):
    total = row.dtype.type(0)
    for start in range(0, row.size, BLOCK):
        total += vectors.sum_in_turn(row, start, min(row.size, start + BLOCK))
    return total


@shareable(fastmath=False)
def _sum_rows(start, stop, x, out):
    for a in range(start, stop):
        out[a] = sum_row(x[a])


@shareable()
def _sum_columns(start, stop, x, out):
    _, N, B = x.shape
    total = scratch(B, x.dtype)
    for a in range(start, stop):
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


@jit(fastmath=False)
def _logsumexp_last(x, top, out):
    terms = np.empty(x.shape[1], x.dtype)
    for a in range(x.shape[0]):
        row, shift = x[a], top[a] if np.isfinite(top[a]) else out.dtype.type(0)
        for j in range(row.size):
            terms[j] = scalars.exp(row[j] - shift)
        out[a] = shift + np.log(sum_row(terms))


@jit(fastmath=False)
def _log_likelihood(x, logits, terms):
    for j in range(x.size):
        terms[j] = scalars.log_bernoulli(x[j], logits[j])
    return sum_row(terms)


@shareable(fastmath=False)
def _log_bernoulli_rows(start, stop, x, logits, out):
    terms = scratch(x.shape[1], x.dtype)
    for a in range(start, stop):
        out[a] = _log_likelihood(x[a], logits[a], terms)


def _reduced(x, *, axis, keepdims):
    return ((reduced_shape(x, axis, keepdims), x.dtype),)


@accelerates(ops.sum, _reduced, only_jobs=True)
def sum(y, x, *, axis, keepdims):
    """Sum adjacent axes at once, as the middle one of three axes, and then any further to the left.

    No element is moved.
    """
    if axis is None:  # a short cut for the usual case
        return _sum_rows(1, 1, contiguous(x).reshape(1, x.size), y.reshape(1))
    axes = sorted(axes_of(x, axis))
    if not axes:
        _copy(1, x.size, flat(x), flat(y))
    while axes:
        first = last = axes.pop()
        while first - 1 in axes:
            first = axes.pop()
        left, middle, right = x.shape[:first], x.shape[first : last + 1], x.shape[last + 1 :]
        sizes = [math.prod(part) for part in (left, middle, right)]
        out = np.empty(sizes[0] * sizes[2], x.dtype) if axes else y.reshape(-1)
        _sum_middle(contiguous(x).reshape(sizes), out.reshape(sizes[0], sizes[2]))
        x = out.reshape(*left, *(1,) * len(middle), *right)


@shareable()
def _copy(start, stop, x, out):
    out[start:stop] = x[start:stop]


def _sum_middle(x, out):
    A, N, B = x.shape
    if B == 1:
        _sum_rows(min(x.size // PIECE, A), A, x.reshape(A, N), out.reshape(A))
    else:
        _sum_columns(min(x.size // PIECE, A), A, x, out)


@accelerates(ops.logsumexp, lambda x, **static: _reduced(x, **static) if x.size else None)
def logsumexp(y, x, *, axis, keepdims):
    axes = axes_of(x, axis)
    others = [i for i in range(x.ndim) if i not in axes]
    sizes = [math.prod(x.shape[i] for i in part) for part in (others, axes)]
    last = contiguous(x.transpose(*others, *axes).reshape(sizes))
    _logsumexp_last(last, last.max(axis=1), flat(y))


def _without_last(x, logits):
    return ((np.broadcast_shapes(x.shape, logits.shape)[:-1], x.dtype),)


@accelerates(ops.log_bernoulli, _without_last, only_jobs=True)
def log_bernoulli(y, x, logits):
    shape = np.broadcast_shapes(x.shape, logits.shape)
    x, logits = (contiguous(np.broadcast_to(array, shape)) for array in (x, logits))
    rows, pieces = (y.size, shape[-1]), min(y.size, x.size // PIECE)
    _log_bernoulli_rows(pieces, y.size, x.reshape(rows), logits.reshape(rows), flat(y))
