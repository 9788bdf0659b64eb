"""These operations reduce axes.

axis is None (all axes), a number or a tuple. keepdims keeps the reduced axes, with size 1.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from minigrad.core.dtypes import operands
from minigrad.core.guards import is_true_or_false
from minigrad.core.primitive import composite, primitive
from minigrad.core.tensor import Tensor, constant
from minigrad.ops.arithmetic import exp, to
from minigrad.ops.choices import maximum
from minigrad.ops.shapes import broadcast_to, getitem, reshape


def axes_of(x, axis):
    """Return the axes as a tuple of numbers from 0 on."""
    if axis is None:
        return tuple(range(x.ndim))
    return _normalized(tuple(axis) if isinstance(axis, (list, np.ndarray)) else axis, x.ndim)


_normalized = lru_cache(normalize_axis_tuple)


def reduced_shape(x, axis, keepdims):
    """Return the shape of the result. Raises TypeError unless keepdims is True or False."""
    if keepdims.__class__ is not bool:
        _settings(x, axis, keepdims)
    if axis is None:
        return (1,) * x.ndim if keepdims else ()
    axes = axes_of(x, axis)
    if keepdims:
        return tuple([1 if i in axes else n for i, n in enumerate(x.shape)])
    return tuple([n for i, n in enumerate(x.shape) if i not in axes])


def _settings(x, axis, keepdims):
    is_true_or_false("keepdims", keepdims, "; several axes go in a tuple, axis=(0, 1)")


def _spread(g, x, axis):
    """Repeat the cotangent along the reduced axes, for every element of x."""
    if g.shape != ():
        g = reshape(g, shape=reduced_shape(x, axis, True))
    return broadcast_to(g, shape=x.shape)


@primitive(keeps_integers=True)
def sum(x, /, axis=None, keepdims=False):
    """y = Σ x over the axes.   VJP: x̄ = g, repeated along them

    Whole numbers and bools are added up as int64.
    """
    _settings(x, axis, keepdims)
    dtype = np.int64 if x.dtype.kind in "biu" else None
    return x.sum(axis=axes_of(x, axis), keepdims=keepdims, dtype=dtype)


sum.pulls = (lambda g, y, x, axis, keepdims: _spread(g, x, axis),)


@composite
def mean(x, axis=None, keepdims=False) -> Tensor:
    """y = Σ x / N over the axes, N elements each. The mean of whole numbers is float32."""
    (x,) = operands("mean", (x,), keeps_integers=True)
    count = math.prod(x.shape[i] for i in axes_of(x, axis))
    return sum(x, axis=axis, keepdims=keepdims) * (1 / count if count else math.nan)


def _has_elements(x, axis, keepdims=False):
    _settings(x, axis, keepdims)
    if x.size == 0 and (math.prod(reduced_shape(x, axis, True)) or not x.shape):
        raise ValueError(f"max: shape {x.shape} has no element along axis {axis}")


@primitive(keeps_integers=True, check=_has_elements)
def amax(x, /, axis=None, keepdims=False):
    """y = max x over the axes.   VJP: x̄ = g at the maximum; equal shares where several tie"""
    return x.max(axis=axes_of(x, axis), keepdims=keepdims)


def _amax_pull(g, y, x, axis, keepdims):
    top = to(x == reshape(y, reduced_shape(x, axis, True)), x.dtype)
    return _spread(g, x, axis) * (top / sum(top, axis, True))


amax.pulls = (_amax_pull,)


@primitive(keeps_integers=True, check=_has_elements)
def argmax(x, /, axis):
    """y = where the first maximum along one axis is, or the first NaN.   VJP: none"""
    return x.argmax(axis=axis)


argmax.pulls = ()


class Max(NamedTuple):
    """A Max is the result of `max` along one axis."""

    values: Tensor
    indices: Tensor  # int64; the first maximum's if several are equal


@composite
def max(x, axis=None, keepdims=False) -> Any:
    """Return (values, indices) of the maxima along one axis; without an axis, the maximum of x.

    As in PyTorch, the first of equal maxima along an axis gets the cotangent, but without an axis
    they get equal shares. max(x, y) of two tensors is `maximum`, and `amax` takes several axes.

    >>> max(Tensor([[1.0, 5.0], [7.0, 3.0]]), 1)
    Max(values=Tensor([5., 7.]), indices=Tensor([1, 0], dtype=int64))
    """
    if isinstance(axis, Tensor):
        return maximum(x, axis)
    (x,) = operands("max", (x,), keeps_integers=True)
    _settings(x, axis, keepdims)
    if axis is None:
        return amax(x, None, keepdims)
    if np.ndim(axis):
        raise TypeError(f"max: axis = {axis}; it must be one axis, for amax takes several")
    (axis,) = axes_of(x, axis)
    kept = reduced_shape(x, axis, True)
    first = reshape(argmax(x, axis), kept)
    index = [constant(places) for places in np.indices(kept, sparse=True)]
    index[axis] = first
    shape = reduced_shape(x, axis, keepdims)
    return Max(reshape(getitem(x, tuple(index)), shape), reshape(first, shape))


@primitive(check=_settings)
def logsumexp(x, /, axis, keepdims=False):
    """y = log Σ eˣ over the axes, shifted by the maximum.   VJP: x̄ = g e^(x − y) = g softmax(x)

    It never overflows, and is −∞ for a row of −∞ or a row without elements.
    """
    axes = axes_of(x, axis)
    top = x.real.max(axis=axes, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(top), top, 0).astype(top.dtype)
    y = shift + np.log(np.exp(x - shift).sum(axis=axes, keepdims=True))
    return y if keepdims else y.reshape(reduced_shape(x, axis, False))


logsumexp.pulls = (
    lambda g, y, x, axis, keepdims: (
        _spread(g, x, axis) * exp(x - reshape(y, reduced_shape(x, axis, True)))
    ),
)


@composite
def log_softmax(x, axis) -> Tensor:
    """y = x − log Σ eˣ over the axis: log-probabilities from logits."""
    (x,) = operands("log_softmax", (x,))
    shifted = x - amax(x.detach(), axis, True)  # large x would lose digits in x − y
    return shifted - logsumexp(shifted, axis, True)
