"""Time a step of the VAE, compiled, beside PyTorch, from one image and 32 units to thousands.

python -m benchmarks.sizes          # some minutes; needs PyTorch
"""

import argparse
import itertools
import statistics
import sys

from benchmarks import machine, turns, vae_step
from minigrad.console import Parser, say, script

SIZES = [
    (1, 300),
    (10, 300),
    (100, 32),
    (100, 64),
    (100, 128),
    (100, 300),
    (100, 4096),
    (10_000, 300),
]
WORK = 100 * (784 + 300)  # that a turn of 50 steps has in the usual size; larger sizes take fewer

PEERS = {
    "PyTorch eager, fused Adam": lambda *size: vae_step.pytorch_step(True, False, *size),
    "minigrad, compiled": lambda *size: vae_step.minigrad_step(True, *size),
}


def main():
    """Run the command line."""
    parser = Parser(description="A step of the VAE at several batch sizes and widths")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=20, help="turns each (%(default)s)")
    options = parser.parse_args()
    if options.worker:
        name, *size = options.worker
        return turns.work(PEERS[name](*map(int, size)), warmup=5)
    theirs, ours = PEERS
    say(f"VAE training step on {machine.describe()}; median ms, and the ratio:\n")
    say(f"{'batch':>8} {'width':>6} {theirs:>28} {ours:>20} {'ratio':>6}")
    for batch, width in SIZES:
        command = [sys.executable, "-m", "benchmarks.sizes", "--worker"]
        commands = {name: [*command, name, str(batch), str(width)] for name in PEERS}
        steps = max(3, min(50, 50 * WORK // (batch * (784 + width) * max(1, width // 300))))
        found, _ = turns.take_turns(commands, PEERS, steps, options.rounds)
        one, other = (
            1e3 * statistics.median(itertools.chain(*found[name])) for name in (theirs, ours)
        )
        ratio = turns.ratio(found, ours, theirs)
        say(f"{batch:8} {width:6} {one:28.2f} {other:20.2f} {ratio:6.2f}")


if __name__ == "__main__":
    script(main)
