"""BatchNorm takes the statistics of the batch in training, and the running ones in evaluation."""

import numpy as np

from minigrad import ops
from minigrad.checks import real, whole
from minigrad.core.tensor import Tensor
from minigrad.nn.linear import as_tensor
from minigrad.nn.module import Module, Parameter
from minigrad.ops.updates import add_one_


class _BatchNorm(Module):
    """y = weight (x − μ) / √(σ² + eps) + bias for each channel, with buffers as in PyTorch.

    In training, μ is the mean and σ² the biased variance of the batch. Each forward then moves
    running_mean and running_var by `momentum` towards the batch's mean and UNBIASED variance, also
    under no_grad. In evaluation running_mean and running_var take the place of μ and σ².
    """

    axes: tuple[int, ...]  # how many axes an input may have
    weight: Parameter
    bias: Parameter
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

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

    def extra_repr(self) -> str:
        settings = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"
        return f"{settings}, affine=True, bias=True, track_running_stats=True"

    def forward(self, x) -> Tensor:
        x = as_tensor(x)
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
