"""Time training steps beside other work: a process that takes a core, or a second training.

    python -m benchmarks.neighbours          # about two minutes

Each line is measured by turns: alone, beside the busy process, the second training alone, and both
trainings at once. All have as many threads as they have by default.
"""

import os
import signal
import statistics
import subprocess
import sys
import time

from benchmarks import machine
from benchmarks.turns import NOISE, ask, start
from minigrad.console import Parser, say, script

MODULES = {"VAE": ("benchmarks.vae_step", 100), "GAN": ("benchmarks.gan_step", 12)}


def at_once(peers, steps):
    """Let the peers do so many steps each; return the seconds until all are done, and of each."""
    since = time.perf_counter()
    answers = ask(peers, steps)
    return time.perf_counter() - since, [seconds for times, _ in answers for seconds in times]


def measure(module, steps, rounds, busy):
    """Return the medians of a step, alone and beside `busy`, and how much longer two at once take
    than one after the other."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(NOISE)}
    one, other = (
        start([sys.executable, "-m", module, "--worker", "minigrad, eager"], clean) for _ in "ab"
    )
    alone, beside, ratios = [], [], []
    for _ in range(rounds):
        first, times = at_once([one], steps)
        alone += times
        busy.send_signal(signal.SIGCONT)
        beside += at_once([one], steps)[1]
        busy.send_signal(signal.SIGSTOP)
        second, _ = at_once([other], steps)
        together, _ = at_once([one, other], steps)
        ratios.append(together / (first + second))
    for peer in (one, other):
        peer.communicate()
    return [statistics.median(values) for values in (alone, beside, ratios)]


def main():
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=8, help="turns of each (%(default)s)")
    options = parser.parse_args()
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    busy.send_signal(signal.SIGSTOP)
    try:
        say(f"milliseconds a step, on {machine.describe()}:\n")
        say("              alone   beside a busy process   two at once / one after the other")
        for name, (module, steps) in MODULES.items():
            alone, beside, ratio = measure(module, steps, options.rounds, busy)
            milliseconds = f"{1e3 * alone:5.2f}{1e3 * beside:16.2f} (× {beside / alone:.2f})"
            say(f"{name:14s}{milliseconds}{ratio:23.2f}")
    finally:
        busy.kill()


if __name__ == "__main__":
    script(main)
