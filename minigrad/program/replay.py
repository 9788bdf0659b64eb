"""A Replay runs a program again and again, with as little Python between kernels as possible.

All arrays are made before the first call, and the views of them; results that are not needed at the
same time lie in the same memory. What is left for a call is a list of kernels with their arrays.

The gradients that a call leaves are lent: the next call writes into the same tensors. If somebody
has kept anything of them by then, they stay as they are, and from then on each call leaves copies.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from minigrad import ops, rng
from minigrad.core.guards import is_writable
from minigrad.core.interpreter import current
from minigrad.core.memory import (
    GRADIENT,
    LINE,
    array_of,
    count_writes,
    memory_at,
    memory_of,
    place_beside,
    set_gradient,
)
from minigrad.core.tensor import Tensor, owned
from minigrad.program.instructions import Program, Value
from minigrad.structures import rebuilt

# Draws without operands, and what fills an array that it is given with them.
FILLS: dict[Any, Any] = {ops.randn: rng.normal, ops.rand: rng.uniform}


class Replay:
    """A Replay holds a program's arrays and calls. One thread at a time may run it."""

    def __init__(self, program: Program):
        self._loops: Any = None
        if current.interpreter.accelerates and find_spec("minigrad.kernels"):
            self._loops = import_module("minigrad.kernels.loops")
            program = import_module("minigrad.program.fusion").fused(program)
        self.program, self._writes = program, program.written()
        used = [x for i in program.instructions for x in i.operands] + program.kept()
        outside = [x for x in dict.fromkeys(used) if x.origin != "result"]
        inputs = [x for x in outside if x.origin in ("argument", "gradient")]
        self._inputs = {x: x.empty(memory_at(0, x.span)) for x in inputs}
        self._states = {x: array_of(x.source) for x in outside if x not in self._inputs}
        self._memories = [memory_of(x.source) for x in self._states if x.memory in self._writes]
        self._prepare()

    def _prepare(self, lends=True):
        """Make the arrays and the calls. lends: whether it lends gradients, or gives copies"""
        program = self.program
        own = {g.memory: _place(leaf) for leaf, g in program.gradients if g and lends}
        made = planned(program, own, self._loops.in_place if self._loops else lambda *_: False)
        arrays = self._inputs | self._states | made
        calls = [call for i in program.instructions for call in self._calls_of(i, arrays)]
        calls = self._loops.joined(calls) if self._loops else calls
        self._made, self._own = (arrays, calls), own.keys() & {y.memory for y in made}
        self.lend()
        self._references = [*map(sys.getrefcount, self._seen)]

    def lend(self):
        """Make the tensors of the gradients that it lends."""
        arrays, _ = self._made
        self._lent = [
            owned(arrays[g].view()) if g and g.memory in self._own else None
            for _, g in self.program.gradients
        ]
        lent = [g for g in self._lent if g is not None]
        self._seen = [x for g in lent for x in (g, array_of(g), array_of(g).base)]

    def _calls_of(self, instruction, arrays):
        """Return functions without arguments, or jobs, or nothing if views are all there is."""
        primitive, operands, static, results = instruction[:4]
        kernel, given = primitive.kernel, [arrays[x] for x in operands]
        if instruction.views:
            found = _quietly(primitive.forward, *given, **static)
            arrays.update(zip(results, found if type(found) is tuple else (found,), strict=True))
            return []
        made = [arrays[y] for y in results]
        if self._loops and isinstance(primitive, self._loops.Loop):
            return self._loops.jobs(instruction, given, made)
        if self._loops and kernel and given[0].dtype in kernel.dtypes:
            if kernel.results(*given, **static) is not None:
                jobs = self._loops.collected(kernel.run, *made, *given, **static)
                return jobs or [partial(_quietly, kernel.run, *made, *given, **static)]
        if primitive in FILLS:
            return [partial(FILLS[primitive], out=made[0], **static)]
        return [partial(_quietly, _copy_results, primitive, given, static, made)]

    def is_current(self) -> bool:
        """Return whether all states still have the arrays that the calls are made for."""
        return all([array_of(x.source) is array for x, array in self._states.items()])

    def knows(self, arguments) -> bool:
        """Return whether no memory that is written has a name that it had not when recorded."""
        given = [(x.memory, x.tensor(arguments)) for x in self._inputs]
        names = [(memory, id(memory_of(y))) for memory, y in given if isinstance(y, Tensor)]
        if not names:
            return True
        written: dict[int, Any] = {id(memory): None for memory in self._memories}
        written |= {now: memory for memory, now in names if memory in self._writes}
        return all([written.get(now, memory) == memory for memory, now in names])

    # ---- a call

    def run(self, arguments):
        """Run the program on arguments (arrays or tensors), and return what it returns.

        A line of Python here takes several times as long as in a loop, because nothing that it
        needs is in the processor's caches: the kernels' arrays are there.
        """
        program, written = self.program, self._read(arguments)
        leaves = [leaf.tensor(arguments) for leaf, _ in program.gradients]
        for tensor in leaves:  # should the run fail, what it made is nobody's gradient
            set_gradient(tensor, None)
        if [*map(sys.getrefcount, self._seen)] != self._references:
            self._prepare(lends=False)
        arrays, calls = self._made
        count_writes(self._memories)
        for call in calls:
            call()
        for tensor, array in written:
            count_writes([memory_of(tensor)])
            np.copyto(array_of(tensor), array)
        for tensor, (_, g), lent in zip(leaves, program.gradients, self._lent, strict=True):
            if lent is not None:
                set_gradient(lent, None)
                set_gradient(tensor, lent)
            elif g is not None:
                set_gradient(tensor, handed_out(g, arrays[g]))
        return rebuilt(program.returned, lambda y: handed_out(y, arrays[y]))

    def _read(self, arguments):
        """Copy the arguments. Returns the tensors that are written, each with its copy."""
        written = []
        for value, array in self._inputs.items():
            given = value.tensor(arguments)
            if isinstance(given, Tensor) and value.memory in self._writes:
                is_writable("compile", given)
                written.append((given, array))
            np.copyto(array, array_of(given) if isinstance(given, Tensor) else given)
        return written


