"""Loops are written as source, compiled, and kept on disk under the hash of that source."""

from __future__ import annotations

import hashlib
import linecache
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels import scalars  # noqa: F401  the loops call it
from minigrad.kernels.cache import generated
from minigrad.kernels.threads import shareable
from minigrad.program.fusion import FORMULAS, Loop, how

PIECE = 2**13  # elements, at least, that a thread takes at a time

_compiled: dict[str, Callable] = {}  # by their source


def source(loop: Loop) -> str:
    """Return the loop as the text of a function task(start, stop, *operands, *results).

    It goes over elements or, if an operand is a row or a column, over rows and their elements.
    """
    kinds = [how(x, loop.shape) for x in loop.operands] + ["full"] * len(loop.results)
    names = [f"x{n}" for n in range(len(loop.operands))]
    names += [f"y{n}" for n in range(len(loop.results))]
    rows = _has_rows(kinds)
    part = {"full": "[i]" if rows else "[start:stop]", "row": "", "column": "[i]", "one": "[0]"}
    number, values, body = f"np.{loop.dtype.name}", {}, []
    for name, kind, x in zip(names, kinds, [*loop.operands, *loop.results], strict=True):
        body.append(f"{name}_ = {name}{part[kind]}")
        values[x] = f"{name}_" + ("[j]" if kind in ("full", "row") else "")
    places = {y: values.pop(y) for y in loop.results}
    body.append(f"for j in range({names[-1]}_.size):")
    for n, i in enumerate(loop.steps):
        static = {name: f"{number}({value!r})" for name, value in i.static.items()}
        operands = [values.get(x, "") for x in i.operands]
        # _chain has one or two operands after the slope, and its formula two.
        formula = FORMULAS[i.primitive].format(*operands, operands[-1], **static)
        body.append(f"    t{n} = {number}({formula})")
        values[i.results[0]] = f"t{n}"
        if i.results[0] in places:
            body.append(f"    {places[i.results[0]]} = t{n}")
    if rows:
        body = ["for i in range(start, stop):", *(f"    {line}" for line in body)]
    head = f"def task(start, stop, {', '.join(names)}):"
    return "\n".join([head, *(f"    {line}" for line in body)]) + "\n"


def _has_rows(kinds):
    return "row" in kinds or "column" in kinds


def prepared(loop: Loop, operands, results):
    """Return a function without arguments that runs the loop on these arrays."""
    text = source(loop)
    if text not in _compiled:
        name = f"loop_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        path = generated(name, text)
        found: dict[str, Any] = {}
        linecache.cache[path] = len(text), None, text.splitlines(True), path  # for tracebacks
        exec(compile(text.replace("task", name, 1), path, "exec"), globals(), found)
        _compiled[text] = shareable(fastmath=False)(found[name])
    run, size = _compiled[text], math.prod(loop.shape)
    kinds = [how(x, loop.shape) for x in loop.operands] + ["full"] * len(results)
    shape: tuple[int, ...] = (size,)
    if _has_rows(kinds):
        shape = math.prod(loop.shape[:-1]), loop.shape[-1]
    shapes = {"full": shape, "row": shape[-1:], "column": shape[:1], "one": (1,)}
    arrays = [_contiguous(x, shapes[kind])
              for x, kind in zip([*operands, *results], kinds, strict=True)]  # fmt: skip
    pieces = min(size // PIECE, shape[0])

    def call():
        run(pieces, shape[0], *arrays)

    return call


def _contiguous(x, shape):
    """Return the first elements of x in memory as an array of the shape, without a copy."""
    strides = x.itemsize * np.array([shape[-1], 1])[-len(shape) :]
    return np.lib.stride_tricks.as_strided(x, shape, strides)
