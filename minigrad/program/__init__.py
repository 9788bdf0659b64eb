"""A training step is a program, and backpropagation turns one program into another.

`compile` writes that other program down:

    >>> import numpy as np
    >>> import minigrad as mg
    >>> @mg.compile
    ... def step(a, b):
    ...     y = mg.tanh(a * b + a)
    ...     return y, mg.grad(y, a)
    >>> a, b = mg.Tensor(0.5, requires_grad=True), mg.Tensor(2.0)
    >>> y, slope = step(a, b)
    >>> print(step.program)  # doctest: +ELLIPSIS
    forward:
      v1 : f32[] = multiply(a, b)    # ...
      v2 : f32[] = add(v1, a)        # ...
      v3 : f32[] = tanh(v2)          # ...
    backward:
      v4 : f32[] = ones_like(v3)     # ...
      v5 : f32[] = multiply(v3, v3)  # ...
      v6 : f32[] = subtract(1, v5)   # ...
      v7 : f32[] = multiply(v4, v6)  # ...
      v8 : f32[] = multiply(v7, b)   # ...
      v9 : f32[] = add(v7, v8)       # ...
    in the end:
      return (v3, (v9,))

From its second call on, the function is no longer run: its program is, without Python between the
operations. instructions.py says what a program is, and makes it shorter; recorder.py records one;
fusion.py makes loops of its elementwise parts; replay.py runs it. This file decides which program a
call runs, or records.
"""

from __future__ import annotations

import inspect
import threading
import types
import warnings
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any

import numpy as np

from minigrad.checks import whole
from minigrad.core.interpreter import current
from minigrad.core.memory import array_of, memory_of
from minigrad.core.tensor import Tensor, settings_changed
from minigrad.program.instructions import Instruction, Program, Value, difference, simplified
from minigrad.program.recorder import Recorder, RecordingError
from minigrad.program.replay import Replay, handed_out
from minigrad.structures import rebuilt

__all__ = ["Instruction", "Program", "RecordingError", "Value", "compile"]

MOST = 8  # programs that a function keeps, the latest ones


def compile(function=None, *, check_every=0) -> Any:
    """Return a function that runs `function` once, as it is, and then replays what it did.

    function: takes arrays or tensors, and may do whatever a training step does: call modules,
        backward, grad, an optimiser's step, random draws. It returns tensors, singly or in tuples,
        lists and dictionaries. Arrays come to it as tensors. Other arguments, such as numbers, are
        part of the program: another value is another program.
    check_every: at every so many calls run `function` again, and raise RecordingError if what it
        does has changed

    **What Python computes is frozen.** A number that the function takes from elsewhere, such as a
    weight that grows with the iteration, keeps the value that it had when the program was
    recorded: make it an argument, as an array or a tensor. What the library knows of is honoured:
    other shapes or dtypes, train() and eval(), a learning rate, a parameter that was replaced or
    loaded, requires_grad, and the generator's seed and state.

    Results have no graph behind them, and share no memory with those of another call. Raises
    RecordingError for what can't be recorded: values that Python reads, and arrays that it makes.
    """
    if function is None:
        return lambda function: compile(function, check_every=check_every)
    if not callable(function):
        raise TypeError(f"compile: {function!r:.60} is no function")
    return Compiled(function, check_every)


@dataclass
class _Recording:
    """A _Recording is a program that was recorded, and its Replay once it is called again."""

    key: tuple
    program: Program
    replay: Replay | None = None
    settings: int = 0  # the library's, when it was last known to be what the function does

    def fits(self, key, arguments) -> bool:
        """Return whether the function would do the same for arguments with this key."""
        before = self.program.gradients_before
        known = self.settings == settings_changed[0] and self.key == key
        grads = [(getattr(x.tensor(arguments), "grad", None), had) for x, had in before]
        return known and all([(g is not None) == had for g, had in grads])


