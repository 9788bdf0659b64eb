"""These kernels find the maxima of windows, and shuffle pixels."""

import math
from functools import lru_cache

import numpy as np

from minigrad import ops
from minigrad.kernels.compile import accelerates, contiguous, jit
from minigrad.kernels.jobs import shareable
from minigrad.ops.images import window_places


@jit()
def _argmax_windows(x, kernel, stride, padding, out):
    images, H, W = x.shape
    for n in range(images):
        for y in range(out.shape[1]):
            top = y * stride[0] - padding[0]
            for z in range(out.shape[2]):
                left = z * stride[1] - padding[1]
                best = max(top, 0) * W + max(left, 0)
                for i in range(max(top, 0), min(top + kernel[0], H)):
                    for j in range(max(left, 0), min(left + kernel[1], W)):
                        value, most = x[n, i, j], x[n, best // W, best % W]
                        if value > most or (value != value and most == most):
                            best = i * W + j
                out[n, y, z] = best


def _places(x, *, kernel, stride, padding):
    return (((*x.shape[:2], *window_places(x.shape[2:], kernel, stride, padding)), np.intp),)


@accelerates(ops.argmax_windows, _places)
def argmax_windows(y, x, *, kernel, stride, padding):
    N, C, H, W = x.shape
    images = contiguous(x).reshape(N * C, H, W)
    window = [tuple(map(int, pair)) for pair in (kernel, stride, padding)]
    _argmax_windows(images, *window, y.reshape(N * C, *y.shape[2:]))


PIECE = 2**13  # numbers, at least, that a thread moves at a time


@shareable()
def _rearrange(start, stop, x, order, out):
    """out[n, p] = x[n, order[p]]"""
    for n in range(start, stop):
        source, target = x[n], out[n]
        for p in range(order.size):
            target[p] = source[order[p]]


@lru_cache(maxsize=32)
def _order(shape, axes):
    """Return the indices of an array's elements in the order that a transposition gives them."""
    return np.arange(np.prod(shape), dtype=np.uintp).reshape(shape).transpose(axes).reshape(-1)


def _shuffled(x, *, upscale_factor):
    (N, C, H, W), r = x.shape, int(upscale_factor)
    return (((N, C // r**2, H * r, W * r), x.dtype),)


@accelerates(ops.pixel_shuffle, _shuffled, only_jobs=True)
def pixel_shuffle(y, x, *, upscale_factor):
    (_, C, H, W), r = x.shape, int(upscale_factor)
    rearrange(y, x, _order((C // r**2, r, r, H, W), (0, 3, 1, 4, 2)))


def _unshuffled(x, *, downscale_factor):
    (N, C, H, W), r = x.shape, int(downscale_factor)
    return (((N, C * r**2, H // r, W // r), x.dtype),)


@accelerates(ops.pixel_unshuffle, _unshuffled, only_jobs=True)
def pixel_unshuffle(y, x, *, downscale_factor):
    (_, C, H, W), r = x.shape, int(downscale_factor)
    rearrange(y, x, _order((C, H // r, r, W // r, r), (0, 2, 4, 1, 3)))


def rearrange(y, x, order):
    """y[n].flat[p] = x[n].flat[order[p]], for unsigned order: numba need not ask if one is < 0."""
    x, y = (a.reshape(len(a), math.prod(a.shape[1:])) for a in (contiguous(x), y))
    _rearrange(min(len(x), x.size // PIECE), len(x), x, order, y)
