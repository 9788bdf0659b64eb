"""Where things are in a block of turned images (see conv.py), in tables made from shapes alone.

A block as it comes, image after image, and turned, pixel after pixel. Here a register has four
lanes, and an image three pixels; one more register is for what kernels never see:

    a0 a1 a2
    b0 b1 b2       ──►      │a0 b0 c0 d0│a1 b1 c1 d1│a2 b2 c2 d2│           │
    c0 c1 c2       place:    0           4           8           12
    d0 d1 d2

Zeros are padded around the image. For one of 2 × 2 pixels with a padding of 1 the registers of a
block are, by number, those on the left. A kernel of 2 × 2 that lies in the upper left corner sees
the registers `starts`. When it moves by a stride of 2 it comes to the four `places`, which are
counted from there:

     0   1   2   3
     4 [ 5   6]  7        starts  0  1        places  0   2
     8 [ 9  10] 11                4  5                8  10
    12  13  14  15

So its lower left element sees at the last place the register 4 + 10 = 14, a zero of the padding.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np


class Layout(NamedTuple):
    """Where things are in a turned block: tables that depend on shapes alone.

    A place is the index of its first image's number. Several phases stand one after another.
    """

    pixels: np.ndarray  # (C · H · W,) of the image, in its order; what no kernel sees: at the end
    padding: np.ndarray  # the places of zeros
    size: int  # of the block
    starts: np.ndarray  # of the kernels' elements, at the first place of the kernel
    terms: np.ndarray  # how many of them come before each phase
    places: np.ndarray  # of the kernel, beside its first
    ends: np.ndarray  # how many of them come before each phase
    results: np.ndarray  # (F · OH · OW,) where the result has its pixels, in their order


def _grid(*sizes):
    return np.indices(sizes).reshape(len(sizes), -1)


def _block(C, size, first, H, W, lanes):
    """Layout's pixels, padding and size, for the rows and columns from `first` on."""
    c, y, z = _grid(C, *size)
    y, z = y - first[0], z - first[1]
    inside = (y >= 0) & (y < H) & (z >= 0) & (z < W)
    pixels = np.where(inside, (c * H + y) * W + z, C * H * W) * lanes
    return pixels, np.setdiff1d(np.arange(C * H * W) * lanes, pixels), (C * H * W + 1) * lanes


def _results(F, order, count, lanes):
    """Layout's results, for F channels of so many places, from the order of the pixels of one."""
    return ((np.arange(F)[:, None] * count + order) * lanes).reshape(-1)


@lru_cache(maxsize=32)
def convolution_layout(F, C, kernel, stride, padding, size, places, lanes):
    """For conv2d, and the gradient of its weights."""
    H, W = ((n - 1) * s + k for n, s, k in zip(places, stride, kernel, strict=True))
    (c, i, j), (y, z) = _grid(C, *kernel), _grid(*places)
    starts = ((c * H + i) * W + j) * lanes
    at = (y * stride[0] * W + z * stride[1]) * lanes
    block = _block(C, size, (-padding[0], -padding[1]), H, W, lanes)
    results = _results(F, np.arange(at.size), at.size, lanes)
    return Layout(*block, starts, np.array([0, starts.size]), at, np.array([0, at.size]), results)


def _phases(size, kernel, stride, padding):
    """Along one axis, for the pixels y s + b of a transposed convolution, and each b < s:
    b, how many they are, the kernel's element r that lies on the first place, how many elements
    r + u s there are, and where the pixels begin whose sum with them, backwards, is the first."""
    for b in range(min(stride, size)):
        q, r = divmod(b + padding, stride)
        taps = len(range(r, kernel, stride))
        yield b, -((b - size) // stride), r, taps, q + 1 - taps


@lru_cache(maxsize=32)
def transposed_layout(F, C, kernel, stride, padding, shape, size, lanes):
    """..., and for each phase where its part of the kernel begins."""
    axes = [list(_phases(*axis)) for axis in zip(size, kernel, stride, padding, strict=True)]
    first = [min(begin for *_, begin in axis) for axis in axes]
    H, W = (max(n - 1 + begin + max(taps, 1) for _, n, _, taps, begin in axis) - least
            for axis, least in zip(axes, first, strict=True))  # fmt: skip
    starts, places, parts, count = [], [], [], 0
    order = np.empty(size, np.intp)
    for b, n, r, taps, begin in axes[0]:
        for b_, n_, r_, taps_, begin_ in axes[1]:
            (f, i, j), (y, z) = _grid(F, taps, taps_), _grid(n, n_)
            at = (f * H + i + begin - first[0]) * W + j + begin_ - first[1]
            starts.append(at * lanes)
            places.append((y * W + z) * lanes)
            parts.append((r, r_))
            order[b :: stride[0], b_ :: stride[1]] = count + np.arange(y.size).reshape(n, n_)
            count += places[-1].size
    terms, ends = (np.cumsum([0, *map(len, tables)]) for tables in (starts, places))
    block = _block(F, shape, first, H, W, lanes)
    starts, places = np.concatenate(starts), np.concatenate(places)
    results = _results(C, order.reshape(-1), count, lanes)
    return Layout(*block, starts, terms, places, ends, results), parts
