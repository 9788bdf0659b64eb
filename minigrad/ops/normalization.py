"""Batch normalisation is algorithm 1 of Ioffe & Szegedy 2015.

μ is the mean and σ² the biased variance of a channel, over the batch and all places. The forward
returns them for the pulls, which account for how μ and σ² depend on x, so no gradient goes to them
separately.
"""

import numpy as np

from minigrad.core.dtypes import operands
from minigrad.core.primitive import composite, primitive
from minigrad.core.tensor import Tensor, constant
from minigrad.ops.arithmetic import sqrt
from minigrad.ops.reductions import mean
from minigrad.ops.updates import average_


def _axes(x):
    """Return all axes but that of the channels."""
    return (0, *range(2, x.ndim))


def _channels(t, x):
    """Reshape t, a number for each channel, so that it broadcasts against x."""
    return t.reshape(-1, *(1,) * (x.ndim - 2))


def _has_channels(x):
    if x.ndim < 2:
        raise ValueError(f"moments: x has shape {x.shape}; it must be (N, C, …)")


@primitive(differentiable=0, check=_has_channels)
def moments(x, /):
    """μ and σ² of each channel: x (N, C, …) -> (C,), (C,).   VJP: in the pulls below"""
    average = x.mean(axis=_axes(x))
    return average, np.square(x - _channels(average, x)).mean(axis=_axes(x))


moments.pulls = ()


def _batch_shapes(x, weight, bias, eps):
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


@primitive(differentiable=1, check=_batch_shapes)
def _batch_norm(x, weight, bias, /, eps):
    """y = γ x̂ + β, x̂ = (x − μ) / √(σ² + ε)      x (N, C, …), γ = weight and β = bias (C,) -> like x
    VJP: x̄ = batch_norm_pull(γ g, x),  γ̄ = normalized_sum(g, x),  β̄ = ∑ g (C,)

    μ and σ² (C,) are further results.
    """
    average, variance = moments.forward(x)
    scale = weight / np.sqrt(variance + x.dtype.type(eps))
    y = x * _channels(scale, x) + _channels(bias - average * scale, x)
    return y, average, variance


_batch_norm.pulls = (
    lambda g, ys, x, weight, bias, eps: batch_norm_pull(
        g * _channels(weight, x), x, ys[1], ys[2], eps
    ),
    lambda g, ys, x, weight, bias, eps: normalized_sum(g, x, ys[1], ys[2], eps),
    lambda g, ys, x, weight, bias, eps: g.sum(_axes(x)),
)


def _normalized(x, eps):
    one = np.ones(x.shape[1], x.dtype)
    return _batch_norm(x, constant(one), constant(0 * one), eps)[0]


def _pull_shapes(g, x, average, variance, eps):
    if g.shape != x.shape or x.ndim < 2 or not average.shape == variance.shape == x.shape[1:2]:
        raise ValueError(
            f"batch_norm's pull: g {g.shape}, x {x.shape} and moments {average.shape}, "
            f"{variance.shape}; they must be (N, C, …) twice and (C,) twice"
        )


@primitive(check=_pull_shapes)
def batch_norm_pull(g, x, average, variance, /, eps):
    """h = (g − ⟨g⟩ − x̂ ⟨g x̂⟩) / √(σ² + ε), ⟨·⟩ being a channel's mean: the pull of x̂ = x̂(x).

    VJP, for the cotangent c of h: ḡ = h(c, x), as ∑ c h is symmetric in c and g; and with
    r = 1 / √(σ² + ε), whose slope is −r² x̂ / N,   x̄ = −r (h(g ⟨c x̂⟩ + c ⟨g x̂⟩, x) + x̂ ⟨c h⟩)
    """
    r = _channels(1 / np.sqrt(variance + x.dtype.type(eps)), x)
    y = r * (x - _channels(average, x))
    along = (g * y).mean(axis=_axes(x), keepdims=True)
    return r * (g - g.mean(axis=_axes(x), keepdims=True) - y * along)


def _second_pull(c, h, g, x, average, variance, eps):
    def of_channel(t):
        return mean(t, _axes(x), True)

    y, centred = _normalized(x, eps), x - of_channel(x)
    r = 1 / sqrt(of_channel(centred * centred) + eps)
    inner = g * of_channel(c * y) + c * of_channel(g * y)
    return -r * (batch_norm_pull(inner, x, average, variance, eps) + y * of_channel(c * h))


batch_norm_pull.pulls = (
    lambda c, h, g, x, average, variance, eps: batch_norm_pull(c, x, average, variance, eps),
    _second_pull,
    None,
    None,
)


@primitive(check=_pull_shapes)
def normalized_sum(g, x, average, variance, /, eps):
    """y = ∑ g x̂, over the batch and all places: g, x (N, C, …) -> y (C,)
    VJP, for the cotangent c of y: ḡ = c x̂,  x̄ = batch_norm_pull(c g, x)"""
    r = 1 / np.sqrt(variance + x.dtype.type(eps))
    return r * (g * (x - _channels(average, x))).sum(axis=_axes(x))


normalized_sum.pulls = (
    lambda c, y, g, x, average, variance, eps: _channels(c, x) * _normalized(x, eps),
    lambda c, y, g, x, average, variance, eps: batch_norm_pull(
        _channels(c, x) * g, x, average, variance, eps
    ),
    None,
    None,
)


@composite
def batch_norm(
    x, running_mean=None, running_var=None, weight=None, bias=None, training=False, momentum=0.1,
    eps=1e-5,
) -> Tensor:  # fmt: skip
    """y = weight (x − μ) / √(σ² + eps) + bias for each channel, as PyTorch's functional batch_norm.

    x is (N, C, …), all others (C,). In training μ and σ² are those of the batch, and running_mean
    and running_var, if given, move towards the batch's mean and UNBIASED variance. Otherwise
    running_mean and running_var take the place of μ and σ².
    """
    x = x if isinstance(x, Tensor) else Tensor(x)
    dtype = x.dtype if x.dtype.kind in "fc" else np.float32
    for name, running in (("running_mean", running_mean), ("running_var", running_var)):
        if running is not None and np.shape(running) != x.shape[1:2]:
            raise ValueError(
                f"batch_norm: {name} has shape {np.shape(running)} for x {x.shape}; it must be (C,)"
            )
    weight = constant(np.ones(x.shape[1:2], dtype)) if weight is None else weight
    bias = constant(np.zeros(x.shape[1:2], dtype)) if bias is None else bias
    if training:
        y, average, variance = _batch_norm(x, weight, bias, eps)
        count = x.size // x.shape[1]
        if running_mean is not None:
            average_(running_mean, average, momentum)
        if running_var is not None:
            average_(running_var, variance, momentum, count / (count - 1))
        return y
    if running_mean is None or running_var is None:
        raise ValueError("batch_norm: give running_mean and running_var, or training=True")
    given = x, running_mean, running_var, weight, bias
    x, running_mean, running_var, weight, bias = operands("batch_norm", given)
    scale = weight / sqrt(running_var + eps)
    return x * _channels(scale, x) + _channels(bias - running_mean * scale, x)
