"""Convolution, pooling and shuffling of images (N, C, H, W): N of them, with C channels.

Convolution is linear in the image and in the kernel, so ∑ g · convolution(x, w) is linear in each
of x, w and g. Its three gradients are the three primitives here, and the pulls of each are the
other two: derivatives of any order need no more.

stride, padding and the like are a whole number, or a pair: for the height and for the width.
"""

import numpy as np

from minigrad import kernels
from minigrad.dtypes import operands
from minigrad.engine import composite, primitive
from minigrad.kernels.specification import window_places
from minigrad.ops.shape import getitem, reshape
from minigrad.tensor import Tensor


def _pair(name, what, value, low):
    """The value for the height and for the width, checked."""
    pair = tuple(value) if np.ndim(value) else (value, value)
    numbers = all(isinstance(n, (int, float, np.number)) and abs(n) < 2**31 for n in pair)
    if len(pair) != 2 or not numbers or any(n != int(n) or n < low for n in pair):
        raise ValueError(
            f"{name}: {what} = {value}; it must be a whole number of at least {low}, or two of them"
        )
    return int(pair[0]), int(pair[1])


def _check(name, x, kernel, stride, padding):
    """The places of a kernel on x. Raises ValueError unless it fits there at least once."""
    if x.ndim != 4:
        raise ValueError(f"{name}: x has shape {x.shape}; it must be (N, C, H, W)")
    if min(kernel) < 1:
        raise ValueError(f"{name}: a kernel of {kernel[0]} × {kernel[1]} has no elements")
    places = window_places(x.shape[2:], kernel, stride, padding)
    if min(places) < 1:
        raise ValueError(
            f"{name}: a kernel of {kernel[0]} × {kernel[1]} does not fit into an image of "
            f"{x.shape[2]} × {x.shape[3]} with padding {padding}"
        )
    return places


def _check_places(name, small, size, kernel, stride, padding):
    """Kernels rely on it: they would read, or write, past the end of an image."""
    places = window_places(size, kernel, stride, padding)
    if small.shape[2:] != places:
        raise ValueError(
            f"{name}: {small.shape} where a kernel of {tuple(kernel)} has {places} places on an "
            f"image of {tuple(size)}, with stride {stride} and padding {padding}"
        )


@primitive
def convolution(x, w, b, /, stride, padding):
    """y = x ⋆ w + b      x (N, C, H, W), w (F, C, KH, KW), b (F,) -> y (N, F, OH, OW)
    VJP: x̄ = convolution_transpose(g, w),  w̄ = convolution_weight(x, g),  b̄ = ∑ g (F,)

    yₙ,f at a place is the sum, over what the kernel covers there, of pixel times kernel element;
    no flipping, as everywhere in deep learning. OH = (H + 2 padding − KH) // stride + 1.
    """
    if x.ndim != 4 or w.ndim != 4 or x.shape[1] != w.shape[1]:
        raise ValueError(
            f"conv2d: x {x.shape} and weight {w.shape}; they must be (N, C, H, W) and (F, C, KH, "
            "KW), with the same number C of channels"
        )
    if b.shape != w.shape[:1]:
        raise ValueError(f"conv2d: bias {b.shape} for weight {w.shape}; it must be (F,)")
    _check("conv2d", x, w.shape[2:], stride, padding)
    size, kernel, how = x.shape[2:], w.shape[2:], {"stride": stride, "padding": padding}
    return (
        kernels.conv2d(x._array, w._array, b._array, stride, padding),
        lambda g, y: convolution_transpose(g, w, size=size, **how),
        lambda g, y: convolution_weight(x, g, kernel=kernel, **how),
        lambda g, y: g.sum((0, 2, 3)),
    )


def _no_bias(w):
    return Tensor(np.zeros(len(w), w.dtype))


@primitive
def convolution_transpose(x, w, /, stride, padding, size):
    """y = the image of that size whose pixels collect x · w      x (N, F, OH, OW) -> (N, C, *size)
    VJP: x̄ = convolution(g, w),  w̄ = convolution_weight(g, x)"""
    if x.ndim != 4 or w.ndim != 4 or x.shape[1] != len(w):
        raise ValueError(
            f"conv_transpose2d: x {x.shape} and weight {w.shape}; they must be (N, F, H, W) and "
            "(F, C, KH, KW), with the same number F of channels"
        )
    _check_places("convolution_transpose", x, size, w.shape[2:], stride, padding)
    kernel, how = w.shape[2:], {"stride": stride, "padding": padding}
    return (
        kernels.conv_transpose2d(x._array, w._array, stride, padding, size),
        lambda g, y: convolution(g, w, _no_bias(w), **how),
        lambda g, y: convolution_weight(g, x, kernel=kernel, **how),
    )


@primitive
def convolution_weight(x, g, /, stride, padding, kernel):
    """y = ∑ x · g over images and places      x (N, C, H, W), g (N, F, OH, OW) -> (F, C, *kernel)
    VJP, for the cotangent c of y: x̄ = convolution_transpose(g, c),  ḡ = convolution(x, c)"""
    if x.ndim != 4 or g.ndim != 4 or len(x) != len(g):
        raise ValueError(
            f"convolution_weight: x {x.shape} and g {g.shape}; they must be (N, C, H, W) and (N, "
            "F, OH, OW), with the same number N of images"
        )
    _check_places("convolution_weight", g, x.shape[2:], kernel, stride, padding)
    size, how = x.shape[2:], {"stride": stride, "padding": padding}
    return (
        kernels.conv2d_weight(x._array, g._array, stride, padding, kernel),
        lambda c, y: convolution_transpose(g, c, size=size, **how),
        lambda c, y: convolution(x, c, _no_bias(c), **how),
    )


