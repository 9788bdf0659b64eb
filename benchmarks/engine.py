"""Measure what the engine itself costs: tiny tensors, one thread, minigrad and PyTorch in turns.

    python -m benchmarks.engine          # prints a table, and the time of a VAE step at batch 1

Each figure is the smallest of many rounds, because other work on the machine can only add to it.
"""

import os

os.environ.update(NUMBA_NUM_THREADS="1", OMP_NUM_THREADS="1")

import sys  # noqa: E402
import timeit  # noqa: E402

import numpy as np  # noqa: E402

import minigrad as mg  # noqa: E402
from benchmarks.machine import describe  # noqa: E402
from minigrad import Tensor, optim, random  # noqa: E402
from minigrad.console import say, script  # noqa: E402
from models.vae import VAE  # noqa: E402

ROUNDS, CALLS = 15, 2000


def cases(x, w, b, elu, linear):
    """Return {name: function} for either engine; w (4, 4) and b (4,), but not x, need gradients."""

    def square():
        (w * w).sum().backward()
        w.grad = None

    return {
        "x + x": lambda: x + x,
        "w + w, recorded": lambda: w + w,
        "elu(x)": lambda: elu(x),
        "x.sum()": lambda: x.sum(),
        "x @ w": lambda: x @ w,
        "linear(x, w, b)": lambda: linear(x, w, b),
        "(w * w).sum(), backward": square,
    }


def ours():
    """Return the cases of minigrad."""
    matrix, vector = np.ones((4, 4), np.float32), np.ones(4, np.float32)
    w, b = Tensor(matrix, requires_grad=True), Tensor(vector, requires_grad=True)
    return cases(Tensor(matrix), w, b, mg.elu, mg.linear)


def theirs():
    """Return the cases of PyTorch."""
    import torch
    from torch.nn.functional import elu, linear

    torch.set_num_threads(1)
    w, b = torch.ones(4, 4, requires_grad=True), torch.ones(4, requires_grad=True)
    return cases(torch.ones(4, 4), w, b, elu, linear)


def microseconds(function, calls=CALLS):
    """Return the mean time of a call."""
    return 1e6 * timeit.timeit(function, number=calls) / calls


def vae_step():
    """Return a training step at batch 1, whose time is nearly all Python's."""
    random.seed(0)
    vae = VAE()
    adam = optim.Adam(vae.parameters())
    x = Tensor(random.bernoulli(np.full((1, 784), 0.3, np.float32)))

    def step():
        loss, _, _ = vae.negative_elbo_bound(x)
        adam.zero_grad()
        loss.backward()
        adam.step()

    return step


def main():
    """Print the table, and the time of the training step."""
    mine = ours()
    try:
        other = theirs()
    except ImportError:
        other = {}
    best: dict[tuple[str, int], float] = {}
    for _ in range(ROUNDS):
        for name in mine:
            for engine, functions in enumerate((mine, other)):
                if name in functions:
                    found = microseconds(functions[name])
                    best[name, engine] = min(found, best.get((name, engine), found))
    say(f"microseconds, 4 × 4, one thread; {describe()}; Python {sys.version.split()[0]}")
    say(f"{'':26}{'minigrad':>10}{'PyTorch':>10}{'ratio':>8}")
    for name in mine:
        m, p = best[name, 0], best.get((name, 1))
        say(f"{name:26}{m:10.2f}" + (f"{p:10.2f}{m / p:8.2f}" if p else ""))
    step = vae_step()
    say(f"a step of the VAE, batch 1: {min(microseconds(step, 50) for _ in range(ROUNDS)):.0f} µs")


if __name__ == "__main__":
    script(main)
