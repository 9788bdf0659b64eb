"""Matrix products."""

import numpy as np

from minigrad import kernels
from minigrad.dtypes import operands
from minigrad.engine import composite, primitive
from minigrad.ops.shape import reshape


@composite
def matmul(a, b):
    """y = a b           a (..., N, K), b (..., K, M) -> y (..., N, M)

    A vector (K,) counts as one row on the left, as one column on the right, and y has no axis for
    it. Raises ValueError if the K differ.
    """
    a, b = operands("matmul", (a, b), keeps_integers=True)
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"matmul: {a.shape} @ {b.shape}: a number is no matrix; multiply with *")
    _check_inner(a, b)
    if a.ndim > 1 and b.ndim > 1:
        return bmm(a, b)
    left = reshape(a, shape=(1, a.size)) if a.ndim == 1 else a
    right = reshape(b, shape=(b.size, 1)) if b.ndim == 1 else b
    y = bmm(left, right)
    return reshape(y, shape=y.shape[: b.ndim - 2] + y.shape[-1:] if b.ndim > 1 else a.shape[:-1])


def _check_inner(a, b):
    """The kernel relies on it: it would read past the end of b."""
    inner = b.shape[-2:][0]
    if a.shape[-1] != inner:
        raise ValueError(
            f"matmul: {a.shape} @ {b.shape}: the last axis of the first ({a.shape[-1]}) and the "
            f"last but one, or only one, of the second ({inner}) must be equal; is a .mT missing?"
        )


@primitive(keeps_integers=True)
def bmm(a, b):
    """y = a b           a (..., N, K), b (..., K, M) -> y (..., N, M); the batch axes broadcast
    VJP: ā = g bᵀ (..., N, K),  b̄ = aᵀ g (..., K, M)"""
    _check_inner(a, b)
    if a.dtype == bool:
        raise TypeError("matmul: not for bool tensors; convert them: Tensor(x, dtype='float32')")
    return kernels.matmul(a._array, b._array), lambda g, y: bmm(g, b.mT), lambda g, y: bmm(a.mT, g)


@primitive(keeps_integers=True)
def linear(x, weight, bias):
    """y = x wᵀ + b      x (N, K), w (M, K), b (M,) -> y (N, M)
    VJP: x̄ = g w (N, K),  w̄ = gᵀ x (M, K),  b̄ = Σₙ g (M,)"""
    if x.ndim != 2 or weight.ndim != 2 or x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"linear: x {x.shape} and weight {weight.shape}; they must be (N, in) and (out, in)"
        )
    if bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: bias {bias.shape} for weight {weight.shape}; it must be (out,)")
    y = kernels.matmul(x._array, weight._array.T)
    np.add(y, bias._array, out=y)
    return (
        y,
        lambda g, y: bmm(g, weight),
        lambda g, y: bmm(g.mT, x),
        lambda g, y: g.sum(0),
    )
