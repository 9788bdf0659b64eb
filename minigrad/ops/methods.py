"""Tensor's operators and methods are operations under other names, which are attached here.

So core imports no operation, and operations can import Tensor. minigrad.ops documents each.
"""

from types import FunctionType
from typing import Any

import numpy as np

from minigrad.core import backward, guards
from minigrad.core.interpreter import current, setting
from minigrad.core.primitive import bind
from minigrad.core.tensor import Tensor
from minigrad.ops import activations, arithmetic, choices, products, reductions, shapes, updates


def _unpacked(arguments):
    """f((2, 3)) means f(2, 3)."""
    return tuple(arguments[0]) if arguments and np.ndim(arguments[0]) == 1 else arguments


def _writes_in_place(symbol, x, other):
    recorded = x.requires_grad or getattr(other, "requires_grad", False)
    guards.needs_no_record(symbol, x, current.interpreter.records and recorded)


def _in_place(symbol, operation):
    def method(self, other) -> Tensor:
        _writes_in_place(symbol, self, other)
        with setting(records=False):
            y = operation(self, other)
        guards.keeps_dtype(symbol, y, self)
        return updates.copy_(self, y)

    return method


def _compare(relation):
    def method(self, other) -> Tensor:
        """Compare with numbers, arrays and tensors; leave other objects to Python."""
        if not isinstance(other, Tensor) and np.asarray(other).dtype.kind not in "biufc":
            return NotImplemented
        return relation(self, other)

    return method


class Methods:
    """Tensor gets all of these attributes below; in an editor, it inherits them."""

    # ---- operators, which call `bind` directly because they are used most

    def __add__(self, other) -> Tensor: return bind(arithmetic.add, (self, other), {})
    def __radd__(self, other) -> Tensor: return bind(arithmetic.add, (other, self), {})
    def __sub__(self, other) -> Tensor: return bind(arithmetic.subtract, (self, other), {})
    def __rsub__(self, other) -> Tensor: return bind(arithmetic.subtract, (other, self), {})
    def __mul__(self, other) -> Tensor: return bind(arithmetic.multiply, (self, other), {})
    def __rmul__(self, other) -> Tensor: return bind(arithmetic.multiply, (other, self), {})
    def __truediv__(self, other) -> Tensor: return bind(arithmetic.divide, (self, other), {})
    def __rtruediv__(self, other) -> Tensor: return bind(arithmetic.divide, (other, self), {})
    def __pow__(self, other) -> Tensor: return bind(arithmetic.power, (self, other), {})
    def __rpow__(self, other) -> Tensor: return bind(arithmetic.power, (other, self), {})
    def __matmul__(self, other) -> Tensor: return products.matmul(self, other)
    def __rmatmul__(self, other) -> Tensor: return products.matmul(other, self)
    def __neg__(self) -> Tensor: return arithmetic.negative(self)
    def __abs__(self) -> Tensor: return choices.abs(self)
    def __getitem__(self, index) -> Tensor: return shapes.getitem(self, index)

    # ---- elementwise comparisons, although tensors hash by identity

    __eq__ = _compare(choices.eq)
    __ne__ = _compare(choices.ne)
    __lt__ = _compare(choices.lt)
    __le__ = _compare(choices.le)
    __gt__ = _compare(choices.gt)
    __ge__ = _compare(choices.ge)

    # ---- writes

    __iadd__ = _in_place("+=", arithmetic.add)
    __isub__ = _in_place("-=", arithmetic.subtract)
    __imul__ = _in_place("*=", arithmetic.multiply)
    __itruediv__ = _in_place("/=", arithmetic.divide)
    __ipow__ = _in_place("**=", arithmetic.power)
    __imatmul__ = _in_place("@=", products.matmul)

    def __setitem__(self, index, value):
        _writes_in_place("x[index] = …", self, value)
        updates.setitem_(self, value, index)

    def copy_(self, values) -> Tensor:
        """Write values of the same shape into this leaf, converted to its dtype.

        The write is counted, and backward refuses to use what was computed from the old values.
        Raises RuntimeError for a tensor that was computed, ValueError for another shape, and
        TypeError for values that can't be converted to the dtype; then nothing is written.
        """
        return updates.copy_(self, values)

    # ---- methods

    def backward(
        self, gradient=None, retain_graph=None, create_graph=False, inputs=None
    ) -> None:
        """See `minigrad.backward`."""
        tensor: Any = self
        backward.backward(tensor, gradient, retain_graph, create_graph, inputs)

    def clone(self) -> Tensor: return backward.clone(self)
    def exp(self) -> Tensor: return arithmetic.exp(self)
    def log(self) -> Tensor: return arithmetic.log(self)
    def sqrt(self) -> Tensor: return arithmetic.sqrt(self)
    def abs(self) -> Tensor: return choices.abs(self)
    def clip(self, min=None, max=None) -> Tensor: return choices.clip(self, min, max)
    def sigmoid(self) -> Tensor: return activations.sigmoid(self)
    def tanh(self) -> Tensor: return activations.tanh(self)
    def relu(self) -> Tensor: return activations.relu(self)
    def sum(self, axis=None, keepdims=False) -> Tensor:
        return bind(reductions.sum, (self,), {"axis": axis, "keepdims": keepdims})

    def mean(self, axis=None, keepdims=False) -> Tensor:
        return reductions.mean(self, axis, keepdims)

    def max(self, axis=None, keepdims=False) -> Tensor: return reductions.max(self, axis, keepdims)
    def amax(self, axis=None, keepdims=False) -> Tensor:
        return reductions.amax(self, axis, keepdims)

    def logsumexp(self, axis, keepdims=False) -> Tensor:
        return reductions.logsumexp(self, axis, keepdims)

    def log_softmax(self, axis) -> Tensor: return reductions.log_softmax(self, axis)
    def matmul(self, other) -> Tensor: return products.matmul(self, other)
    def broadcast_to(self, shape) -> Tensor: return shapes.broadcast_to(self, shape)
    def reshape(self, *shape) -> Tensor: return shapes.reshape(self, shape=_unpacked(shape))
    def transpose(self, dim0, dim1) -> Tensor: return shapes.transpose(self, dim0, dim1)
    def permute(self, *dims) -> Tensor: return shapes.permute(self, _unpacked(dims))
    def to(self, dtype) -> Tensor: return arithmetic.to(self, dtype)
    def float(self) -> Tensor: return arithmetic.to(self, np.float32)
    def double(self) -> Tensor: return arithmetic.to(self, np.float64)

    @property
    def T(self) -> Tensor:
        """x.T is x with all axes reversed."""
        tensor: Any = self
        return shapes.permute(self, dims=tuple(range(tensor.ndim)[::-1]))

    @property
    def mT(self) -> Tensor:
        """x.mT is x with the last two axes exchanged: the transpose of each matrix in a batch."""
        tensor: Any = self
        n = tensor.ndim
        return shapes.permute(self, dims=(*range(n - 2), n - 1, n - 2))


for _name, _member in vars(Methods).items():
    if isinstance(_member, FunctionType):
        _member.__qualname__ = f"Tensor.{_name}"  # the name that errors use
    if isinstance(_member, (FunctionType, property)):
        setattr(Tensor, _name, _member)
