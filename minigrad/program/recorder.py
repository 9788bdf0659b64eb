"""A Recorder is the interpreter's observer while a function runs, and writes down what happens.

Arrays are known by their identity: where one operation reads what another has made, both name one
Value. An array that no operation has made is an argument, a tensor that was there before (a
parameter, a buffer, an optimiser's state), or a constant. Any other was computed by Python, which a
replay does not run: that is an error.
"""

from __future__ import annotations

import hashlib
from typing import Any

from minigrad.core import backward
from minigrad.core.graph import pull_back
from minigrad.core.interpreter import setting
from minigrad.core.memory import array_of, memory_of
from minigrad.core.show import line_of_user
from minigrad.core.tensor import ReadValues, SetGrad, Tensor, clock
from minigrad.names import reachable_state
from minigrad.program.instructions import Instruction, Program, Value
from minigrad.structures import rebuilt

BACKWARD = {f.__code__ for f in (backward.backward, backward.grad, pull_back)}


class RecordingError(RuntimeError):
    """RecordingError says what can't be recorded, on which line, and what to write instead."""


class Recorder:
    """A Recorder makes a Program of what a function does inside `with recorder.recording():`.

    function: which runs there. arguments: {name: tensor}, what it gets
    own: names of those that nobody else has, because an array was given
    """

    def __init__(self, function, arguments, own=()):
        self.instructions: list[Instruction] = []
        self.gradients: dict[Value, Value | None] = {}
        self.gradients_before: dict[Value, bool] = {}
        self.start = next(clock)
        self._values: dict[int, Value] = {}  # by the array's id
        self._held: list[Any] = []  # what was seen: its ids must not be given to others meanwhile
        self._names, leaves = reachable_state(function)
        self._leaves: dict[int, Tensor] = {}  # by id
        self._before: dict[int, list[Tensor]] = {}  # by the array's id: an earlier gradient, whose
        self._own = {id(arguments[name]) for name in own}
        for number, (name, tensor) in enumerate(arguments.items()):
            if id(array_of(tensor)) not in self._values:
                self._new(tensor, "argument", number, name=name)
            self.value(tensor)
        for leaf in leaves:  # and more, as they are seen
            self._know(leaf)

    def recording(self):
        """Return the block inside which this thread's operations become instructions."""
        return setting(observer=self.note)

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
        values = tuple([self.value(x, line) for x in operands])
        made = tuple([self._known(y) or self._new(y, "result", len(self._held)) for y in results])
        if made[0] in values:  # it writes, or returns an operand, perhaps after a look at it
            if not primitive.acts:
                return None
            made = ()
        part = "update" if primitive.writes else "backward" if inside & BACKWARD else "forward"
        self.instructions.append(Instruction(primitive, values, static, made, part, line))

    def _set_gradient(self, tensor, g, line):
        leaf = self.value(tensor, line)
        if leaf.origin == "result" or id(tensor) in self._own:
            return  # nobody outside the function knows it
        if g is not None and leaf not in self.gradients:  # backward looked whether there was one
            self.gradients_before.setdefault(leaf, False)
        self.gradients[leaf] = None if g is None else self.value(g, line)

    def program(self, returned) -> Program:
        """Return the program of a function that returned this."""
        self._refuse_copies()
        structure = rebuilt(returned, self._returned)
        for leaf in [leaf for leaf in self._leaves.values() if leaf.grad is None]:
            value = self.value(leaf)
            # An optimiser passes over what has no gradient, but would not if it had one.
            if value.origin != "result" and value not in self.gradients:
                self.gradients_before.setdefault(value, False)
        gradients, before = tuple(self.gradients.items()), tuple(self.gradients_before.items())
        return Program(tuple(self.instructions), structure, gradients, before)

    def _returned(self, y):
        if isinstance(y, Tensor):
            return self.value(y, "the function's result")
        raise RecordingError(
            f"compile: the function returned a {type(y).__name__}; it must return tensors, or "
            "tuples, lists and dictionaries of tensors"
        )

    # ---- Values

    def value(self, tensor, line="") -> Value:
        """Return the Value that stands for a tensor's array."""
        if tensor.requires_grad and tensor.is_leaf:
            self._know(tensor)
        value = self._known(tensor) or self._found(tensor, line)
        if value.origin == "argument" and id(tensor) in self._names:
            self._refuse_two_names(value, self._names[id(tensor)])
        return value

    def _know(self, leaf):
        """Remember a leaf, and the gradient that it has before the function sets another."""
        if id(leaf) in self._leaves or id(leaf) in self._own:
            return
        self._leaves[id(leaf)], g = leaf, leaf.grad
        if g is not None:
            self._before.setdefault(id(array_of(g)), [g]).append(leaf)
            if (value := self._known(g)) and value.origin == "argument":
                self._refuse_two_names(value, f"{self._names.get(id(leaf), 'a leaf')}.grad")

    def _known(self, tensor):
        return self._values.get(id(array_of(tensor)))

    def _new(self, tensor, origin, key, source=None, name=None):
        array, memory = array_of(tensor), memory_of(tensor)
        self._held.append((array, memory))
        self._values[id(array)] = value = Value.of(array, origin, key, source, id(memory), name)
        return value

    def _found(self, tensor, line):
        """Return a Value for an array that no instruction made."""
        array = array_of(tensor)
        if not tensor.is_leaf:
            raise RecordingError(
                f"compile: {line}: a result of operations outside the function is used inside, of "
                f"shape {array.shape}; use its detach(), or compute it inside"
            )
        if not array.flags.writeable and array.base is None:
            digest = hashlib.sha256(array.tobytes()).digest()
            name = f"{array.item():.6g}" if array.size == 1 else None
            return self._new(tensor, "constant", digest, tensor, name)
        if id(array) in self._before:
            _, *leaves = self._before[id(array)]
            if len(leaves) > 1:
                raise RecordingError(
                    f"compile: {line}: {len(leaves)} leaves have this gradient in common, of shape "
                    f"{array.shape}; a replay can't know whose is meant. Give each its own"
                )
            value = self.value(leaves[0], line)
            self.gradients_before[value] = True
            name = f"{value.name or value.origin}.grad"
            return self._new(tensor, "gradient", value.key, value, name)
        if memory_of(tensor)[1] > self.start:
            raise RecordingError(
                f"compile: {line}: an array of shape {array.shape} was made by Python, and a "
                "replay would use it again. Give it to the function as an argument, draw it by "
                "randn, rand or bernoulli or, if it never changes, write minigrad.constant(array)"
            )
        return self._new(tensor, "state", id(tensor), tensor, self._names.get(id(tensor)))

    # ---- what is refused

    def _refuse_two_names(self, argument, known):
        raise RecordingError(
            f"compile: {argument.name} is an argument, and {known}, which the function reaches by "
            "itself; a replay can't know which is meant where. Give a copy"
        )

    def _refuse_reading(self, tensor):
        value = self._known(tensor)
        if memory_of(tensor)[1] > self.start and value is None:
            return  # Python made it, and may read it
        if value is None or value.origin != "constant":
            raise RecordingError(
                f"compile: {line_of_user()[0]}: Python reads a value here, which a replay would "
                "not do. Choose by minigrad.where, index by tensors, and read values from what the "
                "function returns"
            )

    def _refuse_copies(self):
        """Refuse writes into memories of which a replay would have several copies."""
        writes = [(memory, i.line) for i in self.instructions for memory in i.written]
        for memory, line in writes:
            seen = [x for x in self._values.values() if x.memory == memory and x.origin != "result"]
            if len(seen) > 1 and {"argument", "gradient"}.intersection([x.origin for x in seen]):
                raise RecordingError(
                    f"compile: {line}: {' and '.join([x.name or x.origin for x in seen])} are "
                    "views of one memory, which the function writes; give a copy of one of them, "
                    "x.clone()"
                )
