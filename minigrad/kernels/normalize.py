"""The statistics of batch normalisation and their gradient: (N, C, L), channel by channel."""

import numpy as np

from minigrad.kernels import specification
from minigrad.kernels.jit import COMPILED, contiguous, jit, pool, prange

# reassoc: a vector of partial sums along L; they are added up in double precision.
_summing = {"contract", "reassoc"}


@jit(fastmath=_summing)
def _channel_moments(x, c, mean, variance):
    N, _, L = x.shape
    total = 0.0
    for n in range(N):
        row = x.dtype.type(0)
        for i in range(L):
            row += x[n, c, i]
        total += row
    mean[c] = total / (N * L)
    total = 0.0
    for n in range(N):
        row = x.dtype.type(0)
        for i in range(L):
            row += (x[n, c, i] - mean[c]) * (x[n, c, i] - mean[c])
        total += row
    variance[c] = total / (N * L)


@jit(parallel=True)
def _moments(x, mean, variance):
    for c in prange(x.shape[1]):
        _channel_moments(x, c, mean, variance)


@jit(fastmath=_summing)
def _channel_pull(g, x, mean, r, c, out):
    N, _, L = x.shape
    total = along = 0.0
    for n in range(N):
        row = row_along = x.dtype.type(0)
        for i in range(L):
            row += g[n, c, i]
            row_along += g[n, c, i] * (x[n, c, i] - mean[c])
        total += row
        along += row_along
    average = x.dtype.type(total / (N * L))
    slope = x.dtype.type(along / (N * L)) * r[c] * r[c]
    for n in range(N):
        for i in range(L):
            out[n, c, i] = r[c] * (g[n, c, i] - average - slope * (x[n, c, i] - mean[c]))


@jit(parallel=True)
def _normalize_pull(g, x, mean, r, out):
    for c in prange(x.shape[1]):
        _channel_pull(g, x, mean, r, c, out)


def moments(x):
    if x.dtype not in COMPILED or not x.size:
        return specification.moments(x)
    mean, variance = np.empty(x.shape[1], x.dtype), np.empty(x.shape[1], x.dtype)
    with pool:
        _moments(contiguous(x), mean, variance)
    return mean, variance


def normalize_pull(g, x, mean, r):
    if x.dtype not in COMPILED or g.dtype != x.dtype or not x.size:
        return specification.normalize_pull(g, x, mean, r)
    out = np.empty(x.shape, x.dtype)
    with pool:
        _normalize_pull(contiguous(g), contiguous(x), mean, r, out)
    return out
