"""Operations that reduce axes.

axis: None (all of them), a number or a tuple. keepdims keeps the reduced axes, with size 1.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from minigrad import kernels
from minigrad.dtypes import operands
from minigrad.engine import composite, primitive
from minigrad.ops.elementwise import exp, maximum, sigmoid
from minigrad.ops.shape import as_index, broadcast_to, getitem, reshape
from minigrad.tensor import Tensor


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


def _sum(array, axes):
    """The sum over the sorted axes, with size 1 in their place; no element is moved for it.

    Axes side by side are summed at once, as the middle one of three; then those further left.
    """
    if not axes:
        return array.copy()
    first = last = axes[-1]
    while first - 1 in axes:
        first -= 1
    sizes = array.shape[:first], array.shape[first : last + 1], array.shape[last + 1 :]
    y = kernels.sum_middle(array.reshape([math.prod(size) for size in sizes]))
    y = y.reshape(*sizes[0], *(1,) * (last + 1 - first), *sizes[2])
    rest = [i for i in axes if i < first]
    return _sum(y, rest) if rest else y


@primitive(keeps_integers=True)
def sum(x, /, axis=None, keepdims=False):
    """y = Σ x over the axes.   VJP: x̄ = g, repeated along them

    Whole numbers and truths are added up as int64.
    """
    axes = _axes(x, axis)
    shape, kept = x.shape, _kept(x, axes)
    array = x._array.astype(np.int64) if x.dtype.kind in "biu" else x._array
    y = _sum(array, sorted(axes))
    return y.reshape(_result_shape(kept, axes, keepdims)), lambda g, y: _spread(g, kept, shape)


@composite
def mean(x, axis=None, keepdims=False):
    """y = Σ x / N over the axes, N elements each. Of whole numbers it is float32."""
    (x,) = operands("mean", (x,), keeps_integers=True)
    count = math.prod(x.shape[i] for i in _axes(x, axis))
    return sum(x, axis=axis, keepdims=keepdims) * (1 / count if count else math.nan)


@primitive(keeps_integers=True)
def amax(x, /, axis=None, keepdims=False):
    """y = max x over the axes.   VJP: x̄ = g at the maximum; equal shares where several tie"""
    axes = _axes(x, axis)
    shape, kept = x.shape, _kept(x, axes)
    _check_extreme("amax", x, kept, axes)

    def pull(g, y):
        top = x._array == y._array.reshape(kept)
        return _spread(g, kept, shape) * (top / top.sum(axis=axes, keepdims=True))

    return x._array.max(axis=axes, keepdims=keepdims), pull


def _check_extreme(name, x, kept, axes):
    if x.size == 0 and (math.prod(kept) or not x.shape):
        raise ValueError(f"{name}: shape {x.shape} has no element along axis {axes}")


class Max(NamedTuple):
    """What `max` along one axis gives."""

    values: Tensor
    indices: Tensor  # int64, of the first maximum


@composite
def max(x, axis=None, keepdims=False):
    """(values, indices) of the maxima along one axis; without an axis, the maximum of all of x.

    As in PyTorch: along an axis the first of equal maxima gets the cotangent, without one all in
    equal shares; max(x, y) of two tensors is `maximum`; `amax` takes several axes.

    >>> from minigrad import Tensor
    >>> max(Tensor([[1.0, 5.0], [7.0, 3.0]]), 1)
    Max(values=Tensor([5., 7.]), indices=Tensor([1, 0], dtype=int64))
    """
    if isinstance(axis, Tensor):
        return maximum(x, axis)
    (x,) = operands("max", (x,), keeps_integers=True)
    if axis is None:
        return amax(x, keepdims=keepdims)
    if np.ndim(axis):
        raise TypeError(f"max: axis = {axis}; it must be one axis, for amax takes several")
    (axis,) = _axes(x, axis)
    _check_extreme("max", x, _kept(x, (axis,)), axis)
    first = x._array.argmax(axis=axis, keepdims=True)
    index = list(np.indices(first.shape, sparse=True))
    index[axis] = first
    values, indices = getitem(x, index=tuple(index)), Tensor(first)
    shape = _result_shape(first.shape, (axis,), keepdims)
    return Max(reshape(values, shape=shape), reshape(indices, shape=shape))


@primitive
def logsumexp(x, /, axis, keepdims=False):
    """y = log Σ eˣ over the axes, shifted by the maximum.   VJP: x̄ = g e^(x − y) = g softmax(x)

    Never overflows; −∞ for a row of −∞.
    """
    axes = _axes(x, axis)
    shape, kept = x.shape, _kept(x, axes)
    rest = [i for i in range(x.ndim) if i not in axes]
    sizes = [math.prod(shape[i] for i in part) for part in (rest, axes)]
    last = x._array.transpose(*rest, *axes).reshape(sizes)
    y = kernels.logsumexp_last(last)

    return (
        y.reshape(_result_shape(kept, axes, keepdims)),
        lambda g, y: _spread(g, kept, shape) * exp(x - reshape(y, shape=kept)),
    )


@composite
def log_softmax(x, axis):
    """y = x − log Σ eˣ over the axis: log-probabilities from logits."""
    (x,) = operands("log_softmax", (x,))
    return x - logsumexp(x, axis=axis, keepdims=True)


@composite
def cross_entropy(logits, labels):
    """y = −1/N ∑ log softmax(logits)ₙ at labelₙ:  logits (N, C), labels (N,) of 0 … C − 1 -> ().

    Raises ValueError for other shapes, TypeError for labels that are not whole numbers.

    >>> from minigrad import Tensor
    >>> cross_entropy(Tensor([[0.0, 0.0], [0.0, 100.0]]), [0, 1])  # (log 2 + 0) / 2
    Tensor(0.3465736)
    """
    (logits,) = operands("cross_entropy", (logits,))
    labels = as_index(labels)[0]
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"cross_entropy: logits {logits.shape} and labels {labels.shape}; they must be (N, C) "
            "and (N,)"
        )
    if labels.dtype.kind not in "iu":
        raise TypeError(f"cross_entropy: the labels are {labels.dtype}; they must be whole numbers")
    classes = logits.shape[1]
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"cross_entropy: labels from {labels.min()} to {labels.max()} for {classes} classes; "
            f"they must be from 0 to {classes - 1}"
        )
    return -mean(getitem(log_softmax(logits, axis=1), index=(np.arange(len(labels)), labels)))


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
