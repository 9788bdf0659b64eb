"""Operations that reduce axes.

axis: None (all of them), a number or a tuple. keepdims keeps the reduced axes, with size 1.
"""

import math

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from minigrad import kernels
from minigrad.engine import composite, primitive
from minigrad.ops.elementwise import exp, sigmoid, where
from minigrad.ops.shape import broadcast_to, reshape


def _axes(x, axis):
    return normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)


def _kept(x, axes):
    """x's shape with 1 along the reduced axes: the shape that broadcasts against x."""
    return tuple(1 if i in axes else n for i, n in enumerate(x.shape))


def _spread(g, kept, shape):
    """A reduced axis' cotangent, given to every element that was reduced."""
    return broadcast_to(reshape(g, shape=kept), shape=shape)


def _result_shape(kept, axes, keepdims):
    return kept if keepdims else tuple(n for i, n in enumerate(kept) if i not in axes)


def _middle(array, axes):
    """The array as (A, N, B) with the reduced axes merged into N; copied only if they are apart."""
    first = axes[0] if axes else 0
    if axes != tuple(range(first, first + len(axes))):
        rest = [i for i in range(array.ndim) if i not in axes]
        array, first = array.transpose(*rest, *axes), len(rest)
    last = first + len(axes)
    sizes = array.shape[:first], array.shape[first:last], array.shape[last:]
    return array.reshape([math.prod(size) for size in sizes])


@primitive
def sum(x, *, axis=None, keepdims=False):
    """y = Σ x over the axes.   VJP: x̄ = g, repeated along them"""
    axes = _axes(x, axis)
    shape, kept = x.shape, _kept(x, axes)
    y = kernels.sum_middle(_middle(x._array, tuple(sorted(axes))))
    return y.reshape(_result_shape(kept, axes, keepdims)), lambda g, y: _spread(g, kept, shape)


@composite
def mean(x, *, axis=None, keepdims=False):
    """y = Σ x / N over the axes, N elements each."""
    count = math.prod(x.shape[i] for i in _axes(x, axis))
    return sum(x, axis=axis, keepdims=keepdims) * (1 / count if count else math.nan)


@primitive
def max(x, *, axis=None, keepdims=False):
    """y = max x over the axes.   VJP: x̄ = g at the maximum; equal shares where several tie"""
    axes = _axes(x, axis)
    shape, kept = x.shape, _kept(x, axes)
    if 0 in shape and x.size == 0 != math.prod(kept):
        raise ValueError(f"max: shape {shape} has no element along axis {axes}")

    def pull(g, y):
        top = x._array == y._array.reshape(kept)
        return _spread(g, kept, shape) * (top / top.sum(axis=axes, keepdims=True))

    return x._array.max(axis=axes, keepdims=keepdims), pull


@primitive
def logsumexp(x, *, axis, keepdims=False):
    """y = log Σ eˣ over the axes, shifted by the maximum.   VJP: x̄ = g e^(x − y) = g softmax(x)

    Never overflows; −∞ for a row of −∞, whose cotangent is 0.
    """
    axes = _axes(x, axis)
    shape, kept = x.shape, _kept(x, axes)
    rest = [i for i in range(x.ndim) if i not in axes]
    sizes = [math.prod(shape[i] for i in part) for part in (rest, axes)]
    last = x._array.transpose(*rest, *axes).reshape(sizes)
    y = kernels.logsumexp_last(last)

    def pull(g, y):
        y = reshape(y, shape=kept)
        y = where(y._array == -np.inf, 0, y)  # e^(−∞ − 0) = 0, while e^(−∞ + ∞) is NaN
        return _spread(g, kept, shape) * exp(x - y)

    return y.reshape(_result_shape(kept, axes, keepdims)), pull


@composite
def log_softmax(x, *, axis):
    """y = x − log Σ eˣ over the axis: log-probabilities from logits."""
    return x - logsumexp(x, axis=axis, keepdims=True)


@primitive
def log_bernoulli(x, logits):
    """y = Σⱼ xⱼ log σ(lⱼ) + (1 − xⱼ) log σ(−lⱼ) over the last axis: x, l (..., D) -> (...).

    VJP: x̄ = g l, l̄ = g (x − σ(l)), as d/dl log σ(l) = 1 − σ(l) and d/dl log σ(−l) = −σ(l)
    """
    y = kernels.log_bernoulli(x._array, logits._array)
    kept, shape = (*y.shape, 1), np.broadcast_shapes(x.shape, logits.shape)
    return (
        y,
        lambda g, y: _spread(g, kept, shape) * logits,
        lambda g, y: _spread(g, kept, shape) * (x - sigmoid(logits)),
    )
