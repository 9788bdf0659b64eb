"""A Tensor is an array and, where a gradient is wanted, a record of how it was computed.

The operators and methods (x + y, x.sum(), …) are operations, which ops/methods.py attaches.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.core import guards
from minigrad.core.interpreter import current

if TYPE_CHECKING:
    from minigrad.ops.methods import Methods  # for editors; at run time core imports no operation
else:
    Methods = object

clock = itertools.count(1)  # numbers recorded operations and writes in the order they happen
settings_changed = [0]  # counts changes of modules, optimisers and requires_grad: see program/


class SetGrad:
    """SetGrad replaces the primitive when an observer is told that a leaf's `.grad` was changed.

    An observer that records a whole training step must record this effect, too.
    """

    name = "set_grad"

    writes = ()

    @staticmethod
    def written(operands):
        """Return the operands whose arrays are written into: none."""
        return []


class ReadValues(SetGrad):
    """ReadValues replaces the primitive when an observer is told that Python reads values."""

    name = "read_values"


class Tensor(Methods):
    """A Tensor is an n-dimensional array of one dtype that remembers how it was computed.

    Tensor(data) copies data, so that no later change to data can make a recorded value stale. Views
    and detach() share a tensor's memory and its record of writes. Python floats become float32,
    arrays keep their dtype, and dtype=… converts.

    requires_grad: whether gradients with respect to this tensor are computed (floating dtypes only)
    grad: after `backward`, ∂L/∂self, a Tensor of the same shape and dtype; before it, None

    Raises TypeError for data that are not numeric, or an integer tensor that requires a gradient.
    """

    __slots__ = ("_array", "_requires_grad", "_grad", "_node", "_index", "_written", "__weakref__")

    # This makes NumPy leave `array * tensor` to the Tensor, and not make an array of objects.
    __array_ufunc__ = None

    _array: np.ndarray  # private to core, which never hands it out writable
    _requires_grad: bool
    _grad: Tensor | None
    _node: Any  # the Node of the operation that computed this tensor; None for a leaf
    _index: int  # this tensor's number among the operation's results; unset for a leaf
    _written: list[int]  # the times of the last write and, by Tensor(data), of the making; both
    # are 0 for an operation's result. All views of one array share this list.

    def __init__(self, data, requires_grad=False, dtype=None):
        try:
            data = data._array if isinstance(data, Tensor) else data
            if dtype is not None:
                guards.holds_numbers(data)
                guards.keeps_imaginary_part(data, dtype)
            array = np.array(data, dtype=dtype, order="C")
        except (ValueError, TypeError, OverflowError) as error:
            raise TypeError(f"Tensor: this is no array of numbers: {error}") from None
        if dtype is None and array.dtype == np.float64 and not has_dtype(data):
            array = array.astype(np.float32)
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        guards.has_numeric_dtype(array)
        self._array, self._grad, self._node, self._written = array, None, None, [0, next(clock)]
        self._requires_grad = False
        if requires_grad is not False:
            self._require_grad(requires_grad)

    # ---- what it is

    @property
    def data(self) -> np.ndarray:
        """x.data is a read-only view of the values; `copy_` writes them."""
        if current.interpreter.observer is not None:
            current.interpreter.observer(ReadValues, (self,), {}, (self,))
        view = self._array.view()
        view.flags.writeable = False
        return view

    def numpy(self) -> np.ndarray:
        """Return the same view as `data`."""
        return self.data

    def __array__(self, dtype=None, copy=None):
        guards.loses_no_gradient(self)
        return np.array(self.data, dtype=dtype, copy=copy)

    @property
    def shape(self) -> tuple[int, ...]:
        """x.shape is a tuple of the sizes of the axes."""
        return self._array.shape

    @property
    def ndim(self) -> int:
        """x.ndim is the number of axes."""
        return self._array.ndim

    @property
    def size(self) -> int:
        """x.size is the number of elements."""
        return self._array.size

    @property
    def dtype(self) -> np.dtype:
        """x.dtype is NumPy's dtype of the elements."""
        return self._array.dtype

    @property
    def requires_grad(self) -> bool:
        """x.requires_grad says whether gradients with respect to x are computed."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool):
        self._require_grad(value)
        settings_changed[0] += 1

    def _require_grad(self, value):
        guards.is_true_or_false("requires_grad", value, "; a dtype goes by name, dtype=…")
        guards.is_leaf_for_requires_grad(self)
        if value:
            guards.can_require_grad(self)
            if not self._array.flags.carray:  # a view; kernels write only contiguous memory
                # The copy is no longer a view, so graphs that recorded it as one are out of date.
                self._array, self._written = np.array(self._array, order="C"), 2 * [next(clock)]
        self._requires_grad = bool(value)

    @property
    def grad(self) -> Tensor | None:
        """x.grad is ∂L/∂x as `backward` left it, or None."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None):
        if value is not None:
            guards.is_gradient_of(value, self)
        if current.interpreter.observer is not None:  # which still sees what was there before
            current.interpreter.observer(SetGrad, (self,), {}, (value,))
        self._grad = value

    @property
    def is_leaf(self) -> bool:
        """x.is_leaf is True unless a recorded operation computed x."""
        return self._node is None

    def detach(self) -> Tensor:
        """Return the same values, not copied, as a leaf without requires_grad."""
        return owned(self._array, self._written)

    def __reduce_ex__(self, protocol):
        """Only leaves can be copied or pickled: a copied graph would keep the old operands."""
        guards.is_leaf_for_copies(self)
        return super().__reduce_ex__(protocol)

    def __setstate__(self, state):
        for name, value in state[1].items():
            setattr(self, name, value)
        # Another process has another clock; its writes came before everything in this process.
        self._written[0] = min(self._written[0], next(clock))

    # ---- as a number, a sequence, a text

    def item(self) -> float:
        """Return the value of a tensor that holds a single number."""
        guards.holds_one_number(self, "item")
        if current.interpreter.observer is not None:
            current.interpreter.observer(ReadValues, (self,), {}, (self,))
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
        origin = f", from {self._node.primitive.name}" if self._node else ""
        flag = ", requires_grad=True" if self._requires_grad and not self._node else ""
        return f"Tensor({values}{dtype}{origin}{flag})"

    __hash__ = object.__hash__  # by identity, although == compares elements


def has_dtype(data) -> bool:
    """Return whether the data, or a list's elements, have a dtype; Python's numbers have none."""
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return hasattr(data, "dtype")


def owned(array, written=None) -> Tensor:
    """Return a tensor around an array without a copy: the array is new, or is to be shared."""
    tensor = _new(Tensor)
    tensor._array = array
    tensor._requires_grad = False
    tensor._grad = tensor._node = None
    tensor._written = written or [0, 0]
    return tensor


_new = Tensor.__new__


def constant(data, dtype=None) -> Tensor:
    """Return Tensor(data) for values that never change: read-only, so a recorded step may keep it.

    Raises TypeError for data that are not numeric
    """
    tensor = Tensor(data, dtype=dtype)
    tensor._array.flags.writeable = False
    return tensor


def replace(tensor, array) -> None:
    """Give a leaf an array of another dtype, and count that as a write."""
    guards.is_writable("replace", tensor)
    tensor._array, tensor._grad = array, None
    settings_changed[0] += 1
    tensor._written[0] = next(clock)
