"""Operations that act on each element, with broadcasting.

Each docstring: the formula, then VJP, the cotangents. Shapes are those of the operands, which
broadcast to y's; the engine sums ā over the axes along which a was broadcast.
"""

import numpy as np

from minigrad import kernels
from minigrad.dtypes import operands
from minigrad.engine import composite, primitive


@primitive
def _chain(g, slope, /, *at):
    """y = g · slope, and 0 where that is 0 · ∞ or 0 · NaN at finite operands: the chain rule.

    VJP, for the cotangent c of y: ḡ = _chain(c, slope, *at), the slope's is c g, at's 0

    The convention of all operations with a singular slope: at finite operands a cotangent of
    exactly 0 sends exactly 0, however infinite the slope, because nothing depends on the value
    there; in where(x > 0, log(x), 0) no NaN comes back through the branch that was not taken.
    Everywhere else it is plain arithmetic. The price: a cotangent that is 0 only in the limit sends
    0, too, so that sqrt(x) ** 2 has the gradient 0 at x = 0, where the limit is 1.
    """
    y = g._array * slope._array
    finite = True
    for operand in at:
        finite = finite & np.isfinite(operand._array)
    y = np.where(np.isnan(y) & (g._array == 0) & finite, y.dtype.type(0), y)
    pulls = (lambda c, y: _chain(c, slope, *at), lambda c, y: c * g, *[None] * len(at))
    return y, *pulls


# ---- arithmetic


@primitive(keeps_integers=True)
def add(a, b):
    """y = a + b.   VJP: ā = g, b̄ = g"""
    return a._array + b._array, lambda g, y: g, lambda g, y: g


@primitive(keeps_integers=True)
def subtract(a, b):
    """y = a − b.   VJP: ā = g, b̄ = −g"""
    return np.subtract(a._array, b._array), lambda g, y: g, lambda g, y: -g


@primitive(keeps_integers=True)
def multiply(a, b):
    """y = a b.   VJP: ā = g b, b̄ = g a"""
    return a._array * b._array, lambda g, y: g * b, lambda g, y: g * a


@primitive
def divide(a, b):
    """y = a / b.   VJP: ā = g / b, b̄ = −g y / b"""
    y = a._array / b._array
    return y, lambda g, y: _chain(g, 1 / b, a, b), lambda g, y: _chain(g, -y / b, a, b)


@primitive(keeps_integers=True)
def negative(a):
    """y = −a.   VJP: ā = −g"""
    return -a._array, lambda g, y: -g


@primitive(keeps_integers=True)
def power(a, b):
    """y = aᵇ.   VJP: ā = g b aᵇ⁻¹, b̄ = g y log a

    Where a = b = 0 the first slope is 0 (the formula gives 0 · ∞), because a⁰ is constant; where
    a = 0 ≤ b the second is 0, because 0ᵇ is constant for b > 0.
    """

    if a.dtype.kind in "biu" and (b._array < 0).any():
        raise TypeError(
            f"power: whole numbers ({a.dtype}) to a negative power are none; write x.float() ** b"
        )

    def pull_a(g, y):
        constant = (a._array == 0) & (b._array == 0)
        return _chain(g, b * a ** where(constant, 1, b - 1), a, b)

    def pull_b(g, y):
        flat = (a._array == 0) & (b._array.real >= 0)
        return _chain(g, y * log(where(flat, 1, a)), a, b)

    return a._array**b._array, pull_a, pull_b


@primitive(keeps_integers=True)
def to(a, /, dtype):
    """y = a in another floating dtype.   VJP: ā = g in a's dtype"""
    if np.dtype(dtype).char not in "fdFD":
        raise TypeError(
            f"to: {np.dtype(dtype)} is neither float32 nor float64; for whole numbers, which have "
            "no gradient, make a new tensor: Tensor(x, dtype='int64')"
        )
    return a._array.astype(dtype), lambda g, y: to(g, dtype=a.dtype)


# ---- exponentials and logarithms


