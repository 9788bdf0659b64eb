"""Each elementwise function has one source, for one number, which loops over arrays inline.

LLVM turns a loop into vector code unless it calls the C library. So in float32 the functions are
plain arithmetic, accurate to a few units in the last place; in float64, which is for checks, most
call the C library. Loops are compiled without contraction: LLVM may fuse a product with either of
two sums, and its choice can differ from one loop to the next, but these bits must not.

ZERO, ONE and TWO are float32, so that they don't change the dtype of an expression: numba, unlike
NumPy, makes float32 + 1 a float64.
"""

import math

import numpy as np
from numba import float32
from numba.extending import overload, register_jitable

ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)
INFINITY = np.float32(np.inf)
LOG2_E = np.float32(1 / math.log(2))
# ln 2 is split in two, so that n ln 2 is subtracted without rounding (Cody & Waite 1980).
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(math.log(2) - 0.693359375)
TAYLOR = tuple(np.float32(1 / math.factorial(k)) for k in (7, 6, 5, 4, 3, 2, 1))
ATANH = tuple(np.float32(1 / k) for k in (15, 13, 11, 9, 7, 5, 3, 1))
ROOT_HALF = np.float32(math.sqrt(0.5)).view(np.int32)  # as bits
SMALLEST = np.float32(2**-126)  # of the numbers that have all their digits
# The same in double precision.
WIDE_LN2, WIDE_ROOT_HALF = math.log(2), np.float64(math.sqrt(0.5)).view(np.int64)
WIDE_ATANH = tuple(1 / k for k in (19, 17, 15, 13, 11, 9, 7, 5, 3, 1))
WIDE_SMALLEST = 2.0**-1022


inline = register_jitable(forceinline=True)  # a loop that contains a call is no vector code


def _in_float32(c_library):
    """Compile the decorated function for a float32 argument, and c_library for a float64."""

    def decorate(function):
        def scalar(x):
            raise NotImplementedError(f"{function.__name__} is for compiled code")

        @overload(scalar, jit_options={"forceinline": True})
        def choose(x):
            return function if x == float32 else lambda x: c_library(x)

        # By its module and name, the cache finds a compiled loop over it again.
        scalar.__qualname__ = scalar.__name__ = function.__name__
        return scalar

    return decorate


@inline
def _reduce_exponent(x, least):
    """Return n = round(x / ln 2), and by its series eʳ − 1, r = x − n ln 2, |r| ≤ ln 2 / 2.

    x: taken as `least` if it is less, and as 89, of which e is infinite, if it is more
    """
    t = min(max(x, np.float32(least)), np.float32(89))
    n = np.floor(t * LOG2_E + np.float32(0.5))
    r = t - n * LN2_HIGH - n * LN2_LOW
    s = ZERO
    for coefficient in TAYLOR:
        s = (s + coefficient) * r
    return np.int32(n), s


@inline
def _power_of_two(n):
    """Return 2ⁿ, made of its bits, for n from −126 to 127."""
    return np.int32((n + np.int32(127)) << np.int32(23)).view(np.float32)


@_in_float32(math.exp)
def exp(x):
    n, s = _reduce_exponent(x, -104)  # of which it is 0
    half = n >> np.int32(1)  # by two factors, as float32 can't hold 2ⁿ for extreme n
    y = (s + ONE) * _power_of_two(half) * _power_of_two(np.int32(n - half))
    return y if x == x else x


@_in_float32(math.expm1)
def expm1(x):
    """eˣ − 1 is 2ⁿ (eʳ − 1 + 1 − 2⁻ⁿ): for small x, n is 0 and nothing cancels."""
    n, s = _reduce_exponent(x, -26)  # below, it is −1 to the last digit
    # n ≤ 128: 2⁻ⁿ is lost in 1 where it is too small to be made of bits, and 2ⁿ is 2 · 2ⁿ⁻¹.
    y = (s + (ONE - _power_of_two(max(np.int32(-n), np.int32(-126))))) * TWO
    y = y * _power_of_two(np.int32(n - np.int32(1)))
    return y if x == x and x != ZERO else x


@inline
def _twice_artanh(u):
    """Return 2 artanh(u) = 2 (u + u³/3 + u⁵/5 + …) for |u| ≤ 1/3; it is log((1 + u) / (1 − u))."""
    square, s = u * u, ZERO
    for coefficient in ATANH:
        s = s * square + coefficient
    return TWO * u * s


