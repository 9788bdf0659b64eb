"""These operations move elements without changing them. Their pulls move cotangents back."""

from itertools import accumulate

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from minigrad.core.dtypes import operands
from minigrad.core.primitive import composite, primitive
from minigrad.core.tensor import Tensor, constant


@primitive(keeps_integers=True)
def reshape(x, /, shape):
    """y = the elements of x in C order, as another shape.   VJP: x̄ = g in x's shape"""
    try:
        return x.reshape(shape)
    except ValueError:
        raise ValueError(
            f"reshape: {x.size} elements of shape {x.shape} don't fill shape {shape}; "
            "one size may be -1, and is then worked out"
        ) from None


reshape.pulls = (lambda g, y, x, shape: reshape(g, shape=x.shape),)


@primitive(keeps_integers=True)
def permute(x, /, dims):
    """y has x's axes in the order of dims.   VJP: x̄ = g, in the inverse order"""
    try:
        return x.transpose(dims)
    except ValueError:
        raise ValueError(
            f"permute: dims {tuple(dims)} do not name each axis of {x.shape} once"
        ) from None


permute.pulls = (lambda g, y, x, dims: permute(g, dims=_inverse(dims)),)


def _inverse(dims):
    return np.argsort([i % len(dims) for i in dims]).tolist()


@composite
def transpose(x, dim0, dim1) -> Tensor:
    """y = x with two axes exchanged, as in PyTorch; `permute` reorders all axes.

    >>> transpose(Tensor(np.zeros((2, 3, 4))), 0, 2).shape
    (4, 3, 2)
    """
    order = list(range(np.ndim(x)))
    one, other = (normalize_axis_index(dim, len(order)) for dim in (dim0, dim1))
    order[one], order[other] = other, one
    return permute(x, dims=tuple(order))


@primitive(keeps_integers=True)
def broadcast_to(x, /, shape):
    """y = x repeated to the shape.   VJP: x̄ = g, summed over the repeats by the engine

    >>> x = Tensor([[1.0], [2.0]], requires_grad=True)
    >>> x.broadcast_to((2, 3)).sum().backward()
    >>> x.grad.numpy().tolist()
    [[3.0], [3.0]]
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if x.shape == shape:
        return x
    if x.ndim == 0 and min(shape) >= 0:
        # np.broadcast_to does the same, and takes ten times as long.
        y = np.ndarray(shape, x.dtype, x, strides=(0,) * len(shape))
        y.flags.writeable = False
        return y
    try:
        return np.broadcast_to(x, shape)
    except ValueError:
        raise ValueError(f"broadcast_to: {x.shape} does not broadcast to {shape}") from None


broadcast_to.pulls = (lambda g, y, x, shape: g,)


# ---- indexing: its arrays are operands, so that a graph that runs again selects again


# An index may hold these besides arrays.
BASIC = (int, np.integer, np.bool_, slice, type(None), type(...))
ARRAY = "array"  # stands for the next array operand in an index
ALL_BUT_FIRST = range(1, 2**31)  # the numbers of all operands but the first


@composite
def getitem(x, index) -> Tensor:
    """y = x[index], with all of NumPy's indexing.   VJP: x̄ = g, added up where y came from

    >>> x = Tensor([5.0, 6.0, 7.0], requires_grad=True)
    >>> x[[0, 2, 0]].sum().backward()
    >>> x.grad  # the first element was taken twice
    Tensor([2., 0., 1.])
    """
    index, arrays = _separated(index)
    return _getitem(x, *arrays, index=index)


@composite
def scatter_add(x, shape, index) -> Tensor:
    """y = 0 of the shape, then y[index] += x, once for every repeat.   VJP: x̄ = g[index]"""
    index, arrays = _separated(index)
    return _scatter_add(x, *arrays, shape=tuple(shape), index=index)


@primitive(keeps_integers=True, as_given=ALL_BUT_FIRST)
def _getitem(x, /, *arrays, index):
    """y = x[index], the arrays in it being operands.   VJP: x̄ = _scatter_add(g, *arrays)"""
    return x[_filled(index, arrays)]


_getitem.pulls = (
    lambda g, y, x, *arrays, index: _scatter_add(g, *arrays, shape=x.shape, index=index),
    None,
    ...,
)


@primitive(keeps_integers=True, as_given=ALL_BUT_FIRST)
def _scatter_add(x, /, *arrays, shape, index):
    """y = 0 of the shape, then y[index] += x.   VJP: x̄ = _getitem(g, *arrays)"""
    y = np.zeros(shape, x.dtype)
    if arrays:
        np.add.at(y, _filled(index, arrays), x)
    else:
        y[index] = x  # no element occurs twice
    return y


_scatter_add.pulls = (
    lambda g, y, x, *arrays, shape, index: _getitem(g, *arrays, index=index),
    None,
    ...,
)


def _separated(index):
    """Return the index as a tuple with ARRAY in place of each array, and the arrays as tensors."""
    index = index if isinstance(index, tuple) else (index,)
    selects = [not isinstance(i, BASIC) for i in index]
    arrays = [as_index(i) for i, array in zip(index, selects, strict=True) if array]
    parts = [ARRAY if array else i for i, array in zip(index, selects, strict=True)]
    return tuple(i.__index__() if isinstance(i, np.integer) else i for i in parts), arrays


def as_index(values) -> Tensor:
    """Return an array of indices as a tensor.

    An empty list gives whole numbers, where NumPy would give float64. A tensor is not copied, so
    that writes to it are counted.
    """
    if isinstance(values, Tensor):
        return values
    if isinstance(values, (list, tuple)):
        return constant(values, np.intp if np.size(values) == 0 else None)
    return Tensor(values)


def _filled(index, arrays):
    arrays = iter(arrays)
    return tuple(next(arrays) if isinstance(i, str) else i for i in index)


# ---- joining and dividing


@primitive(keeps_integers=True)
def zeros_like(x, /):
    """y = 0 of x's shape and dtype.   VJP: x̄ = 0"""
    return np.zeros_like(x)


