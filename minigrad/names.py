"""What state is called: modules, optimisers and tensors by the variables that a function has."""

from __future__ import annotations

import dis
import inspect
from typing import Any

from minigrad.core.tensor import Tensor
from minigrad.nn.module import Module
from minigrad.optim import Optimizer


def reachable_state(function) -> tuple[dict[int, str], list[Tensor]]:
    """Return {id(tensor): name} of the tensors that a function can reach by its variables, and
    those of them that can have a gradient.

    If it reaches one module alone, parameters are called as the module calls them.
    """
    found = reachable(function)
    named = [(thing, name) for thing, name in named_parts(found) if isinstance(thing, Tensor)]
    names = {id(tensor): name for tensor, name in reversed(named)}
    leaves = [tensor for tensor, _ in named]
    for name, thing in found.items():
        if isinstance(thing, Optimizer):
            leaves += thing.params
            names[id(thing._rate)] = f"{name}.lr"
            for slot in thing.slots:
                for p, tensor in zip(thing.params, getattr(thing, slot), strict=False):
                    names.setdefault(id(tensor), f"{slot}({names.get(id(p), 'p')})")
    return names, [leaf for leaf in leaves if leaf.requires_grad and leaf.is_leaf]


def named_parts(found) -> list[tuple[Any, str]]:
    """Return (part, name) of things that have names, and of the modules and tensors in modules.

    If there is one module alone, its parts are called as it calls them.
    """
    modules = {id(thing) for thing in found.values() if isinstance(thing, Module)}
    named: list[tuple[Any, str]] = []
    for name, thing in found.items():
        named.append((thing, name))
        if isinstance(thing, Module):
            prefix = "" if len(modules) == 1 else name
            below = [*thing.named_modules(prefix=prefix)][1:]
            tensors = thing.named_tensors(f"{prefix}." if prefix else "")
            named += [(part, own) for own, part in [*below, *tensors]]
    return named


def reachable(function) -> dict[str, object]:
    """Return the modules, optimisers and tensors in the variables of a function, and of functions
    that it calls, by their names; also in tuples, lists and dictionaries."""
    found: dict[str, object] = {}
    functions, seen = [function], set[int]()
    for function in functions:  # which grows
        function = inspect.unwrap(getattr(function, "__func__", function))
        if not inspect.isfunction(function) or id(function.__code__) in seen:
            continue
        seen.add(id(function.__code__))
        outside = inspect.getclosurevars(function)
        loaded = {i.argval for i in dis.get_instructions(function) if i.opname == "LOAD_GLOBAL"}
        named = {name: thing for name, thing in outside.globals.items() if name in loaded}
        things = [*{**named, **outside.nonlocals}.items()]  # no attribute of this name
        for name, thing in things:  # which grows
            if isinstance(thing, (Module, Optimizer, Tensor)):
                found.setdefault(name, thing)
            elif isinstance(thing, (tuple, list, dict)) and id(thing) not in seen:
                seen.add(id(thing))
                parts = thing.items() if isinstance(thing, dict) else enumerate(thing)
                things += [(f"{name}[{key!r}]", part) for key, part in parts]
            elif inspect.isfunction(thing) and not thing.__module__.startswith("minigrad"):
                functions.append(thing)
    return found
