"""These are the operations. Parameters before `/` are operands, those after it static arguments.

In each docstring y is the result, g = ȳ is the cotangent that arrives at y, and ā is the cotangent
that goes on to operand a. Elementwise operations broadcast as NumPy does.
"""

# isort: off
from minigrad.ops.choices import (
    abs, clip, eq, ge, gt, le, lt, maximum, minimum, ne, sign, where,
)  # fmt: skip
from minigrad.ops.arithmetic import (
    add, divide, exp, expm1, log, log1p, multiply, negative, power, sqrt, subtract, to,
)  # fmt: skip
from minigrad.ops.activations import (
    elu, elu_pull, leaky_relu, leaky_relu_pull, logsigmoid, relu, sigmoid, softplus, tanh,
)  # fmt: skip
from minigrad.core.backward import clone
from minigrad.ops.shapes import (
    broadcast_to, concatenate, getitem, permute, reshape, scatter_add, split, stack, transpose,
    zeros_like,
)  # fmt: skip
from minigrad.ops.reductions import amax, argmax, log_softmax, logsumexp, max, mean, sum
from minigrad.ops.products import bmm, linear, linear_weight, matmul
from minigrad.ops.images import (
    conv2d, conv_transpose2d, convolution, convolution_transpose, convolution_weight,
)  # fmt: skip
from minigrad.ops.pooling import (
    argmax_windows, avg_pool2d, max_pool2d, pixel_shuffle, pixel_unshuffle,
)  # fmt: skip
from minigrad.ops.normalization import batch_norm, batch_norm_pull, moments, normalized_sum
from minigrad.ops.losses import cross_entropy, itakura_saito, log_bernoulli
from minigrad.ops.draws import bernoulli, rand, randn
import minigrad.ops.methods  # noqa: F401  it attaches the operators to Tensor
# isort: on

__all__ = [
    "abs", "add", "amax", "argmax", "argmax_windows", "avg_pool2d", "batch_norm",
    "batch_norm_pull", "bernoulli", "bmm", "broadcast_to", "clip", "clone", "concatenate",
    "conv2d", "conv_transpose2d", "convolution", "convolution_transpose", "convolution_weight",
    "cross_entropy", "divide", "elu", "elu_pull", "eq", "exp", "expm1", "ge", "getitem", "gt",
    "itakura_saito", "le", "leaky_relu", "leaky_relu_pull", "linear", "linear_weight", "log",
    "log1p", "log_bernoulli", "log_softmax", "logsigmoid", "logsumexp", "lt", "matmul", "max",
    "max_pool2d", "maximum", "mean", "minimum", "moments", "multiply", "ne", "negative",
    "normalized_sum", "permute", "pixel_shuffle", "pixel_unshuffle", "power", "rand", "randn",
    "relu", "reshape", "scatter_add", "sigmoid", "sign", "softplus", "split", "sqrt", "stack",
    "subtract", "sum", "tanh", "to", "transpose", "where", "zeros_like",
]  # fmt: skip
