"""Each line of metrics.jsonl has the means of what a number of iterations logged."""

import json
import math
import os
import time
from typing import Any

import numpy as np

from minigrad.training.checkpoint import replacing
from minigrad.training.folder import Abort


class Metrics:
    """Metrics has a run's lines, in memory and in its file, and what was logged since the last one.

    The run goes on after `iteration`. Later lines, and an incomplete last line, are dropped: they
    are written again. Raises Abort if another line is damaged.
    """

    def __init__(self, path, iteration):
        self.path, self.lines = path, _read(path, iteration)
        self._file: Any = None  # open while the loop runs
        self.recent: dict[str, list[float]] = {}
        self.began = time.monotonic() - (self.lines[-1]["seconds"] if self.lines else 0)

    @property
    def seconds(self) -> float:
        """m.seconds is the time that the run has taken, to a millisecond, without pauses."""
        return round(time.monotonic() - self.began, 3)

    def log(self, iteration, values):
        """Keep numbers for the next line. Raises Abort if one is not finite."""
        for name, value in values.items():
            if name in ("iteration", "seconds"):
                raise ValueError(f"log: every line has {name} already; choose another name")
            number = float(value)
            if not math.isfinite(number):
                raise Abort(
                    f"{name} is {number} at iteration {iteration}: the training has diverged; try "
                    "a smaller step size, --lr"
                )
            self.recent.setdefault(name, []).append(number)

    def record(self, iteration) -> dict[str, float]:
        """Write a line with the means since the last line. Returns these means."""
        means = {name: float(np.mean(numbers)) for name, numbers in self.recent.items()}
        self.recent.clear()
        line = {"iteration": int(iteration), **means, "seconds": self.seconds}
        self.lines.append(line)
        self._file.write(json.dumps(line) + "\n")
        return means

    def __enter__(self):
        """Rewrite the file with the lines that are kept, and open it for new ones."""
        with replacing(self.path) as temporary:
            lines = "".join(json.dumps(line) + "\n" for line in self.lines)
            temporary.write_text(lines, encoding="utf-8")
        self._file = open(self.path, "a", buffering=1, encoding="utf-8")
        return self

    def __exit__(self, *_):
        self._file.close()
        self._file = None

    def sync(self):
        """Wait until the lines are on the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())


def _read(path, iteration):
    text = path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
    lines = []
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            values = json.loads(line)
            if values["iteration"] <= iteration:
                lines.append(values | {"seconds": float(values["seconds"])})
        except (ValueError, KeyError, TypeError):
            raise Abort(
                f"--resume: line {number} of {path} is damaged; mend it, or remove that line"
            ) from None
    return lines
