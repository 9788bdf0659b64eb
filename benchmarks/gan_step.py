"""Time one training step of the GAN, batch 64, in minigrad and PyTorch.

    python -m benchmarks.gan_step          # the convolutional pair: about four minutes
    python -m benchmarks.gan_mlp_step      # the pair of perceptrons

A step is drawing the batch, both forwards of G, both losses, both backward passes and both Adams.
PyTorch computes no gradient for G in D's half and, with D frozen, none for D in G's half.
"""

from functools import partial

import numpy as np

from benchmarks import turns
from minigrad.console import script

# Multiply-adds for each image in a forward pass: places × kernel × channels, or in × out.
LAYERS = {  # of G and of D
    "conv": (
        [64 * 512, 512 * 3136, 196 * 9 * 16 * 32, 784 * 9 * 8],
        [196 * 16 * 32, 49 * 16 * 32 * 64, 3136 * 512, 512],
    ),
    "mlp": ([64 * 256, 256 * 512, 512 * 784], [784 * 512, 512 * 256, 256]),
}
PARAMETERS = {"conv": 1_654_121 + 1_640_033, "mlp": 551_952 + 533_505}


def flop(layers, weights, inputs):
    """Count the FLOP of a forward over 64 images, and of the gradients of weights or inputs."""
    return 2 * 64 * sum(layers) * (1 + weights + inputs)


def step_flop(g, d):
    """Count those of a step, from the layers of G and D.

    D's half has G's forward, and twice D's forward with both gradients, but not that of the images.
    G's half has both forwards, D's gradients of inputs, and both of G's, but not that of z.
    """
    first = flop(g, 0, 0) + 2 * (flop(d, 1, 1) - flop(d[:1], 0, 0))
    return first + flop(d, 0, 1) + flop(g, 1, 1) - flop(g[:1], 0, 0)


BETAS = (0.5, 0.999)


def images():
    """Return random pixels in place of Fashion-MNIST."""
    return np.random.RandomState(0).randint(0, 256, (60_000, 28, 28)).astype(np.uint8)


def minigrad_step(arch, compiled=False):
    """Return minigrad's training step."""
    from minigrad import compile
    from minigrad.training import Batches
    from train_gan import make_networks, make_step

    data, batches = images(), Batches(60_000, 64, drop_last=True)
    train = make_step("nonsaturating", *make_networks(arch, lr=1e-3))
    train = compile(train) if compiled else train

    def step():
        losses = train(data.take(next(batches), axis=0))
        return {name: loss.item() for name, loss in losses.items()}

    return step


def pytorch_step(arch, fused, compiled):
    """Return PyTorch's training step, with a fused Adam and compiled networks, or without."""
    import torch

    from benchmarks.pytorch_gan import train_step
    from models import gan

    data = torch.from_numpy(images())
    g, d = (network(torch.nn) for network in gan.NETWORKS[arch])
    adam_g, adam_d = (
        torch.optim.Adam(n.parameters(), lr=1e-3, betas=BETAS, fused=fused or None) for n in (g, d)
    )

    if compiled:
        g, d = torch.compile(g), torch.compile(d)

    def batches():
        while True:
            yield from torch.randperm(60_000)[: 937 * 64].split(64)

    rows = batches()

    def step():
        x = data[next(rows)][:, None] / 127.5 - 1
        return train_step("nonsaturating", g, d, adam_g, adam_d, x)

    return step


def peers(arch):
    """Return {name: a function that makes the step}."""
    return {
        "PyTorch eager": lambda: pytorch_step(arch, fused=False, compiled=False),
        "PyTorch eager, fused Adam": lambda: pytorch_step(arch, fused=True, compiled=False),
        "PyTorch compiled, fused Adam": lambda: pytorch_step(arch, fused=True, compiled=True),
        "minigrad, eager": lambda: minigrad_step(arch),
        "minigrad, compiled": lambda: minigrad_step(arch, compiled=True),
    }


def main(module, title, arch, steps):
    """Run the command line of a benchmark."""
    turns.main(
        module, title, peers(arch), "PyTorch eager", step_flop(*LAYERS[arch]),
        7 * 4 * PARAMETERS[arch], steps=steps, rounds=32,
    )  # fmt: skip


if __name__ == "__main__":
    title = "GAN training step, convolutional pair, batch 64"
    script(partial(main, "benchmarks.gan_step", title, "conv", steps=8))
