"""These layers only move elements into another shape."""

import math

from minigrad import ops
from minigrad.checks import whole
from minigrad.core.tensor import Tensor
from minigrad.nn.linear import as_tensor
from minigrad.nn.module import Module


class Flatten(Module):
    """y = x with all axes but the first merged: x (N, …) -> y (N, D)."""

    def extra_repr(self) -> str:
        return "start_dim=1, end_dim=-1"

    def forward(self, x) -> Tensor:
        x = as_tensor(x)
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))


class Unflatten(Module):
    """y = x with an axis split: Unflatten(1, (64, 7, 7)) takes x (N, 3136) to y (N, 64, 7, 7)."""

    def __init__(self, dim, unflattened_size):
        self.dim = whole("Unflatten", "dim", dim, low=-math.inf)
        if not isinstance(unflattened_size, (tuple, list)):
            raise TypeError(
                f"Unflatten: unflattened_size = {unflattened_size!r}; it must be a tuple of sizes"
            )
        sizes = (whole("Unflatten", "a size", size, low=-1) for size in unflattened_size)
        self.unflattened_size = tuple(sizes)  # -1 stands for the size that is left

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"

    def forward(self, x) -> Tensor:
        x = as_tensor(x)
        sizes = self.unflattened_size
        if -x.ndim <= self.dim < x.ndim:
            dim = self.dim % x.ndim
            inferred = x.shape[dim] // max(1, -math.prod(sizes))
            sizes = tuple(inferred if size == -1 else size for size in sizes)
            if math.prod(sizes) == x.shape[dim]:
                return x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :])
        raise ValueError(
            f"Unflatten: axis {self.dim} of x, of shape {x.shape}, can't be split into "
            f"{self.unflattened_size}; their product must be its length"
        )


class PixelShuffle(Module):
    """y = channels as pixels:  x (N, C r², H, W) -> y (N, C, H r, W r), r = upscale_factor."""

    def __init__(self, upscale_factor):
        self.upscale_factor = whole("PixelShuffle", "upscale_factor", upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"

    def forward(self, x) -> Tensor:
        return ops.pixel_shuffle(x, upscale_factor=self.upscale_factor)
