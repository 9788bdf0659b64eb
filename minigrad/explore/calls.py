"""Where an operation ran: on which line of the user's code, and in calls of which modules."""

import linecache
import os
import sys
from inspect import isfunction
from typing import Any, NamedTuple

from minigrad.core import graph, unbroadcast
from minigrad.core.primitive import OPERATIONS
from minigrad.core.show import PACKAGE
from minigrad.nn.module import Module

EXAMPLES = os.path.join(PACKAGE, "explore", "examples.py")  # this code is a user's, too
KNOWN = {f.__code__: (name, "composite") for name, f in OPERATIONS.items() if isfunction(f)}
KNOWN[unbroadcast.unbroadcast.__code__] = ("unbroadcast", "sum over repeats")
KNOWN[graph.pull_back.__code__] = ("gradient", "backward pass")


class Box(NamedTuple):
    """A Box is a call during which operations ran: of a module, a composite or a pull."""

    call: Any  # a frame of the stack: while it is held, no other call is equal to it
    name: str
    kind: str


def place(names, outside) -> tuple[tuple[Box, ...], str]:
    """Return the calls in which an operation runs, from outside to inside, and the line.

    names: {id: name} of modules. outside: the codes at which the user's code ends
    """
    frame: Any = sys._getframe(1)
    boxes, line = [], ""
    while frame.f_code not in outside:
        code, file = frame.f_code, frame.f_code.co_filename
        if code is Module.__call__.__code__:
            kind = type(frame.f_locals["self"]).__name__
            boxes.append(Box(frame, names.get(id(frame.f_locals["self"]), kind), kind))
        elif code is graph.shares.__code__:
            boxes.append(Box(frame, f"pull of {frame.f_locals['node'].primitive.name}", "pull"))
        elif code in KNOWN:
            boxes.append(Box(frame, *KNOWN[code]))
        if not line and (not file.startswith(PACKAGE) or file == EXAMPLES):
            text = linecache.getline(file, frame.f_lineno, frame.f_globals).strip()
            line = f"{os.path.basename(file)}:{frame.f_lineno}  {text}"
        frame = frame.f_back
    return tuple(reversed(boxes)), line
