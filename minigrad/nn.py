"""Layers, with PyTorch's names, arguments, weights and initial values, printed as PyTorch's.

A setting that makes no sense is a TypeError or a ValueError that says what it must be.
"""

import math

import numpy as np

from minigrad import ops, random
from minigrad.checks import only, pair, real, whole
from minigrad.core.tensor import Tensor
from minigrad.module import Module, Parameter, Sequential
from minigrad.ops.updates import add_one_

__all__ = [
    "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "Conv2d", "ConvTranspose2d", "Dropout", "ELU",
    "Flatten", "LeakyReLU", "Linear", "MaxPool2d", "Module", "Parameter", "PixelShuffle", "ReLU",
    "Sequential", "Sigmoid", "Softplus", "Tanh", "Unflatten",
]  # fmt: skip


def _uniform(shape, fan_in):
    """Uniform in ±1/√fan_in, PyTorch's start for weights and biases of linear layers."""
    bound = 1 / math.sqrt(fan_in)
    return Parameter(random.uniform(shape, -bound, bound))


def _tensor(x):
    """A list, a number or an array as a tensor, for layers that look at x's shape."""
    return x if isinstance(x, Tensor) else Tensor(x)


class Linear(Module):
    """y = x wᵀ + b      x (..., in_features) -> y (..., out_features)

    >>> Linear(3, 2)(Tensor([[1.0, 2.0, 3.0]])).shape
    (1, 2)

    weight (out, in) and bias (out,) start uniform in ±1/√in, as in PyTorch.
    """

    def __init__(self, in_features, out_features, bias=True):
        self.in_features = whole("Linear", "in_features", in_features)
        self.out_features = whole("Linear", "out_features", out_features)
        self.weight = _uniform((self.out_features, self.in_features), self.in_features)
        self.bias = _uniform((self.out_features,), self.in_features) if bias else None

    def extra_repr(self):
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"

    def forward(self, x):
        x = _tensor(x)
        if self.bias is None:
            return x @ self.weight.mT
        if x.ndim == 2:
            return ops.linear(x, self.weight, self.bias)
        rows = ops.linear(x.reshape(-1, x.shape[-1]), self.weight, self.bias)
        return rows.reshape(*x.shape[:-1], rows.shape[-1])


class _Conv(Module):
    """What the two convolutions share: settings, and weights (first, second, KH, KW)."""

    def __init__(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups):
        name = type(self).__name__
        self.in_channels = whole(name, "in_channels", in_channels)
        self.out_channels = whole(name, "out_channels", out_channels)
        self.kernel_size = pair(name, "kernel_size", kernel_size)
        self.stride = pair(name, "stride", stride)
        self.padding = pair(name, "padding", padding, low=0)
        only(name, "dilation", dilation, 1)
        only(name, "groups", groups, 1)

    def _start(self, first, second, bias):
        fan_in = second * math.prod(self.kernel_size)
        self.weight = _uniform((first, second, *self.kernel_size), fan_in)
        self.bias = _uniform((self.out_channels,), fan_in) if bias else None

    def extra_repr(self):
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        for name in ("padding", "output_padding"):
            value = getattr(self, name, (0, 0))
            text += f", {name}={value}" if value != (0, 0) else ""
        return text if self.bias is not None else f"{text}, bias=False"


class Conv2d(_Conv):
    """y = x ⋆ w + b      x (N, in_channels, H, W) -> y (N, out_channels, OH, OW): see ops.conv2d

    kernel_size, stride and padding: a whole number, or a pair for the height and the width.
    weight (out, in, KH, KW) and bias (out,) start uniform in ±1/√(in · KH · KW), as in PyTorch.
    dilation and groups can only be 1.
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1,
        bias=True,
    ):  # fmt: skip
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self._start(self.out_channels, self.in_channels, bias)

    def forward(self, x):
        return ops.conv2d(x, self.weight, self.bias, stride=self.stride, padding=self.padding)


class ConvTranspose2d(_Conv):
    """The transpose of Conv2d:  x (N, in_channels, H, W) -> y: see ops.conv_transpose2d

    weight (in, out, KH, KW) and bias (out,) start uniform in ±1/√(out · KH · KW), as in PyTorch.
    groups and dilation can only be 1.
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0,
        groups=1, bias=True, dilation=1,
    ):  # fmt: skip
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self.output_padding = pair("ConvTranspose2d", "output_padding", output_padding, low=0)
        self._start(self.in_channels, self.out_channels, bias)

    def forward(self, x):
        how = {"stride": self.stride, "padding": self.padding}
        return ops.conv_transpose2d(
            x, self.weight, self.bias, output_padding=self.output_padding, **how
        )


