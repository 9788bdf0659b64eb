"""Operations that move elements without changing them. Their pulls move cotangents back."""

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from minigrad.dtypes import operands
from minigrad.engine import composite, primitive
from minigrad.tensor import Tensor


@primitive(keeps_integers=True)
def reshape(x, /, shape):
    """y = the elements of x in C order, as another shape.   VJP: x̄ = g in x's shape"""
    before = x.shape
    try:
        y = x._array.reshape(shape)
    except ValueError:
        raise ValueError(
            f"reshape: {x.size} elements of shape {before} don't fill shape {tuple(shape)}; "
            "one size may be -1, and is then worked out"
        ) from None
    return y, lambda g, y: reshape(g, shape=before)


@primitive(keeps_integers=True)
def permute(x, /, dims):
    """y has x's axes in the order of dims.   VJP: x̄ = g, in the inverse order"""
    order = tuple(dims)
    if sorted(i % x.ndim if x.ndim else i for i in order) != list(range(x.ndim)):
        raise ValueError(f"permute: dims {order} do not name each axis of {x.shape} once")
    inverse = tuple(np.argsort([i % x.ndim for i in order])) if order else ()
    return x._array.transpose(order), lambda g, y: permute(g, dims=inverse)


@composite
def transpose(x, dim0, dim1):
    """y = x with two axes exchanged, as in PyTorch. For another order of all axes: permute.

    >>> transpose(Tensor(np.zeros((2, 3, 4))), 0, 2).shape
    (4, 3, 2)
    """
    order = list(range(np.ndim(x)))
    one, other = (normalize_axis_index(dim, len(order)) for dim in (dim0, dim1))
    order[one], order[other] = other, one
    return permute(x, dims=order)


@primitive(keeps_integers=True)
def broadcast_to(x, /, shape):
    """y = x repeated to the shape.   VJP: x̄ = g, summed over the repeats by the engine

    >>> x = Tensor([[1.0], [2.0]], requires_grad=True)
    >>> x.broadcast_to((2, 3)).sum().backward()
    >>> x.grad.numpy().tolist()
    [[3.0], [3.0]]
    """
    if x.shape == tuple(shape):
        return x._array.view(), lambda g, y: g
    try:
        y = np.broadcast_to(x._array, shape)
    except ValueError:
        raise ValueError(f"broadcast_to: {x.shape} does not broadcast to {tuple(shape)}") from None
    return y, lambda g, y: g


@primitive(keeps_integers=True)
def getitem(x, /, index):
    """y = x[index], with all of NumPy's indexing.   VJP: x̄ = g, added up where y came from

    >>> x = Tensor([5.0, 6.0, 7.0], requires_grad=True)
    >>> x[[0, 2, 0]].sum().backward()
    >>> x.grad  # the first element was taken twice
    Tensor([2., 0., 1.])
    """
    shape, index = x.shape, as_index(index)
    return x._array[index], lambda g, y: scatter_add(g, shape=shape, index=index)


@primitive(keeps_integers=True)
def scatter_add(x, /, shape, index):
    """y = 0 of the shape, then y[index] += x, once for every repeat.   VJP: x̄ = g[index]"""
    index = as_index(index)
    y = np.zeros(shape, x.dtype)
    if all(isinstance(i, (int, slice, type(None), type(...))) for i in index):
        y[index] = x._array  # no element occurs twice
    else:
        np.add.at(y, index, x._array)
    return y, lambda g, y: getitem(g, index=index)


def as_index(index):
    """The index as a tuple, with its arrays copied: the pull must see what the forward pass saw."""
    index = index if isinstance(index, tuple) else (index,)
    return tuple(_index_array(i) if isinstance(i, (Tensor, np.ndarray, list)) else i for i in index)


def _index_array(values):
    array = np.array(values)
    if not array.size and not hasattr(values, "dtype"):
        array = array.astype(np.intp)  # NumPy takes an empty list for one of float64
    return array


@primitive(keeps_integers=True)
def _concatenate(*xs, axis):
    """y = the xs one after another along the axis.   VJP: x̄ = its part of g"""
    try:
        y = np.concatenate([x._array for x in xs], axis=axis)
    except ValueError:
        raise ValueError(
            f"concatenate: shapes {[x.shape for x in xs]} must agree except along axis {axis}"
        ) from None
    ends = np.cumsum([x.shape[axis] for x in xs])
    parts = [(int(end) - x.shape[axis], int(end)) for end, x in zip(ends, xs, strict=True)]
    return y, *([lambda g, y, part=part: _slice(g, axis, *part) for part in parts])


@composite
def concatenate(xs, axis=0):
    """y = the tensors in the sequence xs one after another along an axis they all have."""
    _check_some("concatenate", xs)
    return _concatenate(*xs, axis=axis)


def _check_some(name, xs):
    if not len(xs):
        raise ValueError(f"{name}: the sequence is empty; it must hold at least one tensor")


@composite
def stack(xs, axis=0):
    """y = the tensors in the sequence xs, all of one shape, side by side along a new axis."""
    _check_some("stack", xs)
    xs = operands("stack", xs, keeps_integers=True)
    if len({x.shape for x in xs}) != 1:
        raise ValueError(f"stack: shapes {[x.shape for x in xs]} must be equal")
    axis = normalize_axis_index(axis, xs[0].ndim + 1)
    shape = (*xs[0].shape[:axis], 1, *xs[0].shape[axis:])
    return _concatenate(*(reshape(x, shape=shape) for x in xs), axis=axis)


@composite
def split(x, split_size_or_sections, axis=0):
    """A tuple of x's parts along an axis, as in PyTorch: of so many elements, or of those sizes.

    The last part of equal ones is smaller if need be.

    >>> [part.size for part in split(Tensor([1.0, 2.0, 3.0]), 2)]
    [2, 1]
    """
    (x,) = operands("split", (x,), keeps_integers=True)
    size, sizes = x.shape[axis], split_size_or_sections
    if isinstance(sizes, (int, np.integer)):
        if sizes < 1:
            raise ValueError(f"split: parts of {sizes} elements; they must have at least 1")
        sizes = [min(sizes, size - start) for start in range(0, max(size, 1), sizes)]
    if any(part < 0 for part in sizes) or sum(sizes) != size:
        raise ValueError(
            f"split: parts of {list(sizes)} elements are not the {size} along axis {axis}"
        )
    ends = np.cumsum(sizes).tolist()
    return tuple(_slice(x, axis, end - n, end) for end, n in zip(ends, sizes, strict=True))


def _slice(x, axis, start, stop):
    return getitem(x, index=(slice(None),) * (axis % x.ndim) + (slice(start, stop),))
