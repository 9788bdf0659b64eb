"""Concatenation copies each operand's rows into its place in the rows of the result."""

import math

from minigrad.kernels.compile import accelerates, contiguous
from minigrad.kernels.jobs import shareable
from minigrad.ops.shapes import _concatenate

PIECE = 2**14  # numbers, at least, that a thread copies at a time


@shareable()
def _place(start, stop, x, out, first):
    """out[a, first + j] = x[a, j]"""
    for a in range(start, stop):
        source, target = x[a], out[a, first : first + x.shape[1]]
        for j in range(source.size):
            target[j] = source[j]


def _joined(x, *others, axis):
    """Return the result's shape, unless shapes don't fit, or are empty: the forward says so."""
    axis = range(x.ndim)[axis] if -x.ndim <= axis < x.ndim else None
    if axis is None or not x.size:
        return None
    before, after, total = x.shape[:axis], x.shape[axis + 1 :], x.shape[axis]
    for y in others:
        if y.ndim != x.ndim or y.shape[:axis] != before or y.shape[axis + 1 :] != after:
            return None
        total += y.shape[axis]
    return (((*before, total, *after), x.dtype),)


@accelerates(_concatenate, _joined, only_jobs=True)
def concatenate(y, *xs, axis):
    rows, first = math.prod(y.shape[: axis % y.ndim]), 0
    for x in xs:
        if x.size:
            row = x.size // rows
            pieces = min(x.size // PIECE, rows)
            _place(pieces, rows, contiguous(x).reshape(rows, row), y.reshape(rows, -1), first)
            first += row
