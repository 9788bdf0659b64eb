"""What a value looks like: numbers where there are few, otherwise pixels or a histogram.

Large values are thinned, so that a page stays small. Numbers are text, as minigrad computed them:
float32 as its shortest decimal, and NaN and infinities, for which JSON has no word.
"""

import base64
import math

import numpy as np

from minigrad.core.show import kind

FEW = 64  # so many numbers are shown as numbers
SIDE = 48  # a heat map has so many rows and columns at most
PIXELS = 8192  # and tiles have so many pixels together


def picture(array) -> dict:
    """Return what the page shows of an array, as values for JSON.

    word: the number, or dtype and shape. stats: of all numbers. rows: few numbers. pixels: bytes in
    a shape; 0 is NaN, and 1 … 255 go from low to high. note: what they are, and what was left out
    """
    if not array.size:
        return {"word": word(array), "number": False, "note": "empty", "stats": {}, "rows": []}
    values = np.asarray(np.abs(array) if array.dtype.kind == "c" else array, np.float64)
    some, finite = values[~np.isnan(values)], np.clip(values[np.isfinite(values)], -1e300, 1e300)
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    found = {"word": word(array), "number": array.size == 1, "low": low, "high": high, "note": ""}
    stats = {"zeros": f"{100 * np.mean(values == 0):.3g} %", "NaN": str(values.size - some.size)}
    if some.size:
        exact = float if array.dtype.kind == "c" else array.dtype.type
        with np.errstate(invalid="ignore", over="ignore"):  # ∞ − ∞
            mean = f"{some.mean():.6g}"
        ends = (text(exact(some.min())), text(exact(some.max())))
        stats = {"min": ends[0], "mean": mean, "max": ends[1], **stats}
    fractions = np.clip((np.clip(values, low, high) - low) / ((high - low) or 1), 0, 1)
    if array.size == 1 or (array.size <= FEW and array.ndim <= 2):
        shown = fractions.reshape(-1, array.shape[-1] if array.ndim else 1)
        found["rows"] = [[text(x) for x in row] for row in array.reshape(shown.shape)]
    elif array.ndim == 4 or (array.ndim <= 2 and array.shape[-1] == 784):
        shown, found["note"] = tiles(fractions)
    elif array.ndim == 2:
        down, across = (math.ceil(n / SIDE) for n in array.shape)
        shown = fractions[::down, ::across]
        found["note"] = f"1 of {down} rows, 1 of {across} columns" * (shown.size < array.size)
    else:
        counts = np.histogram(fractions[np.isfinite(values)], 32, (0, 1))[0]
        shown = 1.0 * (np.arange(32)[::-1, None] < 32 * counts / (counts.max() or 1))
        found |= {"low": 0, "high": 1, "note": f"histogram of {array.size} numbers"}
    codes = np.where(np.isnan(shown), 0, 1 + np.round(254 * np.nan_to_num(shown)))
    data = base64.b64encode(codes.astype(np.uint8).tobytes()).decode()
    return found | {"stats": stats, "shape": shown.shape, "pixels": data}


def tiles(array):
    """Return images, and what they are: rows of 784 pixels, or channels of the first image."""
    if array.ndim <= 2:
        images, what = array.reshape(-1, 28, 28), "rows as 28 × 28 pixels"
    elif array.shape[1] == 1:
        images, what = array[:, 0], "images"
    else:
        images, what = array[0], "channels of the first image"
    height, width = (math.ceil(n / 28) for n in images.shape[1:])
    images = images[:, ::height, ::width]
    shown = images[: min(64, max(1, PIXELS // images[0].size))]
    return shown, f"{len(shown)} of {len(images)} {what}"


def word(array) -> str:
    """Return an array of one number as the number, and any other as its dtype and shape."""
    return text(array.flat[0]) if array.size == 1 else kind(array)


def text(number) -> str:
    """Return a number as its shortest decimal.

    >>> text(np.float32(0.1)), text(np.float64(-np.inf)), text(np.float32(3))
    ('0.1', '-inf', '3')
    """
    return str(number).removesuffix(".0")
