"""Batch normalisation (Ioffe & Szegedy 2015, algorithm 1)."""

import numpy as np

from minigrad import kernels
from minigrad.engine import primitive
from minigrad.ops.elementwise import sqrt
from minigrad.ops.reduce import mean
from minigrad.ops.shape import reshape
from minigrad.tensor import Tensor


def _flat(array):
    """(N, C, …) as (N, C, L)."""
    return array.reshape(*array.shape[:2], -1)


def _channels(x):
    """All axes but the channels', and the shape of a number for each channel, to broadcast."""
    return (0, *range(2, x.ndim)), (-1, *(1,) * (x.ndim - 2))


@primitive
def batch_norm(x, weight, bias, /, eps=1e-5, observe=None):
    """y = γ x̂ + β, x̂ = (x − μ) / √(σ² + ε)      x (N, C, …), γ = weight and β = bias (C,) -> like x
    VJP: x̄ = batch_norm_pull(γ g, x),  γ̄ = normalized_sum(g, x),  β̄ = ∑ g (C,)

    μ is the mean and σ² the biased variance of a channel: over the batch and all places. Both, and
    the count of numbers they are of, are also given to the function `observe`, as arrays.
    """
    if x.ndim < 2 or weight.shape != x.shape[1:2] or bias.shape != x.shape[1:2]:
        raise ValueError(
            f"batch_norm: x {x.shape}, weight {weight.shape} and bias {bias.shape}; they must be "
            "(N, C, …), (C,) and (C,)"
        )
    if x.size <= x.shape[1]:
        raise ValueError(
            f"batch_norm: x {x.shape} has {x.size // max(1, x.shape[1])} numbers in a channel, and "
            "a variance takes two; use a larger batch, or eval()"
        )
    axes, shape = _channels(x)
    average, variance = kernels.moments(_flat(x._array))
    if observe:
        observe(average, variance, x.size // x.shape[1])
    scale = weight._array / np.sqrt(variance + x.dtype.type(eps))
    y = kernels.affine(_flat(x._array), scale, bias._array - average * scale)
    return (
        y.reshape(x.shape),
        lambda g, y: batch_norm_pull(g * reshape(weight, shape=shape), x, eps=eps),
        lambda g, y: normalized_sum(g, x, eps=eps),
        lambda g, y: g.sum(axes),
    )


def _normalized(x, eps):
    one = np.ones(x.shape[1], x.dtype)
    return batch_norm(x, Tensor(one), Tensor(0 * one), eps=eps)


def _check_same(name, g, x):
    if g.shape != x.shape or x.ndim < 2:
        raise ValueError(f"{name}: g {g.shape} and x {x.shape}; they must be one shape, (N, C, …)")


@primitive
def batch_norm_pull(g, x, /, eps):
    """h = (g − ⟨g⟩ − x̂ ⟨g x̂⟩) / √(σ² + ε), ⟨·⟩ being a channel's mean: x̂'s pull, from x̂ = x̂(x).

    VJP, for the cotangent c of h: ḡ = h(c, x), for h is symmetric in c and g; and with
    r = 1 / √(σ² + ε), whose slope is −r² x̂ / N,   x̄ = −r (h(g ⟨c x̂⟩ + c ⟨g x̂⟩, x) + x̂ ⟨c h⟩)
    """
    axes, shape = _channels(x)
    _check_same("batch_norm_pull", g, x)
    average, variance = kernels.moments(_flat(x._array))
    r = 1 / np.sqrt(variance + x.dtype.type(eps))
    h = kernels.normalize_pull(_flat(g._array), _flat(x._array), average, r)

    def pull_x(c, h):
        def of_channel(t):
            return mean(t, axis=axes, keepdims=True)

        y, centred = _normalized(x, eps), x - of_channel(x)
        r = 1 / sqrt(of_channel(centred * centred) + eps)
        inner = g * of_channel(c * y) + c * of_channel(g * y)
        return -r * (batch_norm_pull(inner, x, eps=eps) + y * of_channel(c * h))

    return h.reshape(x.shape), lambda c, h: batch_norm_pull(c, x, eps=eps), pull_x


@primitive
def normalized_sum(g, x, /, eps):
    """y = ∑ g x̂, over the batch and all places: g, x (N, C, …) -> y (C,)
    VJP, for the cotangent c of y: ḡ = c x̂,  x̄ = batch_norm_pull(c g, x)"""
    _, shape = _channels(x)
    _check_same("normalized_sum", g, x)
    average, variance = kernels.moments(_flat(x._array))
    r = 1 / np.sqrt(variance + x.dtype.type(eps))
    return (
        kernels.normalized_sum(_flat(g._array), _flat(x._array), average, r),
        lambda c, y: reshape(c, shape=shape) * _normalized(x, eps),
        lambda c, y: batch_norm_pull(reshape(c, shape=shape) * g, x, eps=eps),
    )
