"""Time one training step of the GAN's convolutional pair, batch 64, in minigrad and PyTorch.

    python -m benchmarks.gan_step          # about three minutes; needs PyTorch

A step is drawing the batch, both forwards of G, both losses, both backward passes and both Adams.
PyTorch computes no gradient for G in D's half and, with D frozen, none for D in G's half.
"""

from functools import partial

import numpy as np

from benchmarks import turns
from minigrad.console import script

# Multiply-adds for each image in a forward pass: places × kernel × channels, or in × out.
G_LAYERS = [64 * 512, 512 * 3136, 196 * 9 * 16 * 32, 784 * 9 * 8]
D_LAYERS = [196 * 16 * 32, 49 * 16 * 32 * 64, 3136 * 512, 512]


def flop(layers, weights, inputs):
    """Count the FLOP of a forward over 64 images, and of the gradients of weights or inputs."""
    return 2 * 64 * sum(layers) * (1 + weights + inputs)


# D's half has G's forward, and twice D's forward with both gradients, but not that of the images.
# G's half has both forwards, D's gradients of inputs, and both of G's, but not that of the latents.
FLOP = (
    flop(G_LAYERS, 0, 0) + 2 * (flop(D_LAYERS, 1, 1) - flop(D_LAYERS[:1], 0, 0))
    + flop(D_LAYERS, 0, 1) + flop(G_LAYERS, 1, 1) - flop(G_LAYERS[:1], 0, 0)
)  # fmt: skip
ADAM_BYTES = 7 * 4 * (1_654_121 + 1_640_033)
BETAS = (0.5, 0.999)


def images():
    """Return random pixels in place of Fashion-MNIST."""
    return np.random.RandomState(0).randint(0, 256, (60_000, 28, 28)).astype(np.uint8)


def minigrad_step():
    """Return minigrad's training step."""
    from minigrad.training import Batches
    from models import gan
    from train_gan import make_networks, make_step

    data, batches = images(), Batches(60_000, 64, drop_last=True)
    train = make_step("nonsaturating", *make_networks("conv", lr=1e-3))

    def step():
        losses = train(gan.scaled(data[next(batches)]))
        return {name: loss.item() for name, loss in losses.items()}

    return step


def pytorch_step(fused):
    """Return PyTorch's training step. fused: whether Adam is fused"""
    import torch

    from benchmarks.pytorch_gan import train_step
    from models import gan

    data = torch.from_numpy(images())
    g, d = (network(torch.nn) for network in gan.NETWORKS["conv"])
    adam_g, adam_d = (
        torch.optim.Adam(n.parameters(), lr=1e-3, betas=BETAS, fused=fused or None) for n in (g, d)
    )

    def batches():
        while True:
            yield from torch.randperm(60_000)[: 937 * 64].split(64)

    rows = batches()

    def step():
        x = data[next(rows)][:, None] / 127.5 - 1
        return train_step("nonsaturating", g, d, adam_g, adam_d, x)

    return step


PEERS = {
    "PyTorch eager": lambda: pytorch_step(fused=False),
    "PyTorch eager, fused Adam": lambda: pytorch_step(fused=True),
    "minigrad": minigrad_step,
}

if __name__ == "__main__":
    main = partial(
        turns.main,
        "benchmarks.gan_step", "GAN training step, convolutional pair, batch 64", PEERS,
        "PyTorch eager", FLOP, ADAM_BYTES, steps=30, rounds=8,
    )  # fmt: skip
    script(main)
