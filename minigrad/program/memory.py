"""All results of a program lie in one block of memory, each until its last use."""

from __future__ import annotations

import numpy as np

from minigrad.program.instructions import Program, Value

LINE = 64  # bytes: where an array begins, because a register is as wide


def planned(program: Program) -> dict[Value, np.ndarray]:
    """Return an array for each result that is no view.

    What the program hands out as a gradient has an array of its own.
    """
    last = _last_uses(program)
    own = {g.memory for _, g in program.gradients if g is not None}
    arrays: dict[Value, np.ndarray] = {}
    places: dict[Value, int] = {}
    taken: list[tuple[int, int, int]] = []  # the first byte, the first after it, the last use
    size = 0
    for time, instruction in enumerate(program.instructions):
        taken = [block for block in taken if block[2] >= time]
        if instruction.views or instruction.primitive.writes:
            continue
        for y in instruction.results:
            if y.memory in own:
                arrays[y] = y.empty()
                continue
            start, length = 0, -(-y.size * y.dtype.itemsize // LINE) * LINE
            for begin, end, _ in sorted(taken):
                if start + length <= begin:
                    break
                start = max(start, end)
            taken.append((start, start + length, last.get(y.memory, time)))
            places[y], size = start, max(size, start + length)
    block = np.empty(size + LINE, np.uint8)
    block = block[-block.ctypes.data % LINE :]
    return arrays | {y: y.empty(block[start:]) for y, start in places.items()}


def _last_uses(program):
    """Return {memory: the number of the last instruction that uses it}."""
    last = {x.memory: time for time, i in enumerate(program.instructions) for x in i.operands}
    return last | {value.memory: len(program.instructions) for value in program.kept()}
