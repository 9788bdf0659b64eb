"""These kernels compute the statistics of batch normalisation, their averages, and its gradient.

They see x (N, C, L) as rows (N, C · L), with L columns for each channel. A piece is a range of
channels. A thread goes through its piece row by row, in the order of memory, whether L is large or
1, and sums each column over the rows in double precision.
"""

import numpy as np
from numpy.lib.array_utils import byte_bounds

from minigrad.kernels.compile import accelerates, contiguous, flat, jit
from minigrad.kernels.jobs import shareable
from minigrad.kernels.scratch import scratch, zeros
from minigrad.ops import normalization, updates

PIECES = 16  # that the channels are divided into, at most,
PIECE = 2**12  # unless so few elements would be left to one


@jit()
def _expanded(values, L):
    """Repeat each channel's value for each of its L columns."""
    out = scratch(values.size * L, values.dtype)
    for c in range(values.size):
        out[c * L : (c + 1) * L] = values[c]
    return out


@jit()
def _folded(columns, L, scale, out):
    """Write the sum of each channel's L columns, times a number, into out."""
    for c in range(out.size):
        out[c] = columns[c * L : (c + 1) * L].sum() * scale


@shareable()
def _moments(start, stop, x, L, mean, variance):
    columns, mean, variance = slice(start * L, stop * L), mean[start:stop], variance[start:stop]
    total = zeros(mean.size * L, np.float64)
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


@shareable()
def _affine(start, stop, x, scale, shift, L, out):
    columns = slice(start * L, stop * L)
    scale, shift = _expanded(scale[start:stop], L), _expanded(shift[start:stop], L)
    for n in range(len(x)):
        row, y = x[n, columns], out[n, columns]
        for j in range(row.size):
            y[j] = row[j] * scale[j] + shift[j]


@jit()
def _products(g, x, centre, columns):
    """Return Σ g and Σ g (x − centre) of each column."""
    total, along = zeros(centre.size, np.float64), zeros(centre.size, np.float64)
    for n in range(len(x)):
        cotangent, row = g[n, columns], x[n, columns]
        for j in range(row.size):
            total[j] += cotangent[j]
            along[j] += cotangent[j] * (row[j] - centre[j])
    return total, along


@jit(fastmath=False)
def _inverse_deviation(variance, eps):
    r = scratch(variance.size, variance.dtype)
    for c in range(r.size):
        r[c] = variance.dtype.type(1) / np.sqrt(variance[c] + eps)
    return r


@shareable()
def _normalize_pull(start, stop, g, x, mean, variance, eps, L, out):
    columns, count, mean = slice(start * L, stop * L), len(x) * L, mean[start:stop]
    r = _inverse_deviation(variance[start:stop], eps)
    centre, scale = _expanded(mean, L), _expanded(r, L)
    total, along = _products(g, x, centre, columns)
    average, slope = scratch(mean.size, mean.dtype), scratch(mean.size, mean.dtype)
    _folded(total, L, 1 / count, average)
    _folded(along, L, 1 / count, slope)
    for c in range(mean.size):
        slope[c] = slope[c] * r[c] * r[c]
    average, slope = _expanded(average, L), _expanded(slope, L)
    for n in range(len(x)):
        cotangent, row, y = g[n, columns], x[n, columns], out[n, columns]
        for j in range(row.size):
            y[j] = scale[j] * (cotangent[j] - average[j] - slope[j] * (row[j] - centre[j]))


@shareable()
def _normalized_sum(start, stop, g, x, mean, variance, eps, L, out):
    columns, out = slice(start * L, stop * L), out[start:stop]
    _, along = _products(g, x, _expanded(mean[start:stop], L), columns)
    _folded(along, L, 1.0, out)
    r = _inverse_deviation(variance[start:stop], eps)
    for c in range(out.size):
        out[c] *= r[c]


