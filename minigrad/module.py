"""Modules: functions that own their parameters, named as in PyTorch so that weights travel."""

from collections.abc import Iterator, Mapping

import numpy as np

from minigrad.tensor import Tensor


class Parameter(Tensor):
    """A Tensor that a Module trains. A plain Tensor attribute is a buffer: saved, not trained."""

    __slots__ = ()

    def __init__(self, data):
        super().__init__(data, requires_grad=True)


class Module:
    """A function with parameters. Subclasses assign Parameters and Modules to attributes.

    A list of modules is not looked into: use Sequential, or an attribute for each.

    training: True after `train()`, False after `eval()`; for layers that differ between the two.
    """

    training = True

    def __call__(self, *inputs):
        return self.forward(*inputs)

    def forward(self, *inputs):
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def children(self) -> Iterator[tuple[str, "Module"]]:
        """The direct submodules with their attributes' names."""
        return ((name, m) for name, m in vars(self).items() if isinstance(m, Module))

    def named_tensors(self, prefix="") -> Iterator[tuple[str, Tensor]]:
        """Parameters and buffers of this module and all below it, as ("encoder.0.weight", w)."""
        for name, tensor in vars(self).items():
            if isinstance(tensor, Tensor) and tensor.is_leaf:
                yield prefix + name, tensor
        for name, module in self.children():
            yield from module.named_tensors(f"{prefix}{name}.")

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Each parameter once, under its first name, even if several modules share it."""
        seen = set()
        for name, p in self.named_tensors():
            if isinstance(p, Parameter) and id(p) not in seen:
                seen.add(id(p))
                yield name, p

    def parameters(self) -> Iterator[Parameter]:
        return (p for _, p in self.named_parameters())

    def zero_grad(self) -> None:
        for p in self.parameters():
            p.grad = None

    def train(self, mode=True) -> "Module":
        self.training = mode
        for _, module in self.children():
            module.train(mode)
        return self

    def eval(self) -> "Module":
        return self.train(False)

    def double(self) -> "Module":
        """Convert parameters and floating buffers to float64, in place. Gradients are dropped.

        Make the optimiser afterwards: its state has the dtype that the parameters had.
        """
        for _, tensor in self.named_tensors():
            if tensor.dtype.kind == "f":
                tensor._array, tensor.grad = tensor._array.astype(np.float64), None
                tensor._wrote()
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers by name."""
        return {name: tensor.data.copy() for name, tensor in self.named_tensors()}

    def load_state_dict(self, state: Mapping) -> None:
        """Write the values of a state_dict (arrays, or CPU tensors of PyTorch) into this module.

        Raises ValueError, and writes nothing, unless names and shapes are exactly the module's.
        """
        own = dict(self.named_tensors())
        arrays: dict[str, np.ndarray] = {
            name: value.data if isinstance(value, Tensor) else np.asarray(value)
            for name, value in state.items()
        }
        check_fit(own, arrays, type(self).__name__)
        for name, tensor in own.items():
            tensor.copy_(arrays[name])


def check_fit(own: Mapping, given: Mapping, owner: str) -> None:
    """Raises ValueError that names each difference, unless names and shapes are the same."""
    problems = [f"{name} is missing" for name in own if name not in given]
    problems += [f"{name} is not in the {owner}" for name in given if name not in own]
    problems += [
        f"{name} has shape {given[name].shape}, the {owner}'s has {array.shape}"
        for name, array in own.items()
        if name in given and given[name].shape != array.shape
    ]
    if problems:
        raise ValueError(
            f"load_state_dict: this is not the state of this {owner}: " + "; ".join(problems)
        )


class Sequential(Module):
    """One module after another; named "0", "1", … in a state_dict."""

    def __init__(self, *modules):
        for i, module in enumerate(modules):
            setattr(self, str(i), module)

    def forward(self, x):
        for _, module in self.children():
            x = module(x)
        return x
