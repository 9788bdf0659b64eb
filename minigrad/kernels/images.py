"""Where the maxima of pooling are, and pixel shuffling."""

from functools import lru_cache

import numpy as np

from minigrad.kernels import specification
from minigrad.kernels.jit import COMPILED, contiguous, jit, pool, prange


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


def argmax_windows(x, kernel, stride, padding):
    if x.dtype not in COMPILED:
        return specification.argmax_windows(x, kernel, stride, padding)
    N, C, H, W = x.shape
    places = specification.window_places((H, W), kernel, stride, padding)
    out = np.empty((N * C, *places), np.intp)
    _argmax_windows(contiguous(x).reshape(N * C, H, W), kernel, stride, padding, out)
    return out.reshape(N, C, *places)


@jit(parallel=True)
def _rearrange(x, order, out):
    """out[n, p] = x[n, order[p]]"""
    for n in prange(len(x)):
        source, target = x[n], out[n]
        for p in range(order.size):
            target[p] = source[order[p]]


@lru_cache(maxsize=32)
def _order(shape, axes):
    """The numbers of an array of that shape, row by row, after a transposition. Unsigned indices
    are not checked for being negative."""
    return np.arange(np.prod(shape), dtype=np.uintp).reshape(shape).transpose(axes).reshape(-1)


def pixel_shuffle(x, r):
    if x.dtype not in COMPILED:
        return specification.pixel_shuffle(x, r)
    N, C, H, W = x.shape
    out = np.empty((N, C // r**2, H * r, W * r), x.dtype)
    order = _order((C // r**2, r, r, H, W), (0, 3, 1, 4, 2))
    with pool:
        _rearrange(contiguous(x).reshape(N, order.size), order, out.reshape(N, order.size))
    return out


def pixel_unshuffle(x, r):
    if x.dtype not in COMPILED:
        return specification.pixel_unshuffle(x, r)
    N, C, H, W = x.shape
    out = np.empty((N, C * r**2, H // r, W // r), x.dtype)
    order = _order((C, H // r, r, W // r, r), (0, 2, 4, 1, 3))
    with pool:
        _rearrange(contiguous(x).reshape(N, order.size), order, out.reshape(N, order.size))
    return out
