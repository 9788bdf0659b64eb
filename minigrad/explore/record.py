"""What ran: a Recording observes a function, and then pulls cotangents back through what it did.

It copies all values. So it stays true when the function frees its graph, or an optimiser writes the
parameters, and nothing of the user's is touched.
"""

from __future__ import annotations

import linecache
import os
import sys
from dataclasses import dataclass, field
from inspect import isfunction
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from minigrad.core import backward, graph, unbroadcast
from minigrad.core.interpreter import setting
from minigrad.core.memory import array_of, memory_of
from minigrad.core.primitive import OPERATIONS, bind
from minigrad.core.show import PACKAGE, call
from minigrad.core.tensor import ReadValues, SetGrad, Tensor, owned
from minigrad.nn.module import Module
from minigrad.structures import rebuilt

KNOWN = {f.__code__: (name, "composite") for name, f in OPERATIONS.items() if isfunction(f)}
KNOWN[unbroadcast.unbroadcast.__code__] = ("unbroadcast", "sum over repeats")
KNOWN[graph.pull_back.__code__] = ("gradient", "backward pass")


class Box(NamedTuple):
    """A Box is a call during which operations ran: of a module, a composite or a pull."""

    call: Any  # a frame of the stack: while it is held, no other call is equal to it
    name: str
    kind: str


class Share(NamedTuple):
    """A Share is what an operation sends to one of its operands, when it is pulled back."""

    op: Op
    value: Value
    array: np.ndarray


@dataclass(eq=False)
class Value:
    """A Value is a tensor that was seen, and the cotangents that arrived."""

    name: str
    op: Op  # what made it
    array: np.ndarray  # a copy
    inline: bool = False  # a constant of one number stands in texts, and not in the graph
    shares: list[Share] = field(default_factory=list)  # of its cotangent, as they arrived
    g: np.ndarray | None = None  # their sum
    arrived: int | None = None  # the step at which the sum is complete
    gradient_of: list[str] = field(default_factory=list)  # the bars of the leaves that get it

    @property
    def bar(self) -> str:
        """value.bar is what its cotangent is called: x̄ for x, v̄12 for v12, or ∂L/∂0.weight."""
        short = len(self.name.rstrip("0123456789")) == 1
        return f"{self.name[0]}\u0304{self.name[1:]}" if short else f"∂L/∂{self.name}"


@dataclass(eq=False)
class Op:
    """An Op is an operation that ran; or a leaf, which has no operands."""

    sort: str  # forward or backward; or input, parameter, buffer or constant
    name: str
    text: str  # with its operands
    call: str  # with its results, too
    doc: str = ""  # the formula, and the VJP
    operands: tuple[Value, ...] = ()
    boxes: tuple[Box, ...] = ()  # from outside to inside
    line: str = ""  # of the user's code; a leaf has its sort
    results: list[Value] = field(default_factory=list)
    node: graph.Node | None = None  # of copies, if a gradient can pass
    at: int = 0  # the step at which it runs; leaves have numbers up to 0, for they are there before
    pulled: int | None = None  # the step at which it is pulled back
    sent: dict[int, Share] = field(default_factory=dict)  # to the i-th operand


