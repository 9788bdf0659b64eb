"""The statistics of batch normalisation and their gradient: (N, C, L), channel by channel.

A thread has some channels. It goes through their numbers in the order of memory, whether a channel
has few of them side by side or one, and adds up each column over the batch in double precision.
"""

import numpy as np

from minigrad.kernels import specification
from minigrad.kernels.jit import COMPILED, contiguous, jit, pool, prange

PIECES = 32  # into which the channels are divided


@jit()
def _expanded(values, L):
    """Each channel's value for each of its L columns."""
    out = np.empty(values.size * L, values.dtype)
    for c in range(values.size):
        out[c * L : (c + 1) * L] = values[c]
    return out


@jit()
def _folded(columns, L, scale, out):
    """The sum of each channel's L columns, times a number."""
    for c in range(out.size):
        out[c] = columns[c * L : (c + 1) * L].sum() * scale


@jit()
def _piece(i, channels, L):
    """The channels of piece i, and their columns."""
    start, stop = i * channels // PIECES, (i + 1) * channels // PIECES
    return slice(start, stop), slice(start * L, stop * L)


@jit(parallel=True)
def _moments(x, L, mean, variance):
    for i in prange(PIECES):
        some, columns = _piece(i, mean.size, L)
        _some_moments(x, L, columns, mean[some], variance[some])


@jit()
def _some_moments(x, L, columns, mean, variance):
    total = np.zeros(mean.size * L)
    for n in range(len(x)):
        row = x[n, columns]
        for j in range(row.size):
            total[j] += row[j]
    _folded(total, L, 1 / (len(x) * L), mean)
    centre = _expanded(mean, L)
    total[:] = 0
    for n in range(len(x)):
        row = x[n, columns]
        for j in range(row.size):
            total[j] += (row[j] - centre[j]) * (row[j] - centre[j])
    _folded(total, L, 1 / (len(x) * L), variance)


@jit(parallel=True)
def _affine(x, scale, shift, L, out):
    for i in prange(PIECES):
        some, columns = _piece(i, scale.size, L)
        _some_affine(x, _expanded(scale[some], L), _expanded(shift[some], L), columns, out)


@jit()
def _some_affine(x, scale, shift, columns, out):
    for n in range(len(x)):
        row, y = x[n, columns], out[n, columns]
        for j in range(row.size):
            y[j] = row[j] * scale[j] + shift[j]


@jit(parallel=True)
def _normalize_pull(g, x, mean, r, L, out):
    for i in prange(PIECES):
        some, columns = _piece(i, mean.size, L)
        _some_pull(g, x, mean[some], r[some], L, columns, out)


@jit()
def _products(g, x, centre, columns):
    """Σ g and Σ g (x − centre) of each column."""
    total, along = np.zeros(centre.size), np.zeros(centre.size)
    for n in range(len(x)):
        cotangent, row = g[n, columns], x[n, columns]
        for j in range(row.size):
            total[j] += cotangent[j]
            along[j] += cotangent[j] * (row[j] - centre[j])
    return total, along


@jit()
def _some_pull(g, x, mean, r, L, columns, out):
    centre, scale, count = _expanded(mean, L), _expanded(r, L), len(x) * L
    total, along = _products(g, x, centre, columns)
    average, slope = np.empty_like(mean), np.empty_like(mean)
    _folded(total, L, 1 / count, average)
    _folded(along, L, 1 / count, slope)
    average, slope = _expanded(average, L), _expanded(slope * r * r, L)
    for n in range(len(x)):
        cotangent, row, y = g[n, columns], x[n, columns], out[n, columns]
        for j in range(row.size):
            y[j] = scale[j] * (cotangent[j] - average[j] - slope[j] * (row[j] - centre[j]))


@jit(parallel=True)
def _normalized_sum(g, x, mean, L, out):
    for i in prange(PIECES):
        some, columns = _piece(i, mean.size, L)
        _, along = _products(g, x, _expanded(mean[some], L), columns)
        _folded(along, L, 1.0, out[some])


def _rows(x):
    """(N, C, L) as rows (N, C · L)."""
    return contiguous(x).reshape(len(x), -1)


def moments(x):
    if x.dtype not in COMPILED or not x.size:
        return specification.moments(x)
    mean, variance = np.empty(x.shape[1], x.dtype), np.empty(x.shape[1], x.dtype)
    with pool:
        _moments(_rows(x), x.shape[2], mean, variance)
    return mean, variance


def affine(x, scale, shift):
    if x.dtype not in COMPILED or not x.size or not x.dtype == scale.dtype == shift.dtype:
        return specification.affine(x, scale, shift)
    out = np.empty(x.shape, x.dtype)
    with pool:
        _affine(_rows(x), contiguous(scale), contiguous(shift), x.shape[2], _rows(out))
    return out


def normalize_pull(g, x, mean, r):
    if x.dtype not in COMPILED or g.dtype != x.dtype or not x.size:
        return specification.normalize_pull(g, x, mean, r)
    out = np.empty(x.shape, x.dtype)
    with pool:
        _normalize_pull(_rows(g), _rows(x), mean, r, x.shape[2], _rows(out))
    return out


def normalized_sum(g, x, mean, r):
    if x.dtype not in COMPILED or g.dtype != x.dtype or not x.size:
        return specification.normalized_sum(g, x, mean, r)
    out = np.empty(x.shape[1], x.dtype)
    with pool:
        _normalized_sum(_rows(g), _rows(x), mean, x.shape[2], out)
    return r * out
