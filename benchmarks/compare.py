"""Train the VAE in minigrad and in PyTorch over the same seeds, and put the numbers side by side.

    python -m benchmarks.compare --runs 5       # prints the table and writes docs/results.md

A summary.json that an earlier call left for the same settings is used again, so that a comparison
that was stopped goes on where it was.
"""

import importlib.metadata
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks import machine
from benchmarks.turns import NOISE
from minigrad import console
from minigrad.training import at_least
from minigrad.training.report import LABELS, summarise
from models.subset import SUBSET_PIXELS_ON

DOCS = Path(__file__).parent.parent / "docs"


def summary(command, folder, options, number):
    """Return the summary of one run, which is made now unless its summary is there."""
    path = options.out / f"{folder}-z{options.z}-run{number}" / "summary.json"
    settings = ["--z", options.z, "--iter_max", options.iter_max, "--run", number]
    done = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if (done.get("iterations"), done.get("seed")) != (options.iter_max, number):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(NOISE)}
        arguments = [*settings, "--train", 2, "--out", options.out]
        if options.data_dir:
            arguments += ["--data-dir", options.data_dir]
        subprocess.run([sys.executable, *command, *map(str, arguments)], check=True, env=clean)
        done = json.loads(path.read_text(encoding="utf-8"))
    return done


def compare(ours, theirs):
    """Yield a Markdown table: each number in both engines, and the difference, ± standard error."""
    yield "| nats | minigrad | PyTorch | difference |"
    yield "|---|---|---|---|"
    a, b = (summarise([s["results"] for s in summaries]) for summaries in (ours, theirs))
    for what, row in a.items():
        for name in row if "IWAE" not in what else ("nelbo",):
            x, y = row[name], b[what][name]
            error = math.hypot(x["standard_error"], y["standard_error"])
            cells = [f"{v['mean']:.2f} ± {v['standard_error']:.2f}" for v in (x, y)]
            difference = f"{x['mean'] - y['mean']:+.2f} ± {error:.2f}"
            label = "NIWAE" if "IWAE" in what else LABELS.get(name, name)
            yield f"| {what}: {label} | {cells[0]} | {cells[1]} | {difference} |"


def main():
    """Run the command line."""
    parser = console.Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=at_least(2), default=5)
    parser.add_argument("--z", type=at_least(1), default=10)
    parser.add_argument("--iter_max", type=at_least(1), default=20_000)
    parser.add_argument("--out", type=Path, default=Path("runs/compare"))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--page", type=Path, default=DOCS / "results.md")
    options = parser.parse_args()
    ours, theirs = [], []
    for number in range(options.runs):
        ours.append(summary(["train_vae.py"], "vae", options, number))
        theirs.append(summary(["-m", "benchmarks.pytorch_vae"], "pytorch-vae", options, number))
    table = "\n".join(compare(ours, theirs))
    seconds = [statistics.median(s["seconds"] for s in summaries) for summaries in (ours, theirs)]
    page = (DOCS / "results.template.md").read_text(encoding="utf-8").format(
        z=options.z, iterations=options.iter_max, runs=options.runs, table=table,
        seeds=f"0 … {options.runs - 1}", machine=machine.describe(),
        pytorch=importlib.metadata.version("torch"), pixels=SUBSET_PIXELS_ON,
        minigrad_seconds=f"{seconds[0]:.0f}", pytorch_seconds=f"{seconds[1]:.0f}",
        ratio=seconds[0] / seconds[1],
    )  # fmt: skip
    options.page.write_text(page, encoding="utf-8")
    console.say(page)


if __name__ == "__main__":
    console.script(main)
