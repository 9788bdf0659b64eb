"""Fusion: elementwise instructions on arrays of one shape become one loop.

An intermediate result that nobody else uses is then a number in a register, and no array. The bits
stay: a loop computes each function from the one source that its kernel has, in kernels/scalars.py,
and what has none here is arithmetic that IEEE 754 rounds in one way alone. (A NaN's sign is the
exception: LLVM turns −x · 3 into x · −3.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import ops
from minigrad.core.backward import ones_like
from minigrad.ops.arithmetic import _chain
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
    ops.leaky_relu: "scalars.leaky_relu_pull({0}, {0}, {negative_slope})",
    ops.leaky_relu_pull: "scalars.leaky_relu_pull({0}, {1}, {negative_slope})",
    ops.itakura_saito: "scalars.itakura_saito(np.float64({0}), np.float64({1}))",
    _chain: "scalars.chain({0}, {1}, {2}, {3})",
}  # fmt: skip


class Loop:
    """A Loop takes the place of a primitive in an instruction that stands for several.

    steps: the instructions, in order. operands, results: Values, as the instruction's
    """

    name, writes, acts, kernel = "loop", (), False, None
    defaults: dict = {}

    def __init__(self, steps, operands, results):
        self.steps, self.operands, self.results = steps, operands, results
        self.shape, self.dtype = results[0].shape, results[0].dtype


def fused(program: Program) -> Program:
    """Put loops in the place of elementwise instructions, where all their operands are there."""
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


def _place(i, groups, made, first):
    """Return the latest group that the instruction can join, which shares a Value with it.

    first: the latest group that makes an operand, or writes its memory, perhaps by another view
    """
    for place in range(len(groups) - 1, max(first, 0) - 1, -1):
        group = groups[place]
        if not _can_fuse(group[0]) or _kind(group[0]) != _kind(i):
            continue
        inside = {y for j in group for y in j.results}
        if place == first and not all(x in inside or made.get(x, -1) < place for x in i.operands):
            continue
        shared = inside | {x for j in group for x in j.operands if x.size > 1}
        if shared & set(i.operands):
            return place
    return None


def _kind(i):
    return i.results[0].shape, i.results[0].dtype


def _can_fuse(i):
    """Return whether a loop can do it: one dtype, and operands that broadcast in a simple way."""
    if i.primitive not in FORMULAS or i.views:
        return False
    (y,) = i.results
    if y.dtype not in (np.float32, np.float64) or not y.size or how(y, y.shape) != "full":
        return False
    if i.primitive is ops.leaky_relu and not i.static["negative_slope"]:
        return False  # its forward keeps NaN
    if i.primitive is _chain and len(i.operands) == 2:
        return False
    return all([x.dtype == y.dtype and how(x, y.shape) for x in i.operands])


def how(x: Value, shape) -> Any:
    """Return how x, broadcast to the shape, is read by a loop over it, or None if it can't be.

    "full": element after element. "one": always the same. "row": the last axis, for each row anew.
    "column": one number for each row
    """
    strides = (0,) * (len(shape) - len(x.shape)) + tuple(
        [0 if n == 1 else s for n, s in zip(x.shape, x.strides, strict=True)]
    )
    full: list[int] = []
    step = x.dtype.itemsize
    for n in reversed(shape):
        full.insert(0, 0 if n == 1 else step)
        step *= n
    if list(strides) == full:
        return "full"
    if not any(strides):
        return "one"
    if strides == (0,) * (len(shape) - 1) + (x.dtype.itemsize,):
        return "row"
    column = [s // shape[-1] for s in full[:-1]]
    return "column" if strides[-1] == 0 and list(strides[:-1]) == column else None


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
    read = [i for i in group if "{0}" in FORMULAS[i.primitive]]  # ones_like reads no element
    operands = dict.fromkeys([x for i in read for x in i.operands if x not in inside])
    results = tuple([y for i in group for y in i.results if y in used])
    loop = Loop(group, tuple(operands), results)
    return first._replace(primitive=loop, operands=tuple(operands), static={}, results=results)
