"""Losses are log-likelihoods and divergences, fused where separate operations lose digits."""

import numpy as np

from minigrad.core.dtypes import operands
from minigrad.core.primitive import composite, primitive
from minigrad.core.tensor import Tensor, constant
from minigrad.ops.activations import sigmoid
from minigrad.ops.arithmetic import _chain
from minigrad.ops.reductions import log_softmax, mean
from minigrad.ops.shapes import _getitem, as_index, reshape


def _have_last_axis(x, logits):
    if not x.ndim or not logits.ndim:
        raise ValueError(
            f"log_bernoulli: x {x.shape} and logits {logits.shape}; both must have a last axis, "
            "(..., D)"
        )


@primitive(check=_have_last_axis)
def log_bernoulli(x, logits, /):
    """y = Σⱼ xⱼ log σ(lⱼ) + (1 − xⱼ) log σ(−lⱼ) over the last axis: x, l (..., D) -> (...).

    VJP: x̄ = g l, l̄ = g (x − σ(l)), as d/dl log σ(l) = 1 − σ(l) and d/dl log σ(−l) = −σ(l)

    With s(l) = log(1 + e^−|l|) it is computed as y = Σ −s(l) − (1 − x) max(l, 0) − x max(−l, 0),
    where no two large terms cancel if x is in [0, 1].
    """
    positive = logits.real > 0
    s = np.log1p(np.exp(np.where(positive, -logits, logits)))
    return -(s + np.where(positive, (1 - x) * logits, -x * logits)).sum(axis=-1)


def _column(g):
    """Reshape g (...) to (..., 1), so that it broadcasts over the last axis."""
    return reshape(g, shape=(*g.shape, 1))


log_bernoulli.pulls = (
    lambda g, y, x, logits: _column(g) * logits,
    lambda g, y, x, logits: _column(g) * (x - sigmoid(logits)),
)


@primitive
def itakura_saito(q, p, /):
    """y = r − 1 − log r for r = q / p > 0.   VJP: q̄ = g (q − p) / q / p, p̄ = g (p − q) / p / p

    This is the divergence of Itakura & Saito (1968). It is 0 at q = p and nearby about d²/2, with
    d = (q − p) / p. There the formula is a difference of two numbers of size d, and at d = 10⁻⁷ it
    has no correct digit in float32. So y is computed in double precision as d − log(1 + d), and for
    |d| < 10⁻³ by the series d²/2 − d³/3 + d⁴/4 − …, whose remainder is below 10⁻¹⁸ there. The pulls
    divide twice, because q p and p² of small numbers are 0 in float32.
    """
    wide, dtype = np.result_type(q.dtype, np.float64), q.dtype
    q, p = q.astype(wide), p.astype(wide)
    d, r = (q - p) / p, q / p
    series = d * d * (1 / 2 - d * (1 / 3 - d * (1 / 4 - d * (1 / 5 - d * (1 / 6 - d / 7)))))
    far = np.where(np.abs(d.real) < 0.5, d - np.log1p(d), r - 1 - np.log(r))
    return np.where(np.abs(d.real) < 1e-3, series, far).astype(dtype)


itakura_saito.pulls = (
    lambda g, y, q, p: _chain(g, (q - p) / q / p, q, p),
    lambda g, y, q, p: _chain(g, (p - q) / p / p, q, p),
)


@composite
def cross_entropy(logits, labels) -> Tensor:
    """y = −1/N ∑ log softmax(logits)ₙ at labelₙ:  logits (N, C), labels (N,) of 0 … C − 1 -> ().

    Raises ValueError for other shapes, and TypeError for labels that are not whole numbers.

    >>> cross_entropy(Tensor([[0.0, 0.0], [0.0, 100.0]]), [0, 1])  # (log 2 + 0) / 2
    Tensor(0.3465736)
    """
    (logits,) = operands("cross_entropy", (logits,))
    labels = as_index(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"cross_entropy: logits {logits.shape} and labels {labels.shape}; they must be (N, C) "
            "and (N,)"
        )
    if labels.dtype.kind not in "iu":
        raise TypeError(f"cross_entropy: the labels are {labels.dtype}; they must be whole numbers")
    rows = constant(np.arange(len(labels)))
    return -mean(_at_labels(log_softmax(logits, 1), rows, labels))


def _at_labels(log_p, rows, labels):
    return _getitem(log_p, rows, _labels(labels, classes=log_p.shape[1]), index=("array", "array"))


@primitive(keeps_integers=True)
def _labels(labels, /, classes):
    """y = the labels, all from 0 to classes − 1, or ValueError: a check of values.   VJP: none"""
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"cross_entropy: labels from {labels.min()} to {labels.max()} for {classes} classes; "
            f"they must be from 0 to {classes - 1}"
        )
    return labels


_labels.pulls, _labels.acts = (), True
