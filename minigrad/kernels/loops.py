"""A Loop computes several elementwise operations for one element after another.

What lies between them is then a number in a register, and no array. Its source is a text, made of
the formulas below, which call the functions that kernels are made of. It is compiled in this
module, and kept on disk under the hash of the text.

The bits are those of the operations: a loop computes each function from the one source that its
kernel has, and sums in the order of the kernel for sums; the rest is arithmetic that IEEE 754
rounds in one way alone. (A NaN's sign is the exception: LLVM turns −x · 3 into x · −3.)
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

from minigrad import ops
from minigrad.core.backward import ones_like
from minigrad.core.primitive import _converted
from minigrad.kernels import scalars  # noqa: F401  texts use it
from minigrad.kernels.cache import generated
from minigrad.kernels.elementwise import LOOPS
from minigrad.kernels.jobs import Job, collected, joined, shareable  # noqa: F401  joined: replay.py
from minigrad.kernels.reduce import sum_row  # noqa: F401  texts use it
from minigrad.kernels.scratch import scratch  # noqa: F401  texts use it
from minigrad.ops.arithmetic import _chain

# How an operation is written for one element; {0} … are the operands, names are static arguments.
FORMULAS = {
    ops.add: "{0} + {1}", ops.subtract: "{0} - {1}", ops.multiply: "{0} * {1}",
    ops.divide: "{0} / {1}", ops.negative: "-{0}", ops.sqrt: "np.sqrt({0})",
    ones_like: "1", ops.zeros_like: "0",
    **{getattr(ops, name): f"scalars.{name}({{0}})" for name in LOOPS},
    ops.elu: "scalars.elu({0}, {alpha})", ops.elu_pull: "scalars.elu_pull({0}, {1}, {alpha})",
    ops.leaky_relu: "{0} if {0} > 0 else {negative_slope} * {0}",
    ops.leaky_relu_pull: "scalars.leaky_relu_pull({0}, {1}, {negative_slope})",
    ops.itakura_saito: "scalars.itakura_saito({0}, {1})",
    _chain: "scalars.chain({0}, {1}, {2}, {3})",
    ops.to: "{0}", _converted: "{0}",
}  # fmt: skip

CONVERSIONS = (ops.to, _converted)  # whose operand may have another dtype

# The terms of sums over the last axes, with which a loop may end.
TERMS = {ops.sum: "{0}", ops.log_bernoulli: "scalars.log_bernoulli({0}, {1})"}

SCALARS = ("alpha", "negative_slope")  # static arguments that stand in formulas

PIECE = 2**13  # additions, at least, that a thread does at a time; a function counts as eight


@dataclass(eq=False)
class Loop:
    """A Loop takes the place of a primitive in an instruction that stands for several.

    steps: the instructions, in order
    sizes: of three axes. The last one is a row; the first two are 1 if one row is all there is.
    along: {Value: how many elements lie from one to the next along each axis, 0 for the same one}
    """

    steps: list[Any]
    sizes: tuple[int, ...]
    along: dict[Any, tuple[int, ...]]

    name, writes, acts, kernel, defaults = "loop", (), False, None, MappingProxyType[str, Any]({})


def in_place(instruction, x, y) -> bool:
    """Return whether a result y can be written over an operand x.

    Then the loop reads each number of x before it writes it, and it knows no other view of x.
    """
    loop, memories = instruction.primitive, [z.memory for z in instruction.operands]
    if not isinstance(loop, Loop) or x.dtype != y.dtype or memories.count(x.memory) > 1:
        return False
    return loop.along[x] == loop.along[y] and loop.along[y][2] == 1


def source(instruction, over=MappingProxyType({})) -> str:
    """Return an instruction's loop as a text: task(start, stop, rows, row, steps, *read, *made).

    It does rows from start to stop or, if one row is all there is, elements from start to stop of
    it. Row a, b of an array begins at a · steps[k, 0] + b · steps[k, 1].

    over: {result: operand} of those results that are written over operands, and are not `made`
    """
    loop, read = instruction.primitive, instruction.operands
    made = [y for y in instruction.results if y not in over]
    number = f"np.{loop.steps[0].results[0].dtype.name}"
    head, body, sums = list[str](), list[str](), list[str]()
    names = {x: f"x{n}" for n, x in enumerate(read)} | {y: f"y{n}" for n, y in enumerate(made)}
    at: dict[Any, str] = {}  # where an operand's element is, or a result's belongs
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


def jobs(instruction, operands, results) -> list[Job] | None:
    """Return an instruction's loop on these arrays, made flat, as a list of one job.

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


@cache
def compiled(text):
    """Return the loop, which is called as what `shareable` makes, of the text of its task."""
    name = f"loop_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    path = generated(name, text)
    found: dict[str, Any] = {}
    exec(compile(text.replace("task", name, 1), path, "exec"), globals(), found)
    return shareable(fastmath=False)(found[name])