@primitive
def exp(a):
    """y = eᵃ.   VJP: ā = g y"""
    return kernels.exp(a._array), lambda g, y: _chain(g, y, a)


@primitive
def expm1(a):
    """y = eᵃ − 1, accurate near a = 0.   VJP: ā = g (y + 1)"""
    return np.expm1(a._array), lambda g, y: _chain(g, y + 1, a)


@primitive
def log(a):
    """y = log a.   VJP: ā = g / a"""
    return np.log(a._array), lambda g, y: _chain(g, 1 / a, a)


@primitive
def log1p(a):
    """y = log(1 + a), accurate near a = 0.   VJP: ā = g / (1 + a)"""
    return np.log1p(a._array), lambda g, y: _chain(g, 1 / (1 + a), a)


@primitive
def itakura_saito(q, p):
    """y = r − 1 − log r for r = q / p > 0.   VJP: q̄ = g (q − p) / q / p, p̄ = g (p − q) / p / p

    The divergence of Itakura & Saito (1968): 0 at q = p, and ≈ d²/2 near it with d = (q − p) / p,
    which is all that is left of two numbers of size d: at d = 10⁻⁷ the formula has no digit right
    in float32. So it is computed in double precision as d − log(1 + d), and for |d| < 10⁻³ by the
    series d²/2 − d³/3 + d⁴/4 − …, whose rest is below 10⁻¹⁸ there.
    """
    wide = np.result_type(q.dtype, np.float64)
    q_, p_ = q._array.astype(wide), p._array.astype(wide)
    d, r = (q_ - p_) / p_, q_ / p_
    series = d * d * (1 / 2 - d * (1 / 3 - d * (1 / 4 - d * (1 / 5 - d * (1 / 6 - d / 7)))))
    far = np.where(np.abs(d.real) < 0.5, d - np.log1p(d), r - 1 - np.log(r))
    y = np.where(np.abs(d.real) < 1e-3, series, far).astype(q.dtype)
    return (  # divided twice, because q p and p² of small numbers are 0 in float32
        y,
        lambda g, y: _chain(g, (q - p) / q / p, q, p),
        lambda g, y: _chain(g, (p - q) / p / p, q, p),
    )


@primitive
def sqrt(a):
    """y = √a.   VJP: ā = g / (2 y)"""
    return np.sqrt(a._array), lambda g, y: _chain(g, 0.5 / y, a)


# ---- activations


@primitive
def sigmoid(a):
    """y = σ(a) = 1 / (1 + e⁻ᵃ).   VJP: ā = g y (1 − y)"""
    return kernels.sigmoid(a._array), lambda g, y: g * y * (1 - y)


@primitive
def softplus(a):
    """y = log(1 + eᵃ), never overflowing.   VJP: ā = g σ(a)"""
    return kernels.softplus(a._array), lambda g, y: g * sigmoid(a)


@composite
def logsigmoid(a):
    """y = log σ(a) = −softplus(−a): finite wherever a is, unlike log(sigmoid(a))."""
    (a,) = operands("logsigmoid", (a,))
    return -softplus(-a)


@primitive
def tanh(a):
    """y = tanh a.   VJP: ā = g (1 − y²)"""
    return np.tanh(a._array), lambda g, y: g * (1 - y * y)


@primitive(keeps_integers=True)
def relu(a):
    """y = max(a, 0).   VJP: ā = g where a > 0, else 0"""
    return np.maximum(a._array, 0), lambda g, y: leaky_relu_pull(g, a, negative_slope=0)


@primitive
def leaky_relu(a, /, negative_slope=0.01):
    """y = a where a > 0, else s a, with s = negative_slope.   VJP: ā = g where a > 0, else s g"""
    s = float(negative_slope)
    return kernels.leaky_relu(a._array, s), lambda g, y: leaky_relu_pull(g, a, negative_slope=s)


@primitive
def leaky_relu_pull(g, a, /, negative_slope):
    """h = g where a > 0, else s g, with s = negative_slope: leaky_relu's pull.

    VJP, for the cotangent c of h: ḡ = leaky_relu_pull(c, a), ā = 0
    """
    s = negative_slope
    h = kernels.leaky_relu_pull(g._array, a._array, s)
    return h, lambda c, h: leaky_relu_pull(c, a, negative_slope=s), None


