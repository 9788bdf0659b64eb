"""A Program is a straight line of instructions: it can be printed, changed and run again.

An instruction applies an operation to Values and makes new ones. A Value is made once; a write in
place makes a new one, the next version of the same array.
"""

from __future__ import annotations

import math
import textwrap
from typing import Any, NamedTuple

import numpy as np

from minigrad.core.show import call, kind


class Value:
    """A Value stands for an array that an instruction reads or makes.

    origin: "argument" of the function, "gradient" of a leaf before the call, "state", a tensor of
        the user's, "constant", or "result"
    source: the argument's number, the leaf's Value, or the state's or the constant's Tensor
    memory: a number that all views of one memory share, whatever its version
    before: the same array's version before a write, or None
    moved: whether a replay's array has other strides
    """

    __slots__ = (
        "origin", "source", "shape", "dtype", "strides", "memory", "before", "name", "moved",
    )  # fmt: skip

    def __init__(self, array, origin, memory, source=None, before=None, name=None):
        self.shape, self.dtype, self.strides = array.shape, array.dtype, array.strides
        self.origin, self.source, self.memory = origin, source, memory
        self.before, self.name, self.moved = before, name, False

    @property
    def ndim(self) -> int:
        """value.ndim is the number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """value.size is the number of elements."""
        return math.prod(self.shape)

    def tensor(self, arguments):
        """Return the tensor that it stands for, of a state or of one of a call's arguments."""
        return arguments[self.source] if self.origin == "argument" else self.source

    def root(self) -> Value:
        """Return the first version of the array."""
        while self.before is not None:
            self = self.before
        return self

    def repeats(self) -> bool:
        """Return whether elements share memory, or run backwards in it."""
        return any([step <= 0 and n > 1 for step, n in zip(self.strides, self.shape, strict=True)])

    def empty(self, buffer=None) -> np.ndarray:
        """Return an array for it, with its axes in the same order in memory. buffer: where"""
        axes = sorted(range(len(self.shape)), key=lambda i: -self.strides[i])
        dense = np.ndarray([self.shape[i] for i in axes], self.dtype, buffer)
        array = dense.transpose(np.argsort(axes)) if axes else dense
        return array if buffer is not None else np.empty_like(array)  # one that owns its memory

    def __repr__(self):
        return f"<{self.name or self.origin} : {kind(self)}>"


class Instruction(NamedTuple):
    """An Instruction says which operation is applied to what, and where that was written."""

    primitive: Any
    operands: tuple[Value, ...]
    static: dict
    results: tuple[Value, ...]  # of one that writes, the next versions of what it writes
    part: str = "forward"  # or "backward", or "update"
    line: str = ""  # of the user's code

    @property
    def views(self) -> bool:
        """Return whether all results are views of operands, so that there is nothing to compute."""
        memories = {x.memory for x in self.operands}
        return not self.acts and all([y.memory in memories for y in self.results])

    def __str__(self):
        return f"{_text(self, _Names())}  # {self.line}"

    @property
    def acts(self) -> bool:
        """Return whether it must run even if nobody uses its results: see `primitive`."""
        return self.primitive.acts


class Program(NamedTuple):
    """A Program is what a function did to arrays, and what it left behind.

    returned: what the function returned, with Values in place of tensors
    gradients: (leaf, Value or None), for each leaf whose `.grad` was set: what it was in the end
    gradients_before: (leaf, whether it had one), where the instructions depend on that
    """

    instructions: tuple[Instruction, ...]
    returned: Any
    gradients: tuple[tuple[Value, Value | None], ...]
    gradients_before: tuple[tuple[Value, bool], ...] = ()

    def fits(self, arguments) -> bool:
        """Return whether leaves have a `.grad`, or none, where that matters, as they had then."""
        return all(
            [(x.tensor(arguments).grad is not None) is had for x, had in self.gradients_before]
        )

    def kept(self) -> list[Value]:
        """Return the Values that are still wanted when the program has run."""
        kept = [g for _, g in self.gradients if g is not None]
        rebuilt(self.returned, kept.append)
        return kept

    def __str__(self):
        names, lines, part = _Names(), list[tuple[str, str]](), None
        for instruction in self.instructions:
            if instruction.part != part:
                part = instruction.part
                lines.append((f"{part}:", ""))
            lines.append((f"  {_text(instruction, names)}", f"  # {instruction.line}"))
        lines.append(("in the end:", ""))
        for leaf, g in self.gradients:
            lines.append((f"  {names[leaf]}.grad = {g and names[g]}", ""))
        lines.append((f"  return {rebuilt(self.returned, names.__getitem__)}", ""))
        width = min(WIDTH, max(len(text) for text, _ in lines))
        wrapped = [(textwrap.wrap(text, WIDTH, subsequent_indent=" " * 6), n) for text, n in lines]
        texts = [[f"{text[0]:{width}}{note}".rstrip(), *text[1:]] for text, note in wrapped]
        return "\n".join([line for text in texts for line in text])


WIDTH = 96  # columns of a printed instruction


class _Name(str):
    """A name stands without quotation marks in the text of a structure."""

    __repr__ = str.__str__


class _Names(dict):
    """Results are called v1, v2, …, as they come; other Values by what they are."""

    count = 0

    def __missing__(self, value):
        if value.origin == "constant" and value.size == 1:
            name = f"{value.source.item():.6g}"
        elif value.origin == "result" and value.before is None:
            self.count += 1
            name = f"v{self.count}"
        else:
            name = value.name or (self[value.before] if value.before else value.origin)
        self[value] = _Name(name)
        return self[value]


def _text(instruction, names):
    primitive, operands, static, results, *_ = instruction
    text = call(primitive, [names[value] for value in operands], static)
    if primitive.writes:
        return text
    return f"{', '.join(names[y] for y in results)} : {', '.join(map(kind, results))} = {text}"


def rebuilt(structure, put):
    """Return tuples, lists and dictionaries as they are, with put(x) for what else is in them.

    None, numbers and texts stay, too.
    """
    if structure is None or isinstance(structure, (bool, int, float, str)):
        return structure
    if isinstance(structure, dict):
        return {key: rebuilt(part, put) for key, part in structure.items()}
    if isinstance(structure, (tuple, list)):
        parts = [rebuilt(part, put) for part in structure]
        return type(structure)(*parts) if hasattr(structure, "_fields") else type(structure)(parts)
    return put(structure)
