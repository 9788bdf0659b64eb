"""Time one training step of the GAN's perceptrons, batch 64: see gan_step.py."""

from functools import partial

from benchmarks.gan_step import main
from minigrad.console import script

if __name__ == "__main__":
    title = "GAN training step, pair of perceptrons, batch 64"
    script(partial(main, "benchmarks.gan_mlp_step", title, "mlp", steps=25))
