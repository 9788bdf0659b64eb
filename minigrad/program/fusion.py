"""Fusion: elementwise instructions on arrays of one shape become one loop.

An intermediate result that nobody else uses is then a number in a register, and no array. A loop
may begin with the bias of a linear layer, and end with sums of its rows. The bits stay: a loop
computes each function from the one source that its kernel has, in kernels/scalars.py, sums in the
order of kernels/reduce.py, and what has no source there is arithmetic that IEEE 754 rounds in one
way alone. (A NaN's sign is the exception: LLVM turns −x · 3 into x · −3.)
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

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


class Layout(NamedTuple):
    """A Layout says how a loop goes over arrays: over rows, and over the elements of each.

    sizes: of three axes. The last one is a row; the first two are 1 if one row is all there is.
    along: {Value: how many elements lie from one to the next along each axis, 0 for the same one}
    """

    sizes: tuple[int, ...]
    along: dict[Value, tuple[int, ...]]


class Loop:
    """A Loop takes the place of a primitive in an instruction that stands for several.

    steps: the instructions, in order. operands, results: Values, as the instruction's
    """

    name, writes, acts, kernel = "loop", (), False, None
    defaults: dict = {}

    def __init__(self, steps, operands, results):
        self.steps, self.operands, self.results = steps, operands, results
        self.dtype, self.layout = results[0].dtype, cast(Layout, layout(steps))


def layout(steps) -> Layout | None:
    """Return the Layout of a loop for these instructions, or None if it can't be one.

    Neighbouring axes are joined where all arrays allow it. No more than three may be left, and
    along the last one an array has its elements side by side, or one for all; a sum has one for
    each row.
    """
    shape = _shape(steps[0])
    far: dict[Value, list[int]] = {}
    for i in steps:
        far |= {x: _along(x, shape, range(len(shape) - x.ndim)) for x in i.operands}
        far[i.results[0]] = _along(i.results[0], shape, _summed(i))
    axes: list[tuple[int, ...]] = []  # the size of each, and how far it goes in each array
    for n, *strides in zip(shape, *far.values(), strict=True):
        if axes and axes[-1][1:] == tuple([n * step for step in strides]):
            axes[-1] = axes[-1][0] * n, *strides
        elif n > 1:
            axes.append((n, *strides))
    axes = [(1, *[0] * len(far))] * (3 - len(axes)) + axes
    sizes, *along = zip(*axes, strict=True)
    found = Layout(sizes, dict(zip(far, along, strict=True)))
    fits = len(sizes) == 3 and all([steps[2] in (0, 1) and min(steps) >= 0 for steps in along])
    each = [n > 1 for n in sizes[:2]] + [False]
    sums = [found.along[i.results[0]] for i in steps if i.primitive in TERMS]
    one_for_each = any(each) and all([[step > 0 for step in steps] == each for steps in sums])
    return found if fits and (one_for_each or not sums) else None


def _along(x, shape, missing):
    """Return how many elements lie from one of x to the next along each axis of a loop's shape.

    missing: axes that x lacks, unless it has them with size 1
    """
    steps = [step // x.dtype.itemsize * (n > 1) for n, step in zip(x.shape, x.strides, strict=True)]
    for axis in missing if x.ndim < len(shape) else ():
        steps.insert(axis, 0)
    return steps


def _summed(i):
    """Return the axes that an instruction sums."""
    if i.primitive is ops.sum:
        return sorted(axes_of(i.operands[0], i.static["axis"]))
    return [i.operands[0].ndim - 1] if i.primitive in TERMS else []


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
        if shared & set(i.operands) and not sums & set(i.operands) and layout([*group, i]):
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
    (y,) = i.results
    if y.dtype not in FLOATS or not y.size:
        return False
    if i.primitive is ops.leaky_relu and not i.static["negative_slope"]:
        return False  # its forward keeps NaN
    if i.primitive is _chain and len(i.operands) == 2:
        return False
    if not all([_is_finite(value) for name, value in i.static.items() if name in SCALARS]):
        return False
    for x in (*i.operands, y):
        if x.dtype != y.dtype or x.moved or any([step % x.dtype.itemsize for step in x.strides]):
            return False
    return layout([i]) is not None


SCALARS = ("alpha", "negative_slope")  # static arguments that stand in formulas


def _is_finite(value):
    return isinstance(value, (int, float, np.number)) and math.isfinite(value)


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
