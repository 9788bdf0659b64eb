"""Operations on each element by itself: arithmetic, activations, choices, conversions."""

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad.core.backward import ones_like
from minigrad.core.primitive import _converted
from minigrad.ops.arithmetic import _chain
from minigrad.ops.choices import _clip
from tests.ops.pytorch import F, torch
from tests.ops.table.cases import VALUES, case, shapes, values


def unary(name, theirs, low=-2.0, high=2.0, **static):
    @case(name)
    def draw_case(draw):
        x = draw(values(draw(shapes()), low, high))
        return [x], lambda x: getattr(mg, name)(x, **static), theirs


unary("negative", torch.neg)
unary("clone", torch.clone)
unary("exp", torch.exp)
unary("expm1", torch.expm1)
unary("log", torch.log, 0.2, 4)
unary("log1p", torch.log1p, -0.8, 3)
unary("sqrt", torch.sqrt, 0.2, 4)
unary("sigmoid", torch.sigmoid, -5, 5)
unary("softplus", F.softplus, -5, 5)
unary("logsigmoid", F.logsigmoid, -5, 5)
unary("tanh", torch.tanh)
unary("abs", torch.abs)
unary("relu", torch.relu)
unary("leaky_relu", lambda x: F.leaky_relu(x, 0.3), negative_slope=0.3)
unary("elu", lambda x: F.elu(x, 1.5), alpha=1.5)
unary("clip", lambda x: torch.clip(x, -0.52, 0.97), min=-0.52, max=0.97)


def binary(name, theirs, a=(-2.0, 2.0), b=(-2.0, 2.0)):
    @case(name)
    def draw_case(draw):
        drawn = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
        left, right = (tuple(n or 1 for n in shape) for shape in drawn.input_shapes)
        ours = _chain if name == "_chain" else getattr(mg, name)
        return [draw(values(left, *a)), draw(values(right, *b))], ours, theirs


binary("add", torch.add)
binary("subtract", torch.sub)
binary("multiply", torch.mul)
binary("divide", torch.div, b=(0.3, 3))
binary("itakura_saito", lambda q, p: q / p - 1 - torch.log(q / p), a=(0.2, 4), b=(0.2, 4))
binary("maximum", torch.maximum, b=(-1.97, 2.03))  # a grid of its own: no ties
binary("minimum", torch.minimum, b=(-1.97, 2.03))


binary("_chain", torch.mul)


@case("power")
def _(draw):
    """Exponents 0, 1 and 2 are where formulas for the slopes go wrong."""
    shape = draw(shapes())
    whole = hnp.arrays(np.float64, shape, elements=st.integers(0, 2))
    exponent = draw(values(shape, -2, 3) | whole)
    return [draw(values(shape, 0.3, 3)), exponent], mg.power, torch.pow


@case("elu_pull")
def _(draw):
    shape = draw(shapes())
    g, y = draw(values(shape, -2, 2)), draw(values(shape, -1.4, 2))
    return (
        [g, y],
        lambda g, y: mg.elu_pull(g, y, alpha=1.5),
        lambda g, y: g * torch.where(y > 0, torch.ones_like(y), y + 1.5),
    )


@case("leaky_relu_pull")
def _(draw):
    shape = draw(shapes())
    g, a = draw(values(shape, -2, 2)), draw(values(shape, -2, 2))
    slope = draw(st.sampled_from([0.3, 0.0]))
    return (  # no gradient goes to a
        [g],
        lambda g: mg.leaky_relu_pull(g, a, negative_slope=slope),
        lambda g: torch.where(torch.from_numpy(a) > 0, g, slope * g),
    )


@case("to")
def _(draw):
    x = draw(values(draw(shapes()), -2, 2))
    return [x], lambda x: mg.to(x, dtype=x.dtype), lambda x: x.clone()


def _chosen(draw):
    drawn = draw(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3))
    a, b, c = (tuple(n or 1 for n in shape) for shape in drawn.input_shapes)
    condition = draw(hnp.arrays(bool, c))
    theirs = lambda a, b: torch.where(torch.from_numpy(condition), a, b)  # noqa: E731
    return [draw(values(a, -2, 2)), draw(values(b, -2, 2))], condition, theirs


@case("where")
def _(draw):
    arrays, condition, theirs = _chosen(draw)
    return arrays, lambda a, b: mg.where(condition, a, b), theirs


@case("_clip")
def _(draw):
    x = draw(values(draw(shapes()), -2, 2))
    return (  # no gradient goes to the limits
        [x],
        lambda x: _clip(x, -0.52, 0.97),
        lambda x: torch.clip(x, -0.52, 0.97),
    )


def relation(name):
    @case(name, VALUES)
    def draw_case(draw):
        drawn = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
        left, right = (tuple(n or 1 for n in shape) for shape in drawn.input_shapes)
        few = hnp.arrays(np.float64, left, elements=st.integers(0, 2))
        return [draw(few), draw(values(right, 0, 2))], getattr(mg, name), getattr(torch, name)


for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    relation(_name)


@case("sign", VALUES)
def _(draw):
    x = draw(hnp.arrays(np.float64, draw(shapes()), elements=st.integers(-2, 2)))
    return [x], mg.sign, torch.sign


@case("zeros_like", VALUES)
def _(draw):
    return [draw(values(draw(shapes()), -2, 2))], mg.zeros_like, torch.zeros_like


@case("_converted", VALUES)
def _(draw):
    x = draw(hnp.arrays(np.float64, draw(shapes()), elements=st.integers(-2, 2)))
    return [x], lambda x: _converted(x, np.dtype("int64")), lambda x: x.long()


@case("ones_like", VALUES)
def _(draw):
    return [draw(values(draw(shapes()), -2, 2))], ones_like, torch.ones_like
