"""Operations that move elements without changing them. Their pulls move cotangents back."""

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from minigrad.engine import composite, operands, primitive
from minigrad.tensor import Tensor


@primitive
def reshape(x, *, shape):
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


@primitive
def transpose(x, *, axes=None):
    """y has x's axes in the order given (default: reversed).   VJP: x̄ = g, in the inverse order"""
    order = tuple(reversed(range(x.ndim))) if axes is None else tuple(axes)
    if sorted(i % x.ndim if x.ndim else i for i in order) != list(range(x.ndim)):
        raise ValueError(f"transpose: axes {order} do not name each axis of {x.shape} once")
    inverse = tuple(np.argsort([i % x.ndim for i in order])) if order else ()
    return x._array.transpose(order), lambda g, y: transpose(g, axes=inverse)


@primitive
def broadcast_to(x, *, shape):
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


@primitive
def getitem(x, *, index):
    """y = x[index], with all of NumPy's indexing.   VJP: x̄ = g, added up where y came from

    >>> x = Tensor([5.0, 6.0, 7.0], requires_grad=True)
    >>> x[[0, 2, 0]].sum().backward()
    >>> x.grad  # the first element was taken twice
    Tensor([2., 0., 1.])
    """
    shape, index = x.shape, _constant(index)
    return x._array[index], lambda g, y: scatter_add(g, shape=shape, index=index)


@primitive
def scatter_add(x, *, shape, index):
    """y = 0 of the shape, then y[index] += x, once for every repeat.   VJP: x̄ = g[index]"""
    index = _constant(index)
    y = np.zeros(shape, x.dtype)
    if all(isinstance(i, (int, slice, type(None), type(...))) for i in index):
        y[index] = x._array  # no element occurs twice
    else:
        np.add.at(y, index, x._array)
    return y, lambda g, y: getitem(g, index=index)


def _constant(index):
    """The index as a tuple, with its arrays copied: the pull must see what the forward pass saw."""
    index = index if isinstance(index, tuple) else (index,)
    return tuple(np.array(i) if isinstance(i, (Tensor, np.ndarray, list)) else i for i in index)


@primitive
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
    return _concatenate(*xs, axis=axis)


@composite
def stack(xs, axis=0):
    """y = the tensors in the sequence xs, all of one shape, side by side along a new axis."""
    xs = operands("stack", xs)
    if len({x.shape for x in xs}) != 1:
        raise ValueError(f"stack: shapes {[x.shape for x in xs]} must be equal")
    axis = normalize_axis_index(axis, xs[0].ndim + 1)
    shape = (*xs[0].shape[:axis], 1, *xs[0].shape[axis:])
    return _concatenate(*(reshape(x, shape=shape) for x in xs), axis=axis)


@composite
def split(x, indices_or_sections, axis=0):
    """A list of x's parts along an axis: a number of equal parts, or the indices to cut at.

    The number means what it does in NumPy; PyTorch's split takes the size of a part instead.
    """
    size = x.shape[axis]
    cuts = indices_or_sections
    if isinstance(cuts, (int, np.integer)):
        if cuts < 1 or size % cuts:
            raise ValueError(f"split: {size} elements along axis {axis} are not {cuts} equal parts")
        cuts = [size // cuts * i for i in range(1, cuts)]
    edges = [0, *cuts, size]
    return [_slice(x, axis, *edge) for edge in zip(edges[:-1], edges[1:], strict=True)]


def _slice(x, axis, start, stop):
    return getitem(x, index=(slice(None),) * (axis % x.ndim) + (slice(start, stop),))
