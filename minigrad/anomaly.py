"""`detect_anomaly` names the first operation that made a NaN or an infinity, forward or backward.

>>> import minigrad as mg
>>> x = mg.Tensor([4.0, 1.0, 0.0], requires_grad=True)
>>> with mg.detect_anomaly():
...     y = mg.sqrt(x).sum()
...     y.backward()  # the slope of sqrt at 0 is infinite
Traceback (most recent call last):
    ...
minigrad.anomaly.AnomalyError: backward of sqrt: divide made 1 +inf among 3 numbers, first at [2]
  sqrt was called in <doctest minigrad.anomaly[2]>:2  y = mg.sqrt(x).sum()
    a: f32[3], 0 to 4, 1 at 0
  divide was called by the pull of sqrt
    a: f32[], 0.5
    b: f32[3], 0 to 2, 1 at 0
"""

import inspect
import sys
from typing import Any

import numpy as np

from minigrad.core import backward, graph
from minigrad.core.guards import is_true_or_false
from minigrad.core.interpreter import setting
from minigrad.core.memory import array_of
from minigrad.core.show import kind, line_of_user, note_line
from minigrad.core.tensor import ReadValues, SetGrad, Tensor
from minigrad.ops.updates import _setitem_

BACKWARD = {f.__code__ for f in (graph.shares, graph.arrive, backward.backward, backward.grad)}
MOST = 6  # operands that a message lists


class AnomalyError(RuntimeError):
    """AnomalyError says which operation made a NaN or an infinity, of what, and on which line."""


class detect_anomaly(setting):
    """Inside `with detect_anomaly():` the first NaN or infinity raises AnomalyError.

    infinities: whether an infinity is an error, too; a NaN always is

    A NaN is an error in any result, even where a later `where` would not take it. If an operand
    held one, it came from outside the block, and the message says that it was already there.
    An infinity is an error if all operands are finite, so a mask of −∞ passes. In a pull an
    infinite slope passes where the cotangent is 0, because the share is 0 there: see `_chain` in
    ops/arithmetic.py.

    The block changes no number, but a training step takes about a third longer inside. It watches
    the thread that entered it. Compiled functions run eagerly inside it, and are replayed after it
    as before; a block inside a compiled function sees only what is being recorded. An operation
    that writes, such as an optimiser's update, has written before its error is raised, and may have
    found the NaN in what it overwrote; x[i] = y is judged by y alone.
    """

    def __init__(self, infinities: bool = True):
        is_true_or_false("detect_anomaly: infinities", infinities, "; @detect_anomaly() decorates")
        super().__init__(observer=self._look)
        self.infinities = infinities

    def _look(self, primitive, operands, static, results):
        if primitive in (ReadValues, SetGrad):
            return
        note_line(primitive, operands, static, results)
        written = {id(x) for x in primitive.written(operands)}
        read = [array_of(x) for x in operands if id(x) not in written]
        if primitive is _setitem_:  # what else is in x was there before, such as a mask's −∞
            results = operands[1:2]
        for y in map(array_of, results):
            if not np.isfinite(y).all() and self._is_anomaly(y, read):
                raise AnomalyError(_message(primitive, operands, written, y))

    def _is_anomaly(self, y, read):
        if np.isnan(y).any():
            return True
        if not self.infinities or not all([np.isfinite(x).all() for x in read]):
            return False
        frame = _backward_frame()
        g = frame and frame.f_locals.get("g")
        if not isinstance(g, Tensor) or g.shape != y.shape or any([x is array_of(g) for x in read]):
            return True
        return (np.isinf(y) & (array_of(g) != 0)).any()  # y is a slope, for g is no operand


def _backward_frame():
    """Return the frame of the backward pass that runs this operation, None in a forward pass."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code not in BACKWARD:
        frame = frame.f_back
    return frame


def _message(primitive, operands, written, y):
    title, lines, called = _origin(primitive)
    held = any([id(x) not in written and np.isnan(array_of(x)).any() for x in operands])
    verb = "passed on" if held else "wrote" if written else "made"
    first = np.argwhere(np.isnan(y) if np.isnan(y).any() else np.isinf(y))[0].tolist()
    found = ", ".join(_counts(y))
    found = f"{found} among {y.size} numbers, first at {first}" if y.size > 1 else found[2:]
    lines = [f"{title}{primitive.name} {verb} {found}", *lines]
    return "\n".join(lines + _call(primitive, operands, called, written))


def _origin(primitive):
    """Return where it runs: a title, lines on the forward operation behind it, and its caller."""
    line, frame = f"in {line_of_user()[0]}", _backward_frame()
    if frame is None:
        return "", [], line
    seen = frame.f_locals
    node = seen.get("node", seen.get("owner"))  # shares pulls a node back, arrive adds to one
    if not isinstance(node, graph.Node):
        task = "to add up a leaf's gradient, " if primitive.name == "add" else ""
        return "backward: ", [], task + line
    name = node.primitive.name
    line = node.line or "a line that ran outside this block; put it inside to see it"
    lines = _call(node.primitive, node.operands, f"in {line}")
    task = f"by the pull of {name}" if "node" in seen else f"to add up {name}'s cotangent"
    return f"backward of {name}: ", lines, task


def _call(primitive, operands, called, written=()):
    """Return lines that say by whom an operation was called, and with which operands."""
    names = [n for n in inspect.signature(primitive).parameters if n not in primitive.static]
    if primitive.count is None:
        several = names.pop()
        names += [f"{several}[{i}]" for i in range(len(operands) - len(names))]
    lines = []
    for name, x in zip(names, operands, strict=True):
        held = ", already there" if np.isnan(array_of(x)).any() else ""
        note = ", after the write" if id(x) in written else held
        lines.append(f"    {name}: {_range(array_of(x))}{note}")
    if len(lines) > MOST:
        telling = [line for line in lines if "NaN" in line or "inf" in line][:MOST] or lines[:MOST]
        lines = [*telling, f"    and {len(lines) - len(telling)} more"]
    return [f"  {primitive.name} was called {called}", *lines]


def _range(x):
    """Return the dtype and shape, the range of the finite numbers, and what may explain errors."""
    what, x = kind(x), np.abs(x) if x.dtype.kind == "c" else x
    finite = x[np.isfinite(x)]
    ends = [f"{float(end):.6g}" for end in (finite.min(), finite.max())] if finite.size else []
    parts = [what, " to ".join(dict.fromkeys(ends)), *_counts(x, all_kinds=x.size > 1)]
    return ", ".join([part for part in parts if part])


def _counts(x, all_kinds=False):
    """Return how many NaN and infinities there are and, of all kinds, also 0 and less."""
    below, infinite = x.real < 0, np.isinf(x)
    kinds = {"at 0": x == 0, "below 0": below & ~infinite} if all_kinds else {}
    kinds |= {"NaN": np.isnan(x), "+inf": infinite & ~below, "-inf": infinite & below}
    return [f"{found.sum()} {name}" for name, found in kinds.items() if found.any()]