def _by_channel(x):
    """Return how many pieces x's channels are divided into, and how many channels there are."""
    return min(PIECES, x.shape[1], x.size // PIECE), x.shape[1]


def _rows(x):
    """Return x (N, C, …) as rows (N, C · L), and L."""
    return contiguous(x).reshape(len(x), -1), x.size // (x.shape[0] * x.shape[1])


def _channel(x):
    """Return the shape and the dtype of a result with one number for each channel."""
    return x.shape[1:2], x.dtype


def _unless_empty(x, *results):
    """Return the results, or None to leave an empty x to the forward."""
    return results if x.size else None


@accelerates(
    normalization.moments,
    lambda x: _unless_empty(x, _channel(x), _channel(x)),
    only_jobs=True,
)
def moments(mean, variance, x):
    _moments(*_by_channel(x), *_rows(x), mean, variance)


def _normalized(x, weight, bias, eps):
    return _unless_empty(x, (x.shape, x.dtype), _channel(x), _channel(x))


@shareable(fastmath=False)
def _scale_and_shift(start, stop, mean, variance, weight, bias, eps, scale, shift):
    for c in range(start, stop):
        scale[c] = weight[c] / np.sqrt(variance[c] + eps)
        shift[c] = bias[c] - mean[c] * scale[c]


@accelerates(normalization._batch_norm, _normalized, only_jobs=True)
def batch_norm(y, mean, variance, x, weight, bias, *, eps):
    moments(mean, variance, x)
    rows, L = _rows(x)
    scale, shift, C = np.empty_like(mean), np.empty_like(mean), mean.size
    weight, bias = contiguous(weight), contiguous(bias)
    _scale_and_shift(1, C, mean, variance, weight, bias, x.dtype.type(eps), scale, shift)
    _affine(*_by_channel(x), rows, scale, shift, L, _rows(y)[0])


def _like_x(g, x, mean, variance, eps):
    return _unless_empty(x, (x.shape, x.dtype))


@accelerates(normalization.batch_norm_pull, _like_x, only_jobs=True)
def batch_norm_pull(h, g, x, mean, variance, *, eps):
    rows, L = _rows(x)
    variance, eps = contiguous(variance), x.dtype.type(eps)
    _normalize_pull(
        *_by_channel(x), _rows(g)[0], rows, contiguous(mean), variance, eps, L, _rows(h)[0]
    )


def _like_channels(g, x, mean, variance, eps):
    return _unless_empty(x, _channel(x))


@accelerates(normalization.normalized_sum, _like_channels, only_jobs=True)
def normalized_sum(y, g, x, mean, variance, *, eps):
    rows, L = _rows(x)
    variance, eps = contiguous(variance), x.dtype.type(eps)
    _normalized_sum(*_by_channel(x), _rows(g)[0], rows, contiguous(mean), variance, eps, L, y)


@shareable(fastmath=False)
def _average(start, stop, running, batch, kept, momentum, correction):
    for c in range(start, stop):
        running[c] = kept * running[c] + momentum * (batch[c] * correction)


def _in_place(written, *others, **static):
    """Return that there is no result, or None if what is written isn't contiguous."""
    return () if written.flags.carray else None


def _apart(running, batch, **static):
    """Leave memory that overlaps, and numbers that aren't Python's, to the forward."""
    (start, stop), (first, last) = byte_bounds(running), byte_bounds(batch)
    plain = all([type(number) in (int, float) for number in static.values()])
    return _in_place(running) if plain and (last <= start or stop <= first) else None


@accelerates(updates.average_, _apart, only_jobs=True)
def average(running, batch, momentum, correction=1.0):
    factors = [running.dtype.type(factor) for factor in (1 - momentum, momentum, correction)]
    _average(1, running.size, flat(running), flat(batch), *factors)


@shareable()
def _add_one(start, stop, count):
    for i in range(start, stop):
        count[i] += 1


@accelerates(updates.add_one_, _in_place, dtypes=[np.dtype(np.int64)], only_jobs=True)
def add_one(count):
    _add_one(1, count.size, flat(count))
