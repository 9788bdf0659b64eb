"""Trained models are measured by bounds on the likelihood of images, and statistics of pixels."""

from functools import partial

import numpy as np

from minigrad import Tensor, no_grad, random
from models.subset import pixels


@no_grad()
def evaluate(bound, batches) -> dict[str, float]:
    """Return the means of a bound (nelbo, kl, rec) over batches of one size.

    batches: functions that return x (N, 784) in {0, 1}; they and the bound draw from a fixed seed
    """
    with random.fork(0):
        bounds = [[float(v) for v in bound(Tensor(x()))] for x in batches]
    return dict(zip(("nelbo", "kl", "rec"), np.mean(bounds, axis=0).tolist(), strict=True))


def evaluate_subset(vae, subset, times) -> dict[str, float]:
    """Return the bound on the static subset (100, 784), with `times` draws of z for each image."""
    return evaluate(vae.negative_elbo_bound, [lambda: subset] * times)


def evaluate_all(vae, dataset, subset, iwae) -> dict[str, dict[str, float]]:
    """Return {what: {"nelbo": …, "kl": …, "rec": …}} on the static subset and the full test set.

    iwae: whether to add the importance-weighted bounds on the subset with 1, 10, 100, 1000 draws
    """
    grey = pixels(dataset.test_images).reshape(10, 1000, -1)
    results = {
        "static subset": evaluate_subset(vae, subset, 100),
        "full test set": evaluate(
            vae.negative_elbo_bound, [lambda x=x: random.bernoulli(x) for x in grey]
        ),
    }
    for m in (1, 10, 100, 1000) if iwae else ():
        parts = [lambda x=x: x for x in subset.reshape(10, 10, -1)] * max(100 // m, 1)
        bound = partial(vae.negative_iwae_bound, iw=m)
        results[f"subset, IWAE-{m}"] = evaluate(bound, parts)
    return results


def statistics(x) -> dict[str, float]:
    """Return four numbers about images (N, 28, 28) in [0, 1], which are first rounded to 8 bits.

    They are the mean and the sd of the pixels, the share of pixels that are exactly 0, and the mean
    L2 distance of two images.
    """
    x = np.round(255 * x.reshape(len(x), -1).astype(np.float64)) / 255
    squares = (x * x).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * x @ x.T, 0))
    pairs = len(x) * (len(x) - 1)
    values = x.mean(), x.std(), (x == 0).mean(), distances.sum() / pairs
    return dict(zip(("mean", "sd", "zeros", "distance"), map(float, values), strict=True))
