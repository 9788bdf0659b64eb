"""Loops are written as source, compiled, and kept on disk under the hash of that source."""

from __future__ import annotations

import hashlib
import linecache
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels import scalars  # noqa: F401  the loops call it
from minigrad.kernels.cache import generated
from minigrad.kernels.jobs import Job, Jobs, collected, shareable  # noqa: F401
from minigrad.kernels.reduce import LANES, sum_row  # noqa: F401  and these
from minigrad.program.fusion import FORMULAS, SCALARS, TERMS, Loop
from minigrad.program.instructions import Value

PIECE = 2**13  # additions, at least, that a thread does at a time; a function counts as eight

_compiled: dict[str, Callable] = {}  # by their source


# How a task gets what belongs to its row i, or to its range of elements if there is one row.
IN_ROWS = {
    "all": "{0}[i]",
    "some": "{0}[i % {0}.shape[0]]",
    "number": "{0}[i // {0}.shape[1] % {0}.shape[0], 0]",
}
FLAT = {"all": "{0}[start:stop]", "number": "{0}[0]"}


def source(loop: Loop) -> str:
    """Return the loop as the text of a function task(start, stop, row, *operands, *results).

    It goes over elements or, if not all arrays have as many, over rows of them.
    """
    flat, number = loop.row == loop.size, f"np.{loop.dtype.name}"
    values: dict[Value, str] = {}  # how the loop's body calls them
    places: dict[Value, str] = {}
    body: list[str] = []
    sums: list[str] = []
    names = {x: f"x{n}" for n, x in enumerate(loop.operands)}
    names |= {y: f"y{n}" for n, y in enumerate(loop.results)}
    for x, name in names.items():
        kind, known = _kind(loop, x), places if x in loop.results else values
        if kind != "sum":
            body.append(f"{name}_ = {(FLAT if flat else IN_ROWS)[kind].format(name)}")
        known[x] = {"sum": f"{name}[i, 0]", "number": f"{name}_"}.get(kind, f"{name}_[j]")
    body.append(f"for j in range({'stop - start' if flat else 'row'}):")
    for n, i in enumerate(loop.steps):
        (y,), operands = i.results, [values.get(x, "") for x in i.operands]
        if i.primitive in TERMS:
            body.append(f"    terms[{len(sums)}, j] = {TERMS[i.primitive].format(*operands)}")
            sums.append(f"{places[y]} = sum_row(terms[{len(sums)}], lanes)")
            continue
        static = {
            name: f"{number}({float(i.static[name])!r})" for name in SCALARS if name in i.static
        }
        # _chain has one or two operands after the slope, and its formula two.
        formula = FORMULAS[i.primitive].format(*operands, *operands[-1:], **static)
        body.append(f"    t{n} = {number}({formula})")
        values[y] = f"t{n}"
        if y in places:
            body.append(f"    {places[y]} = t{n}")
    if not flat:
        body = ["for i in range(start, stop):", *(f"    {line}" for line in body + sums)]
    if sums:
        terms = f"np.empty(({len(sums)}, row), {number})"
        body.insert(0, f"terms, lanes = {terms}, np.empty(LANES, {number})")
    head = f"def task(start, stop, row, {', '.join(names.values())}):"
    return "\n".join([head, *(f"    {line}" for line in body)]) + "\n"


def _kind(loop, x):
    """Return which part of an operand or a result belongs to a row."""
    if x in loop.results:
        return "all" if x.size == loop.size else "sum"
    reading = loop.readings[x]
    if reading.repeat > 1 or reading.number == 1:
        return "number"
    return "all" if reading.number == loop.size else "some"


def _as_read(loop, x, array):
    """Return an array, without a copy, in the shape in which the source reads or writes it."""
    kind, row = _kind(loop, x), loop.row
    if row == loop.size:
        return _strided(array, (x.size,), (1,))
    if kind == "sum":
        return _strided(array, (x.size, 1), (1, 1))
    if x in loop.results:
        return _strided(array, (x.size // row, row), (row, 1))
    repeat, number, run, step = loop.readings[x]
    if kind == "number":
        return _strided(array, (number, repeat // row), (1 if run == number else step, 0))
    # A row may be longer than is taken of it, for numba's sake, which then sees contiguous rows.
    step = row if run == number else step
    return _strided(array, (number // row, step), (step, 1))


def _strided(array, shape, steps):
    strides = [step * array.itemsize for step in steps]
    return np.lib.stride_tricks.as_strided(array, shape, strides)


def jobs(loop: Loop, operands, results) -> list[Job] | None:
    """Return the loop on these arrays, as a list of one job."""
    text = source(loop)
    if text not in _compiled:
        name = f"loop_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        path = generated(name, text)
        found: dict[str, Any] = {}
        linecache.cache[path] = len(text), None, text.splitlines(True), path  # for tracebacks
        exec(compile(text.replace("task", name, 1), path, "exec"), globals(), found)
        _compiled[text] = shareable(fastmath=False)(found[name])
    count = loop.size if loop.row == loop.size else loop.size // loop.row
    work = loop.size * (len(loop.steps) + 7 * text.count("scalars."))
    both = zip([*loop.operands, *loop.results], [*operands, *results], strict=True)
    arrays = [_as_read(loop, x, array) for x, array in both]
    return collected(_compiled[text], min(work // PIECE, count), count, loop.row, *arrays)
