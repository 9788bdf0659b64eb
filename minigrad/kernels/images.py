"""Where the maxima of pooling are, and pixel shuffling."""

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
def _shuffle(x, r, y, back):
    """y[n, c, h r + i, w r + j] = x[n, c, i, j, h, w]; with `back`, x from y."""
    N, C, _, _, H, W = x.shape
    for n in prange(N):
        for c in range(C):
            for h in range(H):
                for i in range(r):
                    for j in range(r):
                        line, pixels = y[n, c, h * r + i, j::r], x[n, c, i, j, h]
                        for w in range(W):
                            if back:
                                pixels[w] = line[w]
                            else:
                                line[w] = pixels[w]


def pixel_shuffle(x, r):
    if x.dtype not in COMPILED:
        return specification.pixel_shuffle(x, r)
    N, C, H, W = x.shape
    out = np.empty((N, C // r**2, H * r, W * r), x.dtype)
    with pool:
        _shuffle(contiguous(x).reshape(N, C // r**2, r, r, H, W), r, out, False)
    return out


def pixel_unshuffle(x, r):
    if x.dtype not in COMPILED:
        return specification.pixel_unshuffle(x, r)
    N, C, H, W = x.shape
    out = np.empty((N, C * r**2, H // r, W // r), x.dtype)
    with pool:
        _shuffle(out.reshape(N, C, r, r, H // r, W // r), r, contiguous(x), True)
    return out
