"""The operations. Parameters before `/` are tensors, those after it are static.

In each docstring: y is the result, g = ȳ the cotangent that comes back to it, ā the one that goes
on to operand a. Elementwise operations broadcast as NumPy does.
"""

# isort: off
from minigrad.ops.conv import (
    avg_pool2d, conv2d, conv_transpose2d, convolution, convolution_transpose, convolution_weight,
    max_pool2d, pixel_shuffle, pixel_unshuffle,
)  # fmt: skip
from minigrad.ops.elementwise import (
    abs, add, clip, divide, elu, elu_pull, exp, expm1, itakura_saito, leaky_relu, leaky_relu_pull,
    log, log1p, logsigmoid, maximum, minimum, multiply, negative, power, relu, sigmoid, softplus,
    sqrt, subtract, tanh, to, where,
)  # fmt: skip
from minigrad.ops.linalg import bmm, linear, matmul
from minigrad.ops.normalize import batch_norm, batch_norm_pull, normalized_sum
from minigrad.ops.reduce import (
    amax, cross_entropy, log_bernoulli, log_softmax, logsumexp, max, mean, sum,
)  # fmt: skip
from minigrad.ops.shape import (
    broadcast_to, concatenate, getitem, permute, reshape, scatter_add, split, stack, transpose,
)  # fmt: skip
# isort: on

__all__ = [
    "abs", "add", "amax", "avg_pool2d", "batch_norm", "batch_norm_pull", "bmm", "broadcast_to",
    "clip", "concatenate", "conv2d", "conv_transpose2d", "convolution", "convolution_transpose",
    "convolution_weight", "cross_entropy", "divide", "elu", "elu_pull", "exp", "expm1", "getitem",
    "itakura_saito", "leaky_relu", "leaky_relu_pull", "linear", "log", "log1p", "log_bernoulli",
    "log_softmax", "logsigmoid", "logsumexp", "matmul", "max", "max_pool2d", "maximum", "mean",
    "minimum", "multiply", "negative", "normalized_sum", "permute", "pixel_shuffle",
    "pixel_unshuffle", "power", "relu", "reshape", "scatter_add", "sigmoid", "softplus", "split",
    "sqrt", "stack", "subtract", "sum", "tanh", "to", "transpose", "where",
]  # fmt: skip