class _BatchNorm(Module):
    """y = weight (x − μ) / √(σ² + eps) + bias for each channel, with buffers as in PyTorch.

    In training, μ and σ² are those of the batch: the biased variance. Each forward then moves
    running_mean and running_var by `momentum` towards the batch's mean and UNBIASED variance, also
    under no_grad. In evaluation the running ones take their place.
    """

    axes: tuple[int, ...]  # how many an input may have

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        name = type(self).__name__
        self.num_features = num_features = whole(name, "num_features", num_features)
        self.eps = real(name, "eps", eps, positive=True)
        self.momentum = real(name, "momentum", momentum, 0, 1)
        self.weight = Parameter(np.ones(num_features, np.float32))
        self.bias = Parameter(np.zeros(num_features, np.float32))
        self.running_mean = Tensor(np.zeros(num_features, np.float32))
        self.running_var = Tensor(np.ones(num_features, np.float32))
        self.num_batches_tracked = Tensor(np.array(0))

    def extra_repr(self):
        settings = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"
        return f"{settings}, affine=True, bias=True, track_running_stats=True"

    def forward(self, x):
        x = _tensor(x)
        if x.ndim not in self.axes or x.shape[1] != self.weight.size:
            raise ValueError(
                f"{type(self).__name__}: x has shape {x.shape}; it must have {self.weight.size} "
                f"channels on its second axis, and {' or '.join(map(str, self.axes))} axes"
            )
        if self.training:
            add_one_(self.num_batches_tracked)
        return ops.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training,
            self.momentum, self.eps,
        )  # fmt: skip


class BatchNorm1d(_BatchNorm):
    __doc__ = f"x (N, C) or (N, C, L). {_BatchNorm.__doc__}"
    axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    __doc__ = f"x (N, C, H, W). {_BatchNorm.__doc__}"
    axes = (4,)


class _Pool2d(Module):
    def __init__(self, kernel_size, stride=None, padding=0):
        name = type(self).__name__
        pair(name, "kernel_size", kernel_size)
        if stride is not None:
            pair(name, "stride", stride)
        pair(name, "padding", padding, low=0)
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride

    def _window(self):
        return {"kernel_size": self.kernel_size, "stride": self.stride, "padding": self.padding}

    def extra_repr(self):
        return ", ".join(f"{name}={value}" for name, value in self._window().items())


class AvgPool2d(_Pool2d):
    def forward(self, x):
        return ops.avg_pool2d(x, **self._window())


class MaxPool2d(_Pool2d):
    def extra_repr(self):
        return f"{super().extra_repr()}, dilation=1, ceil_mode=False"

    def forward(self, x):
        return ops.max_pool2d(x, **self._window())


class PixelShuffle(Module):
    def __init__(self, upscale_factor):
        self.upscale_factor = whole("PixelShuffle", "upscale_factor", upscale_factor)

    def extra_repr(self):
        return f"upscale_factor={self.upscale_factor}"

    def forward(self, x):
        return ops.pixel_shuffle(x, upscale_factor=self.upscale_factor)


class Flatten(Module):
    """Merges the axes after the first: x (N, …) -> (N, D)."""

    def extra_repr(self):
        return "start_dim=1, end_dim=-1"

    def forward(self, x):
        x = _tensor(x)
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))


class Unflatten(Module):
    """Splits an axis: Unflatten(1, (64, 7, 7)) takes x (N, 3136) to (N, 64, 7, 7)."""

    def __init__(self, dim, unflattened_size):
        self.dim = whole("Unflatten", "dim", dim, low=-math.inf)
        if not isinstance(unflattened_size, (tuple, list)):
            raise TypeError(
                f"Unflatten: unflattened_size = {unflattened_size!r}; it must be a tuple of sizes"
            )
        sizes = (whole("Unflatten", "a size", size, low=-1) for size in unflattened_size)
        self.unflattened_size = tuple(sizes)  # with -1 for what the others leave

    def extra_repr(self):
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"

    def forward(self, x):
        x = _tensor(x)
        sizes = self.unflattened_size
        if -x.ndim <= self.dim < x.ndim:
            dim = self.dim % x.ndim
            rest = x.shape[dim] // max(1, -math.prod(sizes))
            sizes = tuple(rest if size == -1 else size for size in sizes)
            if math.prod(sizes) == x.shape[dim]:
                return x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :])
        raise ValueError(
            f"Unflatten: axis {self.dim} of x, of shape {x.shape}, can't be split into "
            f"{self.unflattened_size}; their product must be its length"
        )


class Dropout(Module):
    """In training, y = 0 with probability p, else x / (1 − p); in evaluation, y = x.

    Srivastava et al. 2014, scaled so that E[y] = x; with p = 1, which leaves nothing, y = 0.
    """

    def __init__(self, p=0.5):
        self.p = real("Dropout", "p", p, 0, 1)

    def extra_repr(self):
        return f"p={self.p}, inplace=False"

    def forward(self, x):
        x = _tensor(x)
        if not self.training:
            return x
        dtype = x.dtype if x.dtype.kind == "f" else np.float32
        kept = ops.bernoulli(np.full(x.shape, 1 - self.p, dtype))
        return x * (kept / (1 - self.p) if self.p < 1 else kept)


class ReLU(Module):
    def forward(self, x):
        return ops.relu(x)


class LeakyReLU(Module):
    def __init__(self, negative_slope=0.01):
        self.negative_slope = real("LeakyReLU", "negative_slope", negative_slope)

    def extra_repr(self):
        return f"negative_slope={self.negative_slope}"

    def forward(self, x):
        return ops.leaky_relu(x, negative_slope=self.negative_slope)


class ELU(Module):
    def __init__(self, alpha=1.0):
        self.alpha = real("ELU", "alpha", alpha, positive=True)

    def extra_repr(self):
        return f"alpha={self.alpha}"

    def forward(self, x):
        return ops.elu(x, alpha=self.alpha)


class Sigmoid(Module):
    def forward(self, x):
        return ops.sigmoid(x)


class Tanh(Module):
    def forward(self, x):
        return ops.tanh(x)


class Softplus(Module):
    def forward(self, x):
        return ops.softplus(x)
