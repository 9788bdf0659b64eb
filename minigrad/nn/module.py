"""Modules: functions that own their parameters, named as in PyTorch so that weights travel."""

from collections.abc import Iterator, Mapping

import numpy as np

from minigrad.checks import fitted
from minigrad.core.guards import is_writable
from minigrad.core.tensor import Tensor, replace


class Parameter(Tensor):
    """A Tensor that a Module trains. A plain Tensor attribute is a buffer: saved, not trained."""

    __slots__ = ()

    def __init__(self, data):
        super().__init__(data, requires_grad=True)


class Module:
    """A function with parameters. Subclasses assign Parameters and Modules to attributes.

    A list of modules is not looked into: use Sequential, or an attribute for each. A subclass that
    defines extra_repr is printed with its settings.

    training: True after `train()`, False after `eval()`; for layers that differ between the two.
    """

    training = True

    def __setattr__(self, name, value):
        """Raises TypeError where a parameter or a buffer would no longer be one."""
        kind = type(vars(self).get(name))
        if value is not None and issubclass(kind, Tensor) and not isinstance(value, kind):
            raise TypeError(
                f"{type(self).__name__}: {name} is a {kind.__name__}, and would be replaced by a "
                f"{type(value).__name__}; assign a {kind.__name__}, or write into it: "
                f"{name}.copy_(values)"
            )
        super().__setattr__(name, value)

    def __call__(self, *inputs, **settings):
        return self.forward(*inputs, **settings)

    def forward(self, *inputs, **settings):
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def _submodules(self) -> dict[str, "Module"]:
        """The attributes that are modules, with repetitions: x goes through one as often."""
        return {name: module for name, module in vars(self).items() if isinstance(module, Module)}

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """The direct submodules with their attributes' names; each once, as in all that follows."""
        return _once(self._submodules().items())

    def children(self) -> Iterator["Module"]:
        return (module for _, module in self.named_children())

    def named_modules(self, *, prefix="") -> Iterator[tuple[str, "Module"]]:
        """This module, as "", and all below it: ("encoder.0", m)."""

        def walk(module, name):
            yield name, module
            for child, below in module._submodules().items():
                yield from walk(below, f"{name}.{child}" if name else child)

        return _once(walk(self, prefix))

    def modules(self) -> Iterator["Module"]:
        return (module for _, module in self.named_modules())

    def named_tensors(self, prefix="") -> Iterator[tuple[str, Tensor]]:
        """Parameters and buffers of this module and all below it, as ("encoder.0.weight", w).

        One that several modules share comes under each of its names.
        """
        for name, tensor in vars(self).items():
            if isinstance(tensor, Tensor) and tensor.is_leaf:
                yield prefix + name, tensor
        for name, module in self._submodules().items():
            yield from module.named_tensors(f"{prefix}{name}.")

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        return _once((n, p) for n, p in self.named_tensors() if isinstance(p, Parameter))

    def parameters(self) -> Iterator[Parameter]:
        return (p for _, p in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        return _once((n, t) for n, t in self.named_tensors() if not isinstance(t, Parameter))

    def buffers(self) -> Iterator[Tensor]:
        return (tensor for _, tensor in self.named_buffers())

    def extra_repr(self) -> str:
        """What stands between the brackets when the module is printed: its settings."""
        return ""

    def __repr__(self):
        settings = self.extra_repr()
        lines = [f"({name}): {module!r}" for name, module in self._submodules().items()]
        if lines or "\n" in settings:
            lines = [line for text in (settings, *lines) for line in text.splitlines()]
            settings = "".join(f"\n  {line}" for line in lines) + "\n"
        return f"{type(self).__name__}({settings})"

    def zero_grad(self) -> None:
        for p in self.parameters():
            p.grad = None

    def train(self, mode=True) -> "Module":
        if not isinstance(mode, bool):
            raise ValueError(
                f"train: mode is a {type(mode).__name__}; it must be True or False. train() only "
                "switches: a loop of your own trains"
            )
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> "Module":
        return self.train(False)

    def double(self) -> "Module":
        """Convert parameters and floating buffers to float64, in place. Gradients are dropped.

        Make the optimiser afterwards: its state has the dtype that the parameters had.
        """
        floating = [t for _, t in _once(self.named_tensors()) if t.dtype.kind == "f"]
        arrays = [tensor.data.astype(np.float64) for tensor in floating]  # if there is room
        for tensor, array in zip(floating, arrays, strict=True):
            replace(tensor, array)
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers by name."""
        return {name: tensor.data.copy() for name, tensor in self.named_tensors()}

    def load_state_dict(self, state: Mapping) -> None:
        """Write the values of a state_dict (arrays, or CPU tensors of PyTorch) into this module.

        Raises ValueError, and writes nothing, unless names and shapes are exactly the module's and
        its dtypes can hold the values.
        """
        own = dict(self.named_tensors())
        arrays = fitted(own, state, type(self).__name__)
        for name, tensor in own.items():
            is_writable(f"load_state_dict: {name}", tensor)
        for name, tensor in own.items():
            tensor.copy_(arrays[name])


def _once(pairs):
    """Each object under its first name."""
    seen = set()
    for name, thing in pairs:
        if id(thing) not in seen:
            seen.add(id(thing))
            yield name, thing


class Sequential(Module):
    """One module after another; named "0", "1", … in a state_dict, or as a dictionary names them.

    As in PyTorch it has a length, can be iterated, and s[1] is a module, s[1:] a Sequential.
    Raises TypeError for what is no module, such as a function or a list.
    """

    def __init__(self, *modules):
        named = len(modules) == 1 and isinstance(modules[0], dict)
        for name, module in modules[0].items() if named else enumerate(modules):
            self._add(str(name), module)

    def _add(self, name, module):
        if isinstance(module, (list, tuple)) or hasattr(module, "__next__"):
            mend = "write Sequential(*modules), with an asterisk"
        elif isinstance(module, type) and issubclass(module, Module):
            mend = f"write {module.__name__}(), with brackets"
        else:
            mend = "it must be a Module, such as nn.Tanh() for the function tanh"
        if not isinstance(module, Module):
            what = getattr(module, "__name__", f"a {type(module).__name__}")
            raise TypeError(f"Sequential: module {name} is {what}; {mend}")
        if not name or "." in name or hasattr(type(self), name):
            raise ValueError(f"Sequential: a module can't be named {name!r}; choose another name")
        setattr(self, name, module)

    def __len__(self):
        return len(self._submodules())

    def __iter__(self):
        return iter(self._submodules().values())

    def __getitem__(self, index):
        items = list(self._submodules().items())
        if isinstance(index, slice):
            return Sequential(dict(items[index]))
        return items[index][1]

    def forward(self, x) -> Tensor:
        for module in self:
            x = module(x)
        return x
