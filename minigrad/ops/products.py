"""These operations multiply matrices."""

import numpy as np

from minigrad.core.dtypes import operands
from minigrad.core.primitive import composite, primitive
from minigrad.core.tensor import Tensor
from minigrad.ops.shapes import reshape


@composite
def matmul(a, b) -> Tensor:
    """y = a b           a (..., N, K), b (..., K, M) -> y (..., N, M)

    A vector (K,) counts as one row on the left and as one column on the right, and y has no axis
    for it. Raises ValueError if the two K differ.
    """
    if not isinstance(a, Tensor) or not isinstance(b, Tensor) or a.dtype is not b.dtype:
        a, b = operands("matmul", (a, b), keeps_integers=True)
    if a.ndim > 1 and b.ndim > 1:
        return bmm(a, b)
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"matmul: {a.shape} @ {b.shape}: a number is no matrix; multiply with *")
    _same_inner(a, b)
    left = reshape(a, (1, a.size)) if a.ndim == 1 else a
    right = reshape(b, (b.size, 1)) if b.ndim == 1 else b
    y = bmm(left, right)
    return reshape(y, y.shape[: b.ndim - 2] + y.shape[-1:] if b.ndim > 1 else a.shape[:-1])


def _same_inner(a, b):
    """The kernel relies on equal inner axes; else it would read past the end of b."""
    inner = b.shape[-2:][0]
    if a.shape[-1] != inner:
        raise ValueError(
            f"matmul: {a.shape} @ {b.shape}: the last axis of the first ({a.shape[-1]}) and the "
            f"last but one, or only one, of the second ({inner}) must be equal; is a .mT missing?"
        )
    if a.dtype.kind == "b":
        raise TypeError("matmul: not for bool tensors; convert them: Tensor(x, dtype='float32')")


@primitive(keeps_integers=True, check=_same_inner)
def bmm(a, b, /):
    """y = a b           a (..., N, K), b (..., K, M) -> y (..., N, M); the batch axes broadcast
    VJP: ā = g bᵀ (..., N, K),  b̄ = aᵀ g (..., K, M)"""
    return np.matmul(a, b)


bmm.pulls = (lambda g, y, a, b: bmm(g, b.mT), lambda g, y, a, b: bmm(a.mT, g))


def _linear_shapes(x, weight, bias):
    if x.ndim != 2 or weight.ndim != 2 or x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"linear: x {x.shape} and weight {weight.shape}; they must be (N, in) and (out, in)"
        )
    if x.dtype.kind == "b":
        raise TypeError("linear: not for bool tensors; convert them: Tensor(x, dtype='float32')")
    if bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: bias {bias.shape} for weight {weight.shape}; it must be (out,)")


@primitive(keeps_integers=True, check=_linear_shapes)
def linear(x, weight, bias, /):
    """y = x wᵀ + b      x (N, K), w (M, K), b (M,) -> y (N, M)
    VJP: x̄ = g w (N, K),  w̄ = linear_weight(x, g) (M, K),  b̄ = Σₙ g (M,)"""
    return np.matmul(x, weight.T) + bias


linear.pulls = (
    lambda g, y, x, weight, bias: bmm(g, weight),
    lambda g, y, x, weight, bias: linear_weight(x, g),
    lambda g, y, x, weight, bias: g.sum(0),
)


def _same_rows(x, g):
    if x.ndim != 2 or g.ndim != 2 or len(x) != len(g):
        raise ValueError(
            f"linear_weight: x {x.shape} and g {g.shape}; they must be (N, in) and (N, out)"
        )


@primitive(keeps_integers=True, check=_same_rows)
def linear_weight(x, g, /):
    """y = gᵀ x          x (N, K), g (N, M) -> y (M, K): linear's pull for its weight
    VJP, for the cotangent c of y: x̄ = g c (N, K),  ḡ = x cᵀ (N, M)"""
    return np.matmul(g.T, x)


linear_weight.pulls = (lambda c, y, x, g: bmm(g, c), lambda c, y, x, g: bmm(x, c.mT))
