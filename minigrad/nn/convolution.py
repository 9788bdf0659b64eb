"""These layers convolve images, or apply the transpose of a convolution."""

import math

from minigrad import ops
from minigrad.checks import only, pair, whole
from minigrad.core.tensor import Tensor
from minigrad.nn.linear import uniform_parameter
from minigrad.nn.module import Module, Parameter


class _Conv(Module):
    """The two convolutions share settings, and weights (first, second, KH, KW)."""

    weight: Parameter
    bias: Parameter | None

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
        self.weight = uniform_parameter((first, second, *self.kernel_size), fan_in)
        self.bias = uniform_parameter((self.out_channels,), fan_in) if bias else None

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        for name in ("padding", "output_padding"):
            value = getattr(self, name, (0, 0))
            text += f", {name}={value}" if value != (0, 0) else ""
        return text if self.bias is not None else f"{text}, bias=False"


class Conv2d(_Conv):
    """y = x ⋆ w + b      x (N, in_channels, H, W) -> y (N, out_channels, OH, OW): see ops.conv2d

    kernel_size, stride and padding are a whole number, or a pair for the height and the width.
    weight (out, in, KH, KW) and bias (out,) start uniform in ±1/√(in · KH · KW), as PyTorch's do.
    dilation and groups can only be 1.
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1,
        bias=True,
    ):  # fmt: skip
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self._start(self.out_channels, self.in_channels, bias)

    def forward(self, x) -> Tensor:
        return ops.conv2d(x, self.weight, self.bias, stride=self.stride, padding=self.padding)


class ConvTranspose2d(_Conv):
    """The transpose of Conv2d:  x (N, in_channels, H, W) -> y: see ops.conv_transpose2d

    weight (in, out, KH, KW) and bias (out,) start uniform in ±1/√(out · KH · KW), as PyTorch's do.
    groups and dilation can only be 1.
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0,
        groups=1, bias=True, dilation=1,
    ):  # fmt: skip
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self.output_padding = pair("ConvTranspose2d", "output_padding", output_padding, low=0)
        self._start(self.in_channels, self.out_channels, bias)

    def forward(self, x) -> Tensor:
        window = {"stride": self.stride, "padding": self.padding}
        return ops.conv_transpose2d(
            x, self.weight, self.bias, output_padding=self.output_padding, **window
        )
