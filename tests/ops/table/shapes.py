"""Operations that move elements: shapes, axes, indices, parts."""

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad.ops.shapes import _concatenate, _getitem, _scatter_add, _split
from tests.ops.pytorch import torch
from tests.ops.table.cases import case, shapes, values


@case("reshape")
def _(draw):
    x = draw(values(draw(shapes()), -2, 2))
    shape = draw(st.permutations([*x.shape, 1])) if draw(st.booleans()) else [-1]
    return [x], lambda x: mg.reshape(x, shape=shape), lambda x: x.reshape(shape)


@case("transpose")
def _(draw):
    x = draw(values(draw(shapes(min_dims=1)), -2, 2))
    dims = [draw(st.integers(-x.ndim, x.ndim - 1)) for _ in range(2)]
    return [x], lambda x: mg.transpose(x, *dims), lambda x: torch.transpose(x, *dims)


@case("permute")
def _(draw):
    x = draw(values(draw(shapes()), -2, 2))
    order = draw(st.permutations(range(x.ndim)))
    order = [i - x.ndim if draw(st.booleans()) else i for i in order]
    return [x], lambda x: mg.permute(x, dims=order), lambda x: x.permute(order)


@case("broadcast_to")
def _(draw):
    x = draw(values(draw(shapes(max_dims=2)), -2, 2))
    stretched = [draw(st.integers(1, 3)) if n == 1 else n for n in x.shape]
    shape = (*draw(shapes(max_dims=1)), *stretched)
    return [x], lambda x: mg.broadcast_to(x, shape=shape), lambda x: x.broadcast_to(shape)


def indices(shape):
    """Basic and advanced indices, with repeats, None and …; none with a negative step (PyTorch
    has none), which test_engine covers."""
    basic = hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True).filter(
        lambda index: all(
            not isinstance(i, slice) or i.step is None or i.step > 0
            for i in (index if isinstance(index, tuple) else (index,))
        )
    )
    rows = st.lists(st.integers(-shape[0], shape[0] - 1), min_size=1, max_size=4)
    return basic | rows.map(np.array) | hnp.arrays(bool, shape)


def as_torch(index):
    parts = index if isinstance(index, tuple) else (index,)
    return tuple(torch.from_numpy(i) if isinstance(i, np.ndarray) else i for i in parts)


@case("getitem")
def _(draw):
    x = draw(values(draw(shapes(min_dims=1)), -2, 2))
    index = draw(indices(x.shape).filter(lambda index: x[index].size))
    return [x], lambda x: mg.getitem(x, index=index), lambda x: x[as_torch(index)]


@case("_getitem")
def _(draw):
    x = draw(values(draw(shapes(min_dims=1)), -2, 2))
    rows = np.array(draw(st.lists(st.integers(0, len(x) - 1), min_size=1, max_size=4)))
    return (
        [x],
        lambda x: _getitem(x, rows, index=("array", None)),
        lambda x: x[torch.from_numpy(rows), None],
    )


@case("_scatter_add")
def _(draw):
    n = draw(st.integers(1, 4))
    rows = np.array(draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=4)))
    return (
        [draw(values((len(rows), 2), -2, 2))],
        lambda x: _scatter_add(x, rows, shape=(n, 2), index=("array",)),
        lambda x: torch.zeros(n, 2, dtype=x.dtype).index_add(0, torch.from_numpy(rows), x),
    )


@case("scatter_add")
def _(draw):
    shape = draw(shapes(min_dims=1))
    index = draw(indices(shape).filter(lambda index: np.zeros(shape)[index].size))
    x = draw(values(np.zeros(shape)[index].shape, -2, 2))

    def theirs(x):  # the linear map whose matrix is indexing's, transposed
        numbers = np.arange(np.prod(shape)).reshape(shape)[index].ravel()
        flat = torch.zeros(int(np.prod(shape)), dtype=x.dtype)
        return flat.index_add(0, torch.from_numpy(numbers), x.reshape(-1)).reshape(shape)

    return [x], lambda x: mg.scatter_add(x, shape=shape, index=index), theirs


def _joined(draw):
    shape = draw(shapes(min_dims=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    parts = []
    for size in sizes:
        part = list(shape)
        part[axis] = size
        parts.append(draw(values(tuple(part), -2, 2)))
    return parts, axis


@case("concatenate")
def _(draw):
    arrays, axis = _joined(draw)
    return arrays, lambda *xs: mg.concatenate(xs, axis), lambda *xs: torch.cat(xs, axis)


@case("_concatenate")
def _(draw):
    arrays, axis = _joined(draw)
    return arrays, lambda *xs: _concatenate(*xs, axis=axis), lambda *xs: torch.cat(xs, axis)


@case("_split")
def _(draw):
    shape = draw(shapes(min_dims=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    cuts = draw(st.lists(st.integers(0, shape[axis]), max_size=2).map(sorted))
    sizes = np.diff([0, *cuts, shape[axis]]).tolist()
    x = draw(values(shape, -2, 2))
    return [x], lambda x: _split(x, sizes, axis), lambda x: torch.split(x, sizes, axis)


@case("stack")
def _(draw):
    shape = draw(shapes(max_dims=2))
    arrays = [draw(values(shape, -2, 2)) for _ in range(draw(st.integers(1, 3)))]
    axis = draw(st.integers(-len(shape) - 1, len(shape)))
    return arrays, lambda *xs: mg.stack(xs, axis), lambda *xs: torch.stack(xs, axis)


@case("split")
def _(draw):
    shape = draw(shapes(min_dims=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    cuts = draw(st.lists(st.integers(0, shape[axis]), max_size=2).map(sorted))
    sizes = np.diff([0, *cuts, shape[axis]]).tolist() if cuts else draw(st.integers(1, 4))
    return (
        [draw(values(shape, -2, 2))],
        lambda x: mg.split(x, sizes, axis),
        lambda x: torch.split(x, sizes, axis),
    )
