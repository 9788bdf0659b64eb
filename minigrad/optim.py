"""An optimiser's step writes the parameters in place, and counts the write on each of them."""

import itertools
from collections.abc import Iterable

import numpy as np

from minigrad.checks import fitted, real
from minigrad.core.guards import fits
from minigrad.core.memory import beside
from minigrad.core.tensor import Tensor, settings_changed
from minigrad.nn.module import Module
from minigrad.ops.updates import adam_, sgd_


def _listed(name, params):
    """Return the tensors of params, or raise a TypeError that says what to write instead."""
    if isinstance(params, Module):
        advice = "give its parameters: model.parameters()"
    elif callable(params):
        advice = "call it, with brackets: model.parameters()"
    elif isinstance(params, Tensor):
        advice = "give a list of tensors, [w]"
    elif isinstance(params, (dict, str)) or not isinstance(params, Iterable):
        advice = "give model.parameters() or a list of tensors"
    else:
        tensors = list(params)
        wrong = [p for p in tensors if not isinstance(p, Tensor)]
        if not wrong:
            return tensors
        params, advice = wrong[0], "it must give tensors, such as model.parameters() does"
        if isinstance(params, dict):
            advice = "there are no groups of parameters: make an optimiser for each"
    raise TypeError(f"{name}: params is or holds a {type(params).__name__}; {advice}")


_COUNT = Tensor(np.array(0))


def _kind(tensor):
    if not isinstance(tensor, Tensor):
        return f"a {type(tensor).__name__}"
    return f"a Tensor of shape {tensor.shape} and dtype {tensor.dtype}"


class Optimizer:
    """An Optimizer holds parameters, and the state of a subclass, such as Adam, for each of them.

    Raises TypeError unless `params` gives tensors, and ValueError unless there is at least one, all
    are distinct leaves with requires_grad and a floating dtype, and lr is positive.
    """

    def __init__(self, params: Iterable[Tensor], lr: float):
        name = type(self).__name__
        self.params = _listed(name, params)
        self._rate = Tensor(np.array(0, np.float64))  # lr as an operand of the updates
        self.lr = real(name, "lr", lr, positive=True)
        if any(not p.requires_grad or not p.is_leaf for p in self.params):
            raise ValueError(f"{name}: each must be a leaf with requires_grad=True")
        if any(p.dtype.kind != "f" for p in self.params):
            raise ValueError(f"{name}: each must have a floating dtype; a complex one has none")
        if len({id(p) for p in self.params}) < len(self.params):
            raise ValueError(f"{name}: a parameter occurs twice in the list")
        if not self.params:
            raise ValueError(
                f"{name}: the list of parameters is empty; a generator that was used up is, too"
            )

    @property
    def lr(self) -> float:
        """o.lr is the step size; a schedule may change it at any time."""
        return self._lr

    @lr.setter
    def lr(self, value: float):
        self._lr = value
        try:
            self._rate.copy_(np.float64(real("", "", value, 0)))
        except (TypeError, ValueError):  # the next step refuses it, in words
            settings_changed[0] += 1

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name not in ("lr", "_lr"):
            settings_changed[0] += 1

    def _zeros(self, number=1) -> list[Tensor]:
        """Return zeros for each parameter. number: 2 for a second slot, which lies apart from it"""
        return [beside(p, number, np.zeros(p.shape, p.dtype)) for p in self.params]

    slots: tuple[str, ...] = ()  # names of attributes with one tensor for each parameter
    counters: tuple[str, ...] = ()  # names of those slots whose tensors count steps

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of the state as {"means.0": …}, numbered in the parameters' order."""
        return {
            f"{slot}.{i}": np.array(tensor)
            for slot in self.slots
            for i, tensor in enumerate(getattr(self, slot))
        }

    def load_state_dict(self, state) -> None:
        """Take over a state_dict. Raises ValueError, and changes nothing, if it does not fit."""
        arrays = fitted(self.state_dict(), state, type(self).__name__)
        for number, slot in enumerate(self.slots, 1):
            loaded = [beside(p, number, arrays[f"{slot}.{i}"]) for i, p in enumerate(self.params)]
            setattr(self, slot, loaded)

    def zero_grad(self) -> None:
        """Set every parameter's `.grad` to None."""
        for p in self.params:
            p.grad = None

    def step(self) -> None:
        """Update every parameter that has a gradient.

        Raises ValueError, and updates nothing, if a gradient or state does not fit its parameter.
        """
        self._check_settings()
        active = [(i, p) for i, p in enumerate(self.params) if p.grad is not None]
        for i, p in active:
            self._check(i, p)
        if active:
            self._update_all(active, self._rate)

    def _check_settings(self):
        """Check the settings before each step, because a schedule may have changed them."""
        real(type(self).__name__, "lr", self.lr, 0)

    def _check(self, i, p):
        for slot in self.slots:
            tensors = getattr(self, slot)
            tensor = tensors[i] if i < len(tensors) else None
            wanted = _COUNT if slot in self.counters else p
            if not fits(tensor, wanted, written=True):
                self._refuse(slot, i, tensor, wanted)
        if not fits(p.grad, p, written=False):  # p's dtype may have changed since
            self._refuse("grad", i, p.grad, p)

    def _refuse(self, name, i, tensor, wanted):
        raise ValueError(
            f"{type(self).__name__}: {name} of parameter {i} is {_kind(tensor)}; it must be "
            f"{_kind(wanted)}, and writable. Make the optimiser after double(), and give it state "
            "by load_state_dict"
        )

    def _update_all(self, active, lr):
        """Update the parameters p, with their numbers i. lr: a tensor"""
        for i, p in active:
            self._update(i, p, lr)

    def _update(self, i, p, lr):
        raise NotImplementedError


class SGD(Optimizer):
    """b ← momentum · b + g,  p ← p − lr · b, with b = g at the first step, as in PyTorch."""

    slots = ("buffers",)

    def __init__(self, params, lr=1e-3, momentum=0.0):
        super().__init__(params, lr)
        self.momentum = real("SGD", "momentum", momentum, 0)
        self.buffers = self._zeros()

    def _check_settings(self):
        super()._check_settings()
        real("SGD", "momentum", self.momentum, 0)

    def _update(self, i, p, lr):
        sgd_(p, self.buffers[i], p.grad, lr, momentum=self.momentum)


class Adam(Optimizer):
    """Adam is algorithm 1 of Kingma & Ba 2015, as PyTorch computes it: see `ops.updates`.

    betas: the decay rates of the running means of g and g²
    eps: a number that is added to √v̂
    """

    slots = ("means", "squares", "steps")
    counters = ("steps",)

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(params, lr)
        self.betas, self.eps = betas, eps
        self._check_settings()
        self.means, self.squares = self._zeros(1), self._zeros(2)
        self.steps = [Tensor(_COUNT) for _ in self.params]

    def _check_settings(self):
        super()._check_settings()
        betas = self.betas
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ValueError(f"Adam: betas = {betas!r}; it must be a pair, such as (0.9, 0.999)")
        for beta in betas:
            if real("Adam", f"betas = {betas!r}: one", beta, 0, 1) == 1:
                raise ValueError(f"Adam: betas = {betas}; each must be in [0, 1)")
        real("Adam", "eps", self.eps, 0)

    def _update_all(self, active, lr):
        states = [(p, self.means[i], self.squares[i], self.steps[i], p.grad) for i, p in active]
        adam_(lr, *itertools.chain(*states), betas=self.betas, eps=self.eps)
