"""Activations act on each element, between linear layers."""

import numpy as np

from minigrad.core.dtypes import operands
from minigrad.core.primitive import composite, primitive
from minigrad.core.tensor import Tensor
from minigrad.ops.choices import where


@primitive
def sigmoid(a, /):
    """y = σ(a) = 1 / (1 + e⁻ᵃ).   VJP: ā = g y (1 − y).   Only e to a negative power is taken."""
    e = np.exp(np.where(a.real > 0, -a, a))
    return np.where(a.real > 0, 1, e) / (1 + e)


sigmoid.pulls = (lambda g, y, a: g * y * (1 - y),)


@primitive
def softplus(a, /):
    """y = log(1 + eᵃ) = max(a, 0) + log(1 + e^−|a|), never overflowing.   VJP: ā = g σ(a)"""
    positive = a.real > 0
    return np.where(positive, a, 0) + np.log1p(np.exp(np.where(positive, -a, a)))


softplus.pulls = (lambda g, y, a: g * sigmoid(a),)


@composite
def logsigmoid(a) -> Tensor:
    """y = log σ(a) = −softplus(−a): finite wherever a is, unlike log(sigmoid(a))."""
    (a,) = operands("logsigmoid", (a,))
    return -softplus(-a)


@primitive
def tanh(a, /):
    """y = tanh a.   VJP: ā = g (1 − y²)"""
    return np.tanh(a)


tanh.pulls = (lambda g, y, a: g * (1 - y * y),)


@primitive(keeps_integers=True)
def relu(a, /):
    """y = max(a, 0).   VJP: ā = g where a > 0, else 0"""
    return np.maximum(a, 0) + 0  # without the sum, max(−0, 0) may be −0


relu.pulls = (lambda g, y, a: leaky_relu_pull(g, a, negative_slope=0),)


@primitive
def leaky_relu(a, /, negative_slope=0.01):
    """y = a where a > 0, else s a, with s = negative_slope.   VJP: ā = g where a > 0, else s g"""
    s = float(negative_slope)  # a NumPy number, or a tensor, would change the dtype
    return np.where(a.real > 0, a, s * a)


leaky_relu.pulls = (
    lambda g, y, a, negative_slope: leaky_relu_pull(g, a, negative_slope=negative_slope),
)


@primitive
def leaky_relu_pull(g, a, /, negative_slope):
    """h = g where a > 0, else s g, with s = negative_slope, and 0 if s = 0: leaky_relu's pull.

    VJP, for the cotangent c of h: ḡ = leaky_relu_pull(c, a), ā = 0
    """
    s = float(negative_slope)
    return np.where(a.real > 0, g, s * g if s else 0)


leaky_relu_pull.pulls = (
    lambda c, h, g, a, negative_slope: leaky_relu_pull(c, a, negative_slope=negative_slope),
    None,
)


def _positive(*arrays, alpha):
    if not alpha > 0:
        raise ValueError(f"elu: alpha = {alpha}; it must be positive")


@primitive(check=_positive)
def elu(a, /, alpha=1.0):
    """y = a where a > 0, else α (eᵃ − 1), α > 0.   VJP: ā = elu_pull(g, y)

    See Clevert, Unterthiner & Hochreiter 2016, eq. 15. Raises ValueError if α ≤ 0.
    """
    positive = a.real > 0
    return np.where(positive, a, float(alpha) * np.expm1(np.where(positive, 0, a)))


elu.pulls = (lambda g, y, a, alpha: elu_pull(g, y, alpha=alpha),)


@primitive
def elu_pull(g, y, /, alpha):
    """h = g where y > 0, else g (y + α): elu's slope from its result, for α eᵃ = y + α.

    VJP, for the cotangent c of h: ḡ = elu_pull(c, y), ȳ = 0 where y > 0, else c g
    """
    return g * np.where(y.real > 0, 1, y + float(alpha))


elu_pull.pulls = (
    lambda c, h, g, y, alpha: elu_pull(c, y, alpha=alpha),
    lambda c, h, g, y, alpha: where(y > 0, 0, c * g),
)
