"""Modules are functions that own parameters, with PyTorch's names so that weights fit both."""

from collections.abc import Iterator, Mapping

import numpy as np

from minigrad.checks import fitted
from minigrad.core.guards import is_writable
from minigrad.core.tensor import Tensor, replace, settings_changed


class Parameter(Tensor):
    """A Parameter is a Tensor that is trained. A plain Tensor attribute is a buffer: only saved."""

    __slots__ = ()

    def __init__(self, data):
        super().__init__(data, requires_grad=True)


class Module:
    """A Module is a function with parameters. Subclasses have Parameters and Modules as attributes.

    Modules inside a list are not found: use Sequential, or an attribute for each. A subclass that
    defines extra_repr is printed with its settings.

    training: True after `train()`, False after `eval()`, for layers that differ between the two
    """

    training = True

    def __setattr__(self, name, value):
        """Set an attribute; raise TypeError if a parameter or a buffer would no longer be one."""
        kind = type(vars(self).get(name))
        if value is not None and issubclass(kind, Tensor) and not isinstance(value, kind):
            raise TypeError(
                f"{type(self).__name__}: {name} is a {kind.__name__}, and would be replaced by a "
                f"{type(value).__name__}; assign a {kind.__name__}, or write into it: "
                f"{name}.copy_(values)"
            )
        super().__setattr__(name, value)
        settings_changed[0] += 1

    def __delattr__(self, name):
        super().__delattr__(name)
        settings_changed[0] += 1

    def __call__(self, *inputs, **settings):
        return self.forward(*inputs, **settings)

    def forward(self, *inputs, **settings):
        """Compute the module's result. Subclasses define it, and `module(x)` calls it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def _submodules(self) -> dict[str, "Module"]:
        """Return the attributes that are modules; one with two names occurs, and runs, twice."""
        return {name: module for name, module in vars(self).items() if isinstance(module, Module)}

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Iterate over the direct submodules with their attributes' names, each module once."""
        return _once(self._submodules().items())

    def children(self) -> Iterator["Module"]:
        """Iterate over the direct submodules, each once."""
        return (module for _, module in self.named_children())

    def named_modules(self, *, prefix="") -> Iterator[tuple[str, "Module"]]:
        """Iterate over this module, named "", and all below it, such as ("encoder.0", m)."""

        def walk(module, name):
            yield name, module
            for child, below in module._submodules().items():
                yield from walk(below, f"{name}.{child}" if name else child)

        return _once(walk(self, prefix))

    def modules(self) -> Iterator["Module"]:
        """Iterate over this module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_tensors(self, prefix="") -> Iterator[tuple[str, Tensor]]:
        """Iterate over all parameters and buffers with their names: ("encoder.0.weight", w).

        A tensor that several modules share comes under each of its names.
        """
        for name, tensor in vars(self).items():
            if isinstance(tensor, Tensor) and tensor.is_leaf:
                yield prefix + name, tensor
        for name, module in self._submodules().items():
            yield from module.named_tensors(f"{prefix}{name}.")

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Iterate over the parameters here and below with their names, each once."""
        return _once((n, p) for n, p in self.named_tensors() if isinstance(p, Parameter))

    def parameters(self) -> Iterator[Parameter]:
        """Iterate over the parameters of this module and all below it, each once."""
        return (p for _, p in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Iterate over the buffers here and below with their names, each once."""
        return _once((n, t) for n, t in self.named_tensors() if not isinstance(t, Parameter))

    def buffers(self) -> Iterator[Tensor]:
        """Iterate over the buffers of this module and all below it, each once."""
        return (tensor for _, tensor in self.named_buffers())

    def extra_repr(self) -> str:
        """Return the settings that are printed between the module's brackets."""
        return ""

    def __repr__(self):
        settings = self.extra_repr()
        lines = [f"({name}): {module!r}" for name, module in self._submodules().items()]
        if lines or "\n" in settings:
            lines = [line for text in (settings, *lines) for line in text.splitlines()]
            settings = "".join(f"\n  {line}" for line in lines) + "\n"
        return f"{type(self).__name__}({settings})"

    def zero_grad(self) -> None:
        """Set every parameter's `.grad` to None."""
        for p in self.parameters():
            p.grad = None

    def train(self, mode=True) -> "Module":
        """Set `training` to mode in this module and all below it. Returns the module."""
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
        """Set `training` to False in this module and all below it. Returns the module."""
        return self.train(False)

    def double(self) -> "Module":
        """Convert parameters and floating buffers to float64, in place. Gradients are dropped.

        Make the optimiser afterwards, because its state keeps the dtype that the parameters had.
        """
        floating = [t for _, t in _once(self.named_tensors()) if t.dtype.kind == "f"]
        # All arrays are made before any is written, because memory may run out.
        arrays = [tensor.data.astype(np.float64) for tensor in floating]
        for tensor, array in zip(floating, arrays, strict=True):
            replace(tensor, array)
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of all parameters and buffers by name."""
        return {name: tensor.data.copy() for name, tensor in self.named_tensors()}

    def load_state_dict(self, state: Mapping) -> None:
        """Write the values of a state_dict (arrays, or CPU tensors of PyTorch) into this module.

        Raises ValueError, and writes nothing, unless names and shapes are exactly the module's and
        the module's dtypes can hold the values.
        """
        own = dict(self.named_tensors())
        arrays = fitted(own, state, type(self).__name__)
        for name, tensor in own.items():
            is_writable(f"load_state_dict: {name}", tensor)
        for name, tensor in own.items():
            tensor.copy_(arrays[name])


def _once(pairs):
    """Iterate over the objects, each once under its first name."""
    seen = set()
    for name, thing in pairs:
        if id(thing) not in seen:
            seen.add(id(thing))
            yield name, thing


class Sequential(Module):
    """A Sequential calls one module after another.

    It names them "0", "1", …, or as a dictionary of modules does. As in PyTorch it has a length and
    can be iterated, s[1] is a module, and s[1:] is a Sequential. Raises TypeError for anything that
    is not a module, such as a function or a list.
    """

    def __init__(self, *modules):
        named = len(modules) == 1 and isinstance(modules[0], dict)
        for name, module in modules[0].items() if named else enumerate(modules):
            self._add(str(name), module)

    def _add(self, name, module):
        if isinstance(module, (list, tuple)) or hasattr(module, "__next__"):
            advice = "write Sequential(*modules), with an asterisk"
        elif isinstance(module, type) and issubclass(module, Module):
            advice = f"write {module.__name__}(), with brackets"
        else:
            advice = "it must be a Module, such as nn.Tanh() for the function tanh"
        if not isinstance(module, Module):
            what = getattr(module, "__name__", f"a {type(module).__name__}")
            raise TypeError(f"Sequential: module {name} is {what}; {advice}")
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
