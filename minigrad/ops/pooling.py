"""These operations pool or shuffle the pixels of images (N, C, H, W).

A mean over windows is a convolution with equal weights, channel by channel. For a maximum, a
primitive without a gradient finds the index, and getitem takes the pixel there. Two primitives
shuffle pixels and channels, and each of them is the other's pull.
"""

import math

import numpy as np

from minigrad.core.dtypes import operands
from minigrad.core.primitive import composite, primitive
from minigrad.core.tensor import Tensor, constant
from minigrad.ops.images import _fits, _no_bias, _pair, _patches, convolution
from minigrad.ops.shapes import getitem, reshape

# ---- pooling


@composite
def avg_pool2d(x, kernel_size, stride=None, padding=0) -> Tensor:
    """y = the mean under each place of a window; stride: kernel_size unless given. Padding is 0s.

    x (N, C, H, W) -> (N, C, OH, OW), with OH as for a convolution.
    """
    kernel, stride, padding = _window("avg_pool2d", kernel_size, stride, padding)
    (x,) = operands("avg_pool2d", (x,))
    places = _fits("avg_pool2d", x, kernel, stride, padding)
    mean = constant(np.full((1, 1, *kernel), 1 / np.prod(kernel)), dtype=x.dtype)
    single = reshape(x, (x.shape[0] * x.shape[1], 1, *x.shape[2:]))
    y = convolution(single, mean, _no_bias(mean), stride, padding)
    return reshape(y, (*x.shape[:2], *places))


def _window_fits(x, kernel, stride, padding):
    _fits("argmax_windows", x, kernel, stride, padding)


@primitive(keeps_integers=True, check=_window_fits)
def argmax_windows(x, /, kernel, stride, padding):
    """y = where the first maximum under each window is, a number of 0 … H W − 1.   VJP: none

    x (N, C, H, W) -> (N, C, OH, OW). NaN counts as a maximum. The pixels that padding adds
    do not, so padding must not fill a whole window.
    """
    H, W = x.shape[2:]
    pads = (0, 0), (0, 0), *((p, p) for p in padding)
    x = x.astype(np.uint8) if x.dtype.kind == "b" else x.real
    least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    arrays = (
        np.pad(x, pads, constant_values=least),
        np.pad(np.arange(H * W).reshape(1, 1, H, W), pads, constant_values=-1),
    )
    patches = (_patches(array, kernel, stride, (0, 0)) for array in arrays)
    values, numbers = (patch.reshape(*patch.shape[:4], math.prod(kernel)) for patch in patches)
    top = values.max(axis=-1, keepdims=True)
    first = ((values == top) | np.isnan(values)) & (numbers >= 0)
    where = first.argmax(axis=-1)[..., None]
    return np.take_along_axis(np.broadcast_to(numbers, values.shape), where, -1)[..., 0]


argmax_windows.pulls = ()


@composite
def max_pool2d(x, kernel_size, stride=None, padding=0) -> Tensor:
    """y = the maximum under each place of a window; stride: kernel_size unless given.

    x (N, C, H, W) -> (N, C, OH, OW). Of equal pixels the first gets the cotangent, as in PyTorch.
    padding is at most half of the window, so that no window consists of padding alone.
    """
    kernel, stride, padding = _window("max_pool2d", kernel_size, stride, padding)
    (x,) = operands("max_pool2d", (x,), keeps_integers=True)
    _fits("max_pool2d", x, kernel, stride, padding)
    N, C, H, W = x.shape
    starts = constant((H * W * np.arange(N * C)).reshape(N, C, 1, 1))  # of the images in x
    where = argmax_windows(x, kernel, stride, padding) + starts
    return getitem(reshape(x, (-1,)), where)


def _window(name, kernel_size, stride, padding):
    kernel = _pair(name, "kernel_size", kernel_size, 1)
    stride = kernel if stride is None else _pair(name, "stride", stride, 1)
    padding = _pair(name, "padding", padding, 0)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(f"{name}: padding {padding} is more than half of the window {kernel}")
    return kernel, stride, padding


# ---- shuffling


def _shuffles(x, upscale_factor):
    r = upscale_factor
    if x.ndim != 4 or r != int(r) or r < 1 or x.shape[1] % r**2:
        raise ValueError(f"pixel_shuffle: x {x.shape}; with factor {r} it must be (N, C r², H, W)")


@primitive(keeps_integers=True, check=_shuffles)
def pixel_shuffle(x, /, upscale_factor):
    """y = channels as pixels:  x (N, C r², H, W) -> y (N, C, H r, W r), r = upscale_factor
    VJP: x̄ = pixel_unshuffle(g)

    y[n, c, h r + i, w r + j] = x[n, c r² + i r + j, h, w]   (Shi et al. 2016, eq. 4)
    """
    (N, C, H, W), r = x.shape, int(upscale_factor)
    parts = x.reshape(N, C // r**2, r, r, H, W).transpose(0, 1, 4, 2, 5, 3)
    return parts.reshape(N, C // r**2, H * r, W * r)


pixel_shuffle.pulls = (lambda g, y, x, upscale_factor: pixel_unshuffle(g, upscale_factor),)


def _unshuffles(x, downscale_factor):
    r = downscale_factor
    if x.ndim != 4 or r != int(r) or r < 1 or x.shape[2] % r or x.shape[3] % r:
        raise ValueError(f"pixel_unshuffle: x {x.shape}; with factor {r} it must be (N, C, Hr, Wr)")


@primitive(keeps_integers=True, check=_unshuffles)
def pixel_unshuffle(x, /, downscale_factor):
    """y = pixels as channels:  x (N, C, H r, W r) -> y (N, C r², H, W), r = downscale_factor
    VJP: x̄ = pixel_shuffle(g)"""
    (N, C, H, W), r = x.shape, int(downscale_factor)
    parts = x.reshape(N, C, H // r, r, W // r, r).transpose(0, 1, 3, 5, 2, 4)
    return parts.reshape(N, C * r**2, H // r, W // r)


pixel_unshuffle.pulls = (lambda g, y, x, downscale_factor: pixel_shuffle(g, downscale_factor),)
