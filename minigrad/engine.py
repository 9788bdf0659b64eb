"""Reverse-mode differentiation: how operations are recorded, and how cotangents are pulled back.

An operation y = f(a, b) that involves a tensor with `requires_grad` leaves a Node on y: the
operands, and for each operand a *pull*, the function that maps the cotangent g = ȳ = ∂L/∂y to the
operand's share of ∂L/∂a. The nodes form a graph without cycles, y → operands, so plain reference
counting frees it. `backward` and `grad` walk it from the result to the leaves.
"""

import inspect
from collections.abc import Callable, Iterable
from functools import wraps

import numpy as np

from minigrad.dtypes import operands
from minigrad.recording import record_if, recording
from minigrad.tensor import Tensor

OPERATIONS: dict[str, Callable] = {}  # every operation by name: what the tests must cover


class Node:
    """How a tensor y came about: the operation, its operands, and a pull for each.

    An operand that no gradient goes to has None for a pull. `versions` are those of the operands
    and of y when the operation ran. y itself is not kept, or it would never be freed.
    """

    __slots__ = ("operation", "operands", "pulls", "versions")
    pulls: list[Callable | None] | None  # None once the graph has been freed

    def __init__(self, operation, operands, pulls, y):
        self.operation = operation
        self.operands = operands
        self.pulls = [p if o._requires_grad else None for o, p in zip(operands, pulls, strict=True)]
        self.versions = [tensor._version[0] for tensor in (*operands, y)]

    def check(self, y):
        """Raises RuntimeError if the pulls would see values other than the forward pass saw."""
        if self.pulls is None:
            raise RuntimeError(
                f"{self.operation}: this part of the graph was freed by an earlier backward or "
                "grad; pass retain_graph=True there, or compute the result again"
            )
        for i, (tensor, version) in enumerate(zip((*self.operands, y), self.versions, strict=True)):
            if tensor._version[0] != version:
                name = f"operand {i}" if i < len(self.operands) else "the result"
                raise RuntimeError(
                    f"{self.operation}: {name}, of shape {tensor.shape}, was written after "
                    "the operation ran (by an optimiser's step, by loading weights or by "
                    "copy_); call backward before the write, or compute the result again"
                )

    def active(self):
        """The operands that a gradient goes on to, with their pulls."""
        pulls = self.pulls or ()
        return ((o, p) for o, p in zip(self.operands, pulls, strict=True) if p is not None)

    def free(self):
        self.operands, self.pulls, self.versions = (), None, []


def primitive(function=None, *, keeps_integers=False):
    """Make a differentiable operation of a function that returns (array, pull, pull, …).

    Parameters before `/` are operands: tensors; numbers and arrays among them become constants, by
    the policy of dtypes.py. (Without a `/` all positional ones are.) Those after it are static, by
    position or by keyword. There is one pull per operand, in order: pull(g, y) -> cotangent,
    written in tensor operations so that it can be differentiated again. A pull may leave g's
    broadcast axes as they are (the engine sums over them), and is called only if somebody needs its
    result. None in its place says that the gradient is 0 everywhere.

    keeps_integers: the result of whole numbers is whole numbers; else they come as float32.

    Raises TypeError if tensors of different floating dtypes meet, or if a static argument is a
    tensor that requires a gradient, which would be lost.
    """
    if function is None:
        return lambda function: primitive(function, keeps_integers=keeps_integers)
    name, count = function.__name__, _operand_count(function)

    @wraps(function)
    def operation(*values, **static):
        tensors = operands(name, values[:count], keeps_integers)
        for value in (*values[len(tensors) :], *static.values()):
            if isinstance(value, Tensor) and value._requires_grad:
                raise TypeError(
                    f"{name}: a tensor of shape {value.shape} that requires a gradient stands for "
                    "a static argument, which gets none; use .detach() if that is meant"
                )
        try:
            with np.errstate(all="ignore"):  # log(0) is -inf, as it says; not a warning as well
                array, *pulls = function(*tensors, *values[len(tensors) :], **static)
        except ValueError as error:
            if "could not be broadcast" not in str(error) and "shape mismatch" not in str(error):
                raise
            shapes = " and ".join(str(operand.shape) for operand in tensors)
            raise ValueError(
                f"{name}: shapes {shapes} do not broadcast; from the right, sizes must be equal, "
                "or one of them 1 or missing"
            ) from None
        except TypeError as error:
            if "numpy boolean" not in str(error):
                raise
            raise TypeError(
                f"{name}: not for bool tensors, as in PyTorch; make whole numbers of them: "
                "Tensor(x, dtype='int64')"
            ) from None
        if len(pulls) != len(tensors):
            raise TypeError(f"{name}: {len(tensors)} tensors but {len(pulls)} pulls")
        y = Tensor._own(array)
        for operand in tensors:  # a view: a write to what it shows is a write to it
            if y._array is operand._array or (
                y._array.base is not None and np.may_share_memory(y._array, operand._array)
            ):
                y._version = operand._version
        if recording.on and any(operand._requires_grad for operand in tensors):
            y._requires_grad = True
            y._node = Node(name, tensors, pulls, y)
        return y

    OPERATIONS.setdefault(name, operation)
    return operation


