"""Reverse-mode differentiation: how operations are recorded, and how cotangents are pulled back.

An operation y = f(a, b) that involves a tensor with `requires_grad` leaves a Node on y: the
operands, and for each operand a *pull*, the function that maps the cotangent g = ȳ = ∂L/∂y to the
operand's share of ∂L/∂a. The nodes form a graph without cycles, y → operands, so plain reference
counting frees it. `backward` and `grad` walk it from the result to the leaves.
"""

import threading
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from functools import wraps
from typing import Any

import numpy as np

from minigrad.tensor import Tensor

OPERATIONS: dict[str, Callable] = {}  # every operation by name: what the tests must cover


class _Recording(threading.local):
    on = True


_recording = _Recording()


@contextmanager
def _record_if(on):
    before, _recording.on = _recording.on, on
    try:
        yield
    finally:
        _recording.on = before


def no_grad():
    """Inside `with no_grad():` (or under the decorator `@no_grad()`) nothing is recorded.

    >>> x = Tensor(2.0, requires_grad=True)
    >>> with no_grad():
    ...     y = x * x
    >>> x * x, y
    (Tensor(4., from multiply), Tensor(4.))
    """
    return _record_if(False)


def enable_grad():
    """Inside the block, operations are recorded even if a block around it says `no_grad`."""
    return _record_if(True)


class Node:
    """How a tensor came about. `versions` are those of the operands when the operation ran."""

    __slots__ = ("operation", "operands", "pulls", "versions")

    def __init__(self, operation, operands, pulls):
        self.operation = operation
        self.operands = operands
        self.pulls = pulls
        self.versions = [operand._version[0] for operand in operands]

    def check(self):
        """Raises RuntimeError if the pulls would see values other than the forward pass saw."""
        if self.pulls is None:
            raise RuntimeError(
                f"{self.operation}: this part of the graph was freed by an earlier backward or "
                "grad; pass retain_graph=True there, or compute the result again"
            )
        for i, (operand, version) in enumerate(zip(self.operands, self.versions, strict=True)):
            if operand._version[0] != version:
                raise RuntimeError(
                    f"{self.operation}: operand {i}, of shape {operand.shape}, was written after "
                    "the operation used it (by an optimiser's step, by loading weights or by "
                    "copy_); call backward before the write, or compute the result again"
                )

    def free(self):
        self.operands, self.pulls, self.versions = (), None, []


def primitive(function):
    """Make a differentiable operation of a function that returns (array, pull, pull, …).

    Positional arguments are tensors; numbers and arrays among them become constants of the
    tensors' dtype. Keyword arguments are static. There is one pull per tensor, in order:
    pull(g, y) -> cotangent, written in tensor operations so that it can be differentiated again.
    A pull may leave g's broadcast axes as they are (the engine sums over them), and is called only
    if somebody needs its result.

    Raises TypeError if tensors of different floating dtypes meet.
    """
    name = function.__name__

    @wraps(function)
    def operation(*values, **static):
        operands = _operands(name, values)
        try:
            with np.errstate(all="ignore"):  # log(0) is -inf, as it says; not a warning as well
                array, *pulls = function(*operands, **static)
        except ValueError as error:
            if "could not be broadcast" not in str(error) and "shape mismatch" not in str(error):
                raise
            shapes = " and ".join(str(operand.shape) for operand in operands)
            raise ValueError(
                f"{name}: shapes {shapes} do not broadcast; from the right, sizes must be equal, "
                "or one of them 1 or missing"
            ) from None
        if len(pulls) != len(operands):
            raise TypeError(f"{name}: {len(operands)} tensors but {len(pulls)} pulls")
        y = Tensor._own(array)
        if y._array.base is not None:  # a view: a write to what it shows is a write to it
            for operand in operands:
                if np.may_share_memory(y._array, operand._array):
                    y._version = operand._version
        if _recording.on and any(operand._requires_grad for operand in operands):
            y._requires_grad = True
            y._node = Node(name, operands, pulls)
        return y

    OPERATIONS.setdefault(name, operation)
    return operation


def composite(function):
    """Register a function of operations as an operation of its own: it needs no pull."""
    OPERATIONS.setdefault(function.__name__, function)
    return function


def _operands(name, values) -> tuple[Tensor, ...]:
    dtype: Any = None
    for value in values:
        if isinstance(value, Tensor) and value.dtype.kind in "fc":
            if dtype is None or (value.dtype.kind, dtype.kind) == ("c", "f"):
                dtype = value.dtype
            elif value.dtype != dtype and value.dtype.kind == dtype.kind:
                raise TypeError(
                    f"{name}: {dtype} and {value.dtype} tensors meet; an operation never changes "
                    "the dtype by itself, so convert one of them with .to(dtype)"
                )
    if dtype is None and values:
        return tuple(v if isinstance(v, Tensor) else Tensor(v) for v in values)
    return tuple(
        v if isinstance(v, Tensor) and v.dtype == dtype else Tensor(v, dtype=dtype) for v in values
    )


def backward(y: Tensor, gradient=None, retain_graph=None, create_graph=False) -> None:
    """Add ∂L/∂leaf to `.grad` of every leaf that y depends on, where ∂L/∂y = gradient.

    gradient: of y's shape; 1 if y is a single number, otherwise required (ValueError).
    retain_graph: keep the graph for another pass (default: as create_graph).
    create_graph: record the pulls as well, so that the gradients can be differentiated.

    >>> a, b = Tensor(2.0, requires_grad=True), Tensor(3.0, requires_grad=True)
    >>> backward(a * b + a)
    >>> a.grad, b.grad
    (Tensor(4.), Tensor(2.))
    """
    seed = _seed(y, gradient)
    order = _topological_order(y)
    leaves = [tensor for tensor in order if tensor._node is None]
    keep = create_graph if retain_graph is None else retain_graph
    for leaf, g in zip(leaves, _pull_back(order, seed, leaves, keep, create_graph), strict=True):
        if g is not None:
            with _record_if(create_graph):
                leaf.grad = g if leaf.grad is None else leaf.grad + g


