"""Whether operations are recorded: each thread's switch, and the blocks that set it."""

import inspect
import threading
from functools import wraps


class _Recording(threading.local):
    def __init__(self):
        self.on = True
        self.before: dict[int, list[bool]] = {}  # what was in force outside each open block


recording = _Recording()


class _Mode:
    """A block, or a decorator of functions and generators, in which recording is on or off.

    One object serves for several blocks: one after another, within another, in several threads.
    """

    on: bool

    def __new__(cls, function=None):
        mode = super().__new__(cls)
        return mode if function is None else mode(function)  # @no_grad, without parentheses

    def __enter__(self):
        recording.before.setdefault(id(self), []).append(recording.on)
        recording.on = self.on

    def __exit__(self, *_):
        outside = recording.before[id(self)]
        recording.on = outside.pop()
        if not outside:
            del recording.before[id(self)]

    def __call__(self, function):
        name = type(self).__name__
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"@{name} on {function.__name__}: other tasks would run inside it too; write "
                f"`with {name}():` around what does not wait"
            )

        @wraps(function)
        def wrapped(*args, **kwargs):
            with type(self)():
                return function(*args, **kwargs)

        @wraps(function)
        def generator(*args, **kwargs):
            """What runs between two yields runs in the block; who receives them does not."""
            steps, send, value = function(*args, **kwargs), "send", None
            while True:
                try:
                    with type(self)():
                        result = getattr(steps, send)(value)
                except StopIteration as stop:
                    return stop.value
                try:
                    send, value = "send", (yield result)
                except GeneratorExit:
                    with type(self)():
                        steps.close()
                    raise
                except BaseException as error:
                    send, value = "throw", error

        return generator if inspect.isgeneratorfunction(function) else wrapped


class no_grad(_Mode):
    """Inside `with no_grad():` (or under the decorator `@no_grad()`) nothing is recorded.

    >>> from minigrad import Tensor
    >>> x = Tensor(2.0, requires_grad=True)
    >>> with no_grad():
    ...     y = x * x
    >>> x * x, y
    (Tensor(4., from multiply), Tensor(4.))
    """

    on = False


class enable_grad(_Mode):
    """Inside the block, operations are recorded even if a block around it says `no_grad`."""

    on = True


def record_if(on: bool):
    """The one or the other, for a block."""
    return enable_grad() if on else no_grad()
