"""A Primitive is an operation as a value; `bind` is the door that every computation goes through.

    @primitive
    def tanh(x):
        \"\"\"y = tanh x.   VJP: x̄ = g (1 − y²)\"\"\"
        return np.tanh(x)

    tanh.pulls = (lambda g, y, x: g * (1 - y * y),)

A forward is plain NumPy on arrays. It defines the operation: a kernel may only be faster. A pull is
written in tensor operations, so that it can be differentiated again, and captures no variables, so
that a graph of operations can be printed, saved or run again.
"""

import inspect
from collections.abc import Callable
from functools import WRAPPER_ASSIGNMENTS
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar, overload

import numpy as np

from minigrad.core import contracts, guards
from minigrad.core.dtypes import FLOAT32, convert, operands_of_one_dtype
from minigrad.core.graph import Node
from minigrad.core.interpreter import current, is_quiet_already
from minigrad.core.tensor import Tensor, clock, owned

P = ParamSpec("P")  # the parameters of a forward, and of its operation
R = TypeVar("R")  # a Tensor, or a tuple of several
F = TypeVar("F", bound=Callable)

OPERATIONS: dict[str, Callable] = {}  # every operation by name; the tests must cover each


class Kernel(NamedTuple):
    """A Kernel is compiled code that is faster than a primitive's forward.

    results(*arrays, **static): returns the shapes and dtypes of the results, or None to decline. It
        looks at shapes, dtypes, layouts and static arguments, never at values.
    run(*results, *arrays, **static): writes the results into arrays that it is given.
    """

    dtypes: tuple[np.dtype, ...]
    results: Callable
    run: Callable


class Primitive(Generic[P, R]):
    """A Primitive is an operation: a name, a forward on arrays, and a pull for each operand.

    forward(*arrays, **static) -> an array, or a tuple of several results.
    pulls: a tuple with a function (g, y, *operands, **static) -> cotangent for each operand, or
        None for an operand whose gradient is 0. g is the cotangent of the result y. A pull may
        leave the axes along which its operand was broadcast: the engine sums over them.
        Instead of a tuple, pulls can be one function that returns a tuple of all cotangents, or ()
        if there is nothing to differentiate.
        If there are several results, y is a list of them. g is then a list, too, with None where no
        cotangent arrived, unless only one result is differentiable.
    acts: whether the forward does more than compute: it writes, draws random numbers, or looks at
        values that it may refuse; so a program runs it even where nobody uses its results.
    """

    def __init__(
        self, forward, pulls=None, keeps_integers=False, as_given=(), differentiable=1, writes=(),
        check=None,
    ):  # fmt: skip
        for name in WRAPPER_ASSIGNMENTS:
            setattr(self, name, getattr(forward, name))
        self.__wrapped__ = forward  # where inspect.signature looks
        self.forward, self.name = forward, forward.__name__
        self.kernel: Kernel | None = None
        self._pulls: Any = None
        self.keeps_integers, self.as_given = keeps_integers, as_given
        self.differentiable, self.writes, self.check = differentiable, writes, check
        self.guarded, self.acts = check is not None or bool(writes), bool(writes)
        self.count, self.static = _parameters(forward)
        self.joined = None  # numbers of the operands that get a common dtype; None: all
        if as_given:
            self.joined = [i for i in range(self.count or 1) if i not in as_given]
        if pulls is not None:
            self.pulls = pulls
        self.defaults = {k: v for k, v in self.static.items() if v is not inspect.Parameter.empty}

    @property
    def pulls(self):
        """p.pulls holds the pulls in one of the forms that the class describes."""
        return self._pulls

    @pulls.setter
    def pulls(self, pulls):
        contracts.pulls_fit(self, pulls)
        self._pulls = pulls if callable(pulls) else tuple(p for p in pulls if p is not ...)

    def written(self, operands):
        """Return those of the operands that the forward writes into."""
        writes = self.writes(len(operands)) if callable(self.writes) else self.writes
        return [operands[i] for i in writes]

    def __repr__(self):
        return f"<primitive {self.name}>"

    def __call__(self, *values: P.args, **static: P.kwargs) -> R:
        if len(values) != self.count or len(static) != len(self.static):
            values, static = self._arguments(values, static)
        if static:
            if static.keys() != self.static.keys():
                contracts.takes_arguments(self, values, static)
            for name, value in static.items():
                if isinstance(value, Tensor):
                    contracts.has_no_gradient(self.name, name, value)
        return bind(self, values, static)

    def _arguments(self, values, static):
        """Separate operands from static arguments, which come by position or by keyword."""
        count = len(values) if self.count is None else self.count
        by_position = dict(zip(self.static, values[count:]))  # noqa: B905
        given = {**self.defaults, **by_position, **static}
        if (
            given.keys() != self.static.keys()
            or by_position.keys() & static.keys()
            or not count <= len(values) <= count + len(given)
        ):
            contracts.takes_arguments(self, values, static)
        return values[:count], given


