"""Fusion: elementwise instructions on arrays of one shape become one loop, written as source.

An intermediate result that nobody else uses is then a number in a register, and no array. A loop
may begin with the bias of a linear layer, end with sums of its rows, and write a result over an
operand that nobody reads any more. The bits stay: a loop computes each function from the one source
that its kernel has, and sums in the order of the kernel for sums; the rest is arithmetic that IEEE
754 rounds in one way alone. (A NaN's sign is the exception: LLVM turns −x · 3 into x · −3.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from minigrad import ops
from minigrad.kernels.compile import COMPILED
from minigrad.kernels.formulas import CONVERSIONS, FORMULAS, SCALARS, TERMS, compiled
from minigrad.kernels.jobs import Job, Jobs, collected  # noqa: F401  Jobs is for replay.py
from minigrad.ops.reductions import axes_of
from minigrad.program.instructions import Instruction, Program, Value, with_constants_known

PIECE = 2**13  # additions, at least, that a thread does at a time; a function counts as eight


@dataclass(eq=False)
class Loop:
    """A Loop takes the place of a primitive in an instruction that stands for several.

    steps: the instructions, in order
    sizes: of three axes. The last one is a row; the first two are 1 if one row is all there is.
    along: {Value: how many elements lie from one to the next along each axis, 0 for the same one}
    """

    steps: list[Instruction]
    sizes: tuple[int, ...]
    along: dict[Value, tuple[int, ...]]

    name, writes, acts, kernel, defaults = "loop", (), False, None, MappingProxyType[str, Any]({})


# ---- which instructions become one


def fused(program: Program) -> Program:
    """Put loops in the place of elementwise instructions, where all their operands are there."""
    program = with_bias_apart(with_constants_known(program))
    groups: list[list[Instruction]] = []
    made: dict[Value, int] = {}  # the number of the group that makes a Value
    written: dict[int, int] = {}  # the number of the latest group that writes a memory
    for i in program.instructions:
        first = max([max(made.get(x, 0), written.get(x.memory, 0)) for x in i.operands], default=0)
        places = reversed(range(first, len(groups)))
        place = next((n for n in places if _may_join(i, groups[n])), len(groups))
        groups[place:] = groups[place:] or [[]]
        groups[place].append(i)
        made.update(dict.fromkeys(i.results, place))
        written.update(dict.fromkeys(i.written, place))
    used = set(program.kept())
    for place, group in enumerate(groups):
        used |= {x for i in group for x in i.operands if made.get(x, place) != place}
    return program._replace(instructions=tuple([_instruction(group, used) for group in groups]))


def with_bias_apart(program: Program) -> Program:
    """Write x wᵀ + b as a product and an addition, which linear's kernel does, too."""
    instructions = []
    for i in program.instructions:
        if i.primitive is ops.linear and i.results[0].dtype in COMPILED:
            (x, w, bias), (y,) = i.operands, i.results
            turned = replace(w, origin="result", shape=w.shape[::-1], strides=w.strides[::-1])
            product = replace(y, memory=object())
            instructions.append(Instruction(ops.permute, (w,), {"dims": (1, 0)}, (turned,), *i[4:]))
            instructions.append(Instruction(ops.bmm, (x, turned), {}, (product,), *i[4:]))
            i = i._replace(primitive=ops.add, operands=(product, bias))
        instructions.append(i)
    return program._replace(instructions=tuple(instructions))


def _may_join(i, group):
    """Return whether one loop can do the group and then an instruction, which shares a Value."""
    sums = {y for j in group if j.primitive in TERMS for y in j.results}
    known = {y for j in group for y in j.results}
    known |= {x for j in group for x in j.operands if max(x.shape, default=1) > 1}
    shared = known.intersection(i.operands)
    return bool(shared) and not sums & shared and loop_of([*group, i]) is not None


