"""Dropout leaves out some of its inputs in training, and none in evaluation."""

import numpy as np

from minigrad import ops
from minigrad.checks import real
from minigrad.core.tensor import Tensor, constant
from minigrad.nn.linear import as_tensor
from minigrad.nn.module import Module


class Dropout(Module):
    """In training, y = 0 with probability p, else x / (1 − p); in evaluation, y = x.

    See Srivastava et al. 2014. The division by 1 − p makes E[y] = x; with p = 1, y = 0.
    """

    def __init__(self, p=0.5):
        self.p = real("Dropout", "p", p, 0, 1)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace=False"

    def forward(self, x) -> Tensor:
        x = as_tensor(x)
        if not self.training:
            return x
        dtype = x.dtype if x.dtype.kind == "f" else np.float32
        kept = ops.bernoulli(constant(np.full(x.shape, 1 - self.p, dtype)))
        return x * (kept / (1 - self.p) if self.p < 1 else kept)
