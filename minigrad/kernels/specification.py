"""What each kernel computes, in plain NumPy: read this file first.

Every function here has a numba twin of the same name, and is the oracle of that twin's tests.
`MINIGRAD_BACKEND=numpy` runs the whole library on these. They also take complex arrays, which
the complex-step derivative of `minigrad.gradcheck` needs; the numba twins do not.
"""

import numpy as np

__all__ = [
    "adam_step", "elu", "elu_pull", "exp", "log_bernoulli",
    "logsumexp_last", "matmul", "sigmoid", "softplus", "sum_middle",
]  # fmt: skip


def exp(x):
    """eˣ, elementwise."""
    return np.exp(x)


def sigmoid(x):
    """σ(x) = 1 / (1 + e⁻ˣ), elementwise. Only e to a negative power is taken: no overflow."""
    e = np.exp(np.where(x.real > 0, -x, x))
    return np.where(x.real > 0, 1, e) / (1 + e)


def softplus(x):
    """log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|), elementwise."""
    positive = x.real > 0
    return np.where(positive, x, 0) + np.log1p(np.exp(np.where(positive, -x, x)))


def elu(x, alpha):
    """x where x > 0, else α (eˣ − 1)."""
    positive = x.real > 0
    return np.where(positive, x, alpha * np.expm1(np.where(positive, 0, x)))


def elu_pull(g, y, alpha):
    """ḡ · elu′, from the output y: g where y > 0, else g (y + α), because α eˣ = y + α."""
    return g * np.where(y.real > 0, 1, y + alpha)


def log_bernoulli(x, logits):
    """Σⱼ log Bernoulli(xⱼ | σ(lⱼ)) over the last axis: x, l (..., D) -> (...).

    log p = x log σ(l) + (1 − x) log σ(−l). Written with s(l) = log(1 + e^−|l|), it is
    −s(l) − (1 − x) max(l, 0) − x max(−l, 0): no two large terms cancel when x is in [0, 1].
    """
    positive = logits.real > 0
    s = np.log1p(np.exp(np.where(positive, -logits, logits)))
    return -(s + np.where(positive, (1 - x) * logits, -x * logits)).sum(axis=-1)


def sum_middle(x):
    """Sum over the middle axis: (A, N, B) -> (A, B)."""
    return x.sum(axis=1)


def logsumexp_last(x):
    """log Σⱼ e^xᵢⱼ over the last axis: (A, N) -> (A,). Shifted by the row's maximum."""
    if x.shape[1] == 0:
        return np.full(x.shape[0], -np.inf, x.dtype)
    top = x.real.max(axis=1)
    shift = np.where(np.isfinite(top), top, 0).astype(top.dtype)
    return shift + np.log(np.exp(x - shift[:, None]).sum(axis=1))


def matmul(a, b):
    """Matrix product with broadcast batch axes: (..., N, K) (..., K, M) -> (..., N, M)."""
    return np.matmul(a, b)


def adam_step(p, g, m, v, lr, beta1, beta2, eps, step):
    """One step of Adam (Kingma & Ba 2015, algorithm 1), in place on p, m and v.

    m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²,  p ← p − lr · m̂ / (√v̂ + ε), with m̂ = m/(1−β₁ᵗ) and
    v̂ = v/(1−β₂ᵗ). ε stands outside the root and after the bias correction, as in PyTorch.
    """
    m += (1 - beta1) * (g - m)
    v *= beta2
    v += (1 - beta2) * g * g
    p -= lr / (1 - beta1**step) * m / (np.sqrt(v) / np.sqrt(1 - beta2**step) + eps)
