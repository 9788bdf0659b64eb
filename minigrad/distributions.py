"""These are the models' probabilities, under the homework's names. v is always a VARIANCE."""

import math

import numpy as np

from minigrad import ops
from minigrad.core.dtypes import operands
from minigrad.core.tensor import Tensor


def sample_gaussian(m, v) -> Tensor:
    """z = m + √v ε with ε ~ N(0, I): a draw from N(m, diag v) with gradients for m and v.

    m, v (..., D) -> z (..., D), by the reparameterisation of Kingma & Welling 2014, section 2.4.
    """
    m, v = operands("sample_gaussian", (m, v))
    real = np.empty(0, m.dtype).real.dtype  # also in the complex step of a gradient check
    noise = ops.randn(shape=np.broadcast_shapes(m.shape, v.shape), dtype=real)
    return m + ops.sqrt(v) * noise


def gaussian_parameters(h, axis=-1) -> tuple[Tensor, Tensor]:
    """Return mean and variance from a network's output: h (..., 2D) -> m, v (..., D).

    The first half is m; the second becomes v = softplus(·) + 10⁻⁸, which is never 0.
    """
    (h,) = operands("gaussian_parameters", (h,))
    if h.shape[axis] % 2:
        raise ValueError(
            f"gaussian_parameters: {h.shape[axis]} elements along axis {axis} of shape {h.shape} "
            "are not two equal halves, means and variances"
        )
    m, h = ops.split(h, [h.shape[axis] // 2] * 2, axis)
    return m, ops.softplus(h) + 1e-8


def kl_normal(qm, qv, pm, pv) -> Tensor:
    """KL(N(qm, diag qv) ‖ N(pm, diag pv)) -> (...), summed over the last axis.

    It is ½ Σ (r − 1 − log r + (qm − pm)² / pv) with r = qv / pv. `itakura_saito` computes the first
    three terms, without loss of digits near r = 1. pm and pv may be numbers.
    """
    numbers = isinstance(pm, (int, float)) and isinstance(pv, (int, float))
    standard = numbers and (pm, pv) == (0, 1)
    qm, qv, pm, pv = operands("kl_normal", (qm, qv, pm, pv))
    if standard:  # then (qm − 0)² / 1 is qm²
        squares = qm * qm
    else:
        distance = qm - pm
        squares = distance * distance / pv
    return 0.5 * ops.sum(ops.itakura_saito(qv, pv) + squares, axis=-1)


def log_normal(x, m, v) -> Tensor:
    """log N(x; m, diag v) = −½ Σ (log 2π + log v + (x − m)² / v) over the last axis -> (...)."""
    x, m, v = operands("log_normal", (x, m, v))
    distance = x - m
    return -0.5 * ops.sum(math.log(2 * math.pi) + ops.log(v) + distance * distance / v, axis=-1)


def log_bernoulli_with_logits(x, logits) -> Tensor:
    """log Π Bernoulli(xⱼ; σ(lⱼ)) over the last axis: x, logits (..., D) -> (...)."""
    return ops.log_bernoulli(x, logits)


def log_mean_exp(x, axis) -> Tensor:
    """log (1/N Σ eˣ) over an axis of N elements, without overflow."""
    (x,) = operands("log_mean_exp", (x,))
    return ops.logsumexp(x, axis=axis) - math.log(x.shape[axis])


def duplicate(x, rep) -> Tensor:
    """Return rep copies of x one after another: x (N, ...) -> (rep N, ...).

    >>> duplicate(Tensor([1.0, 2.0]), 2)
    Tensor([1., 2., 1., 2.])
    """
    (x,) = operands("duplicate", (x,), keeps_integers=True)
    copies = ops.broadcast_to(x, shape=(rep, *x.shape))
    return copies.reshape(-1, *x.shape[1:])