@_in_float32(np.log)
def log(x):
    """With x = 2ⁿ m, √½ ≤ m < √2, it is n ln 2 + log m, and log m is 2 artanh((m − 1)/(m + 1))."""
    factor, more = (np.float32(2**24), np.int32(24)) if x < SMALLEST else (ONE, np.int32(0))
    bits = np.float32(x * factor).view(np.int32)
    n = np.int32(np.int32(bits - ROOT_HALF) >> np.int32(23))
    m = np.int32(bits - np.int32(n << np.int32(23))).view(np.float32)
    exponent = np.float32(np.int32(n - more))
    z = _twice_artanh((m - ONE) / (m + ONE))
    y = exponent * LN2_HIGH + (z + exponent * LN2_LOW)
    if x == ZERO:
        y = np.float32(-np.inf)
    elif not x < INFINITY:  # or NaN
        y = x
    elif x < ZERO:
        y = np.float32(np.nan)
    return y


@_in_float32(np.log1p)
def log1p(x):
    """log u with u = 1 + x, plus (x − (u − 1)) / u for what the rounding of u lost."""
    u = ONE + x
    y = log(u)
    if x == ZERO:  # of either sign
        y = x
    elif u > ZERO and u < INFINITY:
        y = y + (x - (u - ONE)) / u
    return y


@_in_float32(math.log1p)
def log1p_of_unit(x):
    """log(1 + x) for x in [0, 1], which is 2 artanh(x / (2 + x))."""
    return _twice_artanh(x / (TWO + x))


@_in_float32(math.tanh)
def tanh(x):
    """With t = e^(−2|x|) − 1 it is −t / (2 + t), with x's sign: nothing cancels."""
    t = expm1(-TWO * abs(x))
    return math.copysign(-t / (TWO + t), x)


@inline
def sigmoid(x):
    e = exp(-abs(x))
    return (ONE if x > ZERO else e) / (ONE + e)


@inline
def softplus(x):
    return max(x, ZERO) + log1p_of_unit(exp(-abs(x)))


@inline
def elu(x, alpha):
    return x if x >= ZERO else alpha * expm1(x)


@inline
def elu_pull(g, y, alpha):
    return g * (ONE if y > ZERO else y + alpha)


@inline
def relu(x):
    return x if x > 0 or x != x else type(x)(0)


@inline
def leaky_relu_pull(g, x, slope):
    """With g = x it is leaky_relu. Where slope is 0 the product would be NaN for infinite g."""
    return g if x > ZERO else slope * g if slope != 0 else ZERO


@inline
def log_bernoulli(x, logit):
    """x log σ(l) + (1 − x) log σ(−l), where no two large terms cancel if x is in [0, 1]."""
    rest = (ONE - x) * max(logit, ZERO) + x * max(-logit, ZERO)
    return -(log1p_of_unit(exp(-abs(logit))) + rest)


@inline
def chain(g, slope, a, b):
    """g · slope, and 0 where that is 0 · ∞ or 0 · NaN though a and b are finite."""
    y = g * slope
    return abs(g) if y != y and g == ZERO and abs(a) < INFINITY and abs(b) < INFINITY else y


@inline
def itakura_saito(q, p):
    """d − log r for r = q / p and d = r − 1, in double precision; near d = 0 by its series.

    The logarithm is computed as in `log`, but u from d itself where that is m − 1, and has more of
    its digits.
    """
    q, p = np.float64(q), np.float64(p)
    d, r = (q - p) / p, q / p
    x, more = (r * 2.0**54, 54) if r < WIDE_SMALLEST else (r, 0)
    bits = np.float64(x).view(np.int64)
    n = (bits - WIDE_ROOT_HALF) >> 52
    m = np.int64(bits - (n << 52)).view(np.float64)
    u, s = (d if n == 0 else m - 1.0) / (m + 1.0), 0.0
    square = u * u
    for coefficient in WIDE_ATANH:
        s = s * square + coefficient
    y = d - (np.float64(n - more) * WIDE_LN2 + 2.0 * u * s)
    if abs(d) < 1e-3:
        y = d * d * (1 / 2 - d * (1 / 3 - d * (1 / 4 - d * (1 / 5 - d * (1 / 6 - d * (1 / 7))))))
    elif r == 0.0:
        y = np.inf
    elif not 0.0 < r < np.inf:
        y = np.nan
    return y
