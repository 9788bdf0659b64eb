"""A Program is a straight line of instructions: it can be printed, compared and made shorter.

An instruction applies an operation to Values and makes new ones, or writes into their memory. So
the same Value read before a write and after it may be two things: passes count the writes.

Each pass is a function from a Program to a Program that does the same with less; `simplified`
is those of a program that is printed. None knows a model, and none changes the order in which
instructions act, that is, write or draw random numbers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds

from minigrad.core.show import aligned, call, kind
from minigrad.structures import rebuilt


@dataclass(eq=False, slots=True)
class Value:
    """A Value stands for an array that an instruction reads or makes.

    origin: "argument" of the function, "gradient" of a leaf before the call, "state", a tensor of
        the user's, "constant", or "result"
    key: tells it from others of this origin, also in another recording: the number of an argument
        or a result, also of one that is a constant by now, the leaf's key, the id of a state, or a
        digest of a constant's bytes
    source: the state or the constant, a Tensor, or the leaf, a Value
    memory: a number that all views of one memory share
    span, first: how many bytes there are from the array's lowest element to the end of its highest,
        and at which of them the first element stands
    """

    origin: str
    key: Any
    source: Any
    shape: tuple[int, ...]
    dtype: np.dtype
    strides: tuple[int, ...]
    memory: Any
    name: str | None = None
    span: int = 0
    first: int = 0

    @property
    def ndim(self) -> int:
        """value.ndim is the number of axes."""
        return len(self.shape)

    @classmethod
    def of(cls, array, origin, key, source, memory, name=None) -> Value:
        """Return a Value that stands for this array."""
        (low, end), first = byte_bounds(array), array.ctypes.data
        layout = array.shape, array.dtype, array.strides, memory
        return cls(origin, key, source, *layout, name, end - low, first - low)

    def empty(self, buffer) -> np.ndarray:
        """Return an array for it in a buffer of bytes, of the same strides."""
        return np.ndarray(self.shape, self.dtype, buffer, self.first, self.strides)

    def tensor(self, arguments):
        """Return what it stands for among a call's arguments, their gradients, and the states."""
        if self.origin == "argument":
            return arguments[self.key]
        return self.source.tensor(arguments).grad if self.origin == "gradient" else self.source

    def described(self) -> tuple:
        """Return what is equal for two recordings' Values that stand for the same."""
        return self.origin, self.key, self.shape, self.dtype, self.strides


class Instruction(NamedTuple):
    """An Instruction says which operation is applied to what, and where that was written."""

    primitive: Any
    operands: tuple[Value, ...]
    static: dict
    results: tuple[Value, ...]  # none of one that writes
    part: str = "forward"  # or "backward", or "update"
    line: str = ""  # of the user's code

    @property
    def views(self) -> bool:
        """Return whether all results are views of operands, so that there is nothing to compute."""
        memories = {x.memory for x in self.operands}
        return not self.primitive.acts and all([y.memory in memories for y in self.results])

    @property
    def written(self) -> set:
        """Return the memories that it writes."""
        writes = self.primitive.writes
        return {x.memory for x in self.primitive.written(self.operands)} if writes else set()

    def described(self) -> tuple:
        """Return what is equal for instructions that do the same in two recordings."""
        values = rebuilt((self.operands, self.results), Value.described)
        return self.primitive, frozen(self.static), values

    def text(self, names) -> str:
        """Return it as it is printed. names: {Value: name}"""
        text = call(self.primitive, [names[x] for x in self.operands], self.static)
        made = ", ".join([names[y] for y in self.results])
        return f"{made} : {', '.join(map(kind, self.results))} = {text}" if made else text

    def __str__(self):
        return f"{self.text(_Names())}  # {self.line}"


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

    def kept(self) -> list[Value]:
        """Return the Values that are still wanted when the program has run."""
        kept = [g for _, g in self.gradients if g]
        rebuilt(self.returned, kept.append)
        return kept

    def written(self) -> set:
        """Return the memories that are written."""
        return {memory for i in self.instructions for memory in i.written}

    def __str__(self):
        names, lines = _Names(), list[tuple[str, str]]()
        for part, some in groupby(self.instructions, lambda i: i.part):
            lines += [(f"{part}:", ""), *[(f"  {i.text(names)}", i.line) for i in some]]
        ends = [f"{names[leaf]}.grad = {g and names[g]}" for leaf, g in self.gradients]
        ends.append(f"return {rebuilt(self.returned, names.__getitem__)}")
        return aligned([*lines, ("in the end:", ""), *[(f"  {end}", "") for end in ends]])


class _Name(str):
    """A name stands without quotation marks in the text of a structure."""

    __repr__ = str.__str__


class _Names(dict):
    """Results are called v1, v2, …, as they come; other Values by what they are."""

    count = 0

    def __missing__(self, value):
        self.count += value.origin == "result"
        name = f"v{self.count}" if value.origin == "result" else value.name or value.origin
        self[value] = name = _Name(name)
        return name


def frozen(static) -> str:
    """Return static arguments as a text that is the same if they are, to be looked up."""
    kinds = np.ndarray, np.generic  # whose texts don't tell all
    return repr(rebuilt(static, lambda x: (x.dtype, x.tobytes()) if isinstance(x, kinds) else x))


# ---- passes


def simplified(program: Program) -> Program:
    """Return the program as it is printed."""
    return without_unused(without_repeats(program))


def without_unused(program: Program) -> Program:
    """Drop instructions whose results nobody uses, unless they act."""
    wanted, kept = {*program.kept()}, []
    for i in reversed(program.instructions):
        if i.primitive.acts or not wanted.isdisjoint(i.results):
            kept.append(i)
            wanted.update(i.operands)
    return program._replace(instructions=tuple(reversed(kept)))


def without_repeats(program: Program) -> Program:
    """Compute once what is computed twice from the same Values, with no write to them between.

    Results that are written themselves, or drawn, are left alone, and so is each leaf's gradient.
    """
    own = {g for _, g in program.gradients if g is not None}
    written, writes = program.written(), Counter[int]()  # how often each memory was written so far
    first: dict = {}  # what an instruction computes -> its results
    same: dict[Value, Value] = {}
    kept: list[Instruction] = []
    for i in program.instructions:
        i = i._replace(operands=tuple([same.get(x, x) for x in i.operands]))
        writes.update(i.written)
        if not i.primitive.acts and not any(y.memory in written or y in own for y in i.results):
            versions = tuple([writes[x.memory] for x in i.operands])
            key = i.primitive, i.operands, versions, frozen(i.static)
            results = first.setdefault(key, i.results)
            if results is not i.results:
                same.update(zip(i.results, results, strict=True))
                continue
        kept.append(i)
    returned = rebuilt(program.returned, lambda y: same.get(y, y))
    return program._replace(instructions=tuple(kept), returned=returned)


def difference(one: Program, other: Program) -> str | None:
    """Return the first lines in which two programs differ, or None if they do the same."""
    for i, j in zip_longest(one.instructions, other.instructions):
        if not i or not j or i.described() != j.described():
            return f"before: {i or 'nothing more'}\nnow:    {j or 'nothing more'}"
    one_end, other_end = (rebuilt(program[1:], Value.described) for program in (one, other))
    return None if one_end == other_end else "what it returns, or which gradients it sets"
