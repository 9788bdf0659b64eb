"""What ran: a Recording observes a function, keeps a twin of its graph, and pulls back through it.

The twin has copies of all values. So it stays true when the function itself frees its graph, or an
optimiser writes the parameters, and nothing of the user's is touched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from minigrad.core import backward
from minigrad.core.graph import Node, arrive, order, shares
from minigrad.core.interpreter import setting
from minigrad.core.memory import array_of, memory_of
from minigrad.core.primitive import bind
from minigrad.core.show import short
from minigrad.core.tensor import ReadValues, SetGrad, Tensor, owned
from minigrad.explore.calls import Box, place
from minigrad.program.instructions import rebuilt


@dataclass(eq=False)
class Value:
    """A Value is a tensor that was seen, and the cotangents that arrived."""

    name: str
    op: Op  # what made it
    twin: Tensor  # a copy, which depends on the twin's nodes
    shares: list[tuple[int, Op, Tensor]] = field(default_factory=list)  # step, sender and share
    g: Tensor | None = None  # their sum
    arrived: int | None = None  # the step at which the sum is complete
    gradient_of: list[str] = field(default_factory=list)  # the leaves whose gradient it is

    def __post_init__(self):
        self.array = array_of(self.twin)
        # A constant of one number stands in the text of the operation, and not in the graph.
        self.inline = self.op.sort == "constant" and self.array.size == 1


@dataclass(eq=False)
class Op:
    """An Op is an operation that ran; or a leaf, which has no operands."""

    name: str
    sort: str  # forward or backward; or input, parameter, buffer or constant
    text: str  # with its operands
    operands: tuple[Value, ...] = ()
    doc: str = ""
    boxes: tuple[Box, ...] = ()  # from outside to inside
    line: str = ""  # of the user's code
    results: list[Value] = field(default_factory=list)
    node: Node | None = None  # the twin's, if a gradient can pass
    at: int = 0  # the step at which it runs; the leaves are there before the first step
    pulled: int | None = None  # the step at which it is pulled back
    sent: list[tuple[Value, Tensor]] = field(default_factory=list)  # the shares it then sends
    pull: list[Op] = field(default_factory=list)  # the operations that made them

    @property
    def call(self) -> str:
        """op.call is the operation as a line of a program."""
        made = ", ".join(v.name for v in self.results)
        return f"{made} = {self.text}" if self.line or self.operands else made


class Recording:
    """A Recording is what f(*inputs) did, its loss, and the cotangents of everything.

    forward: the operations that the loss depends on. pulled: those pulled back, in this order.
    backward: the operations that made the gradients. gradients: of leaves, by their Values
    names: {id: name} of the tensors and of the modules that have one
    """

    def __init__(self, f, inputs, names):
        self.names, self.inputs = names, {id(x) for x in inputs}
        self.pulled: list[Op] = []
        self.gradients: dict[Value, Value] = {}
        self._ops: list[Op] = []  # all that ran
        self._known: dict[tuple, Value] = {}
        self._held: list[Any] = []  # arrays: their ids must not be given to others meanwhile
        self._number = {letter: count(1) for letter in "vcg"}
        self._part, self._seeded = "forward", None
        self.loss = self._run(f, inputs)
        self.forward = self._behind([self.loss])
        self._part = "backward"
        self._pull_back()
        self.backward = self._behind(self.gradients.values())
        for at, op in enumerate(self.forward + self.backward, 1):
            op.at = at

    def _run(self, f, inputs):
        """Call f, and return its loss."""
        with setting(observer=self._note):
            returned = f(*inputs)
        tensors: list = []
        rebuilt(returned, tensors.append)
        tensors = [y for y in tensors if isinstance(y, Tensor)]
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
        """Pull cotangents back from the loss as core/graph.py does, and keep every share."""
        sums: dict = {}
        self.loss.arrived = step = len(self.forward) + 1
        with setting(observer=self._note, records=True):
            arrive(sums, self.loss.twin, bind(backward.ones_like, (self.loss.twin,), {}))
            for node in order(self.loss.twin):
                g = sums.pop(node, None)
                if g is None:
                    continue
                op, step = self._known[_key(node.result(0))].op, step + 1
                self.pulled.append(op)
                for i, cotangent in enumerate(g if isinstance(g, list) else [g]):
                    op.results[i].g = cotangent
                op.pulled, start = step, len(self._ops)
                found = shares(node, g, None)
                op.pull = self._ops[start:]
                for operand, share in found:
                    value = self._known[_key(operand)]
                    value.arrived = step  # the last one stays
                    value.shares.append((step, op, share))
                    op.sent.append((value, share))
                    arrive(sums, operand, share)
        for leaf, g in sums.items():
            value = self._known[_key(leaf)]
            value.g, self.gradients[value] = g, self._known[_key(g)]
            self.gradients[value].gradient_of.append(value.name)

    def _behind(self, values):
        """Return the operations of this part that the values depend on, in their order."""
        needed = {value.op for value in values}
        for op in reversed(self._ops):
            if op in needed:
                needed.update(value.op for value in op.operands)
        return [op for op in self._ops if op in needed and op.sort == self._part]

    def _note(self, primitive, operands, static, results):
        """Add an operation that ran: this is the interpreter's observer."""
        if primitive in (ReadValues, SetGrad) or primitive.writes:
            return
        forward = self._part == "forward"
        if primitive is backward.ones_like and forward:
            self._seeded = operands[0]
        values = tuple([self._value(x) for x in operands])
        words = [f"{v.array.item():.6g}" if v.inline else v.name for v in values]
        usual = {name: short(value) for name, value in primitive.defaults.items()}
        chosen = {name: short(value) for name, value in static.items()}
        words += [f"{name}={word}" for name, word in chosen.items() if word != usual.get(name)]
        text, doc = f"{primitive.name}({', '.join(words)})", primitive.__doc__ or ""
        boxes, line = place(self.names, (Recording._run.__code__, Recording._pull_back.__code__))
        if self.pulled:  # the pulls of a module's operations have a box of their own
            around = [box for box in self.pulled[-1].boxes if box.kind != "pull"]
            back = [Box((box.call,), f"{box.name}, back", f"pulls of {box.kind}") for box in around]
            boxes, line = (*back, *boxes), self.pulled[-1].line
        op = Op(primitive.name, self._part, text, values, doc, boxes, line)
        self._ops.append(op)
        twins = [_copy(y) for y in results] if forward else results
        if forward and results[0].requires_grad:  # an operand that was detached stays so
            pairs = zip(values, operands, strict=True)
            ends = tuple([v.twin if x.requires_grad else v.twin.detach() for v, x in pairs])
            op.node = Node(primitive, ends, static, twins)
            twins = [op.node.result(i) for i in range(len(twins))]
        for y, twin in zip(results, twins, strict=True):
            letter = "v" if forward else "g"
            self._add(op, twin, y, f"{letter}{next(self._number[letter])}")

    def _value(self, tensor):
        """Return the Value of an operand: a known one, perhaps detached, or a new leaf."""
        array, time, grad = _key(tensor)
        known = self._known.get((array, time, grad)) or self._known.get((array, time, True))
        if known:
            return known
        twin, name = _copy(tensor), self.names.get(id(tensor))
        twin.requires_grad = grad
        sort = "parameter" if grad else "buffer" if name else "constant"
        sort = "input" if id(tensor) in self.inputs else sort
        name = name or f"c{next(self._number['c'])}"
        return self._add(Op(name, sort, name), twin, tensor, name)

    def _add(self, op, twin, tensor, name):
        """Add a result to an operation: the tensor and the twin stand for it."""
        value = Value(name, op, twin)
        op.results.append(value)
        for seen in (twin, tensor):
            self._known[_key(seen)] = value
            self._held.append(array_of(seen))
        return value


def _key(tensor):
    """Return what is equal for all tensors of one array, as long as nobody writes into it."""
    return id(array_of(tensor)), memory_of(tensor)[0], bool(tensor.requires_grad)


def _copy(tensor):
    return owned(np.array(array_of(tensor), order="K"))
