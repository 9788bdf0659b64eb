"""Time peers fairly on one machine, by turns, each in a process of its own.

Two engines in one process share its thread pools and slow each other down, and between two runs in
sequence the machine's load may change. So each peer is a process that lives through the whole
benchmark, works in its turns, and waits while the others work. The report has each peer's median
over all steps. A ratio is a median, too: in each round the turns' medians are divided, so that a
machine which is slower for some rounds, because others use it, is slower for both.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from shutil import which
from typing import Any

from minigrad.console import Parser, say, warn
from minigrad.training import figure, peak_memory

OURS = "minigrad, compiled"
PAUSE = 0.05  # seconds, until the previous peer's threads are asleep

# A benchmark starts without environment variables of these prefixes, which set thread pools.
NOISE = ("OPENBLAS", "OMP_", "MKL_", "NUMBA_", "GOTO_", "KMP_", "VECLIB_", "BLIS_", "MINIGRAD_")


def main(module, title, peers, reference, flop, adam_bytes, *, steps, rounds, others=None):
    """Run the command line of a benchmark.

    peers: {name: a function that returns a training step}
    others: {name: the command of a peer that has a program of its own, and may be missing}
    flop, adam_bytes: the least that a step must compute, and that Adam must read and write
    """
    parser = Parser(description=title)
    parser.add_argument("--worker", choices=peers, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=rounds, help="turns each (%(default)s)")
    parser.add_argument("--steps", type=int, default=steps, help="steps a turn (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    options = parser.parse_args()
    if options.worker:
        return work(peers[options.worker]())

    from benchmarks import machine

    commands = {name: [sys.executable, "-m", module, "--worker", name] for name in peers}
    commands |= {name: command for name, command in (others or {}).items() if which(command[0])}
    turns, memory = take_turns(commands, (reference, OURS), options.steps, options.rounds)
    times = {name: list(itertools.chain(*steps)) for name, steps in turns.items()}
    peak, bandwidth = machine.flops(), machine.bandwidth(adam_bytes)
    floors = {
        f"floor: {flop / 1e6:.1f} MFLOP at {peak / 1e9:.0f} GFLOP/s": flop / peak,
        f"floor: Adam's {adam_bytes / 1e6:.1f} MB at {bandwidth / 1e9:.0f} GB/s": (
            adam_bytes / bandwidth
        ),
    }
    say(f"{title}, on {machine.describe()}:\n")
    print_table(table(turns, memory, floors, reference), reference)
    options.out.mkdir(parents=True, exist_ok=True)
    name = module.rpartition(".")[2]
    result = {"machine": machine.describe(), "seconds": times, "megabytes": memory}
    content = json.dumps(result | {"floors": floors})
    (options.out / f"{name}.json").write_text(content, encoding="utf-8")
    picture(times, floors, options.out / f"{name}.png")


def work(step, warmup=20):
    """For each line n on standard input, time n steps, in a peer's process."""
    for _ in range(warmup):
        step()
    answer(lambda n: [seconds(step) for _ in range(n)])


def seconds(function):
    """Return how long a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def answer(measure):
    """For each line n on standard input, print measure(n) and the peak memory of the process."""
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps([measure(int(line)), peak_memory()]), flush=True)


def start(command, environment) -> Any:
    """Return a peer's process once it is ready, or None if it does not start."""
    peer: Any = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    if peer.stdout.readline().strip() == "ready":
        return peer
    peer.kill()
    peer.communicate()
    return None


def ask(peers, steps):
    """Let the peers do so many steps each, at once, and return what each answers."""
    for peer in peers:
        peer.stdin.write(f"{steps}\n")
        peer.stdin.flush()
    return [json.loads(peer.stdout.readline()) for peer in peers]


def take_turns(commands, needed, steps, rounds, threads=None):
    """Return {name: [what each turn measured]} and {name: megabytes of peak memory} of the peers.

    A peer that cannot start is left out, unless its name is among those `needed`.
    """
    clean = {k: v for k, v in os.environ.items() if not k.startswith(NOISE)}
    if threads is not None:
        for pool in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
            clean[f"{pool}_NUM_THREADS"] = str(threads)
    peers: dict[str, Any] = {}
    for name, command in commands.items():
        if peer := start(command, clean):
            peers[name] = peer
        else:
            warn(f"{name} did not start and is left out")
    for name in needed:
        if name not in peers:
            sys.exit(f"{name} is needed, and did not start; `make bench` installs PyTorch")
    turns: dict[str, list[Any]] = {name: [] for name in peers}
    memory: dict[str, int] = {}
    for _ in range(rounds):
        for name, peer in peers.items():
            time.sleep(PAUSE)
            ((measured, memory[name]),) = ask([peer], steps)
            turns[name].append(measured)
    for peer in peers.values():
        peer.communicate()
    return turns, memory


def ratio(turns, one, other):
    """Return what part of another peer's time one takes: the median of the rounds."""
    rounds = zip(turns[one], turns[other], strict=True)
    return statistics.median(statistics.median(a) / statistics.median(b) for a, b in rounds)


def table(turns, memory, floors, reference):
    """Return rows: name, median and quartiles in ms, ratio to the reference, ours to it, MB."""
    rows = []
    for name, measured in turns.items():
        low, middle, high = (1e3 * t for t in statistics.quantiles(itertools.chain(*measured), n=4))
        ratios = ratio(turns, name, reference), ratio(turns, OURS, name)
        rows.append((name, middle, f"{low:.2f} … {high:.2f}", *ratios, memory[name]))
    medians = {name: middle for name, middle, *_ in rows}
    for name, floor in floors.items():
        milliseconds = 1e3 * floor
        ratios = milliseconds / medians[reference], medians[OURS] / milliseconds
        rows.append((name, milliseconds, "", *ratios, ""))
    return rows


def print_table(rows, reference):
    """Print the rows as a table in Markdown."""
    say(f"| | median, ms | quartiles, ms | ratio to {reference} | {OURS}, to it | memory, MB |")
    say("|---|---|---|---|---|---|")
    for name, median, quartiles, part, ours, megabytes in rows:
        say(f"| {name} | {median:.2f} | {quartiles} | {part:.2f} | {ours:.2f} | {megabytes} |")


def picture(times, floors, path):
    """Draw all steps of each peer as a box, in milliseconds, and the floors as lines."""
    with figure(path, (7, 0.6 * len(times) + 1.2)) as axes:
        boxes = [[1e3 * t for t in values] for values in times.values()]
        axes.boxplot(boxes, orientation="horizontal", tick_labels=list(times), showfliers=False)
        for name, floor in floors.items():
            axes.axvline(1e3 * floor, linestyle=":", color="gray")
            axes.text(1e3 * floor, 0.55, f" {name}", fontsize=6, rotation=90, va="bottom")
        axes.set(xlabel="ms", xlim=(0, None))
