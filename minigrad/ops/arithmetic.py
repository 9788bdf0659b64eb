"""Sums, products, powers, exponentials and logarithms are elementwise, with broadcasting.

Each docstring gives the formula of y and, after VJP, those of the operands' cotangents. Operands
broadcast to y's shape, and the engine sums ā over the axes along which a was broadcast.
"""

import numpy as np

from minigrad.core.primitive import primitive
from minigrad.ops.choices import where


@primitive
def _chain(g, slope, /, *at):
    """y = g · slope, and 0 where that is 0 · ∞ or 0 · NaN at finite operands: the chain rule.

    VJP, for the cotangent c of y: ḡ = _chain(c, s, *at), s̄ = c g for s = slope; at gets 0

    All operations whose slope can be infinite use it. At finite operands a cotangent of exactly 0
    sends exactly 0, even where the slope is infinite, because the loss does not depend on the value
    there: in where(x > 0, log(x), 0) no NaN comes back through the branch that was not taken.
    Everywhere else y is the plain product. The price is that a cotangent which is 0 only in the
    limit sends 0, too: sqrt(x) ** 2 has the gradient 0 at x = 0, where the limit is 1.
    """
    y, finite = g * slope, True
    for operand in at:
        finite = finite & np.isfinite(operand)
    return np.where(np.isnan(y) & (g == 0) & finite, y.dtype.type(0), y)


_chain.pulls = (
    lambda c, y, g, slope, *at: _chain(c, slope, *at),
    lambda c, y, g, slope, *at: c * g,
    None,
    ...,
)


@primitive(keeps_integers=True)
def add(a, b, /):
    """y = a + b.   VJP: ā = g, b̄ = g"""
    return a + b


add.pulls = (lambda g, y, a, b: g, lambda g, y, a, b: g)


@primitive(keeps_integers=True)
def subtract(a, b, /):
    """y = a − b.   VJP: ā = g, b̄ = −g"""
    return np.subtract(a, b)


subtract.pulls = (lambda g, y, a, b: g, lambda g, y, a, b: -g)


@primitive(keeps_integers=True)
def multiply(a, b, /):
    """y = a b.   VJP: ā = g b, b̄ = g a"""
    return a * b


multiply.pulls = (lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)


@primitive
def divide(a, b, /):
    """y = a / b.   VJP: ā = g / b, b̄ = −g y / b"""
    return a / b


divide.pulls = (
    lambda g, y, a, b: _chain(g, 1 / b, a, b),
    lambda g, y, a, b: _chain(g, -y / b, a, b),
)


@primitive(keeps_integers=True)
def negative(a, /):
    """y = −a.   VJP: ā = −g"""
    return -a


negative.pulls = (lambda g, y, a: -g,)


@primitive(keeps_integers=True)
def power(a, b, /):
    """y = aᵇ.   VJP: ā = g b aᵇ⁻¹, b̄ = g y log a

    Where a = b = 0 the first slope is 0 (the formula gives 0 · ∞), because a⁰ is constant; where
    a = 0 ≤ b the second is 0, because 0ᵇ is constant for b > 0. Raises TypeError for whole numbers
    to a negative power.
    """
    if a.dtype.kind in "biu" and (b < 0).any():
        raise TypeError(
            f"power: whole numbers ({a.dtype}) to a negative power are not whole; write "
            "x.float() ** b"
        )
    return a**b


power.pulls = (
    lambda g, y, a, b: _chain(
        g, _chain(b, a ** where(a == 0, where(b == 0, 1, b - 1), b - 1), a, b), a, b
    ),
    lambda g, y, a, b: _chain(g, y * log(where(a == 0, where(b >= 0, 1, a), a)), a, b),
)


@primitive(keeps_integers=True)
def to(a, /, dtype):
    """y = a in another floating dtype.   VJP: ā = g in a's dtype"""
    if dtype is None or np.dtype(dtype).char not in "fdFD":
        raise TypeError(
            f"to: {dtype and np.dtype(dtype)} is neither float32 nor float64; for whole numbers, "
            "which have no gradient, make a new tensor: Tensor(x, dtype='int64')"
        )
    return a.astype(np.dtype(dtype).newbyteorder("="))


to.pulls = (lambda g, y, a, dtype: to(g, a.dtype),)


@primitive
def exp(a, /):
    """y = eᵃ.   VJP: ā = g y"""
    return np.exp(a)


exp.pulls = (lambda g, y, a: _chain(g, y, a),)


@primitive
def expm1(a, /):
    """y = eᵃ − 1, accurate near a = 0.   VJP: ā = g (y + 1)"""
    return np.expm1(a)


expm1.pulls = (lambda g, y, a: _chain(g, y + 1, a),)


@primitive
def log(a, /):
    """y = log a.   VJP: ā = g / a"""
    return np.log(a)


log.pulls = (lambda g, y, a: _chain(g, 1 / a, a),)


@primitive
def log1p(a, /):
    """y = log(1 + a), accurate near a = 0.   VJP: ā = g / (1 + a)"""
    return np.log1p(a)


log1p.pulls = (lambda g, y, a: _chain(g, 1 / (1 + a), a),)


@primitive
def sqrt(a, /):
    """y = √a.   VJP: ā = g / (2 y)"""
    return np.sqrt(a)


sqrt.pulls = (lambda g, y, a: _chain(g, 0.5 / y, a),)