@primitive
def elu(a, /, alpha=1.0):
    """y = a where a > 0, else α (eᵃ − 1), α > 0.   VJP: ā = elu_pull(g, y)

    Clevert, Unterthiner & Hochreiter 2016, eq. 15. Raises ValueError if α ≤ 0.
    """
    if not alpha > 0:
        raise ValueError(f"elu: alpha = {alpha}; it must be positive")
    alpha = float(alpha)
    return kernels.elu(a._array, alpha), lambda g, y: elu_pull(g, y, alpha=alpha)


@primitive
def elu_pull(g, y, /, alpha):
    """h = g where y > 0, else g (y + α): elu's slope from its result, for α eᵃ = y + α.

    VJP, for the cotangent c of h: ḡ = elu_pull(c, y), ȳ = 0 where y > 0, else c g
    """
    return (
        kernels.elu_pull(g._array, y._array, alpha),
        lambda c, h: elu_pull(c, y, alpha=alpha),
        lambda c, h: where(y._array.real > 0, 0, c * g),
    )


# ---- choices. At a tie, maximum and minimum send half of the cotangent to each


@primitive(keeps_integers=True)
def abs(a):
    """y = |a|.   VJP: ā = g sign(a), 0 at a = 0"""
    return np.abs(a._array), lambda g, y: g * np.sign(a._array)


@primitive(keeps_integers=True)
def maximum(a, b):
    """y = max(a, b).   VJP: ā = g where a > b, g / 2 where a = b, else 0; b̄ = g − ā"""
    return np.maximum(a._array, b._array), *_halves(a._array > b._array, a._array == b._array)


@primitive(keeps_integers=True)
def minimum(a, b):
    """y = min(a, b).   VJP: ā = g where a < b, g / 2 where a = b, else 0; b̄ = g − ā"""
    return np.minimum(a._array, b._array), *_halves(a._array < b._array, a._array == b._array)


def _halves(first, tie):
    share = first + 0.5 * tie
    return lambda g, y: g * share, lambda g, y: g * (1 - share)


@primitive(keeps_integers=True)
def clip(a, /, min=None, max=None):
    """y = a kept within [min, max].   VJP: ā = g where min ≤ a ≤ max, else 0

    Of whole numbers it is whole numbers if the bounds are, else float32.
    """
    if min is None and max is None:
        raise ValueError("clip: min and max are both None; give at least one of them")
    bounds = (a if bound is None else bound for bound in (min, max))
    x, low, high = (t._array for t in operands("clip", (a, *bounds), keeps_integers=True))
    y = x if min is None else np.maximum(x, low)
    y = y if max is None else np.minimum(y, high)
    return y, lambda g, y: where((x >= low) & (x <= high), g, 0)


@composite
def where(condition, a, b):
    """y = a where the condition holds, else b. The condition (an array or Tensor) is a constant.

    >>> from minigrad import Tensor
    >>> x = Tensor([0.0, 1.0], requires_grad=True)
    >>> where(x > 0, log(x), 0).sum().backward()
    >>> x.grad  # and not NaN: the slope of log at 0 is infinite, but was not asked for
    Tensor([0., 1.])
    """
    return _select(a, b, condition=condition)


@primitive(keeps_integers=True)
def _select(a, b, /, condition):
    """y = a where the condition holds, else b.   VJP: ā = g there, else 0; b̄ = 0 there, else g"""
    condition = np.array(condition, dtype=bool)
    try:
        np.broadcast_shapes(condition.shape, a.shape, b.shape)
    except ValueError:
        raise ValueError(
            f"where: the condition's shape {condition.shape} and the values' shapes {a.shape} and "
            f"{b.shape} don't fit each other"
        ) from None
    return (
        np.where(condition, a._array, b._array),
        lambda g, y: _select(g, 0, condition=condition),
        lambda g, y: _select(0, g, condition=condition),
    )
