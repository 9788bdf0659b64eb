"""Fusion: elementwise instructions on arrays of one shape become one loop.

An intermediate result that nobody else uses is then a number in a register, and no array. A loop
may begin with the bias of a linear layer, and end with sums of its rows. The bits stay: a loop
computes each function from the one source that its kernel has, in kernels/scalars.py, sums in the
order of kernels/reduce.py, and what has no source there is arithmetic that IEEE 754 rounds in one
way alone. (A NaN's sign is the exception: LLVM turns −x · 3 into x · −3.)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minigrad import ops
from minigrad.core.backward import ones_like
from minigrad.ops.arithmetic import _chain
from minigrad.ops.reductions import axes_of
from minigrad.program.instructions import Instruction, Program, Value

# How an operation is written for one element; {0} … are the operands, names are static arguments.
FORMULAS = {
    ops.add: "{0} + {1}", ops.subtract: "{0} - {1}", ops.multiply: "{0} * {1}",
    ops.divide: "{0} / {1}", ops.negative: "-{0}", ops.sqrt: "np.sqrt({0})",
    ones_like: "1", ops.zeros_like: "0",
    ops.exp: "scalars.exp({0})", ops.expm1: "scalars.expm1({0})", ops.log: "scalars.log({0})",
    ops.log1p: "scalars.log1p({0})", ops.tanh: "scalars.tanh({0})",
    ops.sigmoid: "scalars.sigmoid({0})", ops.softplus: "scalars.softplus({0})",
    ops.elu: "scalars.elu({0}, {alpha})", ops.elu_pull: "scalars.elu_pull({0}, {1}, {alpha})",
    ops.relu: "scalars.relu({0})",
    ops.leaky_relu: "scalars.leaky_relu_pull({0}, {0}, {negative_slope})",
    ops.leaky_relu_pull: "scalars.leaky_relu_pull({0}, {1}, {negative_slope})",
    ops.itakura_saito: "scalars.itakura_saito(np.float64({0}), np.float64({1}))",
    _chain: "scalars.chain({0}, {1}, {2}, {3})",
}  # fmt: skip

# The terms of sums over the last axes, with which a loop may end.
TERMS = {ops.sum: "{0}", ops.log_bernoulli: "scalars.log_bernoulli({0}, {1})"}


class Loop:
    """A Loop takes the place of a primitive in an instruction that stands for several.

    steps: the instructions, in order. operands, results: Values, as the instruction's
    size: how many elements it goes over. row: how many it takes at a time. readings: {operand: how
        it is read}
    """

    name, writes, acts, kernel = "loop", (), False, None
    defaults: dict = {}

    def __init__(self, steps, operands, results):
        self.steps, self.operands, self.results = steps, operands, results
        self.dtype, self.row, shape = results[0].dtype, _row(steps), _shape(steps[0])
        self.size = math.prod(shape)
        self.readings = {x: reading for x in operands if (reading := how(x, shape))}


def fused(program: Program) -> Program:
    """Put loops in the place of elementwise instructions, where all their operands are there."""
    program = with_bias_apart(program)
    made: dict[Value, int] = {}  # the number of the group that makes a Value
    written: dict[int, int] = {}  # the number of the latest group that writes a memory
    groups: list[list[Instruction]] = []
    for i in program.instructions:
        after = [max(made.get(x, -1), written.get(x.memory, -1)) for x in i.operands]
        place = _place(i, groups, made, max(after, default=-1)) if _can_fuse(i) else None
        if place is None:
            place = len(groups)
            groups.append([])
        groups[place].append(i)
        made.update(dict.fromkeys(i.results, place))
        if i.primitive.writes:
            written.update(dict.fromkeys([y.memory for y in i.results], place))
    used = _uses(program, groups, made)
    instructions = [_instruction(group, used) for group in groups]
    return program._replace(instructions=tuple(instructions))


def with_bias_apart(program: Program) -> Program:
    """Write x wᵀ + b as a product and an addition, which linear's kernel does, too."""
    instructions = []
    for i in program.instructions:
        if i.primitive is ops.linear and i.results[0].dtype in FLOATS:
            (x, weight, bias), (y,) = i.operands, i.results
            turned = Value(weight, "result", weight.memory)
            turned.shape, turned.strides = weight.shape[::-1], weight.strides[::-1]
            product = Value(y, "result", object())
            instructions += [
                i._replace(
                    primitive=ops.permute, operands=(weight,), static={"dims": (1, 0)},
                    results=(turned,),
                ),
                i._replace(primitive=ops.bmm, operands=(x, turned), results=(product,)),
            ]  # fmt: skip
            i = i._replace(primitive=ops.add, operands=(product, bias))
        instructions.append(i)
    return program._replace(instructions=tuple(instructions))


FLOATS = np.dtype(np.float32), np.dtype(np.float64)


def _place(i, groups, made, first):
    """Return the latest group that the instruction can join, which shares a Value with it.

    first: the latest group that makes an operand, or writes its memory, perhaps by another view
    """
    for place in range(len(groups) - 1, max(first, 0) - 1, -1):
        group = groups[place]
        if not _can_fuse(group[0]) or _kind(group[0]) != _kind(i):
            continue
        elements = {y for j in group if j.primitive not in TERMS for y in j.results}
        sums = {y for j in group if j.primitive in TERMS for y in j.results}
        if place == first and not all(x in elements or made.get(x, -1) < place for x in i.operands):
            continue
        shared = elements | {x for j in group for x in j.operands if x.size > 1}
        if shared & set(i.operands) and not sums & set(i.operands) and _row([*group, i]):
            return place
    return None


