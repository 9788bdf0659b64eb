"""A Replay runs a program again and again, with as little Python between kernels as possible.

All arrays are made once, and the views of them; results that are not needed at the same time lie in
the same memory. What is left for a call is a list of kernels with their arrays.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import groupby
from typing import Any

import numpy as np

from minigrad.core.interpreter import current
from minigrad.core.memory import array_of, count_write
from minigrad.core.tensor import Tensor, owned
from minigrad.program.instructions import Program, Value, rebuilt

LINE = 64  # bytes: where an array begins, because a register is as wide


class Replay:
    """A Replay holds a program's arrays and calls. One thread at a time may run it."""

    def __init__(self, program: Program):
        self.program, self._copies = program, False  # whether a caller gets copies of gradients
        self._loops: Any = None
        if current.interpreter.accelerates and find_spec("minigrad.kernels"):
            self._loops = import_module("minigrad.program.loops")  # which needs the kernels
            self.program = self._loops.fused(program)
        self._prepare()

    # ---- arrays and calls, which are made once

    def _prepare(self):
        program, written = self.program, self.program.written()
        self._gradients: list[tuple[Value, Any]]
        self._inputs: list[tuple[Value, np.ndarray]] = []  # arguments, and gradients to add to
        self._arrays: dict[Value, np.ndarray] = {}
        self._memory = planned(program)
        seen = dict.fromkeys([x for i in program.instructions for x in i.operands])
        inputs = [x for x in seen if x.memory in written]
        self._states = [x.source for x in inputs if x.origin == "state"]
        self._written_arguments = [x for x in inputs if x.origin == "argument"]
        self._calls: list[Any] = []
        calls = filter(None, [self._call(i) for i in program.instructions])
        for are_jobs, some in groupby(calls, lambda call: isinstance(call, list)):
            several = [*some]  # jobs that follow one another are one call
            self._calls += [self._loops.Jobs(sum(several, []))] if are_jobs else several
        self._gradients = [(leaf, g and self._array_for(g)) for leaf, g in program.gradients]
        self._counted = [g for _, g in self._gradients if g is not None]
        self._counted += [g.base for g in self._counted if g.base is not None]
        self._references = [*map(sys.getrefcount, self._counted)]

    def _array_for(self, value: Value) -> np.ndarray:
        if value not in self._arrays:
            if value.origin in ("state", "constant"):
                self._arrays[value] = array_of(value.source)
            else:
                self._arrays[value] = value.empty()
                self._inputs.append((value, self._arrays[value]))
        return self._arrays[value]

    def _call(self, instruction):
        """Return a function without arguments, or jobs, or None if views are all there is."""
        primitive, operands, static, results = instruction[:4]
        arrays = [self._array_for(x) for x in operands]
        if instruction.views:
            found = primitive.forward(*arrays, **static)
            several = found if type(found) is tuple else (found,)
            self._arrays.update(zip(results, several, strict=True))
            return None
        made = [self._memory[y] for y in results]
        self._arrays.update(zip(results, made, strict=True))
        kernel = primitive.kernel
        if self._loops and isinstance(primitive, self._loops.Loop):
            return self._loops.jobs(primitive, arrays, made)
        if self._loops and kernel and arrays[0].dtype in kernel.dtypes:
            if kernel.results(*arrays, **static) is not None:
                jobs = self._loops.collected(kernel.run, *made, *arrays, **static)
                return jobs or partial(kernel.run, *made, *arrays, **static)
        if not made:  # it writes, or looks at values, perhaps to refuse them
            return partial(primitive.forward, *arrays, **static)
        return partial(_copy_results, primitive, arrays, static, made)

    def is_current(self) -> bool:
        """Return whether all states still have the arrays that the calls are made for."""
        states = [(x.source, array) for x, array in self._arrays.items() if x.origin == "state"]
        return all([array_of(tensor) is array for tensor, array in states])

    # ---- a call

    def run(self, arguments):
        """Run the program on arguments (arrays or tensors), and return what it returns."""
        for value, array in self._inputs:
            given = value.tensor(arguments)
            np.copyto(array, array_of(given) if isinstance(given, Tensor) else given)
        leaves = [leaf.tensor(arguments) for leaf, _ in self._gradients]
        for tensor in leaves:  # should the run fail, what it made is nobody's gradient
            tensor.grad = None
        if [*map(sys.getrefcount, self._counted)] != self._references:  # somebody keeps the last
            self._copies = True
            inputs = self._inputs
            self._prepare()
            for (_, array), (_, before) in zip(self._inputs, inputs, strict=True):
                np.copyto(array, before)
        for tensor in self._states:
            count_write(tensor)
        current.interpreter.quietly(self._run_calls)
        for value in self._written_arguments:
            if isinstance(given := arguments[value.key], Tensor):  # an array was copied before
                count_write(given)
                np.copyto(array_of(given), self._array_for(value))
        for tensor, (_, g) in zip(leaves, self._gradients, strict=True):
            if g is not None:
                tensor.grad = owned(np.array(g, order="K") if self._copies else g)
        return rebuilt(self.program.returned, lambda y: handed_out(y, self._array_for(y)))

    def _run_calls(self):
        for call in self._calls:
            call()


def handed_out(value, array) -> Tensor:
    """Return the tensor that a caller gets: a state itself, otherwise a copy, without a graph."""
    return value.source if value.origin == "state" else owned(np.array(array))


def _copy_results(primitive, arrays, static, made):
    """Write what a forward computes into arrays."""
    found = primitive.forward(*arrays, **static)
    for array, y in zip(made, found if type(found) is tuple else (found,), strict=True):
        if y.shape != array.shape:
            raise RuntimeError(
                f"compile: the shape of {primitive.name}'s result depends on values: it was "
                f"{array.shape}, and is {y.shape}; compute it outside the function"
            )
        array[...] = y


def planned(program: Program) -> dict[Value, np.ndarray]:
    """Return an array for each result that is no view.

    All lie in one block of memory, each until the last use of what it has in it. What the program
    hands out as a gradient has memory of its own.
    """
    last = {x.memory: time for time, i in enumerate(program.instructions) for x in i.operands}
    last |= {value.memory: len(program.instructions) for value in program.kept()}
    own = {g.memory for _, g in program.gradients if g is not None}
    arrays: dict[Value, np.ndarray] = {}
    places: dict[Value, int] = {}
    taken: list[tuple[int, int, int]] = []  # the first byte, the first after it, the last use
    for time, instruction in enumerate(program.instructions):
        taken = [block for block in taken if block[2] >= time]
        for y in () if instruction.views else instruction.results:
            if y.memory in own:
                arrays[y] = y.empty()
                continue
            start, length = 0, -(-y.span // LINE) * LINE
            for begin, end, _ in sorted(taken):
                if start + length <= begin:
                    break
                start = max(start, end)
            taken.append((start, start + length, last.get(y.memory, time)))
            places[y] = start
    size = max([start + y.span for y, start in places.items()], default=0)
    block = np.empty(size + LINE, np.uint8)
    block = block[-block.ctypes.data % LINE :]
    return arrays | {y: y.empty(block[start:]) for y, start in places.items()}
