"""Each thread has an Interpreter, which says how operations run; blocks like no_grad change it.

For every operation, `bind` in primitive.py asks it whether to record the operation for `backward`,
whether a kernel may accelerate it, and which observer to tell that it ran.
"""

import contextvars
import inspect
import os
import threading
from functools import wraps

import numpy as np


class Interpreter:
    """An Interpreter holds one thread's settings.

    records: whether operations leave a Node on their results
    accelerates: whether kernels are used
    observer: None, or a function (primitive, operands, static, results) that is called after each
        operation and, with tensor.SetGrad or tensor.ReadValues for the primitive, each time that a
        `.grad` is set, or that Python reads values
    quietly(f, *arguments): calls f with NumPy's warnings off
    """

    __slots__ = ("records", "accelerates", "observer", "quietly")

    def __init__(self):
        self.records = True
        self.accelerates = os.environ.get("MINIGRAD_BACKEND") != "numpy"
        self.observer = None
        # The result of log(0) is −∞, so a warning would add nothing. In this context NumPy does not
        # warn, and entering it takes a twentieth of the time of `with np.errstate(…)`.
        context = contextvars.copy_context()
        context.run(np.seterr, all="ignore")
        self.quietly = context.run


class _Thread(threading.local):
    def __init__(self):
        self.interpreter = Interpreter()


current = _Thread()  # current.interpreter is the calling thread's Interpreter


def is_quiet_already(error) -> bool:
    """Return whether `quietly` raised it because this thread is inside: in a signal's handler, or
    in a forward that calls another operation."""
    return "cannot enter context" in str(error)


class setting:
    """A setting changes the interpreter in a `with` block or in a decorated function or generator.

    One object can serve several blocks: one after another, nested, or in several threads. An
    observer does not replace those of the blocks around: they are told first, and then it is. Where
    it is None, nobody is told.
    """

    def __init__(self, **values):
        self.values = values
        self.outside = threading.local()  # a stack of the values outside each open block

    def __enter__(self):
        stack = vars(self.outside).setdefault("stack", [])
        before = {name: getattr(current.interpreter, name) for name in self.values}
        stack.append(before)
        self._set(self.values)
        if before.get("observer") is not None and self.values["observer"] is not None:
            current.interpreter.observer = _both(before["observer"], self.values["observer"])
        return self

    def __exit__(self, *_):
        self._set(self.outside.stack.pop())

    def _set(self, values):
        for name, value in values.items():
            setattr(current.interpreter, name, value)

    def __call__(self, function):
        if not callable(function) or inspect.isclass(function):
            raise TypeError(
                f"{type(self).__name__}: {function!r} is no function; write `with "
                f"{type(self).__name__}():` or decorate a function"
            )
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            name = type(self).__name__
            raise TypeError(
                f"@{name} on {function.__name__}: other tasks would run inside it too; write "
                f"`with {name}():` around what does not wait"
            )

        @wraps(function)
        def wrapped(*args, **kwargs):
            with self:
                return function(*args, **kwargs)

        @wraps(function)
        def generator(*args, **kwargs):
            """Run the generator's own code inside the block, but not the code that iterates it."""
            steps, send, value = function(*args, **kwargs), "send", None
            while True:
                try:
                    with self:
                        result = getattr(steps, send)(value)
                except StopIteration as stop:
                    return stop.value
                try:
                    send, value = "send", (yield result)
                except GeneratorExit:
                    with self:
                        steps.close()
                    raise
                except BaseException as error:
                    send, value = "throw", error

        return generator if inspect.isgeneratorfunction(function) else wrapped


def _both(outer, inner):
    def observer(*event):
        outer(*event)
        inner(*event)

    return observer


class _Recording(setting):
    records: bool

    def __new__(cls, function=None):
        block = super().__new__(cls)
        block.__init__()  # type: ignore[misc]
        return block if function is None else block(function)  # @no_grad, without parentheses

    def __init__(self):
        super().__init__(records=self.records)


class no_grad(_Recording):
    """Inside `with no_grad():` (or under the decorator `@no_grad()`) nothing is recorded.

    >>> from minigrad import Tensor
    >>> x = Tensor(2.0, requires_grad=True)
    >>> with no_grad():
    ...     y = x * x
    >>> x * x, y
    (Tensor(4., from multiply), Tensor(4.))
    """

    records = False


class enable_grad(_Recording):
    """Inside the block, operations are recorded even if an outer block is `no_grad`."""

    records = True
