"""These operations convolve images (N, C, H, W): N images with C channels.

Convolution is linear in the image and in the kernel, so ∑ g · convolution(x, w) is linear in each
of x, w and g. The three gradients of this sum are the three primitives here. The pulls of each are
the other two, so derivatives of any order need no other primitive.

stride, padding and the like are a whole number, or a pair for the height and the width.
"""

import numpy as np

from minigrad.core.dtypes import operands
from minigrad.core.primitive import composite, primitive
from minigrad.core.tensor import Tensor, constant
from minigrad.ops.shapes import reshape


def window_places(size, kernel, stride, padding):
    """Count a window's places along each axis: (size + 2 padding − kernel) // stride + 1."""
    quadruples = zip(size, kernel, stride, padding, strict=True)
    return tuple((n + 2 * p - k) // s + 1 for n, k, s, p in quadruples)


def _pair(name, what, value, low):
    """Check the value, and return it as a pair for the height and the width."""
    pair = tuple(value) if np.ndim(value) else (value, value)
    numbers = all(isinstance(n, (int, float, np.number)) and abs(n) < 2**31 for n in pair)
    if len(pair) != 2 or not numbers or any(n != int(n) or n < low for n in pair):
        raise ValueError(
            f"{name}: {what} = {value}; it must be a whole number of at least {low}, or two of them"
        )
    return int(pair[0]), int(pair[1])


def _fits(name, x, kernel, stride, padding):
    """Return how many places a kernel has on x along each axis; raise ValueError if it has none."""
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


def _has_places(name, small, size, kernel, stride, padding):
    """Compiled kernels rely on this check; else they would read or write past an image's end."""
    places = window_places(size, kernel, stride, padding)
    if small.shape[2:] != places:
        raise ValueError(
            f"{name}: {small.shape} where a kernel of {tuple(kernel)} has {places} places on an "
            f"image of {tuple(size)}, with stride {stride} and padding {padding}"
        )


def _patches(x, kernel, stride, padding):
    """Return what the kernel sees at each place: x (N, C, H, W) -> (N, C, OH, OW, KH, KW)."""
    x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(2, 3))
    return windows[:, :, :: stride[0], :: stride[1]]


# ---- convolution


def _convolution_shapes(x, w, b, stride, padding):
    if x.ndim != 4 or w.ndim != 4 or x.shape[1] != w.shape[1]:
        raise ValueError(
            f"conv2d: x {x.shape} and weight {w.shape}; they must be (N, C, H, W) and (F, C, KH, "
            "KW), with the same number C of channels"
        )
    if b.shape != w.shape[:1]:
        raise ValueError(f"conv2d: bias {b.shape} for weight {w.shape}; it must be (F,)")
    _fits("conv2d", x, w.shape[2:], stride, padding)


@primitive(check=_convolution_shapes)
def convolution(x, w, b, /, stride, padding):
    """y = x ⋆ w + b      x (N, C, H, W), w (F, C, KH, KW), b (F,) -> y (N, F, OH, OW)
    VJP: x̄ = convolution_transpose(g, w),  w̄ = convolution_weight(x, g),  b̄ = ∑ g (F,)

    y[n, f, y, z] = b[f] + ∑ x[n, c, y s + i − p, z s + j − p] w[f, c, i, j] over c, i, j, for
    stride s and padding p; the kernel is not flipped, as usual in deep learning.
    OH = (H + 2 padding − KH) // stride + 1.
    """
    patches = _patches(x, w.shape[2:], stride, padding)
    return (np.tensordot(patches, w, ((1, 4, 5), (1, 2, 3))) + b).transpose(0, 3, 1, 2)


convolution.pulls = (
    lambda g, y, x, w, b, stride, padding: convolution_transpose(
        g, w, stride, padding, x.shape[2:]
    ),
    lambda g, y, x, w, b, stride, padding: convolution_weight(x, g, stride, padding, w.shape[2:]),
    lambda g, y, x, w, b, stride, padding: g.sum((0, 2, 3)),
)


def _no_bias(w):
    return constant(np.zeros(len(w), w.dtype))


