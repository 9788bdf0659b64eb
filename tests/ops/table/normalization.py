"""Batch normalisation, its statistics and its pulls."""

import math

import hypothesis.extra.numpy as hnp
from hypothesis import strategies as st

import minigrad as mg
from minigrad.ops.normalization import _batch_norm
from tests.ops.pytorch import F
from tests.ops.table.cases import VALUES, case, distinct, values


def channelwise(draw):
    """(N, C, …) with three numbers or more in a channel, and distinct: x̂ is singular where all
    agree, and of two numbers it is ±1, whatever they are."""
    shapes = hnp.array_shapes(min_dims=2, max_dims=4, max_side=3)
    return distinct(draw, draw(shapes.filter(lambda shape: math.prod(shape) > 2 * shape[1])))


def batch_normalised(name, ours):
    @case(name)
    def _(draw):
        x, eps = channelwise(draw), draw(st.sampled_from([1e-5, 0.1]))
        arrays = [x, draw(values(x.shape[1:2], -2, 2)), draw(values(x.shape[1:2], -2, 2))]
        return (
            arrays,
            lambda x, w, b: ours(x, w, b, eps),
            lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True, eps=eps),
        )


batch_normalised("_batch_norm", lambda x, w, b, eps: _batch_norm(x, w, b, eps)[0])
batch_normalised(
    "batch_norm", lambda x, w, b, eps: mg.batch_norm(x, weight=w, bias=b, training=True, eps=eps)
)


@case("moments", VALUES)
def _(draw):
    return (
        [channelwise(draw)],
        mg.moments,
        lambda x: (
            x.mean([0, *range(2, x.ndim)]),
            x.var([0, *range(2, x.ndim)], correction=0),
        ),
    )


@case("batch_norm_pull")
def _(draw):
    # Its own gradient multiplies each rounding by r³: by 30 for this eps, by 1000 for 0.01.
    x, eps = channelwise(draw), draw(st.sampled_from([0.1, 1.0]))

    def theirs(g, x):
        axes = [0, *range(2, x.ndim)]
        centred = x - x.mean(axes, keepdim=True)
        r = (centred.square().mean(axes, keepdim=True) + eps).rsqrt()
        along = (g * r * centred).mean(axes, keepdim=True)
        return r * (g - g.mean(axes, keepdim=True) - r * centred * along)

    g = distinct(draw, x.shape)  # of a constant g it is 0, and its differences are rounding
    return [g, x], lambda g, x: mg.batch_norm_pull(g, x, *mg.moments(x), eps), theirs


@case("normalized_sum")
def _(draw):
    x, eps = channelwise(draw), draw(st.sampled_from([0.01, 0.1]))

    def theirs(g, x):
        y = F.batch_norm(x, None, None, training=True, eps=eps)
        return (g * y).sum([0, *range(2, x.ndim)])

    g = distinct(draw, x.shape)  # of a constant g, too, it is 0
    return [g, x], lambda g, x: mg.normalized_sum(g, x, *mg.moments(x), eps), theirs
