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


def source(loop: Loop) -> str:
    """Return the loop as the text of task(start, stop, rows, row, steps, *operands, *results).

    It does rows from start to stop or, if one row is all there is, elements from start to stop of
    it. Row a, b of an array begins at a · steps[k, 0] + b · steps[k, 1].
    """
    number, values, places = f"np.{loop.dtype.name}", dict[Value, str](), dict[Value, str]()
    head, body, sums = list[str](), list[str](), list[str]()
    names = {x: f"x{n}" for n, x in enumerate(loop.operands)}
    names |= {y: f"y{n}" for n, y in enumerate(loop.results)}
    for k, (x, name) in enumerate(names.items()):
        known = places if x in loop.results else values
        head.append(f"p{k} = a * steps[{k}, 0] + b * steps[{k}, 1]")
        if loop.layout.along[x][2]:
            head.append(f"{name}_ = {name}[p{k} : p{k} + row]")
            known[x] = f"{name}_[j]"
        elif x in loop.results:
            known[x] = f"{name}[p{k}]"
        else:
            head.append(f"{name}_ = {name}[p{k}]")
            known[x] = f"{name}_"
    for n, i in enumerate(loop.steps):
        (y,), operands = i.results, [values.get(x, "") for x in i.operands]
        if i.primitive in TERMS:
            body.append(f"terms[{len(sums)}, j] = {TERMS[i.primitive].format(*operands)}")
            sums.append(f"{places[y]} = sum_row(terms[{len(sums)}], lanes)")
            continue
        static = {
            name: f"{number}({float(i.static[name])!r})" for name in SCALARS if name in i.static
        }
        # _chain has one or two operands after the slope, and its formula two.
        formula = FORMULAS[i.primitive].format(*operands, *operands[-1:], **static)
        body.append(f"t{n} = {number}({formula})")
        values[y] = f"t{n}"
        if y in places:
            body.append(f"{places[y]} = t{n}")
    lines = [*head, "for j in range(row):", *_indented(body), *sums]
    if _is_flat(loop):
        lines = ["a, b, row = 0, start, stop - start", *lines]
    else:
        lines = ["for i in range(start, stop):", *_indented(["a, b = i // rows, i % rows", *lines])]
    if sums:
        terms = f"np.empty(({len(sums)}, row), {number})"
        lines.insert(0, f"terms, lanes = {terms}, np.empty(LANES, {number})")
    first = f"def task(start, stop, rows, row, steps, {', '.join(names.values())}):"
    return "\n".join([first, *_indented(lines), ""])


def _indented(lines):
    return [f"    {line}" for line in lines]


def _is_flat(loop):
    """Return whether one row is all there is."""
    return loop.layout.sizes[:2] == (1, 1)


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
    (outer, rows, row), along = loop.layout
    far = [along[x] for x in (*loop.operands, *loop.results)]
    count, steps = (row, [(0, c) for _, _, c in far]) if _is_flat(loop) else (outer * rows, far)
    pieces = outer * rows * row * (len(loop.steps) + 7 * text.count("scalars.")) // PIECE
    arrays = [
        _from_first_to_last(array, loop.layout.sizes, steps)
        for array, steps in zip([*operands, *results], far, strict=True)
    ]
    arguments = rows, row, np.array(steps), *arrays
    return collected(_compiled[text], min(pieces, count), count, *arguments)


def _from_first_to_last(array, sizes, steps):
    """Return the memory from an array's first element to its last one, as a flat array."""
    span = 1 + sum([(n - 1) * step for n, step in zip(sizes, steps, strict=True)])
    return np.lib.stride_tricks.as_strided(array, (span,), (array.itemsize,))
