"""These layers take the mean or the maximum of each window of an image."""

from minigrad import ops
from minigrad.checks import pair
from minigrad.core.tensor import Tensor
from minigrad.nn.module import Module


class _Pool2d(Module):
    """Both layers share these settings, each a number, or a pair for the height and the width."""

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

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self._window().items())


class AvgPool2d(_Pool2d):
    """y = the mean under each place of a window:  x (N, C, H, W) -> y (N, C, OH, OW)

    stride is kernel_size unless given, and padding adds zeros: see ops.avg_pool2d.
    """

    def forward(self, x) -> Tensor:
        return ops.avg_pool2d(x, **self._window())


class MaxPool2d(_Pool2d):
    """y = the maximum under each place of a window:  x (N, C, H, W) -> y (N, C, OH, OW)

    stride is kernel_size unless given: see ops.max_pool2d.
    """

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, dilation=1, ceil_mode=False"

    def forward(self, x) -> Tensor:
        return ops.max_pool2d(x, **self._window())
