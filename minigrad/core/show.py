"""A graph prints as a program, with a line for each operation, in the order in which they ran."""

import linecache
import os
import sys
import textwrap
from typing import NamedTuple

import numpy as np

from minigrad.core.graph import order
from minigrad.core.interpreter import setting

WIDTH = 96  # columns of a printed line, without its note
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Line(NamedTuple):
    """A Line is an operation or a leaf: the names and the arrays of what it made, and of what."""

    names: list[str]
    arrays: list[np.ndarray]
    call: str  # or "leaf", or "constant"
    operands: list[str]  # names, and for constants of a single number that number
    note: str | None  # the line of the user's code, if it is known

    def __str__(self):
        return f"{', '.join(self.names)} : {', '.join(map(kind, self.arrays))} = {self.call}"


class Graph:
    """A Graph holds the nodes that some results depend on, in the order in which they ran.

    Leaves are called x0, x1, …, results v1, v2, …, and constants c0, c1, …; a constant of a single
    number is printed as that number.
    """

    def __init__(self, *results):
        found = {node for y in results for node in order(y)}
        self.nodes = sorted(found, key=lambda node: node.time)
        self.names = {}  # names of leaves by id, of results by node and number
        self.count = {"x": 0, "c": 0, "v": 1}  # the next number for each letter
        self.lines: list[Line] = []
        for leaf in (y for y in results if y.is_leaf):
            self._operand(leaf)
        for node in self.nodes:
            self.lines.append(self._line(node))

    def __str__(self):
        return aligned([(str(line), line.note) for line in self.lines])

    __repr__ = __str__

    def _line(self, node):
        operands = [self._operand(operand) for operand in node.operands]
        names = [self._name((node, i), "v") for i in range(len(node.results))]
        arrays = [array for array, _ in node.results]
        return Line(names, arrays, call(node.primitive, operands, node.static), operands, node.line)

    def _operand(self, tensor):
        if tensor._node is not None:
            return self.names[tensor._node, tensor._index]
        if tensor.size == 1 and not tensor.requires_grad:
            return f"{tensor.item():.6g}"
        if id(tensor) not in self.names:
            letter, what = ("x", "leaf") if tensor.requires_grad else ("c", "constant")
            name = self._name(id(tensor), letter)
            self.lines.append(Line([name], [tensor._array], what, [], None))
        return self.names[id(tensor)]

    def _name(self, key, letter):
        self.names[key] = f"{letter}{self.count[letter]}"
        self.count[letter] += 1
        return self.names[key]


def aligned(lines) -> str:
    """Return lines, (text, perhaps a note), as one text: wrapped, with their notes in a column."""
    width = max((min(len(text), WIDTH) for text, note in lines if note), default=0)
    printed = []
    for text, note in lines:
        first, *rest = textwrap.wrap(text, WIDTH, subsequent_indent=" " * 6)
        printed += [f"{first:{width}}  # {note}".rstrip() if note else first, *rest]
    return "\n".join(printed)


def call(primitive, operands, static) -> str:
    """Return an operation with the names of its operands, and what else is not as by default."""
    defaults = {name: short(value) for name, value in primitive.defaults.items()}
    chosen = {name: short(value) for name, value in static.items()}
    words = [f"{name}={word}" for name, word in chosen.items() if word != defaults.get(name)]
    return f"{primitive.name}({', '.join([*operands, *words])})"


def graph(*results) -> Graph:
    """Return the graph behind the results, to be printed.

    >>> from minigrad import Tensor, grad, graph, trace
    >>> x = Tensor([3.0, 4.0], requires_grad=True)
    >>> y = (x * x + x).sum()
    >>> print(graph(y))
    x0 : f32[2] = leaf
    v1 : f32[2] = multiply(x0, x0)
    v2 : f32[2] = add(v1, x0)
    v3 : f32[] = sum(v2)

    For gradients that were taken with create_graph=True, it shows the pulls' operations, too:

    >>> (g,) = grad(y, x, create_graph=True)
    >>> print(graph(g))
    c0 : f32[2] = constant
    x0 : f32[2] = leaf
    v1 : f32[2] = multiply(c0, x0)
    v2 : f32[2] = multiply(c0, x0)
    v3 : f32[2] = add(c0, v1)
    v4 : f32[2] = add(v3, v2)

    An operation that ran inside `trace()` is shown with the line of code that called it:

    >>> with trace():
    ...     z = x * 2
    ...     z = z.exp()
    >>> print(graph(z))  # doctest: +ELLIPSIS
    x0 : f32[2] = leaf
    v1 : f32[2] = multiply(x0, 2)  # <doctest ...>:2  z = x * 2
    v2 : f32[2] = exp(v1)          # <doctest ...>:3  z = z.exp()
    """
    return Graph(*results)


class trace(setting):
    """Inside `with trace():` each operation notes the line of code that called it."""

    def __init__(self):
        super().__init__(observer=note_line)


def note_line(primitive, operands, static, results):
    """Note the user's line on the operation's node, if there is one: an observer."""
    node = getattr(results[0], "_node", None)
    if node is not None and node.line is None:
        node.line = line_of_user()[0]


def line_of_user():
    """Return the line of the user's code that is being run, and the library's code inside it."""
    frame, inside = sys._getframe(1), set()
    while frame.f_back and frame.f_code.co_filename.startswith(PACKAGE):
        inside.add(frame.f_code)
        frame = frame.f_back
    file, number = frame.f_code.co_filename, frame.f_lineno
    line = linecache.getline(file, number, frame.f_globals).strip()
    return f"{os.path.basename(file)}:{number}  {line}", inside


def kind(array) -> str:
    """Return an array's dtype and shape as text, such as f32[100,300]."""
    dtype = {"f": "f", "c": "c", "i": "i", "u": "u", "b": "bool"}[array.dtype.kind]
    bits = "" if dtype == "bool" else 8 * array.dtype.itemsize
    return f"{dtype}{bits}[{','.join(map(str, array.shape))}]"


def short(value):
    """Return a static argument as a short text."""
    if isinstance(value, np.ndarray):
        return kind(value)
    return repr(value)
