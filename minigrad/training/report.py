"""Runs are shown as pictures, as curves, and as tables over several runs."""

import functools
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import numpy as np

from minigrad.console import say, warn
from minigrad.training.checkpoint import replacing

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


F = TypeVar("F", bound=Callable)


def picture(draw: F) -> F:
    """Decorate a function that draws to a path: if it fails, a line on standard error says so.

    No training should be lost because its picture can't be drawn.
    """

    @functools.wraps(draw)
    def drawn(path, *arguments, **settings):
        try:
            draw(path, *arguments, **settings)
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            warn(f"{path} was not drawn: {reason}")

    return drawn  # type: ignore[return-value]


@picture
def save_grid(path, images, columns) -> None:
    """Save images (N, H, W), from 0 to 1, as a PNG of 8 bits, row by row, 2 pixels apart."""
    from PIL import Image  # imported only when something is drawn

    pixels = np.round(255 * grid(images, columns)).astype(np.uint8)
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")


def grid(images, columns, padding=2) -> np.ndarray:
    """Join images (N, H, W) into one image (rows, columns), with black padding around each."""
    n, height, width = images.shape
    rows = -(-n // columns)
    cells = np.zeros((rows * columns, height + padding, width + padding), images.dtype)
    cells[:n, padding:, padding:] = images
    cells = cells.reshape(rows, columns, height + padding, width + padding)
    image = cells.transpose(0, 2, 1, 3).reshape(rows * cells.shape[2], columns * cells.shape[3])
    return np.pad(image, ((0, padding), (0, padding)))


@picture
def save_animation(path, pictures, milliseconds=200) -> None:
    """Save a GIF that shows the files `pictures` one after another, again and again."""
    from PIL import Image

    with ExitStack() as opened:
        frames = [opened.enter_context(Image.open(picture)) for picture in pictures]
        if frames:
            with replacing(path) as temporary:
                first, *others = frames
                first.save(temporary, format="GIF", save_all=True, append_images=others, loop=0,
                           duration=milliseconds)  # fmt: skip


@picture
def save_curves(path, metrics, curves, ylabel="nats") -> None:
    """Save a PNG with a curve for each {label: key}: metrics[key] against the iteration."""
    with figure(path, (7, 4)) as axes:
        for label, key in curves.items():
            points = [(line["iteration"], line[key]) for line in metrics if key in line]
            axes.plot(*zip(*points, strict=True), label=label, linewidth=1)
        axes.set(xlabel="iteration", ylabel=ylabel)
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)


@picture
def save_scatter(path, points, labels) -> None:
    """Save a PNG of points (N, 2), coloured by their labels (N,) from 0 to 9."""
    with figure(path, (6, 5)) as axes:
        x, y = points.T
        drawn = axes.scatter(x, y, c=labels, cmap="tab10", s=2, vmin=-0.5, vmax=9.5)
        axes.figure.colorbar(drawn, ticks=range(10))
        axes.set(xlabel="z₁", ylabel="z₂", aspect="equal")


_drawing = threading.RLock()  # all threads share matplotlib's settings


@contextmanager
def figure(path, size) -> Iterator[Any]:
    """Yield axes to draw on, and save the figure at the end of the block.

    The figure looks the same whatever a notebook, a matplotlibrc or MPLBACKEND asks for, and
    afterwards their settings are as they were before.
    """
    with _drawing:
        matplotlib, canvas_of, figure_of = _matplotlib()
        defaults = dict(matplotlib.rcParamsDefault)
        del defaults["backend"]  # the one setting that rc_context does not restore
        with matplotlib.rc_context(defaults):
            figure = figure_of(figsize=size, layout="constrained")
            canvas = canvas_of(figure)  # draws to files, without a screen
            yield figure.subplots()
            with replacing(path) as temporary:
                canvas.print_figure(temporary, dpi=150, format="png")


def _matplotlib():
    """Import matplotlib, and return the module and the classes that draw.

    It is imported with the user's settings, which the rest of a notebook may want, or without them
    if they can't be read. The environment is the same afterwards.
    """
    names = ("MATPLOTLIBRC", "MPLBACKEND", "MPLCONFIGDIR")  # matplotlib sets the last one
    before, loaded = {name: os.environ.get(name) for name in names}, set(sys.modules)
    try:
        try:
            return _import_matplotlib()
        except ModuleNotFoundError:
            raise
        except Exception:
            for name in set(sys.modules) - loaded:  # a half-imported module can't be imported again
                if name.partition(".")[0] == "matplotlib":
                    del sys.modules[name]
            os.environ |= {"MATPLOTLIBRC": os.devnull, "MPLBACKEND": "agg"}
            return _import_matplotlib()
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ |= {name: value} if value is not None else {}


def _import_matplotlib():
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    return matplotlib, FigureCanvasAgg, Figure


def summarise(results) -> dict[str, dict[str, dict]]:
    """Turn runs' {what: {name: value}} into {what: {name: {"mean": …, "standard_error": …}}}.

    The standard error of the mean is s / √n, where s² divides by n − 1; for one run it is None.
    """

    def summary(values):
        n = len(values)
        error = float(np.std(values, ddof=1) / math.sqrt(n)) if n > 1 else None
        return {"mean": float(np.mean(values)), "standard_error": error}

    return {
        what: {name: summary([result[what][name] for result in results]) for name in row}
        for what, row in results[0].items()
    }


LABELS = {"nelbo": "NELBO", "kl": "KL"}  # other names are printed as they are


def print_table(table, unit) -> None:
    """Print what `summarise` returns, a line for each thing measured. unit: the numbers' unit"""

    def cell(value):
        error = value["standard_error"]
        return f"{value['mean']:.2f}" + (f" ± {error:.2f}" if error is not None else "")

    names = next(iter(table.values()))
    say(f"{unit:18}" + "".join(f"{LABELS.get(name, name):>16}" for name in names))
    for what, row in table.items():
        say(f"{what:18}" + "".join(f"{cell(value):>16}" for value in row.values()))


def peak_memory() -> int | None:
    """Return the peak memory of this process so far, in megabytes; None on Windows."""
    if resource is None:
        return None
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kilobytes / (1024 if sys.platform != "darwin" else 1024**2))
