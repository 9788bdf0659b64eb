"""Tensor: an array that it owns, and, if a gradient is wanted, how it came about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad.recording import record_if, recording

if TYPE_CHECKING:
    from minigrad.engine import Node

_DTYPES = "bool, integer, float32 or float64 (complex only for the complex step)"


class Tensor:
    """An n-dimensional array of one dtype that remembers the operations it went through.

    Tensor(data) copies data: nobody else holds the array, so no later change to data can make a
    recorded value stale. Python floats become float32; arrays keep their dtype; dtype converts.

    requires_grad: compute gradients with respect to this tensor (floating dtypes only).
    grad: after `backward`, ∂L/∂self, a Tensor of the same shape and dtype; None before.

    Raises TypeError for data that is not numeric, or an integer tensor that requires a gradient.
    """

    __slots__ = ("_array", "_requires_grad", "_grad", "_node", "_version", "__weakref__")

    # NumPy then leaves `array * tensor` to the Tensor, instead of making an array of objects.
    __array_ufunc__ = None

    _array: np.ndarray  # the engine's own: never handed out writable
    _requires_grad: bool
    _grad: Tensor | None
    _node: Node | None  # how it was computed; None for a leaf
    _version: list[int]  # number of writes to the array; one list for all views of one array

    def __init__(self, data, requires_grad=False, dtype=None):
        try:
            data = data._array if isinstance(data, Tensor) else data
            array = np.array(data, dtype=dtype, order="C")
        except (ValueError, TypeError, OverflowError) as error:
            raise TypeError(f"Tensor: this is no array of numbers: {error}") from None
        if dtype is None and array.dtype == np.float64 and not hasattr(data, "dtype"):
            array = array.astype(np.float32)
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        if array.dtype.kind not in "biu" and array.dtype.char not in "fdFD":
            raise TypeError(f"Tensor: the dtype is {array.dtype}; give {_DTYPES}")
        self._array, self._grad, self._node, self._version = array, None, None, [0]
        self.requires_grad = requires_grad

    @classmethod
    def _own(cls, array) -> Tensor:
        """A tensor of an array that the engine has just made: not copied."""
        tensor = Tensor.__new__(Tensor)
        tensor._array = np.asarray(array)
        tensor._requires_grad, tensor._grad, tensor._node, tensor._version = False, None, None, [0]
        return tensor

    # ---- what it is

    @property
    def data(self) -> np.ndarray:
        """A read-only view of the values. To write, use `copy_`."""
        view = self._array.view()
        view.flags.writeable = False
        return view

    def numpy(self) -> np.ndarray:
        """The same as `data`."""
        return self.data

    def __array__(self, dtype=None, copy=None):
        if self._requires_grad:
            raise TypeError(
                "a Tensor with requires_grad would lose its gradient in NumPy; use minigrad's "
                "functions (minigrad.stack, minigrad.where, …), or .numpy() if no gradient is meant"
            )
        return np.array(self.data, dtype=dtype, copy=copy)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def ndim(self) -> int:
        return self._array.ndim

    @property
    def size(self) -> int:
        return self._array.size

    @property
    def dtype(self) -> np.dtype:
        return self._array.dtype

    @property
    def requires_grad(self) -> bool:
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool):
        if self._node is not None:
            raise RuntimeError("requires_grad can be set on leaves only; use detach() for a leaf")
        if value and self.dtype.kind not in "fc":
            raise TypeError(
                f"requires_grad: this tensor is {self.dtype}, and only floating-point tensors have "
                "gradients; make it one with dtype='float32' or .float()"
            )
        if value and not self._array.flags.carray:  # a view, which an optimiser could not write
            self._array, self._version = np.array(self._array, order="C"), [0]
        self._requires_grad = bool(value)

    @property
    def grad(self) -> Tensor | None:
        """∂L/∂self, as `backward` left it. Kernels trust its shape, so it is checked when set."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None):
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(
                f"grad: this is of type {type(value).__name__}; give a Tensor like the one that "
                "it belongs to, or None"
            )
        if value is not None and (value.shape, value.dtype) != (self.shape, self.dtype):
            raise ValueError(
                f"grad: a gradient of shape {value.shape} and {value.dtype} for a tensor of shape "
                f"{self.shape} and {self.dtype}; they must be the same"
            )
        self._grad = value

    @property
    def is_leaf(self) -> bool:
        """True unless a recorded operation computed it."""
        return self._node is None

    def item(self) -> float:
        """The value of a tensor that holds a single number."""
        if self.size != 1:
            raise ValueError(f"item: shape {self.shape} holds {self.size} numbers, not one")
        return self._array.item()

    def __len__(self):
        if not self.shape:
            raise TypeError("a 0-dimensional tensor has no length")
        return len(self._array)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        if self.size != 1:
            raise ValueError(f"the truth of {self.size} numbers is not one; use .numpy().all()")
        return bool(self.item())

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        if self.dtype.kind not in "iu":
            raise TypeError(f"a {self.dtype} tensor is no index; int(x) makes a whole number of it")
        return int(self.item())

    def __format__(self, spec):
        if self.ndim and not spec:
            return str(self)
        if self.size != 1:
            raise TypeError(
                f"format: {spec!r} is for one number, and shape {self.shape} holds {self.size}; "
                "format .numpy() or an element"
            )
        return format(self.item(), spec)

    def __repr__(self):
        values = np.array2string(self._array, separator=", ", threshold=20, prefix="Tensor(")
        dtype = "" if self.dtype == np.float32 else f", dtype={self.dtype}"
        origin = f", from {self._node.operation}" if self._node else ""
        flag = ", requires_grad=True" if self._requires_grad and not self._node else ""
        return f"Tensor({values}{dtype}{origin}{flag})"

    # ---- gradients, and writes

    def backward(
        self, gradient=None, retain_graph=None, create_graph=False, inputs=None
    ) -> None:
        """See `minigrad.engine.backward`."""
        engine.backward(self, gradient, retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """The same values (not a copy), as a leaf without requires_grad."""
        tensor = Tensor._own(self._array)
        tensor._version = self._version
        return tensor

    def copy_(self, values) -> Tensor:
        """Write values of the same shape into this leaf, converted to its dtype, and count it.

        backward then refuses to use what was computed from the old values. Raises RuntimeError for
        a tensor that was computed, ValueError for another shape, TypeError for what no conversion
        to the dtype is for; nothing is written then.
        """
        values = values._array if isinstance(values, Tensor) else np.asarray(values)
        if self._node is not None:
            raise RuntimeError("copy_: only leaves can be written; this tensor was computed")
        if values.shape != self.shape:
            raise ValueError(f"copy_: shape {values.shape} into a tensor of shape {self.shape}")
        if values.dtype.kind not in ("biufc" if self.dtype.kind == "c" else "biuf"):
            raise TypeError(f"copy_: {values.dtype} values into a tensor of {self.dtype}")
        self._check_memory("copy_")
        self._array[...] = values
        self._wrote()
        return self

    def _check_memory(self, what):
        if not self._array.flags.writeable:
            raise RuntimeError(
                f"{what}: elements of this tensor, of shape {self.shape}, share memory, as "
                "broadcast_to leaves them; write into a copy, Tensor(x)"
            )

    def _wrote(self):
        self._version[0] += 1

    def _check_in_place(self, symbol, other):
        """Raises RuntimeError unless a write is no operation that a gradient would have to pass."""
        if self._node is not None:
            why = (
                f"this tensor was computed (by {self._node.operation}), and its gradient may need "
                "the value; write x = x + …, which makes a new one"
            )
        elif recording.on and any(getattr(t, "_requires_grad", False) for t in (self, other)):
            why = (
                "the write would not be recorded, and so have no gradient; for an update by hand "
                "write it inside `with minigrad.no_grad():`, else x = x + …, which makes a new one"
            )
        else:
            return
        raise RuntimeError(f"{symbol} writes into a tensor in place: {why}")

    def _in_place(self, symbol, operation, other) -> Tensor:
        """self = operation(self, other), written into self's own memory and counted."""
        self._check_in_place(symbol, other)
        with record_if(False):
            y = operation(self, other)
        if y.dtype != self.dtype:
            raise TypeError(
                f"{symbol}: the result is {y.dtype}, and the tensor that it is written into "
                f"{self.dtype}; write x = x + …, or convert first"
            )
        return self.copy_(y)

    def __setitem__(self, index, value):
        self._check_in_place("x[index] = …", value)
        self._check_memory("x[index] = …")
        self._array[as_index(index)] = value._array if isinstance(value, Tensor) else value
        self._wrote()

    def __reduce_ex__(self, protocol):
        """Copies, deep copies and pickles are for leaves: a graph would keep its old operands."""
        if self._node is not None:
            raise RuntimeError(
                f"a tensor that was computed (by {self._node.operation}) can't be copied or "
                "pickled, because the graph behind it would not be; use x.detach(), or copy the "
                "leaves and compute it again"
            )
        return super().__reduce_ex__(protocol)

    # ---- operators. == and its kin compare elementwise; tensors hash by identity

    def __add__(self, other): return ops.add(self, other)
    def __radd__(self, other): return ops.add(other, self)
    def __sub__(self, other): return ops.subtract(self, other)
    def __rsub__(self, other): return ops.subtract(other, self)
    def __mul__(self, other): return ops.multiply(self, other)
    def __rmul__(self, other): return ops.multiply(other, self)
    def __truediv__(self, other): return ops.divide(self, other)
    def __rtruediv__(self, other): return ops.divide(other, self)
    def __pow__(self, other): return ops.power(self, other)
    def __rpow__(self, other): return ops.power(other, self)
    def __matmul__(self, other): return ops.matmul(self, other)
    def __rmatmul__(self, other): return ops.matmul(other, self)
    def __iadd__(self, other): return self._in_place("+=", ops.add, other)
    def __isub__(self, other): return self._in_place("-=", ops.subtract, other)
    def __imul__(self, other): return self._in_place("*=", ops.multiply, other)
    def __itruediv__(self, other): return self._in_place("/=", ops.divide, other)
    def __ipow__(self, other): return self._in_place("**=", ops.power, other)
    def __imatmul__(self, other): return self._in_place("@=", ops.matmul, other)
    def __neg__(self): return ops.negative(self)
    def __abs__(self): return ops.abs(self)
    def __getitem__(self, index): return ops.getitem(self, index=index)

    def __eq__(self, other): return self._compare(np.equal, other)  # type: ignore[override]
    def __ne__(self, other): return self._compare(np.not_equal, other)  # type: ignore[override]
    def __lt__(self, other): return self._compare(np.less, other)
    def __le__(self, other): return self._compare(np.less_equal, other)
    def __gt__(self, other): return self._compare(np.greater, other)
    def __ge__(self, other): return self._compare(np.greater_equal, other)

    __hash__ = object.__hash__

    def _compare(self, relation, other) -> Tensor:
        """Numbers, arrays and tensors; == of anything else is False, as for other objects.

        A number has no dtype of its own here: Tensor([0.1]) == 0.1 although float32 rounds it.
        """
        other = other._array if isinstance(other, Tensor) else other
        if not isinstance(other, (bool, int, float)):
            other = np.asarray(other)
            if other.dtype.kind not in "biufc":
                return NotImplemented
            other = other if other.ndim else other.item()
        elif isinstance(other, float):
            other = float(other)  # np.float64 is a float, and would count as an array
        return Tensor._own(relation(self._array, other))

    # ---- operations as methods; minigrad.ops documents each

    def exp(self): return ops.exp(self)
    def log(self): return ops.log(self)
    def sqrt(self): return ops.sqrt(self)
    def abs(self): return ops.abs(self)
    def sigmoid(self): return ops.sigmoid(self)
    def tanh(self): return ops.tanh(self)
    def relu(self): return ops.relu(self)
    def clip(self, min=None, max=None): return ops.clip(self, min=min, max=max)
    def sum(self, axis=None, keepdims=False): return ops.sum(self, axis=axis, keepdims=keepdims)
    def mean(self, axis=None, keepdims=False): return ops.mean(self, axis=axis, keepdims=keepdims)
    def max(self, axis=None, keepdims=False): return ops.max(self, axis, keepdims)
    def amax(self, axis=None, keepdims=False): return ops.amax(self, axis=axis, keepdims=keepdims)
    def logsumexp(self, axis, keepdims=False):
        return ops.logsumexp(self, axis=axis, keepdims=keepdims)

    def log_softmax(self, axis): return ops.log_softmax(self, axis=axis)
    def matmul(self, other): return ops.matmul(self, other)
    def broadcast_to(self, shape): return ops.broadcast_to(self, shape=shape)

    def reshape(self, *shape): return ops.reshape(self, shape=_unpacked(shape))
    def transpose(self, dim0, dim1): return ops.transpose(self, dim0, dim1)
    def permute(self, *dims): return ops.permute(self, dims=_unpacked(dims))
    def to(self, dtype): return ops.to(self, dtype=dtype)
    def float(self): return ops.to(self, dtype=np.float32)
    def double(self): return ops.to(self, dtype=np.float64)

    @property
    def T(self) -> Tensor:
        """All axes reversed."""
        return ops.permute(self, dims=range(self.ndim)[::-1])

    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged: the transpose of each matrix in a batch."""
        return ops.transpose(self, -2, -1)


def _unpacked(arguments):
    """f((2, 3)) means f(2, 3)."""
    return tuple(arguments[0]) if arguments and np.ndim(arguments[0]) == 1 else arguments


# At the end, because both build on Tensor. Every import of minigrad begins with this module.
from minigrad import engine, ops  # noqa: E402
from minigrad.ops.shape import as_index  # noqa: E402