def handed_out(value, array) -> Tensor:
    """Return the tensor that a caller gets: a state itself, otherwise a copy, without a graph."""
    return value.source if value.origin == "state" else owned(np.array(array))


def _quietly(function, /, *arguments, **static):
    """Call it as an operation is called: log(0) is −∞, and NumPy need not warn."""
    with np.errstate(all="ignore"):
        return function(*arguments, **static)


def _copy_results(primitive, arrays, static, made):
    """Write what a forward computes into arrays: none if it writes, or only looks at values."""
    found = primitive.forward(*arrays, **static)
    for array, y in zip(made, found if type(found) is tuple else (found,), strict=bool(made)):
        if y.shape != array.shape:
            raise RuntimeError(
                f"compile: the shape of {primitive.name}'s result depends on values: it was "
                f"{array.shape}, and is {y.shape}; compute it outside the function"
            )
        array[...] = y


def _place(leaf):
    """Return a place for a leaf's gradient."""
    return place_beside(leaf.source, GRADIENT) if leaf.origin == "state" else 0


def planned(program: Program, own, in_place) -> dict[Value, np.ndarray]:
    """Return an array for each result that is no view.

    own: {memory: place} of those that are one array. The others lie in one block, each until the
        last use of what it has in it
    in_place: (instruction, operand, result) -> whether the one can be written over the other
    """
    last = {x.memory: time for time, i in enumerate(program.instructions) for x in i.operands}
    last |= {value.memory: len(program.instructions) for value in program.kept()}
    arrays: dict[Value, np.ndarray] = {}
    places: dict[Value, int] = {}
    taken: list[tuple[int, int, int]] = []  # the first byte, the first after it, the last use
    for time, i in enumerate(program.instructions):
        ending = [x for x in i.operands if x in places and last[x.memory] == time]
        for y in i.results if not i.views else ():
            if y.memory in own:
                arrays[y] = y.empty(memory_at(own[y.memory], y.span))
                continue
            length = -(-y.span // LINE) * LINE
            before = next((x for x in ending if in_place(i, x, y)), None)
            if before:
                ending.remove(before)
                start = places[before]
            else:
                taken = [block for block in taken if block[2] >= time]
                starts = sorted([0, *[end for _, end, _ in taken]])
                free = (s for s in starts if all([s + length <= a or s >= b for a, b, _ in taken]))
                start = next(free)
            places[y] = start
            taken.append((start, start + length, last.get(y.memory, time)))
    size = max([start + y.span for y, start in places.items()], default=0)
    block = memory_at(0, size)
    return arrays | {y: y.empty(block[start:]) for y, start in places.items()}
