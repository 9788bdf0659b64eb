"""What each kernel computes, in plain NumPy: read this file first.

Every function here has a numba twin of the same name, and is the oracle of that twin's tests.
`MINIGRAD_BACKEND=numpy` runs the whole library on these. They also take complex arrays, which
the complex-step derivative of `minigrad.gradcheck` needs; the numba twins do not.
"""

import math

import numpy as np

__all__ = [
    "adam_step", "affine", "argmax_windows", "conv2d", "conv2d_weight", "conv_transpose2d", "elu",
    "elu_pull", "exp", "leaky_relu", "leaky_relu_pull", "log_bernoulli", "logsumexp_last", "matmul",
    "moments", "normalize_pull", "normalized_sum", "pixel_shuffle", "pixel_unshuffle", "sigmoid",
    "softplus", "sum_middle",
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


def leaky_relu(x, slope):
    """x where x > 0, else slope · x, and 0 if the slope is 0."""
    return np.where(x.real > 0, x, slope * x if slope else 0)


def leaky_relu_pull(g, x, slope):
    """ḡ · leaky_relu′(x): g where x > 0, else slope · g, and 0 if the slope is 0."""
    return np.where(x.real > 0, g, slope * g if slope else 0)


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


def window_places(size, kernel, stride, padding):
    """How many places a window has along each axis: (size + 2 padding − kernel) // stride + 1."""
    quadruples = zip(size, kernel, stride, padding, strict=True)
    return tuple((n + 2 * p - k) // s + 1 for n, k, s, p in quadruples)


def _patches(x, kernel, stride, padding):
    """What the kernel sees at each place: x (N, C, H, W) -> (N, C, OH, OW, KH, KW)."""
    x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(2, 3))
    return windows[:, :, :: stride[0], :: stride[1]]


def conv2d(x, w, bias, stride, padding):
    """y[n, f, y, z] = bias[f] + Σ x[n, c, y s + i − p, z s + j − p] w[f, c, i, j] over c, i, j.

    x (N, C, H, W), w (F, C, KH, KW), bias (F,) -> (N, F, OH, OW); stride s, padding p: two each.
    """
    patches = _patches(x, w.shape[2:], stride, padding)
    return (np.tensordot(patches, w, ((1, 4, 5), (1, 2, 3))) + bias).transpose(0, 3, 1, 2)


def conv_transpose2d(g, w, stride, padding, size):
    """The transpose of `conv2d`, as a linear map of x: g (N, F, OH, OW) -> (N, C, *size)."""
    (OH, OW), (sy, sx), (py, px) = g.shape[2:], stride, padding
    x = np.zeros((len(g), w.shape[1], size[0] + 2 * py, size[1] + 2 * px), g.dtype)
    for i, j in np.ndindex(w.shape[2:]):
        share = np.tensordot(g, w[:, :, i, j], (1, 0)).transpose(0, 3, 1, 2)
        x[:, :, i : i + sy * OH : sy, j : j + sx * OW : sx] += share
    return x[:, :, py : py + size[0], px : px + size[1]]


def conv2d_weight(x, g, stride, padding, kernel):
    """The transpose of `conv2d`, as a linear map of w: x, g (N, F, OH, OW) -> (F, C, *kernel)."""
    patches = _patches(x, kernel, stride, padding)[:, :, : g.shape[2], : g.shape[3]]
    return np.tensordot(g, patches, ((0, 2, 3), (0, 2, 3)))


def pixel_shuffle(x, r):
    """y[n, c, h r + i, w r + j] = x[n, c r² + i r + j, h, w]: (N, C r², H, W) -> (N, C, Hr, Wr)."""
    N, C, H, W = x.shape
    parts = x.reshape(N, C // r**2, r, r, H, W).transpose(0, 1, 4, 2, 5, 3)
    return parts.reshape(N, C // r**2, H * r, W * r)


def pixel_unshuffle(x, r):
    """The inverse of pixel_shuffle: (N, C, Hr, Wr) -> (N, C r², H, W)."""
    N, C, H, W = x.shape
    parts = x.reshape(N, C, H // r, r, W // r, r).transpose(0, 1, 3, 5, 2, 4)
    return parts.reshape(N, C * r**2, H // r, W // r)


def argmax_windows(x, kernel, stride, padding):
    """Where the first maximum under each window is: (N, C, H, W) -> (N, C, OH, OW), in 0 … H W − 1.

    NaN counts as a maximum. What padding adds does not: padding must not fill a whole window.
    """
    H, W = x.shape[2:]
    pads = (0, 0), (0, 0), *((p, p) for p in padding)
    x = x.astype(np.uint8) if x.dtype.kind == "b" else x.real
    least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    arrays = (
        np.pad(x, pads, constant_values=least),
        np.pad(np.arange(H * W).reshape(1, 1, H, W), pads, constant_values=-1),
    )
    patches = (_patches(array, kernel, stride, (0, 0)) for array in arrays)
    values, numbers = (patch.reshape(*patch.shape[:4], math.prod(kernel)) for patch in patches)
    top = values.max(axis=-1, keepdims=True)
    first = ((values == top) | np.isnan(values)) & (numbers >= 0)
    where = first.argmax(axis=-1)[..., None]
    return np.take_along_axis(np.broadcast_to(numbers, values.shape), where, -1)[..., 0]


def moments(x):
    """Mean and biased variance of each channel: (N, C, L) -> (C,), (C,)."""
    mean = x.mean(axis=(0, 2))
    return mean, np.square(x - mean[:, None]).mean(axis=(0, 2))


def affine(x, scale, shift):
    """x · scale + shift, the same for all of a channel: (N, C, L), (C,), (C,) -> (N, C, L)."""
    return x * scale[:, None] + shift[:, None]


def normalize_pull(g, x, mean, r):
    """r (g − ⟨g⟩ − x̂ ⟨g x̂⟩) with x̂ = r (x − mean): g, x (N, C, L), mean, r (C,) -> (N, C, L).

    ⟨·⟩ is a channel's mean. With r = 1 / √(σ² + ε) it is the gradient through x̂ (Ioffe & Szegedy
    2015, section 3), both statistics included.
    """
    y = r[:, None] * (x - mean[:, None])
    along = (g * y).mean(axis=(0, 2))[:, None]
    return r[:, None] * (g - g.mean(axis=(0, 2))[:, None] - y * along)


def normalized_sum(g, x, mean, r):
    """Σ g x̂ with x̂ = r (x − mean), for each channel: g, x (N, C, L), mean, r (C,) -> (C,)."""
    return r * (g * (x - mean[:, None])).sum(axis=(0, 2))


def adam_step(p, g, m, v, lr, beta1, beta2, eps, step):
    """One step of Adam (Kingma & Ba 2015, algorithm 1), in place on p, m and v.

    m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²,  p ← p − lr · m̂ / (√v̂ + ε), with m̂ = m/(1−β₁ᵗ) and
    v̂ = v/(1−β₂ᵗ). ε stands outside the root and after the bias correction, as in PyTorch.
    """
    m += (1 - beta1) * (g - m)
    v *= beta2
    v += (1 - beta2) * g * g
    p -= lr / (1 - beta1**step) * m / (np.sqrt(v) / np.sqrt(1 - beta2**step) + eps)
