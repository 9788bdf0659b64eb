"""These operations compare, or depend on a comparison: where, sign, abs, maximum, minimum, clip.

The condition of a choice is an operand, so that a graph that runs again chooses again. At a tie,
maximum and minimum send half of the cotangent to each operand.
"""

from functools import wraps

import numpy as np

from minigrad.core.contracts import has_no_gradient
from minigrad.core.dtypes import operands
from minigrad.core.primitive import composite, primitive
from minigrad.core.tensor import Tensor, constant


def _comparison(name, symbol, relation):
    """Make the elementwise operation y = (a <symbol> b), a bool tensor without a gradient."""

    def forward(a, b, /):
        return relation(a, b)

    forward.__name__ = forward.__qualname__ = name
    forward.__doc__ = f"y = (a {symbol} b), true or false for each element.   VJP: none"
    operation = primitive(forward, pulls=(), as_given=(0, 1))

    @wraps(forward)
    def compare(a, b):
        return operation(_comparable(a, b), _comparable(b, a))

    return compare


def _comparable(a, b):
    """Convert a number to the dtype of the floating tensor that it is compared with, as in PyTorch.

    So Tensor([0.1]) == 0.1, although float32 rounds 0.1.
    """
    if isinstance(a, Tensor) or not isinstance(b, Tensor):
        return a
    number = np.ndim(a) == 0 and np.asarray(a).dtype.kind in "biuf"
    dtype = b.dtype if number and b.dtype.kind in "fc" else None
    return constant(a, dtype) if isinstance(a, (int, float, np.generic)) else Tensor(a, dtype=dtype)


eq = _comparison("eq", "==", np.equal)
ne = _comparison("ne", "!=", np.not_equal)
lt = _comparison("lt", "<", np.less)
le = _comparison("le", "<=", np.less_equal)
gt = _comparison("gt", ">", np.greater)
ge = _comparison("ge", ">=", np.greater_equal)


@primitive(keeps_integers=True, as_given=(0,))
def where(condition, a, b, /):
    """y = a where the condition holds, else b.   VJP: ā = g there, else 0; b̄ = 0 there, else g

    >>> from minigrad import Tensor, log
    >>> x = Tensor([0.0, 1.0], requires_grad=True)
    >>> where(x > 0, log(x), 0).sum().backward()
    >>> x.grad  # not NaN: log has an infinite slope at 0, but its branch was not taken
    Tensor([0., 1.])
    """
    if condition.dtype != bool:
        raise TypeError(
            f"where: the condition is {condition.dtype}; it must be bool, such as x > 0 or x != 0"
        )
    try:
        return np.where(condition, a, b)
    except ValueError:
        raise ValueError(
            f"where: the condition's shape {condition.shape} and the values' shapes {a.shape} and "
            f"{b.shape} don't fit each other"
        ) from None


where.pulls = (
    None,
    lambda g, y, condition, a, b: where(condition, g, 0),
    lambda g, y, condition, a, b: where(condition, 0, g),
)


@primitive(keeps_integers=True)
def sign(a, /):
    """y = −1, 0 or 1, as a is below, at or above 0.   VJP: ā = 0"""
    return np.sign(a)


sign.pulls = ()


@primitive(keeps_integers=True)
def abs(a, /):
    """y = |a|.   VJP: ā = g sign(a), 0 at a = 0"""
    return np.abs(a)


abs.pulls = (lambda g, y, a: g * sign(a),)


@primitive(keeps_integers=True)
def maximum(a, b, /):
    """y = max(a, b).   VJP: ā = g, g / 2 or 0 where a >, = or < b; b̄ = g − ā"""
    return np.maximum(a, b)


maximum.pulls = (
    lambda g, y, a, b: where(a > b, g, where(a == b, 0.5 * g, 0)),
    lambda g, y, a, b: where(a > b, 0, where(a == b, 0.5 * g, g)),
)


@primitive(keeps_integers=True)
def minimum(a, b, /):
    """y = min(a, b).   VJP: ā = g, g / 2 or 0 where a <, = or > b; b̄ = g − ā"""
    return np.minimum(a, b)


minimum.pulls = (
    lambda g, y, a, b: where(a < b, g, where(a == b, 0.5 * g, 0)),
    lambda g, y, a, b: where(a < b, 0, where(a == b, 0.5 * g, g)),
)


@primitive(keeps_integers=True)
def _clip(a, low, high, /):
    """y = min(max(a, low), high).   VJP: ā = g where low ≤ a ≤ high, else 0; low and high get 0"""
    return np.minimum(np.maximum(a, low), high)


_clip.pulls = (lambda g, y, a, low, high: where(a >= low, where(a <= high, g, 0), 0), None, None)


@composite
def clip(a, min=None, max=None) -> Tensor:
    """y = a kept within [min, max].   VJP: ā = g where min ≤ a ≤ max, else 0

    Whole numbers with whole bounds stay whole; otherwise they become float32. Raises ValueError if
    there is no bound, and TypeError for a bound that requires a gradient, as it would get none.
    """
    if min is None and max is None:
        raise ValueError("clip: min and max are both None; give at least one of them")
    for name, bound in (("min", min), ("max", max)):
        if isinstance(bound, Tensor):
            has_no_gradient("clip", name, bound)
    given = [bound for bound in (min, max) if bound is not None]
    a, *given = operands("clip", (a, *given), keeps_integers=True)
    low, high = _limits(a.dtype)
    return _clip(a, low if min is None else given[0], high if max is None else given[-1])


def _limits(dtype):
    if dtype.kind in "fc":
        return -np.inf, np.inf
    return (False, True) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