zeros_like.pulls = ()


@primitive(keeps_integers=True)
def _concatenate(*xs, axis):
    """y = the xs one after another along the axis.   VJP: x̄ = its part of g"""
    normalize_axis_index(axis, xs[0].ndim)
    try:
        return np.concatenate(xs, axis=axis)
    except ValueError:
        raise ValueError(
            f"concatenate: shapes {[x.shape for x in xs]} must agree except along axis {axis}"
        ) from None


_concatenate.pulls = lambda g, y, *xs, axis: _split(g, [x.shape[axis] for x in xs], axis)


@primitive(keeps_integers=True, differentiable=None)
def _split(x, /, sizes, axis):
    """ys = x's parts of those sizes along the axis.   VJP: x̄ = the ḡs concatenated"""
    before = (slice(None),) * (axis % x.ndim)
    ends = accumulate(sizes)
    return tuple([x[before + (slice(end - n, end),)] for end, n in zip(ends, sizes, strict=True)])


_split.pulls = (
    lambda gs, ys, x, sizes, axis: _concatenate(
        *(zeros_like(y) if g is None else g for g, y in zip(gs, ys, strict=True)), axis=axis
    ),
)


@composite
def concatenate(xs, axis=0) -> Tensor:
    """y = the tensors in the sequence xs one after another along an axis they all have."""
    _not_empty("concatenate", xs)
    return _concatenate(*xs, axis=axis)


@composite
def stack(xs, axis=0) -> Tensor:
    """y = the tensors in the sequence xs, all of one shape, side by side along a new axis."""
    _not_empty("stack", xs)
    xs = operands("stack", xs, keeps_integers=True)
    if len({x.shape for x in xs}) != 1:
        raise ValueError(f"stack: shapes {[x.shape for x in xs]} must be equal")
    axis = normalize_axis_index(axis, xs[0].ndim + 1)
    shape = (*xs[0].shape[:axis], 1, *xs[0].shape[axis:])
    return _concatenate(*(reshape(x, shape) for x in xs), axis=axis)


def _not_empty(name, xs):
    if not len(xs):
        raise ValueError(f"{name}: the sequence is empty; it must hold at least one tensor")


@composite
def split(x, split_size_or_sections, axis=0) -> tuple[Tensor, ...]:
    """Split x along an axis, as PyTorch does, into parts of one size, or of the sizes in a list.

    Of parts of one size the last may be smaller.

    >>> [part.size for part in split(Tensor([1.0, 2.0, 3.0]), 2)]
    [2, 1]
    """
    (x,) = operands("split", (x,), keeps_integers=True)
    axis, sizes = normalize_axis_index(axis, x.ndim), split_size_or_sections
    size = x.shape[axis]
    if isinstance(sizes, (int, np.integer)):
        if sizes < 1:
            raise ValueError(f"split: parts of {sizes} elements; they must have at least 1")
        sizes = [min(sizes, size - start) for start in range(0, max(size, 1), sizes)]
    if any(part < 0 for part in sizes) or sum(sizes) != size:
        raise ValueError(
            f"split: parts of {list(sizes)} elements are not the {size} along axis {axis}"
        )
    return _split(x, sizes=list(sizes), axis=axis)