def _shape(i):
    """Return the shape of what a loop for the instruction goes over."""
    if i.primitive in TERMS:
        return np.broadcast_shapes(*[x.shape for x in i.operands])
    return i.results[0].shape


def _kind(i):
    return _shape(i), i.results[0].dtype


def _can_fuse(i):
    """Return whether a loop can do it: one dtype, and operands that broadcast in a simple way."""
    if i.primitive not in FORMULAS and i.primitive not in TERMS or i.views:
        return False
    (y,), shape = i.results, _shape(i)
    if y.dtype not in FLOATS or not y.size or how(y, y.shape) != (1, y.size, y.size, y.size):
        return False
    if i.primitive is ops.leaky_relu and not i.static["negative_slope"]:
        return False  # its forward keeps NaN
    if i.primitive is _chain and len(i.operands) == 2:
        return False
    if i.primitive in TERMS and y.size in (1, math.prod(shape)):
        return False  # it would be for one thread alone, or sums nothing
    if not all([_is_finite(value) for name, value in i.static.items() if name in SCALARS]):
        return False
    if i.primitive is ops.sum and axes_of(i.operands[0], i.static["axis"]) != _last(shape, y):
        return False
    return all([x.dtype == y.dtype and how(x, shape) for x in i.operands]) and _row([i]) > 0


SCALARS = ("alpha", "negative_slope")  # static arguments that stand in formulas


def _is_finite(value):
    return isinstance(value, (int, float, np.number)) and math.isfinite(value)


def _last(shape, sums):
    """Return the numbers of the last axes, of which there is one sum for all others."""
    axes = range(len(shape))
    return tuple([a for a in axes if math.prod(shape[:a]) >= sums.size])


class Reading(NamedTuple):
    """A Reading says which element of an operand belongs to element e: (e // repeat) % number.

    So each element is repeated so often, and then all of them from the first one on: a row has
    repeat 1, and a column the length of a row. Of the elements, `run` lie side by side in memory,
    and the next such run begins `step` elements after this one.
    """

    repeat: int
    number: int
    run: int
    step: int

    def takes(self, row) -> bool:
        """Return whether so many elements can be taken at a time, again and again."""
        if self.repeat > 1:
            return self.repeat % row == 0 and self.run in (1, self.number)
        return self.run % row == 0 and self.run in (row, self.number)


def how(x: Value, shape) -> Reading | None:
    """Return how x, broadcast to the shape, is read by a loop over it, or None if it can't be."""
    if x.moved:
        return None
    extra = len(shape) - len(x.shape)
    sizes = (1,) * extra + tuple(x.shape)
    strides = (0,) * extra + tuple(x.strides)
    repeats = [m > 1 and (n == 1 or s == 0) for n, m, s in zip(sizes, shape, strides, strict=True)]
    axes = [a for a in range(len(shape)) if shape[a] > 1 and not repeats[a]]
    if not axes:
        return Reading(math.prod(shape), 1, 1, 1)
    run = 1
    for a in range(axes[-1], axes[0], -1):
        if repeats[a] or shape[a] > 1 and strides[a] != run * x.dtype.itemsize:
            return None
        run *= shape[a]
    number, repeat = run * shape[axes[0]], math.prod(shape[axes[-1] + 1 :])
    step, rest = divmod(strides[axes[0]], x.dtype.itemsize)
    if rest or step < run:
        return None
    return Reading(repeat, number, *((run, step) if step > run else (number, number)))


def _row(steps):
    """Return how many elements a loop for the instructions takes at a time, or 0 if it can't be."""
    shape = _shape(steps[0])
    size = row = math.prod(shape)
    sums = {size // i.results[0].size for i in steps if i.primitive in TERMS}
    operands = {x for i in steps for x in i.operands}
    readings = [reading for x in operands if (reading := how(x, shape))]
    for reading in readings:
        row = math.gcd(row, reading.run if reading.repeat == 1 else reading.repeat, *sums)
    return row if sums <= {row} and all([reading.takes(row) for reading in readings]) else 0


CONSTANT = (ones_like, ops.zeros_like)  # they look at no element


def _uses(program, groups, made):
    """Return the Values that another group, or the caller, uses."""
    used = set(program.kept())
    for place, group in enumerate(groups):
        used |= {x for i in group for x in i.operands if made.get(x, place) != place}
    return used | {value.root() for value in used}


def _instruction(group, used):
    first = group[0]
    if not _can_fuse(first) or len(group) == 1 and first.primitive.kernel:
        return first
    inside = {y for i in group for y in i.results}
    read = [i for i in group if i.primitive not in CONSTANT]
    operands = dict.fromkeys([x for i in read for x in i.operands if x not in inside])
    results = tuple([y for i in group for y in i.results if y in used])
    loop = Loop(group, tuple(operands), results)
    return first._replace(primitive=loop, operands=tuple(operands), static={}, results=results)
