"""Operations that add up or choose along an axis: reductions, losses, products."""

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad.ops.losses import _labels
from tests.ops.pytorch import F, torch
from tests.ops.table.cases import VALUES, case, shapes, values

# ---- reductions


def axes(ndim):
    if not ndim:
        return st.none()
    one = st.integers(-ndim, ndim - 1)
    several = st.lists(st.integers(0, ndim - 1), min_size=1, max_size=ndim, unique=True)
    return st.none() | one | several.map(tuple)


def all_axes(axis, x):
    return tuple(range(x.ndim)) if axis is None else axis


def reduction(name, theirs, unique=False):
    @case(name)
    def draw_case(draw):
        x = draw(values(draw(shapes(max_dims=2 if unique else 3)), -2, 2, unique))
        axis, keepdims = draw(axes(x.ndim)), draw(st.booleans())
        return (
            [x],
            lambda x: getattr(mg, name)(x, axis=axis, keepdims=keepdims),
            lambda x: theirs(x, all_axes(axis, x), keepdims) if x.ndim else theirs(x, (), keepdims),
        )


reduction("sum", torch.sum)
reduction("mean", torch.mean)
reduction("amax", torch.amax, unique=True)


@case("max")
def _(draw):
    x = draw(values(draw(shapes(max_dims=2)), -2, 2, unique=True))
    axis = draw(st.none() | st.integers(-x.ndim, x.ndim - 1)) if x.ndim else None
    if axis is None:
        return [x], mg.max, torch.max
    return [x], lambda x: mg.max(x, axis).values, lambda x: torch.max(x, axis).values


reduction("logsumexp", torch.logsumexp)


@case("log_softmax")
def _(draw):
    x = draw(values(draw(shapes(min_dims=1)), -3, 3))
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    return [x], lambda x: mg.log_softmax(x, axis=axis), lambda x: F.log_softmax(x, axis)


@case("log_bernoulli")
def _(draw):
    shape = draw(shapes(min_dims=1))
    return (
        [draw(values(shape, 0, 1)), draw(values(shape, -5, 5))],
        mg.log_bernoulli,
        lambda x, t: (x * F.logsigmoid(t) + (1 - x) * F.logsigmoid(-t)).sum(-1),
    )


@case("argmax", VALUES)
def _(draw):
    x = draw(values(draw(shapes(min_dims=1)), -2, 2))
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    return [x], lambda x: mg.argmax(x, axis), lambda x: torch.argmax(x, axis)


# ---- losses


@case("cross_entropy")
def _(draw):
    n, c = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    labels = np.array(draw(st.lists(st.integers(0, c - 1), min_size=n, max_size=n)))
    return (
        [draw(values((n, c), -3, 3))],
        lambda x: mg.cross_entropy(x, labels),
        lambda x: F.cross_entropy(x, torch.from_numpy(labels)),
    )


@case("_labels", VALUES)
def _(draw):
    labels = np.array(draw(st.lists(st.integers(0, 3), max_size=4)), int)
    return [labels], lambda x: _labels(x, 4), lambda x: x


# ---- products


@case("bmm")
def _(draw):
    drawn = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=1, max_side=3))
    left, right = (tuple(n or 1 for n in shape) for shape in drawn.input_shapes)
    n, k, m = (draw(st.integers(1, 3)) for _ in range(3))
    return (
        [draw(values((*left, n, k), -2, 2)), draw(values((*right, k, m), -2, 2))],
        mg.bmm,
        (torch.matmul),
    )


@case("matmul")
def _(draw):
    drawn = draw(hnp.mutually_broadcastable_shapes(signature="(n?,k),(k,m?)->(n?,m?)", max_side=3))
    left, right = (tuple(n or 1 for n in shape) for shape in drawn.input_shapes)
    return [draw(values(left, -2, 2)), draw(values(right, -2, 2))], mg.matmul, torch.matmul


@case("linear_weight")
def _(draw):
    n, k, m = (draw(st.integers(1, 3)) for _ in range(3))
    arrays = [draw(values(shape, -2, 2)) for shape in ((n, k), (n, m))]
    return arrays, mg.linear_weight, lambda x, g: g.T @ x


@case("linear")
def _(draw):
    n, k, m = (draw(st.integers(1, 3)) for _ in range(3))
    arrays = [draw(values(shape, -2, 2)) for shape in ((n, k), (m, k), (m,))]
    return arrays, mg.linear, F.linear
