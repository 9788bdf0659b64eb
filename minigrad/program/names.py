"""Where a function's state comes from, so that a program can call it by its name."""

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
    for thing in found.values():
        if isinstance(thing, Optimizer):
            leaves += thing.params
    for name, thing in found.items():
        if isinstance(thing, Optimizer):
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
    """Return the modules, optimisers and tensors that a function can reach, by their names."""
    found: dict[str, object] = {}
    _reach(function, found, set())
    return found


def _reach(function, found, seen):
    """Find modules, optimisers and tensors in a function's variables, and in those of functions
    that it calls."""
    function = inspect.unwrap(getattr(function, "__func__", function))
    if not inspect.isfunction(function) or function.__code__ in seen:
        return
    seen.add(function.__code__)
    variables = inspect.getclosurevars(function)
    loaded = {i.argval for i in dis.get_instructions(function) if i.opname == "LOAD_GLOBAL"}
    named = {name: thing for name, thing in variables.globals.items() if name in loaded}
    for name, thing in {**named, **variables.nonlocals}.items():  # not an attribute called the same
        if isinstance(thing, (Module, Optimizer, Tensor)):
            found.setdefault(name, thing)
        elif inspect.isfunction(thing) and not thing.__module__.startswith("minigrad"):
            _reach(thing, found, seen)