def loop_of(steps) -> Loop | None:
    """Return one loop for these instructions, or None if there is none.

    Neighbouring axes are joined where all arrays allow it. No more than three may be left, and
    along the last one an array has its elements side by side, or one for all; a sum has one for
    each row.
    """
    kinds = {_kind(i) for i in steps}
    if len(kinds) > 1 or None in kinds:
        return None
    ((shape, _),) = kinds
    far: dict[Value, list[int]] = {}
    for i in steps:
        (y,), (x, *_) = i.results, i.operands
        lost = axes_of(x, i.static["axis"]) if i.primitive is ops.sum else range(y.ndim, len(shape))
        for x in (*i.operands, y):
            size, missing = x.dtype.itemsize, len(shape) - x.ndim
            far[x] = [step * (n > 1) // size for step, n in zip(x.strides, x.shape, strict=True)]
            for axis in (sorted(lost) if x is y else range(missing))[:missing]:
                far[x].insert(axis, 0)
    axes: list[tuple[int, ...]] = []  # the size of each, and how far it goes in each array
    for n, *strides in zip(shape, *far.values(), strict=True):
        if axes and axes[-1][1:] == tuple([n * step for step in strides]):
            axes[-1] = axes[-1][0] * n, *strides
        elif n > 1:
            axes.append((n, *strides))
    sizes, *along = zip(*[(1, *[0] * len(far))] * (3 - len(axes)), *axes, strict=True)
    loop = Loop(steps, sizes, dict(zip(far, along, strict=True)))
    fits = len(sizes) == 3 and all([steps[2] in (0, 1) and min(steps) >= 0 for steps in along])
    each = [n > 1 for n in sizes[:2]] + [False]
    sums = [loop.along[i.results[0]] for i in steps if i.primitive in TERMS]
    one_for_each = any(each) and all([[step > 0 for step in steps] == each for steps in sums])
    return loop if fits and (one_for_each or not sums) else None


def _kind(i):
    """Return the shape and the dtype of what a loop for the instruction goes over, or None."""
    if i.primitive not in FORMULAS and i.primitive not in TERMS:
        return None
    numbers = [value for name, value in i.static.items() if name in SCALARS]
    known = all([isinstance(n, (int, float, np.number)) and math.isfinite(n) for n in numbers])
    arrays = (*i.operands, *i.results)
    dtype, shape = arrays[-1].dtype, np.broadcast_shapes(*[x.shape for x in i.operands])
    steps = [step % x.dtype.itemsize for x in arrays for step in x.strides]
    others = "biuf" if i.primitive in CONVERSIONS else ""
    alike = all([x.dtype == dtype or x.dtype.kind in others for x in arrays])
    alike = alike and dtype in COMPILED and not any(steps)
    return (shape, dtype) if known and alike and 0 not in shape else None


def _instruction(group, used):
    """Return one instruction for the group. used: Values that other groups, or the caller, use"""
    loop = loop_of(group)
    if loop is None or len(group) == 1 and group[0].primitive in TERMS:
        return group[0]
    made = [y for i in group for y in i.results]
    read = dict.fromkeys([x for i in group for x in i.operands if x not in made])
    results = tuple([y for y in made if y in used])
    return Instruction(loop, tuple(read), {}, results, *group[0][4:])


# ---- the source of a loop, and its work


def in_place(instruction: Instruction, x, y) -> bool:
    """Return whether a result y can be written over an operand x.

    Then the loop reads each number of x before it writes it, and it knows no other view of x.
    """
    loop, memories = instruction.primitive, [z.memory for z in instruction.operands]
    if not isinstance(loop, Loop) or x.dtype != y.dtype or memories.count(x.memory) > 1:
        return False
    return loop.along[x] == loop.along[y] and loop.along[y][2] == 1


def source(instruction: Instruction, over=MappingProxyType({})) -> str:
    """Return its loop as the text of task(start, stop, rows, row, steps, *operands, *others).

    It does rows from start to stop or, if one row is all there is, elements from start to stop of
    it. Row a, b of an array begins at a · steps[k, 0] + b · steps[k, 1].

    over: {result: operand} of the results that are written over operands; the others are given
    """
    loop, read = instruction.primitive, instruction.operands
    made = [y for y in instruction.results if y not in over]
    number = f"np.{loop.steps[0].results[0].dtype.name}"
    head, body, sums = list[str](), list[str](), list[str]()
    names = {x: f"x{n}" for n, x in enumerate(read)} | {y: f"y{n}" for n, y in enumerate(made)}
    at: dict[Value, str] = {}  # where an operand's element is, or a result's belongs
    for k, (x, name) in enumerate(names.items()):
        head.append(f"p{k} = a * steps[{k}, 0] + b * steps[{k}, 1]")
        at[x] = f"{name}[p{k}]"
        if loop.along[x][2]:
            head.append(f"{name}_ = {name}[p{k} : p{k} + row]")
            at[x] = f"{name}_[j]"
        elif x in read:
            head.append(f"{name}_ = {at[x]}")
            at[x] = f"{name}_"
    for y, x in over.items():
        body.append(f"{names[x]}_j = {at[x]}")
        at[y], at[x] = at[x], f"{names[x]}_j"
    for n, i in enumerate(loop.steps):
        (y,), operands = i.results, [at.get(x, "") for x in i.operands]
        if i.primitive in TERMS:
            body.append(f"terms[{len(sums)}, j] = {TERMS[i.primitive].format(*operands)}")
            sums.append(f"{at[y]} = sum_row(terms[{len(sums)}])")
            continue
        static = {s: f"{number}({float(i.static[s])!r})" for s in SCALARS if s in i.static}
        # After the slope, _chain has any number of operands up to two, and its formula two.
        formula = FORMULAS[i.primitive].format(*operands, "1", "1", **static)
        body.append(f"t{n} = {number}({formula})")
        if y in at:
            body.append(f"{at[y]} = t{n}")
        at[y] = f"t{n}"
    lines = [*head, "for j in range(row):", *_indented(body), *sums]
    if loop.sizes[:2] == (1, 1):
        lines = ["a, b, row = 0, start, stop - start", *lines]
    else:
        lines = ["for i in range(start, stop):", *_indented(["a, b = i // rows, i % rows", *lines])]
    if sums:
        size = f"{len(sums)} * row, {number}"
        lines.insert(0, f"terms = scratch({size}).reshape({len(sums)}, row)")
    first = f"def task(start, stop, rows, row, steps, {', '.join(names.values())}):"
    return "\n".join([first, *_indented(lines), ""])


def _indented(lines):
    return [f"    {line}" for line in lines]


def jobs(instruction: Instruction, operands, results) -> list[Job] | None:
    """Return its loop on these arrays, made flat, as a list of one job.

    An operand and a result that begin at one address were planned to: see in_place.
    """
    loop, (outer, rows, row) = instruction.primitive, instruction.primitive.sizes
    arrays = dict(zip(instruction.operands, operands, strict=True))
    at = {array.ctypes.data: x for x, array in arrays.items()}
    made = dict(zip(instruction.results, results, strict=True))
    over = {y: at[array.ctypes.data] for y, array in made.items() if array.ctypes.data in at}
    arrays |= {y: array for y, array in made.items() if y not in over}
    text, steps, count = source(instruction, over), [loop.along[x] for x in arrays], outer * rows
    work = count * row * (len(loop.steps) + 7 * text.count("scalars."))
    flat = [
        np.lib.stride_tricks.as_strided(array, (x.span // array.itemsize,), (array.itemsize,))
        for x, array in arrays.items()
    ]
    if loop.sizes[:2] == (1, 1):  # it is cut into parts, and row is how long such a part is
        steps, count = [(0, step) for _, _, step in steps], row
    arguments = rows, row, np.array(steps), *flat
    return collected(compiled(text), min(work // PIECE, count), count, *arguments)
