"""Time one training step of the VAE, batch 100, in minigrad and PyTorch.

    python -m benchmarks.vae_step          # about a minute; needs PyTorch

A step is drawing the batch, binarising, the forward and backward passes, and Adam.
"""

from functools import partial

import numpy as np

from benchmarks import turns
from minigrad.console import script

# FLOP is twice the multiply-adds of 100 images: for the forward, the gradients of the weights, and
# those of the inputs of all layers but the first. Adam reads p, g, m, v and writes p, m, v.
LAYERS = [(784, 300), (300, 300), (300, 20), (10, 300), (300, 300), (300, 784)]
FLOP = 2 * 100 * (3 * sum(i * o for i, o in LAYERS) - 784 * 300)
ADAM_BYTES = 7 * 4 * sum(i * o + o for i, o in LAYERS)


def images():
    """Return random pixels in place of MNIST."""
    return np.random.RandomState(0).randint(0, 256, (60_000, 784)).astype(np.uint8)


def minigrad_step(compiled=False, batch=100, width=300):
    """Return minigrad's training step. width: of the hidden layers"""
    from minigrad import compile, optim
    from minigrad.training import Batches
    from models.vae import VAE
    from train_vae import make_step

    data, vae = images(), VAE(hidden=width)
    adam, batches = optim.Adam(vae.parameters(), lr=1e-3), Batches(60_000, batch)
    train = make_step(vae, adam)
    train = compile(train) if compiled else train

    def step():
        bounds = train(data.take(next(batches), axis=0))
        return {name: bound.item() for name, bound in bounds.items()}

    return step


def pytorch_step(fused, compiled=False, batch=100, width=300):
    """Return PyTorch's training step, with a fused Adam and compiled, or without."""
    import torch
    import torch.nn.functional as F

    from models.vae import perceptron

    data = torch.from_numpy(images())
    encoder = perceptron(784, width, width, 20, nn=torch.nn)
    decoder = perceptron(10, width, width, 784, nn=torch.nn)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    adam = torch.optim.Adam(parameters, lr=1e-3, fused=fused or None)

    def bounds(x):
        m, h = encoder(x).chunk(2, dim=1)
        v = F.softplus(h) + 1e-8
        logits = decoder(m + v.sqrt() * torch.randn_like(m))
        rec = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean()
        kl = 0.5 * (v - 1 - v.log() + m * m).sum(1).mean()
        return kl + rec, kl, rec

    bounds = torch.compile(bounds) if compiled else bounds

    def batches():
        while True:
            yield from torch.randperm(60_000).split(batch)

    rows = batches()

    def step():
        x = torch.bernoulli(data[next(rows)] / 255)
        nelbo, kl, rec = bounds(x)
        adam.zero_grad()
        nelbo.backward()
        adam.step()
        return nelbo.item(), kl.item(), rec.item()

    return step


JAX = "benchmarks/jax_vae.py"  # in an environment of its own, which `make bench-jax` sets up

PEERS = {
    "PyTorch eager": lambda: pytorch_step(fused=False, compiled=False),
    "PyTorch eager, fused Adam": lambda: pytorch_step(fused=True, compiled=False),
    "PyTorch compiled, fused Adam": lambda: pytorch_step(fused=True, compiled=True),
    "minigrad, eager": minigrad_step,
    "minigrad, compiled": lambda: minigrad_step(compiled=True),
}

if __name__ == "__main__":
    main = partial(
        turns.main,
        "benchmarks.vae_step", "VAE training step, batch 100", PEERS, "PyTorch eager", FLOP,
        ADAM_BYTES, steps=30, rounds=40, others={"JAX jit": [".venv-jax/bin/python", JAX]},
    )  # fmt: skip
    script(main)