def _operand_count(function):
    """How many positional arguments are operands; None: all of them."""
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return None
    only = kinds.count(inspect.Parameter.POSITIONAL_ONLY)
    return only or kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD)


def composite(function):
    """Register a function of operations as an operation of its own: it needs no pull."""
    OPERATIONS.setdefault(function.__name__, function)
    return function


def backward(
    y: Tensor, gradient=None, retain_graph=None, create_graph=False, inputs=None
) -> None:
    """Add ∂L/∂leaf to `.grad` of every leaf that y depends on, where ∂L/∂y = gradient.

    gradient: of y's shape; 1 if y is a single number, otherwise required (ValueError).
    retain_graph: keep the graph for another pass (default: as create_graph).
    create_graph: record the pulls as well, so that the gradients can be differentiated.
    inputs: the leaf or leaves to do it for (default: all); what only others need is not computed.

    >>> a, b = Tensor(2.0, requires_grad=True), Tensor(3.0, requires_grad=True)
    >>> backward(a * b + a)
    >>> a.grad, b.grad
    (Tensor(4.), Tensor(2.))
    """
    seed = _seed(y, gradient)
    order = _topological_order(y)
    leaves = [tensor for tensor in order if tensor._node is None]
    if inputs is not None:
        inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
        if not inputs or not all(isinstance(tensor, Tensor) for tensor in inputs):
            raise TypeError("backward: inputs must be a tensor, or one or more in a list")
        wanted = {id(tensor): tensor for tensor in inputs}
        if any(tensor._node is not None for tensor in wanted.values()):
            raise ValueError("backward: inputs must be leaves; for results on the way, call grad")
        leaves = [leaf for leaf in leaves if id(leaf) in wanted]
    keep = create_graph if retain_graph is None else retain_graph
    handed_out = {id(seed)}
    for leaf, g in zip(leaves, _pull_back(order, seed, leaves, keep, create_graph), strict=True):
        if g is None:
            continue
        if leaf.grad is not None:
            with record_if(create_graph):
                g = leaf.grad + g
        elif g._node is None and (id(g) in handed_out or g._array.base is not None):
            g = Tensor(g)  # a + b hands one cotangent to both; each leaf shall own its gradient
        handed_out.add(id(g))
        leaf.grad = g


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
            why = "y does not depend on it" if xs[i]._requires_grad else "it has no requires_grad"
            raise RuntimeError(
                f"grad: no gradient for xs[{i}], of shape {xs[i].shape}: {why}; if that is meant, "
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
                tensor._node.check(tensor)
                stack.extend((operand, False) for operand, _ in tensor._node.active())
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
        if tensor._node is not None and any(id(o) in needed for o, _ in tensor._node.active()):
            needed.add(id(tensor))
    cotangents = {id(order[-1]): seed}
    with record_if(create_graph), np.errstate(all="ignore"):
        while order:
            y = order.pop()
            g = cotangents.pop(id(y), None)
            if g is None:
                continue
            if id(y) in found:
                found[id(y)] = g
            wanted = [(o, p) for o, p in y._node.active() if id(o) in needed] if y._node else []
            for operand, pull in wanted:
                share = _fit(pull(g, y), operand, y._node.operation)
                already = cotangents.get(id(operand))
                cotangents[id(operand)] = share if already is None else already + share
            if wanted and not retain_graph:
                y._node.free()
    return [found[id(target)] for target in targets]


def _fit(g, operand, operation):
    """Sum g over the axes along which the operand was broadcast; g then has its shape."""
    if not isinstance(g, Tensor):
        raise TypeError(f"{operation}: a pull returned {type(g).__name__}; it must be a Tensor")
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