class Compiled:
    """A Compiled is a function with the programs of its calls so far."""

    def __init__(self, function, check_every=0):
        update_wrapper(self, function)
        self.function, self.name = function, getattr(function, "__name__", "the function")
        self.check_every = whole("compile", "check_every", check_every, 0)
        self._signature, self._lock = inspect.signature(function), threading.RLock()
        kinds = {p.kind for p in self._signature.parameters.values()}
        simple = kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD}
        self._names = (*self._signature.parameters,) if simple else None
        self._recordings: list[_Recording] = []  # the latest used first
        self._calls = self._new = 0
        self._busy = False

    @property
    def program(self) -> Program:
        """f.program is the Program of the latest call, to be printed."""
        if not self._recordings:
            raise RuntimeError("compile: there is no program yet; call the function first")
        return simplified(self._recordings[0].program)

    def __get__(self, instance, owner=None):
        return self if instance is None else types.MethodType(self, instance)

    def __call__(self, *args, **kwargs):
        if current.interpreter.observer is not None:  # it is traced, or a part of a recording
            return self._plainly(args, kwargs)
        with self._lock:
            if self._busy:  # a signal's handler calls it, while it is called
                return self._plainly(args, kwargs)
            try:
                self._busy = True
                return self._call(args, kwargs)
            finally:
                self._busy = False

    def _plainly(self, args, kwargs):
        args, kwargs = _as_tensors((args, kwargs))
        return self.function(*args, **kwargs)

    def _call(self, args, kwargs):
        named = self._named(args, kwargs)
        arguments, first = dict[str, Any](), dict[int, str]()
        kinds = tuple([_kind(k, x, arguments, first) for k, x in named.items()])
        key = kinds, current.interpreter.records, current.interpreter.accelerates
        values = list(arguments.values())
        recording = next((r for r in self._recordings if r.fits(key, values)), None)
        self._calls += 1
        if not recording or self.check_every and self._calls % self.check_every == 0:
            return self._record(named, arguments, key, recording)
        if recording is not self._recordings[0]:
            self._use(recording)
        if recording.replay is None:
            recording.replay = Replay(simplified(recording.program))
        if not recording.replay.knows(values):
            return self._record(named, arguments, key, None)
        return recording.replay.run(values)

    def _named(self, args, kwargs):
        """Return which parameter gets what."""
        if self._names and len(args) == len(self._names) and not kwargs:
            return dict(zip(self._names, args, strict=True))  # as bind does, in much more time
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    def _use(self, recording):
        """Put a recording first, and forget the last one if there are too many."""
        others = [other for other in self._recordings if other is not recording]
        self._recordings = [recording, *others][:MOST]

    def _record(self, named, arguments, key, expected):
        """Run the function, and write down what it does. expected: what a replay would have run"""
        bound = inspect.BoundArguments(self._signature, named)
        own = [name for name, x in arguments.items() if isinstance(x, np.ndarray)]
        arguments, args, kwargs = _as_tensors((arguments, bound.args, bound.kwargs))
        recorder = Recorder(self.function, arguments, own)
        with recorder.recording():
            returned = self.function(*args, **kwargs)
        program = recorder.program(returned)
        changes = {difference(r.program, program): r for r in self._recordings if r.key == key}
        if expected and (change := difference(expected.program, program)):
            raise RecordingError(
                f"compile: {self.name} no longer does what was recorded, and what a replay would "
                f"do:\n{change}"
            )
        if (recording := changes.get(None)) is None:
            recording = _Recording(key, program)
            self._new += 1
            if self._new == MOST + 1:
                why = f"its arguments are now {key[0]}, and were {self._recordings[0].key[0]}"
                why = f"it does something else:\n{[*changes][0]}" if changes else why
                warnings.warn(
                    f"compile: {self.name} is recorded for the {self._new}th time: {why}\nEach "
                    f"recording runs as slowly as without compile, and {MOST} are kept.",
                    stacklevel=3,
                )
        elif recording.replay and recording.replay.is_current():
            recording.replay.lend()  # the settings that changed may be those of what it lent before
        else:
            recording.replay = None  # a state has another array now
        recording.settings = settings_changed[0]
        self._use(recording)
        return rebuilt(returned, lambda y: handed_out(recorder.value(y), array_of(y)))


def _as_tensors(structure):
    """Return a structure with arrays as tensors, one for each array."""
    made: dict[int, Tensor] = {}
    return rebuilt(
        structure,
        lambda x: made.setdefault(id(x), Tensor(x)) if isinstance(x, np.ndarray) else x,
    )


def _kind(name, value, arguments, first):
    """Return what a program depends on of an argument, besides values.

    arguments: {name: array or tensor}, to which its own are added
    first: {id: name}, by which arguments are told apart that share an array, or its memory
    """
    if isinstance(value, np.ndarray):
        arguments[name] = value
        return name, value.shape, value.dtype, first.setdefault(id(value), name)
    if isinstance(value, Tensor):
        arguments[name], array = value, array_of(value)
        if not value.is_leaf:
            raise RecordingError(
                f"compile: {name} is a result of recorded operations, and no gradient goes through "
                "a replay; give its detach()"
            )
        same = first.setdefault(id(array), name), first.setdefault(id(memory_of(value)), name)
        return name, array.shape, array.dtype, array.strides, value.requires_grad, same
    if isinstance(value, (tuple, list, dict)):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        return name, type(value), *[_kind(f"{name}[{k!r}]", v, arguments, first) for k, v in parts]
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"compile: {name} is a {type(value).__name__}; give arrays and tensors, also in "
            "tuples, lists and dictionaries, and what can be hashed, such as numbers and texts"
        ) from None
    as_text = isinstance(value, (float, complex, np.inexact))  # for −0 is not 0, and NaN is NaN
    return name, type(value), str(value) if as_text else value
