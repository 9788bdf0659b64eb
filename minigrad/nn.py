"""Layers, with PyTorch's names, arguments, weights and initial values."""

import math

import numpy as np

from minigrad import ops, random
from minigrad.module import Module, Parameter, Sequential
from minigrad.tensor import Tensor

__all__ = [
    "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "Conv2d", "ConvTranspose2d", "Dropout", "ELU",
    "Flatten", "LeakyReLU", "Linear", "MaxPool2d", "Module", "Parameter", "PixelShuffle", "ReLU",
    "Sequential", "Sigmoid", "Softplus", "Tanh", "Unflatten",
]  # fmt: skip


def _uniform(shape, fan_in):
    """Uniform in ±1/√fan_in, PyTorch's start for weights and biases of linear layers."""
    bound = 1 / math.sqrt(fan_in)
    return Parameter(random.uniform(shape, -bound, bound))


class Linear(Module):
    """y = x wᵀ + b      x (..., in_features) -> y (..., out_features)

    >>> Linear(3, 2)(Tensor([[1.0, 2.0, 3.0]])).shape
    (1, 2)

    weight (out, in) and bias (out,) start uniform in ±1/√in, as in PyTorch.
    """

    def __init__(self, in_features, out_features, bias=True):
        self.weight = _uniform((out_features, in_features), in_features)
        self.bias = _uniform((out_features,), in_features) if bias else None

    def forward(self, x):
        if self.bias is None:
            return x @ self.weight.mT
        if x.ndim == 2:
            return ops.linear(x, self.weight, self.bias)
        rows = ops.linear(x.reshape(-1, x.shape[-1]), self.weight, self.bias)
        return rows.reshape(*x.shape[:-1], rows.shape[-1])


class Conv2d(Module):
    """y = x ⋆ w + b      x (N, in_channels, H, W) -> y (N, out_channels, OH, OW): see ops.conv2d

    kernel_size, stride and padding: a whole number, or a pair for the height and the width.
    weight (out, in, KH, KW) and bias (out,) start uniform in ±1/√(in · KH · KW), as in PyTorch.
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, bias=True):
        kernel = tuple(np.broadcast_to(kernel_size, 2).tolist())
        fan_in = in_channels * math.prod(kernel)
        self.weight = _uniform((out_channels, in_channels, *kernel), fan_in)
        self.bias = _uniform((out_channels,), fan_in) if bias else None
        self.settings = {"stride": stride, "padding": padding}

    def forward(self, x):
        return ops.conv2d(x, self.weight, self.bias, **self.settings)


class ConvTranspose2d(Module):
    """The transpose of Conv2d:  x (N, in_channels, H, W) -> y: see ops.conv_transpose2d

    weight (in, out, KH, KW) and bias (out,) start uniform in ±1/√(out · KH · KW), as in PyTorch.
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0,
        bias=True,
    ):  # fmt: skip
        kernel = tuple(np.broadcast_to(kernel_size, 2).tolist())
        fan_in = out_channels * math.prod(kernel)
        self.weight = _uniform((in_channels, out_channels, *kernel), fan_in)
        self.bias = _uniform((out_channels,), fan_in) if bias else None
        self.settings = {"stride": stride, "padding": padding, "output_padding": output_padding}

    def forward(self, x):
        return ops.conv_transpose2d(x, self.weight, self.bias, **self.settings)


class _BatchNorm(Module):
    """y = weight (x − μ) / √(σ² + eps) + bias for each channel, with buffers as in PyTorch.

    In training, μ and σ² are those of the batch: the biased variance. Each forward then moves
    running_mean and running_var by `momentum` towards the batch's mean and UNBIASED variance, also
    under no_grad. In evaluation the running ones take their place.
    """

    axes: tuple[int, ...]  # how many an input may have

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        self.weight = Parameter(np.ones(num_features, np.float32))
        self.bias = Parameter(np.zeros(num_features, np.float32))
        self.running_mean = Tensor(np.zeros(num_features, np.float32))
        self.running_var = Tensor(np.ones(num_features, np.float32))
        self.num_batches_tracked = Tensor(np.array(0))
        self.eps, self.momentum = eps, momentum

    def forward(self, x):
        if x.ndim not in self.axes or x.shape[1] != self.weight.size:
            raise ValueError(
                f"{type(self).__name__}: x has shape {x.shape}; it must have {self.weight.size} "
                f"channels on its second axis, and {' or '.join(map(str, self.axes))} axes"
            )
        shape = (-1, *(1,) * (x.ndim - 2))
        if self.training:
            return ops.batch_norm(x, self.weight, self.bias, eps=self.eps, observe=self._track)
        scale = self.weight / ops.sqrt(self.running_var + self.eps)
        shift = self.bias - self.running_mean * scale
        return x * scale.reshape(shape) + shift.reshape(shape)

    def _track(self, mean, variance, count):
        unbiased = variance * (count / (count - 1))
        for running, now in ((self.running_mean, mean), (self.running_var, unbiased)):
            running.copy_((1 - self.momentum) * running.data + self.momentum * now)
        self.num_batches_tracked.copy_(self.num_batches_tracked.data + 1)


class BatchNorm1d(_BatchNorm):
    __doc__ = f"x (N, C) or (N, C, L). {_BatchNorm.__doc__}"
    axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    __doc__ = f"x (N, C, H, W). {_BatchNorm.__doc__}"
    axes = (4,)


class _Pool2d(Module):
    def __init__(self, kernel_size, stride=None, padding=0):
        self.window = {"kernel_size": kernel_size, "stride": stride, "padding": padding}


class AvgPool2d(_Pool2d):
    def forward(self, x):
        return ops.avg_pool2d(x, **self.window)


class MaxPool2d(_Pool2d):
    def forward(self, x):
        return ops.max_pool2d(x, **self.window)


class PixelShuffle(Module):
    def __init__(self, upscale_factor):
        self.upscale_factor = upscale_factor

    def forward(self, x):
        return ops.pixel_shuffle(x, upscale_factor=self.upscale_factor)


class Flatten(Module):
    """Merges the axes after the first: x (N, …) -> (N, D)."""

    def forward(self, x):
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))


class Unflatten(Module):
    """Splits an axis: Unflatten(1, (64, 7, 7)) takes x (N, 3136) to (N, 64, 7, 7)."""

    def __init__(self, dim, unflattened_size):
        self.dim, self.size = dim, tuple(unflattened_size)

    def forward(self, x):
        dim = self.dim % x.ndim
        return x.reshape(*x.shape[:dim], *self.size, *x.shape[dim + 1 :])


class Dropout(Module):
    """In training, y = 0 with probability p, else x / (1 − p); in evaluation, y = x.

    Srivastava et al. 2014, scaled so that E[y] = x. Raises ValueError unless 0 ≤ p < 1.
    """

    def __init__(self, p=0.5):
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p = {p}; it must be at least 0 and below 1")
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        dtype = x.dtype if x.dtype.kind == "f" else np.float32
        kept = random.bernoulli(np.full(x.shape, 1 - self.p, dtype))
        return x * (kept / (1 - self.p))


class ReLU(Module):
    def forward(self, x):
        return ops.relu(x)


class LeakyReLU(Module):
    def __init__(self, negative_slope=0.01):
        self.negative_slope = negative_slope

    def forward(self, x):
        return ops.leaky_relu(x, negative_slope=self.negative_slope)


class ELU(Module):
    def __init__(self, alpha=1.0):
        self.alpha = alpha

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
