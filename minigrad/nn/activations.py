"""Activation functions are also layers, for use in Sequential."""

from minigrad import ops
from minigrad.checks import real
from minigrad.core.tensor import Tensor
from minigrad.nn.module import Module


class ReLU(Module):
    """y = max(x, 0), elementwise: x (…) -> y (…).

    >>> ReLU()(Tensor([-1.0, 2.0]))
    Tensor([0., 2.])
    """

    def forward(self, x) -> Tensor:
        return ops.relu(x)


class LeakyReLU(Module):
    """y = x where x > 0, else negative_slope · x, elementwise: x (…) -> y (…)."""

    def __init__(self, negative_slope=0.01):
        self.negative_slope = real("LeakyReLU", "negative_slope", negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"

    def forward(self, x) -> Tensor:
        return ops.leaky_relu(x, negative_slope=self.negative_slope)


class ELU(Module):
    """y = x where x > 0, else α (eˣ − 1), elementwise: x (…) -> y (…)."""

    def __init__(self, alpha=1.0):
        self.alpha = real("ELU", "alpha", alpha, positive=True)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"

    def forward(self, x) -> Tensor:
        return ops.elu(x, alpha=self.alpha)


class Sigmoid(Module):
    """y = σ(x) = 1 / (1 + e⁻ˣ), elementwise: x (…) -> y (…)."""

    def forward(self, x) -> Tensor:
        return ops.sigmoid(x)


class Tanh(Module):
    """y = tanh x, elementwise: x (…) -> y (…)."""

    def forward(self, x) -> Tensor:
        return ops.tanh(x)


class Softplus(Module):
    """y = log(1 + eˣ), elementwise: x (…) -> y (…)."""

    def forward(self, x) -> Tensor:
        return ops.softplus(x)
