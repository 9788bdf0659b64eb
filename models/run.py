"""What a training script does besides training: its options, its folder, its pictures."""

import argparse
import json
import math
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from minigrad.checkpoint import replacing
from minigrad.data import DataError


class Abort(Exception):
    """The run cannot go on. The message says why and what to do."""


class Parser(argparse.ArgumentParser):
    """Takes --iter_max and --iter-max alike."""

    def add_option(self, name, **settings):
        spellings = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
        self.add_argument(*spellings, dest=name, **settings)


def whole(low):
    """For argparse: a whole number, low or more."""

    def parse(text):
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number of {low} or more")
        return value

    return parse


def positive(text):
    """For argparse: a positive number, at most 1e30."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1e30:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of at most 1e30")
    return value


@contextmanager
def clean_exit():
    """Turns what a user can cause into one message and an exit code, without a traceback."""
    try:
        yield
    except (Abort, DataError) as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {where}{error.strerror}; make room or get rights there, or change --out")
    except MemoryError as error:
        sys.exit(f"error: out of memory; choose a smaller --z or --batch_size ({error})")
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)


class Run:
    """A run's folder, with metrics.jsonl in it. A run that stood there before is set aside."""

    def __init__(self, folder):
        self.folder = Path(folder)
        if self.folder.exists():
            copies = (self.folder.with_name(f"{self.folder.name}.{n}") for n in range(1, 10**6))
            aside = next(path for path in copies if not path.exists())
            self.folder.rename(aside)
            print(f"the earlier run in {self.folder} is now {aside}")
        self.folder.mkdir(parents=True)
        self.started = time.monotonic()
        self.metrics = []
        self._file = open(self.folder / "metrics.jsonl", "w", buffering=1)

    @property
    def seconds(self):
        """Since the run began, rounded to a millisecond."""
        return round(time.monotonic() - self.started, 3)

    def record(self, **values):
        """Append a line of metrics; numbers that are not finite end the run."""
        for name, value in values.items():
            if not math.isfinite(value):
                raise Abort(
                    f"{name} is {value} at iteration {values.get('iteration')}: the training has "
                    "diverged; try a smaller --lr"
                )
        values["seconds"] = self.seconds
        self.metrics.append(values)
        self._file.write(json.dumps(values) + "\n")

    def save_json(self, name, value):
        with replacing(self.folder / name) as temporary:
            temporary.write_text(json.dumps(value, indent=2) + "\n")

    def save_grid(self, name, images, columns):
        """A PNG of images (N, H, W) with values from 0 to 1, row by row, 2 pixels apart."""
        from matplotlib.image import imsave  # only now: importing it takes longer than a start

        with replacing(self.folder / name) as temporary:
            imsave(temporary, grid(images, columns), cmap="gray", vmin=0, vmax=1, format="png")

    def save_curves(self, name, curves, x="iteration", ylabel="nats"):
        """A PNG of {label: key}: the metrics' values under each key against those under x."""
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
        for label, key in curves.items():
            points = [(line[x], line[key]) for line in self.metrics if key in line]
            axes.plot(*zip(*points, strict=True), label=label, linewidth=1)
        axes.set(xlabel=x, ylabel=ylabel)
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
        with replacing(self.folder / name) as temporary:
            figure.savefig(temporary, dpi=150, format="png")
        plt.close(figure)


def grid(images, columns, padding=2):
    """One image (rows, columns) of many (N, H, W), with black padding around each."""
    n, height, width = images.shape
    rows = -(-n // columns)
    cells = np.zeros((rows * columns, height + padding, width + padding), images.dtype)
    cells[:n, padding:, padding:] = images
    cells = cells.reshape(rows, columns, height + padding, width + padding)
    image = cells.transpose(0, 2, 1, 3).reshape(rows * cells.shape[2], columns * cells.shape[3])
    return np.pad(image, ((0, padding), (0, padding)))
