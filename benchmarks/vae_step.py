"""One training step of the VAE, batch 100: minigrad beside PyTorch.

    python -m benchmarks.vae_step          # about a minute; needs PyTorch

A step is all of it: drawing the batch, binarising, forward, backward, Adam.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from benchmarks import turns

# Multiply-adds of the layers, twice 100 images: forward, weight gradients, and the input gradients
# of all layers but the first. Bytes: Adam reads p, g, m, v and writes p, m, v.
LAYERS = [(784, 300), (300, 300), (300, 20), (10, 300), (300, 300), (300, 784)]
FLOP = 2 * 100 * (3 * sum(i * o for i, o in LAYERS) - 784 * 300)
ADAM_BYTES = 7 * 4 * sum(i * o + o for i, o in LAYERS)


def images():
    return np.random.RandomState(0).randint(0, 256, (60_000, 784)).astype(np.uint8)


def minigrad_step():
    from minigrad import Tensor, optim, random
    from minigrad.batches import Batches
    from models.vae import VAE

    data, vae = images(), VAE()
    adam, batches = optim.Adam(vae.parameters(), lr=1e-3), Batches(60_000, 100)

    def step():
        x = Tensor(random.bernoulli(data[next(batches)] / np.float32(255)))
        nelbo, kl, rec = vae.negative_elbo_bound(x)
        adam.zero_grad()
        nelbo.backward()
        adam.step()
        return nelbo.item(), kl.item(), rec.item()

    return step


def pytorch_step(fused, compiled):
    import torch
    import torch.nn.functional as F
    from torch import nn

    data = torch.from_numpy(images())
    encoder = nn.Sequential(
        nn.Linear(784, 300), nn.ELU(), nn.Linear(300, 300), nn.ELU(), nn.Linear(300, 20)
    )
    decoder = nn.Sequential(
        nn.Linear(10, 300), nn.ELU(), nn.Linear(300, 300), nn.ELU(), nn.Linear(300, 784)
    )
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
            yield from torch.randperm(60_000).split(100)

    rows = batches()

    def step():
        x = torch.bernoulli(data[next(rows)] / 255)
        nelbo, kl, rec = bounds(x)
        adam.zero_grad()
        nelbo.backward()
        adam.step()
        return nelbo.item(), kl.item(), rec.item()

    return step


PEERS = {
    "PyTorch eager": lambda: pytorch_step(fused=False, compiled=False),
    "PyTorch eager, fused Adam": lambda: pytorch_step(fused=True, compiled=False),
    "PyTorch compiled, fused Adam": lambda: pytorch_step(fused=True, compiled=True),
    "minigrad": minigrad_step,
}
REFERENCE = "PyTorch eager"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=8, help="turns each (%(default)s)")
    parser.add_argument("--steps", type=int, default=150, help="steps a turn (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    options = parser.parse_args()
    if options.worker:
        return turns.work(PEERS[options.worker]())

    from benchmarks import machine

    commands = {n: [sys.executable, "-m", "benchmarks.vae_step", "--worker", n] for n in PEERS}
    times = turns.take_turns(commands, REFERENCE, options.steps, options.rounds)
    peak, bandwidth = machine.flops(), machine.bandwidth()
    floors = {
        f"floor: {FLOP / 1e6:.1f} MFLOP at {peak / 1e9:.0f} GFLOP/s": FLOP / peak,
        f"floor: Adam's {ADAM_BYTES / 1e6:.1f} MB at {bandwidth / 1e9:.0f} GB/s": (
            ADAM_BYTES / bandwidth
        ),
    }
    rows = turns.table(times, floors, REFERENCE)
    print(f"VAE training step, batch 100, on {machine.describe()}:\n")
    turns.print_table(rows, REFERENCE)
    options.out.mkdir(parents=True, exist_ok=True)
    result = {"machine": machine.describe(), "seconds": times, "floors": floors}
    (options.out / "vae_step.json").write_text(json.dumps(result))
    turns.picture(times, floors, options.out / "vae_step.png")


if __name__ == "__main__":
    main()
