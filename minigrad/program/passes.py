"""Each pass is a function from a Program to a Program that does the same with less.

`simplified` is all of them in order. None knows a model, and none changes the order in which
instructions act, that is, write or draw random numbers.
"""

from __future__ import annotations

from itertools import zip_longest

from minigrad.program.instructions import Instruction, Program, Value, rebuilt


def simplified(program: Program) -> Program:
    """Return the program after all passes."""
    return without_unused(without_repeats(program))


def without_unused(program: Program) -> Program:
    """Drop instructions whose results nobody uses, unless they act."""
    wanted, kept = {value.root() for value in program.kept()}, []
    for i in reversed(program.instructions):
        if i.acts or any(y.root() in wanted for y in i.results):
            kept.append(i)
            wanted.update(x.root() for x in i.operands)
    return program._replace(instructions=tuple(reversed(kept)))


def without_repeats(program: Program) -> Program:
    """Compute once what is computed twice from the same versions of the same Values.

    A write makes a new version, so nothing is shared across one. Results that are written
    themselves, or drawn, are left alone.
    """
    own = {g for _, g in program.gradients if g is not None}  # each leaf's is its own
    written = {y.memory for i in program.instructions if i.primitive.writes for y in i.results}
    first: dict = {}  # what an instruction computes -> its results
    same: dict[Value, Value] = {}
    kept: list[Instruction] = []
    for i in program.instructions:
        i = i._replace(operands=tuple([same.get(x, x) for x in i.operands]))
        alone = any(y.memory in written or y in own for y in i.results)
        if not i.acts and not alone:
            key = (i.primitive, i.operands, frozen(i.static))
            if key in first:
                same.update(zip(i.results, first[key], strict=True))
                continue
            first[key] = i.results
        kept.append(i)

    def put(value):
        return same.get(value, value)

    gradients = tuple([(leaf, g and put(g)) for leaf, g in program.gradients])
    returned = rebuilt(program.returned, put)
    return Program(tuple(kept), returned, gradients, program.gradients_before)


def frozen(static):
    """Return static arguments as something that can be compared and looked up."""
    if isinstance(static, dict):
        return tuple([(key, frozen(value)) for key, value in static.items()])
    if isinstance(static, (tuple, list)):
        return tuple([frozen(value) for value in static])
    if isinstance(static, slice):
        return "slice", static.start, static.stop, static.step
    try:
        hash(static)
    except TypeError:
        return id(static)  # the same object alone
    return type(static), static


def difference(one: Program, other: Program) -> str | None:
    """Return the first lines in which two programs differ, or None if they do the same."""
    numbers: tuple[dict, dict] = ({}, {})

    def described(value, which):
        """Return what a Value is, whatever its name: an input, or the number of a result."""
        found = numbers[which]
        if value in found or value.origin == "result" or value.before is not None:
            return found.setdefault(value, len(found)), value.shape, value.dtype, value.strides
        if value.origin == "constant":
            return value.source.numpy().tobytes(), value.shape, value.dtype, value.strides
        source = value.source if value.origin == "argument" else id(value.source)
        return value.origin, source, value.shape, value.dtype, value.strides

    def line(instruction, which):
        operands = [described(x, which) for x in instruction.operands]
        results = [described(y, which) for y in instruction.results]
        return instruction.primitive, operands, frozen(instruction.static), results

    def end(program, which):
        gradients = [(described(x, which), g and described(g, which)) for x, g in program.gradients]
        before = [(described(x, which), had) for x, had in program.gradients_before]
        return rebuilt(program.returned, lambda y: described(y, which)), gradients, before

    for i, j in zip_longest(one.instructions, other.instructions):
        if i is None or j is None or line(i, 0) != line(j, 1):
            return f"before: {i or 'nothing more'}\nnow:    {j or 'nothing more'}"
    if end(one, 0) != end(other, 1):
        return "what it returns, or which gradients it sets"
    return None
