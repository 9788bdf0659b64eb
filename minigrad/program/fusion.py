"""Fusion: elementwise instructions on arrays of one shape become one loop, before the first replay.

Before that, what no call changes is computed, and the bias of a linear layer is set apart. An
intermediate result that nobody else uses is then never stored. A loop may begin with such a bias,
end with sums of its rows, and write a result over an operand that nobody reads any more.
kernels/loops.py says how it is computed; an operation without a formula there is left alone.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from minigrad import ops
from minigrad.core.backward import ones_like
from minigrad.core.memory import array_of
from minigrad.core.primitive import bind
from minigrad.core.tensor import owned
from minigrad.kernels.compile import COMPILED
from minigrad.kernels.loops import CONVERSIONS, FORMULAS, SCALARS, TERMS, Loop
from minigrad.ops.reductions import axes_of
from minigrad.program.instructions import Instruction, Program, Value, without_unused

SMALL = 2**12  # numbers, at most, of a constant that is computed before the first call


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


def with_constants_known(program: Program) -> Program:
    """Compute now what no call changes and is small, such as the cotangent of a mean's terms.

    A loop can read it from its beginning on; and ones and zeros depend on no value. What operations
    of the user's own depend on nobody knows, so these run each time.
    """
    known: dict[Value, Value] = {}
    instructions, used = [], {value.memory for value in program.kept()} | program.written()
    for i in program.instructions:
        i = i._replace(operands=tuple([known.get(x, x) for x in i.operands]))
        alike = i.primitive in (ones_like, ops.zeros_like)
        constant = alike or {x.origin for x in i.operands} == {"constant"}
        ours = i.primitive.forward.__module__.startswith("minigrad.")
        small = all([math.prod(y.shape) <= SMALL and y.memory not in used for y in i.results])
        if constant and ours and small and not i.primitive.acts:
            tensors = [owned(np.empty(x.shape, x.dtype)) if alike else x.source for x in i.operands]
            found = bind(i.primitive, tensors, i.static)
            for y, made in zip(i.results, found if type(found) is tuple else (found,), strict=True):
                known[y] = Value.of(array_of(made), "constant", y.key, made, y.memory)
        else:
            instructions.append(i)
    return without_unused(program._replace(instructions=tuple(instructions)))


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
