"""metrics.jsonl: a line for every so many iterations, with the means of what they logged."""

import json
import math
import os
import time
from typing import Any

import numpy as np

from minigrad.training.checkpoint import replacing
from minigrad.training.folder import Abort


class Metrics:
    """The lines of a run, in memory and in its file, and what was logged since the last one.

    Lines after `iteration`, where the run goes on, and a torn last one, are made again. Raises
    Abort if another line is damaged.
    """

    def __init__(self, path, iteration):
        self.path, self.lines = path, _read(path, iteration)
        self._file: Any = None  # open while the loop runs
        self.recent: dict[str, list[float]] = {}
        self.began = time.monotonic() - (self.lines[-1]["seconds"] if self.lines else 0)

    @property
    def seconds(self) -> float:
        """Since the run began, rounded to a millisecond; pauses before a resume do not count."""
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
                    "a smaller --lr"
                )
            self.recent.setdefault(name, []).append(number)

    def record(self, iteration) -> dict[str, float]:
        """Write a line of the means since the last one. Returns these."""
        means = {name: float(np.mean(numbers)) for name, numbers in self.recent.items()}
        self.recent.clear()
        line = {"iteration": int(iteration), **means, "seconds": self.seconds}
        self.lines.append(line)
        self._file.write(json.dumps(line) + "\n")
        return means

    def __enter__(self):
        """The file holds the lines that count, and can be appended to."""
        with replacing(self.path) as temporary:
            lines = "".join(json.dumps(line) + "\n" for line in self.lines)
            temporary.write_text(lines, encoding="utf-8")
        self._file = open(self.path, "a", buffering=1, encoding="utf-8")
        return self

    def __exit__(self, *_):
        self._file.close()
        self._file = None

    def sync(self):
        """Have the lines on the disk."""
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
