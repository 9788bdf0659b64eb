"""Each of these elementwise functions is one pass over its arrays.

A kernel is a loop over flat arrays, which LLVM turns into vector code unless the loop calls the C
library's expf. So eˣ, eˣ − 1 and, for x from 0 to 1, log(1 + x) are plain arithmetic in float32,
accurate to about one unit in the last place. In float64, which is for checks, they call the C
library.

ZERO, ONE and TWO are float32, so that they don't change the dtype of an expression: numba, unlike
NumPy, makes float32 + 1 a float64.
"""

import math

import numpy as np
from numba import float32
from numba.extending import overload, register_jitable

from minigrad import ops
from minigrad.kernels.compile import accelerates, contiguous, flat, jit, like, prange
from minigrad.kernels.threads import shareable

LARGE, PIECES = 2**17, 32  # threads share more than LARGE elements in PIECES pieces

ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)
LOG2_E = np.float32(1 / math.log(2))
# ln 2 is split in two, so that n ln 2 is subtracted without rounding (Cody & Waite 1980).
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(math.log(2) - 0.693359375)
TAYLOR = tuple(np.float32(1 / math.factorial(k)) for k in (7, 6, 5, 4, 3, 2, 1))
ATANH = tuple(np.float32(1 / k) for k in (15, 13, 11, 9, 7, 5, 3, 1))


@register_jitable
def _reduce_exponent(x):
    """Return n = round(x / ln 2), and by its series eʳ − 1, r = x − n ln 2, |r| ≤ ln 2 / 2."""
    t = min(max(x, np.float32(-104)), np.float32(89))  # beyond these eˣ is 0 or infinite
    n = np.floor(t * LOG2_E + np.float32(0.5))
    r = t - n * LN2_HIGH - n * LN2_LOW
    s = ZERO
    for coefficient in TAYLOR:
        s = (s + coefficient) * r
    return np.int32(n), s


@register_jitable
def _times_power_of_two(x, n):
    """Return x 2ⁿ, by two factors made from bits, as float32 can't hold 2ⁿ for extreme n."""
    half = n >> np.int32(1)
    a = np.int32((half + np.int32(127)) << np.int32(23)).view(np.float32)
    b = np.int32((n - half + np.int32(127)) << np.int32(23)).view(np.float32)
    return x * a * b


def _in_float32(c_library):
    """Compile the decorated function for a float32 argument, and c_library for a float64."""

    def decorate(function):
        def scalar(x):
            raise NotImplementedError(f"{function.__name__} is for compiled code")

        @overload(scalar)
        def choose(x):
            return function if x == float32 else lambda x: c_library(x)

        return scalar

    return decorate


@_in_float32(math.exp)
def _exp(x):
    n, s = _reduce_exponent(x)
    return _times_power_of_two(s + ONE, n) if x == x else x


@_in_float32(math.expm1)
def _expm1(x):
    """eˣ − 1 is 2ⁿ (eʳ − 1) + (2ⁿ − 1): for small x, n is 0 and nothing cancels."""
    n, s = _reduce_exponent(x)
    return _times_power_of_two(s, n) + (_times_power_of_two(ONE, n) - ONE) if x == x else x


@_in_float32(math.log1p)
def _log1p(x):
    """For x in [0, 1] it is 2 artanh(u) = 2 (u + u³/3 + u⁵/5 + …) with u = x / (2 + x) ≤ 1/3."""
    u = x / (TWO + x)
    square, s = u * u, ZERO
    for coefficient in ATANH:
        s = s * square + coefficient
    return TWO * u * s


@jit()
def _exp_loop(x, out):
    for i in range(x.size):
        out[i] = _exp(x[i])


@jit()
def _sigmoid_loop(x, out):
    for i in range(x.size):
        e = _exp(-abs(x[i]))
        out[i] = (ONE if x[i] > ZERO else e) / (ONE + e)


@jit()
def _softplus_loop(x, out):
    for i in range(x.size):
        out[i] = max(x[i], ZERO) + _log1p(_exp(-abs(x[i])))


@jit()
def _elu_loop(x, alpha, out):
    for i in range(x.size):
        out[i] = x[i] if x[i] >= ZERO else alpha * _expm1(x[i])


@jit()
def _elu_pull_loop(g, y, alpha, out):
    for i in range(g.size):
        out[i] = g[i] * (ONE if y[i] > ZERO else y[i] + alpha)


@jit()
def _leaky_relu_loop(g, x, slope, out):
    """With g = x it is leaky_relu. The second branch avoids 0 · g, which is NaN for infinite g."""
    if slope != 0:
        for i in range(g.size):
            out[i] = g[i] if x[i] > ZERO else slope * g[i]
    else:
        for i in range(g.size):
            out[i] = g[i] if x[i] > ZERO else ZERO


@shareable
def _leaky_relu_pieces(g, x, slope, out):
    for i in prange(PIECES):
        piece = slice(i * g.size // PIECES, (i + 1) * g.size // PIECES)
        _leaky_relu_loop(g[piece], x[piece], slope, out[piece])


@jit(fastmath={"contract", "reassoc"})  # reassoc allows a vector of partial sums
def _log_bernoulli_loop(x, logits, out):
    for i in range(x.shape[0]):
        total = out.dtype.type(0)
        for j in range(x.shape[1]):
            p, t = x[i, j], logits[i, j]
            s = _log1p(_exp(-abs(t)))
            total -= s + (ONE - p) * max(t, ZERO) + p * max(-t, ZERO)
        out[i] = total


@accelerates(ops.exp, like)
def exp(y, x):
    _exp_loop(flat(x), flat(y))


@accelerates(ops.sigmoid, like)
def sigmoid(y, x):
    _sigmoid_loop(flat(x), flat(y))


@accelerates(ops.softplus, like)
def softplus(y, x):
    _softplus_loop(flat(x), flat(y))


@accelerates(ops.elu, like)
def elu(y, x, *, alpha):
    _elu_loop(flat(x), x.dtype.type(alpha), flat(y))


@accelerates(ops.elu_pull, like)
def elu_pull(h, g, y, *, alpha):
    _elu_pull_loop(flat(g), flat(y), g.dtype.type(alpha), flat(h))


@accelerates(ops.leaky_relu, lambda x, negative_slope: like(x) if negative_slope else None)
def leaky_relu(y, x, *, negative_slope):
    leaky_relu_pull(y, x, x, negative_slope=negative_slope)


@accelerates(ops.leaky_relu_pull, like)
def leaky_relu_pull(h, g, x, *, negative_slope):
    slope, share = g.dtype.type(negative_slope), g.size > LARGE
    _leaky_relu_pieces(flat(g), flat(x), slope, flat(h), share=share)


def _without_last(x, logits):
    return ((np.broadcast_shapes(x.shape, logits.shape)[:-1], x.dtype),)


@accelerates(ops.log_bernoulli, _without_last)
def log_bernoulli(y, x, logits):
    shape = np.broadcast_shapes(x.shape, logits.shape)
    x, logits = (contiguous(np.broadcast_to(array, shape)) for array in (x, logits))
    rows = (y.size, shape[-1])
    _log_bernoulli_loop(x.reshape(rows), logits.reshape(rows), flat(y))
