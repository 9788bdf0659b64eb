"""Optimisers. A step writes the parameters in place, and counts the write on each of them."""

from collections.abc import Iterable

import numpy as np

from minigrad import kernels
from minigrad.checks import fitted
from minigrad.tensor import Tensor


class Optimizer:
    """What SGD and Adam share: the parameters, and a place for state beside each.

    Raises ValueError unless the parameters are distinct leaves with requires_grad, one or more, and
    lr is positive.
    """

    def __init__(self, params: Iterable[Tensor], lr: float):
        if isinstance(params, Tensor):
            raise ValueError(f"{type(self).__name__}: give a list of tensors, [w], not a tensor")
        self.params = list(params)
        self.lr = lr
        if any(not p.requires_grad or not p.is_leaf for p in self.params):
            raise ValueError(f"{type(self).__name__}: each must be a leaf with requires_grad=True")
        if len({id(p) for p in self.params}) < len(self.params):
            raise ValueError(f"{type(self).__name__}: a parameter occurs twice in the list")
        if not self.params:
            raise ValueError(f"{type(self).__name__}: the list of parameters is empty")
        if not lr > 0:
            raise ValueError(f"{type(self).__name__}: lr = {lr}; it must be positive")

    def _zeros(self) -> list[np.ndarray]:
        return [np.zeros_like(p._array) for p in self.params]

    slots: tuple[str, ...] = ()  # attributes with one array for each parameter

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the state as {"means.0": …}, numbered in the order of the parameters."""
        return {
            f"{slot}.{i}": np.array(array)
            for slot in self.slots
            for i, array in enumerate(getattr(self, slot))
        }

    def load_state_dict(self, state) -> None:
        """Take over a state_dict. Raises ValueError, and changes nothing, if it does not fit."""
        arrays = fitted(self.state_dict(), state, type(self).__name__)
        for slot in self.slots:
            setattr(self, slot, [arrays[f"{slot}.{i}"] for i in range(len(self.params))])

    def zero_grad(self) -> None:
        for p in self.params:
            p.grad = None

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for i, p in enumerate(self.params):
            if p.grad is not None:
                self._update(i, p._array, p.grad._array)
                p._wrote()

    def _update(self, i, p, g):
        raise NotImplementedError


class SGD(Optimizer):
    """b ← momentum · b + g,  p ← p − lr · b, with b = g at the first step, as in PyTorch."""

    slots = ("buffers",)

    def __init__(self, params, lr, momentum=0.0):
        super().__init__(params, lr)
        self.momentum = momentum
        self.buffers = self._zeros()

    def _update(self, i, p, g):
        buffer = self.buffers[i]
        buffer *= self.momentum
        buffer += g
        p -= self.lr * buffer


class Adam(Optimizer):
    """Kingma & Ba 2015, algorithm 1, as PyTorch computes it: see `kernels.specification`.

    betas: decay of the running means of g and g². eps: added to √v̂.
    """

    slots = ("means", "squares", "steps")

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(params, lr)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"Adam: betas = {betas}; each must be in [0, 1)")
        self.betas, self.eps = betas, eps
        self.means, self.squares = self._zeros(), self._zeros()
        self.steps = [np.array(0) for _ in self.params]

    def _update(self, i, p, g):
        self.steps[i] += 1
        beta1, beta2 = self.betas
        m, v, step = self.means[i], self.squares[i], int(self.steps[i])
        kernels.adam_step(p, g, m, v, self.lr, beta1, beta2, self.eps, step)
