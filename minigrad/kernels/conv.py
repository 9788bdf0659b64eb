"""Convolution as a matrix product, for as many images at a time as a register has lanes.

A block of images is *turned*: what they have at one pixel lies side by side, in one register. What
a kernel's element (c, i, j) sees at a place is then the register starts[c, i, j] + places[y, z]:
geometry.py has a picture. So y = w · rows is a matrix product, whose tiles read the rows where they
are, and there are no patches. Zeros around the image stand for the padding.

In a transposed convolution every s-th pixel of the result, a *phase* of it, is a convolution of
stride 1 with every s-th element of the kernel. All phases read the same block. The gradient of the
weights takes dot products, over places and images, of what conv2d multiplies by them with g.

The memory is that of a turned block and its result, for each thread: below 1 MB in the models here,
where the patches of a batch would take 14 MB. Blocks are cut by shape alone, and their sums are
added in a fixed order: the result does not depend on the number of threads.
"""

import math
from functools import lru_cache

import numpy as np

from minigrad import ops
from minigrad.kernels import dots, vectors
from minigrad.kernels.compile import accelerates, contiguous, jit
from minigrad.kernels.gemm import SERIAL
from minigrad.kernels.geometry import convolution_layout, transposed_layout
from minigrad.kernels.jobs import shareable
from minigrad.kernels.pooling import rearrange
from minigrad.kernels.scratch import multiples, scratch
from minigrad.kernels.tile import HEIGHT, WIDTH, tile_of_places
from minigrad.ops.images import window_places


@jit()
def _turn(x, pixels, padding, size, lanes):
    """The images x (B, …) side by side, at pixels; 0 at padding, and for images beyond B."""
    out, images = scratch(size, x.dtype), multiples(len(x), pixels.size)
    x = x.reshape(-1)
    if images.size == lanes <= pixels.size:
        for place in padding:
            vectors.store(out, place, vectors.zeros(out))
        for tile in range(0, pixels.size, lanes):
            p = min(tile, pixels.size - lanes)
            vectors.transpose(x, images, p, out, pixels[p:], 0)
    else:
        out[:] = 0
        for n in range(images.size):
            for p in range(pixels.size):
                out[pixels[p] + n] = x[images[n] + p]
    return out


@jit()
def _turn_back(y, places, lanes, out):
    """out[n, p] = y[places[p] + n]"""
    images = multiples(len(out), places.size)
    out = out.reshape(-1)
    if images.size == lanes <= places.size:
        for tile in range(0, places.size, lanes):
            p = min(tile, places.size - lanes)
            vectors.transpose(y, places[p:], 0, out, images, p)
    else:
        for n in range(images.size):
            for p in range(places.size):
                out[images[n] + p] = y[places[p] + n]


