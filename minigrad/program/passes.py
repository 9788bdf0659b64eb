"""Each pass is a function from a Program to a Program that does the same with less.

`simplified` is all of them in order. None knows a model, and none changes the order in which
instructions act, that is, write or draw random numbers.
"""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest

from minigrad.program.instructions import Instruction, Program, Value, frozen, rebuilt


def simplified(program: Program) -> Program:
    """Return the program after all passes."""
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