@overload
def primitive(forward: Callable[P, Any], **settings: Any) -> Primitive[P, Tensor]: ...
@overload
def primitive(
    *, differentiable: int | None, **settings: Any
) -> Callable[[Callable[P, Any]], Primitive[P, tuple[Tensor, ...]]]: ...
@overload
def primitive(**settings: Any) -> Callable[[Callable[P, Any]], Primitive[P, Tensor]]: ...
def primitive(forward=None, **settings) -> Any:
    """Make a Primitive from its forward, a function of arrays; give its pulls here, or set them.

    Parameters before `/` are operands: tensors, or numbers and arrays, which become constants by
    the policy of dtypes.py. Parameters after `/` are static arguments, given by position or by
    keyword. Without a `/` all positional parameters are operands.

    keeps_integers: whether forward gets whole numbers as they are; otherwise it gets float32
    as_given: the numbers of the operands that keep a dtype of their own, such as indices
    differentiable: how many of the results, from the first on, can get a cotangent (None: all)
    writes: the numbers of the operands whose arrays forward writes into, and then has no pulls; or
        a function that returns them, if there may be any number of operands
    check: a function that gets forward's arguments before it or a kernel runs, and raises where
        shapes or static arguments don't fit; checks of values belong in the forward
    """
    if forward is None:
        return lambda forward: primitive(forward, **settings)
    ours = forward.__module__.startswith("minigrad.") or settings.get("writes")
    operation: Any = Primitive(forward if ours else contracts.only_reads(forward), **settings)
    OPERATIONS.setdefault(operation.name, operation)
    return operation


def composite(function: F) -> F:
    """Register a function that is made of operations: it is one, too, and needs no pull."""
    OPERATIONS.setdefault(function.__name__, function)
    return function


def _parameters(forward):
    """Return the number of operands (None: any), and the static parameters with their defaults."""
    parameters = inspect.signature(forward).parameters
    kinds = [p.kind for p in parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return None, {k: p.default for k, p in parameters.items() if p.kind == p.KEYWORD_ONLY}
    count = kinds.count(inspect.Parameter.POSITIONAL_ONLY)
    count = count or kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return count, {name: p.default for name, p in list(parameters.items())[count:]}


def bind(primitive, values, static):
    """Run one operation, and return its result, a Tensor, or a tuple of several: this is the door.

    Tensor's operators call it directly; all other calls come through Primitive.__call__.
    """
    interpreter = current.interpreter
    operands = values
    arrays: list[np.ndarray] = []
    for value in values:  # in the usual case, tensors of float32, there is nothing to decide
        if not isinstance(value, Tensor) or value._array.dtype is not FLOAT32:
            operands, arrays = operands_of_one_dtype(primitive, values)
            break
        arrays.append(value._array)
    if primitive.guarded:
        _check(primitive, operands, arrays, static)
    try:
        if primitive.kernel is None and not static:  # the usual case, made cheap
            found = interpreter.quietly(primitive.forward, *arrays)
        else:
            found = evaluate(primitive, arrays, static, interpreter.quietly)
    except (ValueError, TypeError, RuntimeError) as error:
        if not is_quiet_already(error):
            raise contracts.explained(error, primitive, operands) from None
        found = evaluate(primitive, arrays, static)
    several = found.__class__ is tuple
    if primitive.guarded and primitive.writes:
        results, several = primitive.written(operands), False
    elif several:
        results = [_result(y, primitive, operands, arrays) for y in found]
    else:
        results = [_result(found, primitive, operands, arrays)]
    if interpreter.records:
        for operand in operands:
            if operand._requires_grad:
                if primitive._pulls != ():
                    _record(primitive, operands, static, results)
                break
    if interpreter.observer is not None:
        interpreter.observer(primitive, operands, static, results)
    return tuple(results) if several else results[0]


def _check(primitive, operands, arrays, static):
    """Check what must hold before the operation runs, and mark what it writes into as written."""
    if primitive.check is not None:
        primitive.check(*arrays, **static)
    written = primitive.written(operands)
    for operand in written:
        guards.is_writable(primitive.name, operand)
    for operand in written:
        operand._written[0] = next(clock)


def _plainly(function, *arguments, **static):
    return function(*arguments, **static)


def evaluate(primitive, arrays, static, quietly=_plainly):
    """Compute the results, by a kernel if it takes these arrays, otherwise by the forward."""
    kernel = primitive.kernel
    if kernel and arrays[0].dtype in kernel.dtypes and current.interpreter.accelerates:
        wanted = kernel.results(*arrays, **static)
        if wanted is not None:
            results = [np.empty(shape, dtype) for shape, dtype in wanted]
            quietly(kernel.run, *results, *arrays, **static)
            return results[0] if len(results) == 1 else tuple(results)
    if static:
        return quietly(primitive.forward, *arrays, **static)
    return quietly(primitive.forward, *arrays)


def _record(primitive, operands, static, results):
    """Leave a node on the differentiable results."""
    contracts.have_pulls(primitive)
    node = Node(primitive, operands, static, results)
    for i, y in enumerate(results[: primitive.differentiable]):
        y._requires_grad, y._node, y._index = True, node, i


def _result(y, primitive, operands, arrays):
    """Return y as a tensor; a view of an operand shares the operand's record of writes."""
    if y.__class__ is np.ndarray and y.base is None:
        for array in arrays:
            if y is array:
                break
        else:
            return owned(y)  # a new array: the usual case
    y = np.asarray(y)
    contracts.is_array_of_numbers(y, primitive)
    for operand in operands:
        if np.may_share_memory(y, operand._array):
            return owned(y, operand._written)
    return owned(y)


@primitive(keeps_integers=True)
def _converted(x, /, dtype):
    """y = x in the dtype of what it meets: see dtypes.py.   VJP: none"""
    return x.astype(dtype)


_converted.pulls = ()
convert.append(_converted)