@jit()
def _correlate(x, matrix, bias, layout, lanes, out):
    """One block of images: turn, multiply, turn back."""
    pixels, padding, size, starts, terms, places, ends, results = layout
    rows = _turn(x, pixels, padding, size, lanes)
    F, M = bias.size, places.size * lanes
    y = scratch(F * M, x.dtype)
    for f in range(F):
        y[f * M : (f + 1) * M] = bias[f]
    tiles = -(-F // HEIGHT)
    for phase in range(terms.size - 1):
        some = starts[terms[phase] : terms[phase + 1]]
        if not some.size:
            continue  # no element of the kernel comes to lie on the pixels of this phase
        for t in range(ends[phase], ends[phase + 1], WIDTH):
            columns = min(WIDTH, ends[phase + 1] - t) * lanes
            for tile in range(tiles):
                top, bottom = tile * F // tiles, (tile + 1) * F // tiles
                w = F * terms[phase] + top * some.size
                tile_of_places(bottom - top, columns, matrix, w, some.size, 1, rows, some,
                               places[t:], y, top * M + t * lanes, M)  # fmt: skip
    _turn_back(y, results, lanes, out)


@shareable()
def _correlate_blocks(start, stop, x, matrix, bias, layout, lanes, out):
    for i in range(start, stop):
        some = slice(i * lanes, (i + 1) * lanes)
        _correlate(x[some], matrix, bias, layout, lanes, out[some])


@jit()
def _weight(x, g, layout, lanes, out):
    """out = the gradient of one block of images."""
    pixels, padding, size, starts, _, places, _, _ = layout
    turned_x = _turn(x, pixels, padding, size, lanes)
    F, K, row = g.shape[1], starts.size, places.size * lanes
    every = multiples(F * places.size, lanes)
    turned = _turn(g, every, every[:0], F * row, lanes)
    tiles, panels = -(-F // dots.HEIGHT), -(-K // dots.WIDTH)
    for t in range(tiles):
        f, rows = t * F // tiles, (t + 1) * F // tiles - t * F // tiles
        for panel in range(panels):
            k, end = panel * K // panels, (panel + 1) * K // panels
            dots.tile_of_dots(rows, end - k, turned, f * row, row, turned_x, starts, k, places,
                              out, f * K + k, K)  # fmt: skip


@shareable()
def _weight_blocks(start, stop, x, g, layout, lanes, sums):
    for i in range(start, stop):
        some = slice(i * lanes, (i + 1) * lanes)
        _weight(x[some], g[some], layout, lanes, sums[i])


def _correlation(x, matrix, bias, layout, out):
    lanes = vectors.REGISTER // x.itemsize
    blocks, work = -(-len(x) // lanes), len(x) * matrix.size * layout.places.size
    pieces = blocks if work > SERIAL else 1
    _correlate_blocks(pieces, blocks, x, matrix, contiguous(bias), layout, lanes, out)


def _unless_empty(*arrays, shape):
    """Empty arrays are left to the forward."""
    return ((shape, arrays[0].dtype),) if all([array.size for array in arrays]) else None


def _convolved(x, w, b, *, stride, padding):
    places = window_places(x.shape[2:], w.shape[2:], stride, padding)
    return _unless_empty(x, w, b, shape=(len(x), len(w), *places))


@accelerates(ops.convolution, _convolved, only_jobs=True)
def convolution(y, x, w, b, *, stride, padding):
    F, C, *kernel = w.shape
    lanes = vectors.REGISTER // x.itemsize
    how = tuple(kernel), tuple(stride), tuple(padding)
    layout = convolution_layout(F, C, *how, x.shape[2:], y.shape[2:], lanes)
    _correlation(contiguous(x), contiguous(w).reshape(-1), b, layout, y)


def _transposed(x, w, *, stride, padding, size):
    return _unless_empty(x, w, shape=(len(x), w.shape[1], *size))


@accelerates(ops.convolution_transpose, _transposed, only_jobs=True)
def convolution_transpose(y, x, w, *, stride, padding, size):
    (F, C, *kernel), shape, size = w.shape, x.shape[2:], tuple(size)
    lanes = vectors.REGISTER // x.itemsize
    how = tuple(kernel), tuple(stride), tuple(padding)
    layout, parts = transposed_layout(F, C, *how, shape, size, lanes)
    order = _parts_of_kernel(w.shape, how[1], tuple(parts))
    matrix = np.empty((1, order.size), w.dtype)
    rearrange(matrix, contiguous(w).reshape(1, -1), order)
    _correlation(contiguous(x), matrix[0], np.zeros(C, x.dtype), layout, y)


@lru_cache(maxsize=32)
def _parts_of_kernel(shape, stride, parts):
    """Return which element of w comes where, when each phase has its part of the kernel, turned."""
    backwards = np.arange(math.prod(shape), dtype=np.uintp).reshape(shape).transpose(1, 0, 2, 3)
    kernels = (backwards[:, :, i :: stride[0], j :: stride[1]][..., ::-1, ::-1] for i, j in parts)
    return np.concatenate([part.reshape(-1) for part in kernels])


def _weights(x, g, *, stride, padding, kernel):
    return _unless_empty(x, g, shape=(g.shape[1], x.shape[1], *kernel))


@accelerates(ops.convolution_weight, _weights, only_jobs=True)
def convolution_weight(y, x, g, *, stride, padding, kernel):
    (N, C, *size), F = x.shape, g.shape[1]
    how = tuple(kernel), tuple(stride), tuple(padding)
    lanes = vectors.REGISTER // x.itemsize
    layout = convolution_layout(F, C, *how, tuple(size), g.shape[2:], lanes)
    K = layout.starts.size
    sums = np.empty((-(-N // lanes), F * K), x.dtype)
    pieces = len(sums) if N * F * K * layout.places.size > SERIAL else 1
    _weight_blocks(pieces, len(sums), contiguous(x), contiguous(g), layout, lanes, sums)
    _add_blocks(1, F * K, sums, y.reshape(F * K))


@shareable()
def _add_blocks(start, stop, sums, out):
    """out = the sums of all blocks, in their order."""
    sums, out = sums[:, start:stop], out[start:stop]
    out[:] = sums[0]
    for block in range(1, len(sums)):
        for k in range(out.size):
            out[k] += sums[block, k]
