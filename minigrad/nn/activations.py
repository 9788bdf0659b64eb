"""Activation functions as layers, for Sequential."""

from minigrad import ops
from minigrad.checks import real
from minigrad.core.tensor import Tensor
from minigrad.nn.module import Module


class ReLU(Module):
    def forward(self, x) -> Tensor:
        return ops.relu(x)


class LeakyReLU(Module):
    def __init__(self, negative_slope=0.01):
        self.negative_slope = real("LeakyReLU", "negative_slope", negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"

    def forward(self, x) -> Tensor:
        return ops.leaky_relu(x, negative_slope=self.negative_slope)


class ELU(Module):
    def __init__(self, alpha=1.0):
        self.alpha = real("ELU", "alpha", alpha, positive=True)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"

    def forward(self, x) -> Tensor:
        return ops.elu(x, alpha=self.alpha)


class Sigmoid(Module):
    def forward(self, x) -> Tensor:
        return ops.sigmoid(x)


class Tanh(Module):
    def forward(self, x) -> Tensor:
        return ops.tanh(x)


class Softplus(Module):
    def forward(self, x) -> Tensor:
        return ops.softplus(x)
