"""What a value looks like, in HTML: numbers where there are few, or a picture, or a histogram.

Large values are thinned, so that a page stays small. Numbers are text, as minigrad computed them:
float32 as its shortest decimal, with NaN and infinities.
"""

import base64
import io
import math
import re
from html import escape
from importlib.resources import files
from string import Formatter

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.image import imsave

from minigrad.core.show import kind
from minigrad.training.report import grid

FEW = 64  # so many numbers are shown as numbers
SIDE = 48  # a heat map has so many rows and columns at most
PIXELS = 8192  # and tiles have so many pixels together
NAN, SIGNS = "#ff00c8", [(0, "#1f62b0ff"), (0.5, "#1f62b000"), (0.5, "#c2410c00"), (1, "#c2410cff")]
SIGNED = LinearSegmentedColormap.from_list("signed", SIGNS).with_extremes(bad=NAN)
INK = LinearSegmentedColormap.from_list("ink", ["#22262b00", "#22262b"]).with_extremes(bad=NAN)

WEB = {file.name: file.read_text("utf-8") for file in (files(__package__) / "web").iterdir()}
PARTS = dict(re.findall(r'<template id="(\w+)">\n(.*?)\n</template>', WEB["parts.html"], re.DOTALL))
PARTS["page"] = WEB["page.html"]


class Markup(str):
    """Markup is text that is HTML already."""


class _Filler(Formatter):
    def format_field(self, value, spec):
        looks = {"kind": kind, "word": word, "small": small, "figure": figure, "text": text}
        if spec in PARTS:
            return "".join(fill(spec, it=x) for x in value)
        value = looks[spec](value) if spec and value is not None else value
        return value if isinstance(value, Markup) else escape(str(value))


def fill(part, **values) -> Markup:
    """Return a part of web/parts.html with values for its {names}. All text is escaped.

    {x:word}, {x:small} and {x:figure} are how an array looks; {xs:row}, for each of xs, the part
    called row, in which it is called `it`.

    >>> fill("stat", it=("max", "<1"))
    '<div><dt>max</dt><dd>&lt;1</dd></div>'
    """
    return Markup(_Filler().format(PARTS[part], **values))


def figure(array) -> Markup:
    """Return all that is shown of an array: picture, numbers where they are few, statistics."""
    image, note = picture(array) if array.size > 1 else ("", "" if array.size else "empty")
    few = array.size == 1 or (array.ndim <= 2 and 0 < array.size <= FEW)
    rows = array.reshape(-1, array.shape[-1] if array.ndim else 1) if few else []
    stats = statistics(array) if array.size > 1 else {}
    return fill("array", array=array, image=image, rows=rows, note=note, stats=stats.items())


def statistics(array) -> dict[str, str]:
    """Return the least of all numbers, their mean and so on; complex ones count by their size."""
    values = np.abs(array) if array.dtype.kind == "c" else array
    some, found = values[~np.isnan(values)], {}
    if some.size:
        with np.errstate(invalid="ignore", over="ignore"):  # ∞ − ∞
            mean = np.mean(some, dtype=np.float64)
        found = {"min": text(some.min()), "mean": f"{mean:.6g}", "max": text(some.max())}
    zeros = f"{100 * np.mean(values == 0):.3g} %"
    return found | {"zeros": zeros, "NaN": str(values.size - some.size)}


def picture(array) -> tuple[Markup, str]:
    """Return a picture of two or more numbers, and what they are, and what was left out.

    Below 0 is blue, and above it orange; numbers of one sign are as dark as they are far from 0;
    NaN is magenta.
    """
    values = np.asarray(np.abs(array) if array.dtype.kind == "c" else array, np.float64)
    finite = np.clip(values[np.isfinite(values)], -1e300, 1e300)
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    images, note = np.array(np.clip(values, low, high), ndmin=2), ""
    if array.ndim == 4 or (array.ndim <= 2 and array.shape[-1] == 784):
        images, note = tiles(images)
    elif array.ndim == 2 or (array.ndim < 2 and array.size <= FEW):
        down, across = (math.ceil(n / SIDE) for n in images.shape)
        images = images[::down, ::across]
        note = f"1 of {down} rows, 1 of {across} columns" * (images.size < array.size)
    else:
        counts = np.histogram((finite - low) / ((high - low) or 1), 32, (0, 1))[0]
        images = np.where(np.arange(32)[::-1, None] < 32 * counts / (counts.max() or 1), 1.0, 0.0)
        low, high, note = 0, 1, f"histogram of {array.size} numbers"
    colours = SIGNED if low < 0 < high else INK if high > 0 else INK.reversed()
    if low < 0 < high:
        low, high = -max(-low, high), max(-low, high)
    elif low == high:  # all are the same, and half as dark as could be
        low, high = min(0, 2 * low), max(0, 2 * high)
    images = images.reshape(-1, *images.shape[-2:])
    n, height, width = images.shape
    sheet = grid(images, min(n, math.ceil(math.sqrt(1.5 * n * height / width))), padding=1)
    file = io.BytesIO()
    imsave(file, sheet[1:-1, 1:-1], vmin=low, vmax=high, cmap=colours, format="png")
    png = base64.b64encode(file.getvalue()).decode()
    return fill("image", png=png, array=array), note


def tiles(array):
    """Return images, and what they are: rows of 784 pixels, or channels of the first image."""
    images, what = array[0], "channels of the first image"
    if array.ndim == 2:
        images, what = array.reshape(-1, 28, 28), "rows as 28 × 28 pixels"
    elif array.shape[1] == 1:
        images, what = array[:, 0], "images"
    height, width = (math.ceil(n / 28) for n in images.shape[1:])
    images = images[:, ::height, ::width]
    shown = images[: min(64, max(1, PIXELS // images[0].size))]
    return shown, f"{len(shown)} of {len(images)} {what}"


def small(array) -> str:
    """Return how an array looks on a node: as a picture, or as its number."""
    return picture(array)[0] if array.size > 1 else word(array)


def word(array) -> str:
    """Return an array of one number as the number, and any other as its dtype and shape."""
    return text(array.flat[0]) if array.size == 1 else kind(array)


def text(number) -> str:
    """Return a number as its shortest decimal.

    >>> text(np.float32(0.1)), text(np.float64(-np.inf)), text(np.float32(3))
    ('0.1', '-inf', '3')
    """
    return str(number).removesuffix(".0")