@composite
def conv2d(x, weight, bias=None, stride=1, padding=0):
    """y = x ⋆ w + b      x (N, C, H, W), w (F, C, KH, KW), b (F,) -> y (N, F, OH, OW)

    >>> image, kernel = Tensor([[[[0.0, 1.0, 4.0]]]]), Tensor([[[[-1.0, 1.0]]]])
    >>> conv2d(image, kernel)  # the slope from left to right
    Tensor([[[[1., 3.]]]])
    """
    stride, padding = _pair("conv2d", "stride", stride, 1), _pair("conv2d", "padding", padding, 0)
    x, weight = operands("conv2d", (x, weight))
    bias = _no_bias(weight) if bias is None else bias
    return convolution(x, weight, bias, stride=stride, padding=padding)


@composite
def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0):
    """The transpose of `conv2d`:  x (N, F, H, W), w (F, C, KH, KW), b (C,) -> y (N, C, OH, OW)

    OH = (H − 1) stride − 2 padding + KH + output_padding: of the heights that conv2d would shrink
    to H, output_padding chooses one.
    """
    name = "conv_transpose2d"
    stride, padding = _pair(name, "stride", stride, 1), _pair(name, "padding", padding, 0)
    extra = _pair(name, "output_padding", output_padding, 0)
    x, weight = operands(name, (x, weight))
    if x.ndim != 4 or weight.ndim != 4:
        raise ValueError(
            f"{name}: x {x.shape} and weight {weight.shape}; they must be (N, F, H, W) and (F, C, "
            "KH, KW)"
        )
    quintuples = zip(x.shape[2:], weight.shape[2:], stride, padding, extra, strict=True)
    size = tuple((n - 1) * s - 2 * p + k + e for n, k, s, p, e in quintuples)
    if any(e >= s for e, s in zip(extra, stride, strict=True)) or min(size) < 1:
        raise ValueError(
            f"{name}: output_padding = {output_padding} and padding = {padding} for stride "
            f"{stride}; the first must be below the stride, and leave {size} positive"
        )
    y = convolution_transpose(x, weight, stride=stride, padding=padding, size=size)
    if bias is None:
        return y
    if np.shape(bias) != weight.shape[1:2]:
        raise ValueError(
            f"{name}: bias {np.shape(bias)} for weight {weight.shape}; it must be (C,)"
        )
    return y + reshape(bias, shape=(-1, 1, 1))


@composite
def avg_pool2d(x, kernel_size, stride=None, padding=0):
    """y = the mean under each place of a window; stride: kernel_size unless given. Padding is 0s.

    x (N, C, H, W) -> (N, C, OH, OW), with OH as for a convolution.
    """
    kernel, stride, padding = _window("avg_pool2d", kernel_size, stride, padding)
    (x,) = operands("avg_pool2d", (x,))
    places = _check("avg_pool2d", x, kernel, stride, padding)
    mean = Tensor(np.full((1, 1, *kernel), 1 / np.prod(kernel)), dtype=x.dtype)
    single = reshape(x, shape=(x.shape[0] * x.shape[1], 1, *x.shape[2:]))
    y = convolution(single, mean, _no_bias(mean), stride=stride, padding=padding)
    return reshape(y, shape=(*x.shape[:2], *places))


@composite
def max_pool2d(x, kernel_size, stride=None, padding=0):
    """y = the maximum under each place of a window; stride: kernel_size unless given.

    x (N, C, H, W) -> (N, C, OH, OW). Of equal pixels the first gets the cotangent, as in PyTorch.
    padding is at most half of the window, so that no window lies in it altogether.
    """
    kernel, stride, padding = _window("max_pool2d", kernel_size, stride, padding)
    (x,) = operands("max_pool2d", (x,), keeps_integers=True)
    _check("max_pool2d", x, kernel, stride, padding)
    where = kernels.argmax_windows(x._array, kernel, stride, padding)
    image = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], 1, 1)
    return getitem(reshape(x, shape=(-1,)), index=where + image * (x.shape[2] * x.shape[3]))


def _window(name, kernel_size, stride, padding):
    kernel = _pair(name, "kernel_size", kernel_size, 1)
    stride = kernel if stride is None else _pair(name, "stride", stride, 1)
    padding = _pair(name, "padding", padding, 0)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(f"{name}: padding {padding} is more than half of the window {kernel}")
    return kernel, stride, padding


@primitive(keeps_integers=True)
def pixel_shuffle(x, /, upscale_factor):
    """y = channels as pixels:  x (N, C r², H, W) -> y (N, C, H r, W r), r = upscale_factor
    VJP: x̄ = pixel_unshuffle(g)

    y[n, c, h r + i, w r + j] = x[n, c r² + i r + j, h, w]   (Shi et al. 2016, eq. 4)
    """
    r = upscale_factor
    if x.ndim != 4 or r != int(r) or r < 1 or x.shape[1] % r**2:
        raise ValueError(f"pixel_shuffle: x {x.shape}; with factor {r} it must be (N, C r², H, W)")
    y = kernels.pixel_shuffle(x._array, r)
    return y, lambda g, y: pixel_unshuffle(g, downscale_factor=r)


@primitive(keeps_integers=True)
def pixel_unshuffle(x, /, downscale_factor):
    """y = pixels as channels:  x (N, C, H r, W r) -> y (N, C r², H, W), r = downscale_factor
    VJP: x̄ = pixel_shuffle(g)"""
    r = downscale_factor
    if x.ndim != 4 or r != int(r) or r < 1 or x.shape[2] % r or x.shape[3] % r:
        raise ValueError(f"pixel_unshuffle: x {x.shape}; with factor {r} it must be (N, C, Hr, Wr)")
    y = kernels.pixel_unshuffle(x._array, r)
    return y, lambda g, y: pixel_shuffle(g, upscale_factor=r)