def grad(
    y: Tensor,
    xs: Tensor | Iterable[Tensor],
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    allow_unused=False,
) -> tuple[Tensor | None, ...]:
    """∂L/∂x for each x in xs, of x's shape, where ∂L/∂y = grad_outputs. No `.grad` is touched.

    xs may be leaves or results on the way; only what lies between them and y is computed.
    With create_graph=True the gradients are themselves functions that can be differentiated.
    Raises RuntimeError if y does not depend on some x (allow_unused=True: None in its place).

    >>> x = Tensor(2.0, requires_grad=True)
    >>> (slope,) = grad(x**3, x, create_graph=True)
    >>> (curvature,) = grad(slope, x)
    >>> slope.item(), curvature.item()
    (12.0, 12.0)
    """
    xs = (xs,) if isinstance(xs, Tensor) else tuple(xs)
    seed = _seed(y, grad_outputs)
    keep = create_graph if retain_graph is None else retain_graph
    result = _pull_back(_topological_order(y), seed, xs, keep, create_graph)
    for i, g in enumerate(result):
        if g is None and not allow_unused:
            raise RuntimeError(
                f"grad: y does not depend on xs[{i}], of shape {xs[i].shape}; if that is meant, "
                "pass allow_unused=True and get None for it"
            )
    return tuple(result)


def _seed(y, gradient):
    if not y._requires_grad:
        raise RuntimeError(
            "backward: the tensor depends on nothing with requires_grad=True, or was computed "
            "under no_grad"
        )
    if gradient is None:
        if y.size != 1:
            raise ValueError(
                f"backward: the result has shape {y.shape}, not a single number; reduce it (for "
                "instance .sum()) or pass its cotangent, gradient=…, of that shape"
            )
        gradient = np.ones(y.shape)
    seed = gradient if isinstance(gradient, Tensor) else Tensor(gradient, dtype=y.dtype)
    if seed.shape != y.shape or seed.dtype != y.dtype:
        raise ValueError(
            f"backward: gradient is {seed.dtype} of shape {seed.shape}, the result is {y.dtype} "
            f"of shape {y.shape}; they must be the same"
        )
    return seed


def _topological_order(root) -> list[Tensor]:
    """What root depends on and a gradient can reach: operands before results, root last.

    A stack instead of recursion: a chain of 100,000 operations is an ordinary graph. A tensor goes
    onto the list when it comes off the stack a second time, after all its operands.
    """
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        tensor, operands_done = stack.pop()
        if operands_done:
            order.append(tensor)
        elif id(tensor) not in seen:
            seen.add(id(tensor))
            stack.append((tensor, True))
            if tensor._node is not None:
                tensor._node.check()
                stack.extend((o, False) for o in tensor._node.operands if o._requires_grad)
    return order


def _pull_back(order, seed, targets, retain_graph, create_graph) -> list[Tensor | None]:
    """The cotangents of the targets, in their order; None where nothing arrives.

    Cotangents on the way live in a dictionary of this call alone, keyed by identity (== of tensors
    is elementwise), and each is dropped as soon as it has been pulled back: a second pass over the
    same graph starts from nothing.
    """
    found: dict[int, Tensor | None] = {id(target): None for target in targets}
    needed = set(found)  # targets, and what depends on one
    for tensor in order:
        if tensor._node is not None and any(id(o) in needed for o in tensor._node.operands):
            needed.add(id(tensor))
    cotangents = {id(order[-1]): seed}
    with _record_if(create_graph), np.errstate(all="ignore"):
        while order:
            y = order.pop()
            g = cotangents.pop(id(y), None)
            if g is None:
                continue
            if id(y) in found:
                found[id(y)] = g
            node = y._node
            if node is None or not any(id(operand) in needed for operand in node.operands):
                continue
            for operand, pull in zip(node.operands, node.pulls, strict=True):
                if operand._requires_grad and id(operand) in needed:
                    share = _fit(pull(g, y), operand, node.operation)
                    already = cotangents.get(id(operand))
                    cotangents[id(operand)] = share if already is None else already + share
            if not retain_graph:
                node.free()
    return [found[id(target)] for target in targets]


def _fit(g, operand, operation):
    """Sum g over the axes along which the operand was broadcast; g then has its shape."""
    if g.dtype != operand.dtype:
        raise TypeError(
            f"{operation}: a pull returned {g.dtype} for an operand of {operand.dtype}"
        )
    if g.shape == operand.shape:
        return g
    extra = g.ndim - operand.ndim
    padded = (1,) * extra + operand.shape
    if extra < 0 or any(n not in (1, m) for n, m in zip(padded, g.shape, strict=True)):
        raise ValueError(
            f"{operation}: a pull returned shape {g.shape} for an operand of shape "
            f"{operand.shape}, which could not have been broadcast to it"
        )
    pairs = zip(padded, g.shape, strict=True)
    stretched = tuple(axis for axis, (n, m) in enumerate(pairs) if n != m or axis < extra)
    return g.sum(stretched, keepdims=True).reshape(operand.shape)
