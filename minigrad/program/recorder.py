"""A Recorder is the interpreter's observer while a function runs, and writes down what happens.

Arrays are known by their identity: where one operation reads what another has made, both name one
Value. An array that no operation has made is an argument, a tensor that was there before (a
parameter, a buffer, an optimiser's state), or a constant. Any other was computed by Python, which a
replay does not run: that is an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core import backward
from minigrad.core.graph import pull_back
from minigrad.core.interpreter import setting
from minigrad.core.memory import array_of, memory_of
from minigrad.core.show import line_of_user
from minigrad.core.tensor import ReadValues, SetGrad, Tensor, clock
from minigrad.program.instructions import Instruction, Program, Value, rebuilt

BACKWARD = {f.__code__ for f in (backward.backward, backward.grad, pull_back)}


class RecordingError(RuntimeError):
    """RecordingError says what can't be recorded, on which line, and what to write instead."""


class Recorder:
    """Inside `with recorder.recording:` this thread's operations become instructions.

    arguments: {name: tensor}. names: of tensors that were there before, {id(tensor): name}
    leaves: those of them that can have a gradient
    """

    def __init__(self, arguments, names, leaves=()):
        self.recording = setting(observer=self.note)
        self.instructions: list[Instruction] = []
        self.gradients: dict[Value, Value | None] = {}
        self.gradients_before: dict[Value, bool] = {}
        self.start, self.names = next(clock), names
        self._values: dict[int, Value] = {}  # the latest version of each array, by the array's id
        self._leaves = {id(leaf): leaf for leaf in leaves}  # and more, as they are seen
        self._moved: set[int] = set()  # memories that are laid out otherwise in a replay
        self._writes: dict[int, int] = {}  # how many writes each memory has seen
        self._version: dict[Value, int] = {}  # of a Value's memory, when the Value was made
        self._held: list[Any] = []  # what was seen: its ids must not be given to others meanwhile
        for number, (name, tensor) in enumerate(arguments.items()):
            self._new(tensor, "argument", number, name=name)

    def note(self, primitive, operands, static, results):
        """Write down what happened."""
        if primitive is ReadValues:
            return self._refuse_reading(operands[0])
        line, inside = line_of_user()
        if primitive is SetGrad:
            return self._set_gradient(operands[0], results[0], line)
        if "index" in static and any([x.dtype == bool for x in operands[1:]]):
            raise RecordingError(
                f"compile: {line}: the shape of the result depends on values, of a mask; multiply "
                "by the mask, or choose by minigrad.where"
            )
        values = tuple([self._value(x, line) for x in operands])
        if primitive.writes:
            part, made = "update", tuple([self._next(x, line) for x in results])
        else:
            part = "backward" if inside & BACKWARD else "forward"
            made = tuple([self._result(y, values) for y in results])
            if made[0] in values:  # the forward returned its operand, perhaps after a look at it
                if not primitive.acts:
                    return None
                made = ()
        self.instructions.append(Instruction(primitive, values, static, made, part, line))

    def _set_gradient(self, tensor, g, line):
        leaf = self._value(tensor, line).root()
        if leaf.origin == "result":
            return  # nobody outside the function knows it
        if g is not None and leaf not in self.gradients:  # backward looked whether there was one
            self.gradients_before.setdefault(leaf, False)
        self.gradients[leaf] = None if g is None else self._value(g, line)

    def program(self, returned) -> Program:
        """Return the program of a function that returned this."""
        structure = rebuilt(returned, self._returned)
        for leaf in list(self._leaves.values()):
            value = self._value(leaf, "").root()
            # An optimiser passes over what has no gradient, but would not if it had one.
            if value.origin != "result" and leaf.grad is None and value not in self.gradients:
                self.gradients_before.setdefault(value, False)
        before = tuple(self.gradients_before.items())
        gradients = tuple(self.gradients.items())
        return Program(tuple(self.instructions), structure, gradients, before)

    def _returned(self, y):
        if isinstance(y, Tensor):
            return self._value(y, "the function's result")
        raise RecordingError(
            f"compile: the function returned a {type(y).__name__}; it must return tensors, or "
            "tuples, lists and dictionaries of tensors"
        )

    # ---- Values

    def _new(self, tensor, origin, source=None, before=None, name=None):
        array, memory = array_of(tensor), id(memory_of(tensor))
        value = Value(array, origin, memory, source, before, name)
        if origin in ("argument", "gradient"):
            self._lay_out(value)  # a replay copies them
        value.moved = memory in self._moved
        self._held.append((tensor, array, memory_of(tensor)))
        self._values[id(array)] = value
        self._version[value] = self._writes.setdefault(memory, 0)
        if tensor.requires_grad and tensor.is_leaf:
            self._leaves[id(tensor)] = tensor
        return value

    def _value(self, tensor, line):
        """Return what a tensor's array is now."""
        value = self._values.get(id(array_of(tensor)))
        if value is None:
            return self._found(tensor, line)
        if self._version[value] != self._writes[value.memory]:
            # It is a view, and its memory was written through another one.
            return self._new(tensor, value.origin, value.source, value, value.name)
        if tensor.requires_grad and tensor.is_leaf:
            self._leaves[id(tensor)] = tensor
        return value

    def _next(self, tensor, line):
        before = self._value(tensor, line)
        if before.origin == "gradient":
            raise RecordingError(
                f"compile: {line}: writes into a gradient that was there before the call, where a "
                "replay would write into its copy; set it, p.grad = p.grad * …, or write it outside"
            )
        self._writes[before.memory] += 1
        return self._new(tensor, before.origin, before.source, before, before.name)

    def _result(self, y, operands):
        """Return a new Value, or the operand's, if a forward returned the operand itself."""
        known = self._values.get(id(array_of(y)))
        value = known or self._new(y, "result")
        if not known and value.memory not in {x.memory for x in operands}:
            self._lay_out(value)
        return value

    def _lay_out(self, value):
        """Give a Value the strides that a replay's own array has, without gaps or reversed axes.

        If these are others, a replay's views of it have others, too, than those that are recorded.
        """
        recorded = value.strides
        if value.repeats():
            value.strides = np.empty(value.shape, value.dtype).strides
        value.strides = value.empty().strides
        if value.strides != recorded:
            self._moved.add(value.memory)
            value.moved = True

    def _found(self, tensor, line):
        """Return a Value for an array that no instruction made."""
        array = array_of(tensor)
        if not tensor.is_leaf:
            raise RecordingError(
                f"compile: {line}: a result of operations outside the function is used inside, of "
                f"shape {array.shape}; use its detach(), or compute it inside"
            )
        if not array.flags.writeable and array.base is None:
            return self._new(tensor, "constant", tensor)
        for leaf in list(self._leaves.values()):
            if leaf.grad is tensor:
                value = self._value(leaf, line)
                self.gradients_before[value.root()] = True
                return self._new(tensor, "gradient", value.root(), name=f"{value.name}.grad")
        if memory_of(tensor)[1] > self.start:
            raise RecordingError(
                f"compile: {line}: an array of shape {array.shape} was made by Python, and a "
                "replay would use it again. Give it to the function as an argument, draw it by "
                "randn, rand or bernoulli or, if it never changes, write minigrad.constant(array)"
            )
        return self._new(tensor, "state", tensor, name=self.names.get(id(tensor)))

    def _refuse_reading(self, tensor):
        value = self._values.get(id(array_of(tensor)))
        if memory_of(tensor)[1] > self.start and value is None:
            return  # Python made it, and may read it
        if value is None or value.origin != "constant":
            raise RecordingError(
                f"compile: {line_of_user()[0]}: Python reads a value here, which a replay would "
                "not do. Choose by minigrad.where, index by tensors, and read values from what the "
                "function returns"
            )
