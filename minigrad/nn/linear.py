"""Linear layers initialise their weights as convolutions do, by uniform_parameter."""

import math

from minigrad import ops, rng
from minigrad.checks import whole
from minigrad.core.tensor import Tensor
from minigrad.nn.module import Module, Parameter


def uniform_parameter(shape, fan_in):
    """Draw a Parameter uniformly from ±1/√fan_in, as PyTorch initialises linear layers."""
    bound = 1 / math.sqrt(fan_in)
    return Parameter(rng.uniform(shape, -bound, bound))


def as_tensor(x):
    """Return a list, a number or an array as a tensor, for layers that look at x's shape."""
    return x if isinstance(x, Tensor) else Tensor(x)


class Linear(Module):
    """y = x wᵀ + b      x (..., in_features) -> y (..., out_features)

    >>> Linear(3, 2)(Tensor([[1.0, 2.0, 3.0]])).shape
    (1, 2)

    weight (out, in) and bias (out,) start uniform in ±1/√in, as PyTorch's do.
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features, out_features, bias=True):
        self.in_features = whole("Linear", "in_features", in_features)
        self.out_features = whole("Linear", "out_features", out_features)
        self.weight = uniform_parameter((self.out_features, self.in_features), self.in_features)
        self.bias = uniform_parameter((self.out_features,), self.in_features) if bias else None

    def extra_repr(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"

    def forward(self, x) -> Tensor:
        x = as_tensor(x)
        if self.bias is None:
            return x @ self.weight.mT
        if x.ndim == 2:
            return ops.linear(x, self.weight, self.bias)
        rows = ops.linear(x.reshape(-1, x.shape[-1]), self.weight, self.bias)
        return rows.reshape(*x.shape[:-1], rows.shape[-1])
