"""The operations. Positional arguments are tensors, keyword-only ones are static.

In each docstring: y is the result, g = ȳ the cotangent that comes back to it, ā the one that goes
on to operand a. Elementwise operations broadcast as NumPy does.
"""

# isort: off
from minigrad.ops.elementwise import (
    abs, add, clip, divide, elu, elu_pull, exp, expm1, itakura_saito, leaky_relu, log, log1p,
    logsigmoid, maximum, minimum, multiply, negative, power, relu, select, sigmoid, softplus, sqrt,
    subtract, tanh, to, where,
)  # fmt: skip
from minigrad.ops.linalg import bmm, linear, matmul
from minigrad.ops.reduce import log_bernoulli, log_softmax, logsumexp, max, mean, sum
from minigrad.ops.shape import (
    broadcast_to, concatenate, getitem, reshape, scatter_add, split, stack, transpose,
)  # fmt: skip
# isort: on

__all__ = [
    "abs", "add", "bmm", "broadcast_to", "clip", "concatenate", "divide", "elu", "elu_pull", "exp",
    "expm1", "getitem", "itakura_saito", "leaky_relu", "linear", "log", "log1p", "log_bernoulli",
    "log_softmax", "logsigmoid", "logsumexp", "matmul", "max", "maximum", "mean", "minimum",
    "multiply", "negative", "power", "relu", "reshape", "scatter_add", "select", "sigmoid",
    "softplus", "split", "sqrt", "stack", "subtract", "sum", "tanh", "to", "transpose", "where",
]  # fmt: skip