def _transpose_shapes(x, w, stride, padding, size):
    if x.ndim != 4 or w.ndim != 4 or x.shape[1] != len(w):
        raise ValueError(
            f"conv_transpose2d: x {x.shape} and weight {w.shape}; they must be (N, F, H, W) and "
            "(F, C, KH, KW), with the same number F of channels"
        )
    _has_places("convolution_transpose", x, size, w.shape[2:], stride, padding)


@primitive(check=_transpose_shapes)
def convolution_transpose(x, w, /, stride, padding, size):
    """y = the image of that size whose pixels collect x · w      x (N, F, OH, OW) -> (N, C, *size)
    VJP: x̄ = convolution(g, w),  w̄ = convolution_weight(g, x)"""
    (OH, OW), (sy, sx), (py, px) = x.shape[2:], stride, padding
    y = np.zeros((len(x), w.shape[1], size[0] + 2 * py, size[1] + 2 * px), x.dtype)
    for i, j in np.ndindex(w.shape[2:]):
        share = np.tensordot(x, w[:, :, i, j], (1, 0)).transpose(0, 3, 1, 2)
        y[:, :, i : i + sy * OH : sy, j : j + sx * OW : sx] += share
    return y[:, :, py : py + size[0], px : px + size[1]]


convolution_transpose.pulls = (
    lambda g, y, x, w, stride, padding, size: convolution(g, w, _no_bias(w), stride, padding),
    lambda g, y, x, w, stride, padding, size: convolution_weight(
        g, x, stride, padding, w.shape[2:]
    ),
)


def _weight_shapes(x, g, stride, padding, kernel):
    if x.ndim != 4 or g.ndim != 4 or len(x) != len(g):
        raise ValueError(
            f"convolution_weight: x {x.shape} and g {g.shape}; they must be (N, C, H, W) and (N, "
            "F, OH, OW), with the same number N of images"
        )
    _has_places("convolution_weight", g, x.shape[2:], kernel, stride, padding)


@primitive(check=_weight_shapes)
def convolution_weight(x, g, /, stride, padding, kernel):
    """y = ∑ x · g over images and places      x (N, C, H, W), g (N, F, OH, OW) -> (F, C, *kernel)
    VJP, for the cotangent c of y: x̄ = convolution_transpose(g, c),  ḡ = convolution(x, c)"""
    patches = _patches(x, tuple(kernel), stride, padding)
    return np.tensordot(g, patches, ((0, 2, 3), (0, 2, 3)))


convolution_weight.pulls = (
    lambda c, y, x, g, stride, padding, kernel: convolution_transpose(
        g, c, stride, padding, x.shape[2:]
    ),
    lambda c, y, x, g, stride, padding, kernel: convolution(x, c, _no_bias(c), stride, padding),
)


@composite
def conv2d(x, weight, bias=None, stride=1, padding=0) -> Tensor:
    """y = x ⋆ w + b      x (N, C, H, W), w (F, C, KH, KW), b (F,) -> y (N, F, OH, OW)

    >>> image, kernel = Tensor([[[[0.0, 1.0, 4.0]]]]), Tensor([[[[-1.0, 1.0]]]])
    >>> conv2d(image, kernel)  # the differences of neighbours
    Tensor([[[[1., 3.]]]])
    """
    stride, padding = _pair("conv2d", "stride", stride, 1), _pair("conv2d", "padding", padding, 0)
    x, weight = operands("conv2d", (x, weight))
    return convolution(x, weight, _no_bias(weight) if bias is None else bias, stride, padding)


@composite
def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0) -> Tensor:
    """The transpose of `conv2d`:  x (N, F, H, W), w (F, C, KH, KW), b (C,) -> y (N, C, OH, OW)

    OH = (H − 1) stride − 2 padding + KH + output_padding. conv2d shrinks several heights to the
    same H, and output_padding chooses one of them.
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
    y = convolution_transpose(x, weight, stride, padding, size)
    if bias is None:
        return y
    if np.shape(bias) != weight.shape[1:2]:
        raise ValueError(
            f"{name}: bias {np.shape(bias)} for weight {weight.shape}; it must be (C,)"
        )
    return y + reshape(bias, (-1, 1, 1))