class Recording:
    """A Recording is what f(*inputs) did, its loss, and the cotangents of everything.

    forward: the operations that the loss depends on. pulled: those pulled back, in this order.
    backward: the operations that made the gradients. gradients: of leaves, by their Values
    named: (thing, name) of tensors and modules
    """

    def __init__(self, f, inputs, named):
        self.names, self.inputs = {id(x): name for x, name in reversed(named)}, inputs
        self.pulled: list[Op] = []
        self._sort = "forward"  # of the operations that run now
        self._ops: dict[Op, None] = {}  # all that were seen, in their order
        self._known: dict[tuple[int, int], Value] = {}
        self._held: list[Any] = []  # arrays: their ids must not be given to others meanwhile
        self._names = {x: map(f"{x}{{}}".format, count(1)) for x in "vcg"}  # v1, v2, …
        self._seeded = None  # what f itself pulled back
        for tensor in [x for x, _ in named if isinstance(x, Tensor)]:
            self._value(tensor)  # now, so that it has its name even if it is first seen detached
        self.loss = self._run(f, inputs)
        self.forward = self._behind([self.loss])
        self._sort = "backward"
        self.gradients = self._pull_back()
        for leaf, g in self.gradients.items():
            g.gradient_of.append(leaf.bar)
        self.backward = self._behind(self.gradients.values())
        leaves = [op for op in self._ops if op.sort not in ("forward", "backward")]
        for at, op in enumerate(leaves[::-1] + self.forward + self.backward, 1 - len(leaves)):
            op.at = at

    def _run(self, f, inputs):
        """Call f, and return its loss."""
        with setting(observer=self._note):
            returned = f(*inputs)
        tensors: list = []
        rebuilt(returned, lambda y: tensors.append(y) if isinstance(y, Tensor) else None)
        loss = next((y for y in tensors if y.size == 1), self._seeded)
        if loss is None or loss.size != 1:
            what = f"tensor of shape {tensors[0].shape}" if tensors else type(returned).__name__
            raise ValueError(
                f"explore: the function returned a {what}, and no loss; it must return a tensor "
                "of a single number: end in .sum() or .mean()"
            )
        found = self._known.get(_key(loss))
        if not loss.requires_grad or found is None or found.op.sort != "forward":
            raise ValueError(
                "explore: no gradient goes back from the result; it must be made inside the "
                "function, by operations, from tensors with requires_grad=True"
            )
        return found

    def _pull_back(self):
        """Pull cotangents back from the loss as core/graph.py does; return those of the leaves."""
        self.loss.arrived = step = len(self.forward) + 1
        with setting(observer=self._note):
            sums = {self.loss: bind(backward.ones_like, (owned(self.loss.array),), {})}
            for op in reversed(self.forward):
                g = [sums.get(v) for v in op.results]
                if op.node is None or not any(x is not None for x in g):
                    continue
                self.pulled.append(op)
                op.pulled = step = step + 1
                number = {id(x): i for i, x in enumerate(op.node.operands)}
                single = op.node.primitive.differentiable == 1
                for operand, share in graph.shares(op.node, g[0] if single else g, None):
                    i = number[id(operand)]
                    v = op.operands[i]
                    sums[v], v.arrived = sums[v] + share if v in sums else share, step
                    op.sent[i] = Share(op, v, array_of(share))
                    v.shares.append(op.sent[i])
        for v, total in sums.items():
            v.g = array_of(total)
        return {v: self._known[_key(g)] for v, g in sums.items() if v.op.sort != "forward"}

    def _behind(self, values):
        """Return the operations of this sort that the values depend on, in their order."""
        needed = {value.op for value in values}
        for op in reversed(self._ops):
            if op in needed:
                needed.update(value.op for value in op.operands)
        return [op for op in self._ops if op in needed and op.sort == self._sort]

    def _note(self, primitive, operands, static, results):
        """Add an operation that ran: this is the interpreter's observer."""
        if primitive in (ReadValues, SetGrad) or primitive.writes:
            return
        forward = self._sort == "forward"
        if primitive is backward.ones_like and forward:
            self._seeded = operands[0]
        values = tuple([self._value(x) for x in operands])
        words = [f"{v.array.item():.6g}" if v.inline else v.name for v in values]
        parts = enumerate((primitive.__doc__ or "").split("\n\n"))
        doc = " ".join(" ".join(part for i, part in parts if i == 0 or "VJP" in part).split())
        text, doc = call(primitive, words, static), doc.replace(" VJP", "\nVJP")
        boxes, line = self._place()
        names = [next(self._names["v" if forward else "g"]) for _ in results]
        made = f"{', '.join(names)} = {text}"
        op = Op(self._sort, primitive.name, text, made, doc, values, boxes, line)
        for y, name in zip(results, names, strict=True):
            self._add(op, y, name)
        if forward and results[0].requires_grad:
            ends = tuple([owned(v.array) for v in values])
            for end, x in zip(ends, operands, strict=True):
                end.requires_grad = x.requires_grad  # an operand that was detached stays so
            op.node = graph.Node(primitive, ends, static, [owned(v.array) for v in op.results])

    def _place(self):
        """Return the calls around an operation, from the outermost, and the line of code for it."""
        frame: Any = sys._getframe(2)
        boxes, line = [], ""
        while frame.f_code not in (Recording._run.__code__, Recording._pull_back.__code__):
            code, file, local = frame.f_code, frame.f_code.co_filename, frame.f_locals
            if code is Module.__call__.__code__:
                kind = type(local["self"]).__name__
                boxes.append(Box(frame, self.names.get(id(local["self"]), kind), kind))
            elif code is graph.shares.__code__:
                boxes.append(Box(frame, f"pull of {local['node'].primitive.name}", "pull"))
            elif code in KNOWN:
                boxes.append(Box(frame, *KNOWN[code]))
            if not line and (not file.startswith(PACKAGE) or file.endswith("__main__.py")):
                text = linecache.getline(file, frame.f_lineno, frame.f_globals).strip()
                line = f"{os.path.basename(file)}:{frame.f_lineno}  {text}"
            frame = frame.f_back
        boxes.reverse()
        if self.pulled:  # the pulls of a module's operations have a box of their own
            around = [box for box in self.pulled[-1].boxes if box.kind != "pull"]
            back = [Box((box.call,), f"{box.name}, back", f"pulls of {box.kind}") for box in around]
            boxes, line = back + boxes, self.pulled[-1].line
        return tuple(boxes), line

    def _value(self, tensor):
        """Return the Value of an operand: a known one, or a new leaf."""
        known, name = self._known.get(_key(tensor)), self.names.get(id(tensor))
        if known:
            return known
        sort = "parameter" if tensor.requires_grad else "buffer" if name else "constant"
        sort = "input" if any(x is tensor for x in self.inputs) else sort
        name = name or next(self._names["c"])
        known = self._add(Op(sort, name, name, name, line=sort), tensor, name)
        known.inline = sort == "constant" and known.array.size == 1
        return known

    def _add(self, op, tensor, name):
        """Add a result to an operation, or to a leaf: the tensor and its copy stand for it."""
        value = Value(name, op, np.array(array_of(tensor), order="K"))
        op.results.append(value)
        self._ops[op] = None
        self._known |= {_key(tensor): value, _key(owned(value.array)): value}
        self._held.append(array_of(tensor))
        return value


def _key(tensor):
    """Return what is equal for all tensors of one array, as long as nobody writes into it."""
    return id(array_of(tensor)), memory_of(tensor)[0]
