"""One policy decides which dtype tensors, arrays and numbers get as operands of an operation.

1. Two floating dtypes never mix: float32 and float64 tensors together are a TypeError.
2. Beside a floating tensor, numbers, arrays and whole-number tensors are constants of its dtype.
3. Most operations have results that need not be whole. They take whole numbers as float32, as
   PyTorch's exp and sigmoid do. The others (sums, products, choices, moves) keep whole numbers, in
   the dtype that PyTorch promotes to. This is the largest dtype of the operands with axes; those
   without axes, and after them Python's numbers, count only if they are of a higher kind (bool,
   whole, floating, complex). A number that the dtype can't hold is a TypeError, where PyTorch would
   wrap it around.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.core.tensor import Tensor, constant, owned

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
KINDS = "biufc"  # in ascending order, but i and u rank equally


def operands_of_one_dtype(primitive, values) -> tuple[tuple[Tensor, ...], list[np.ndarray]]:
    """Return a primitive's values as tensors, by the policy above, and the tensors' arrays."""
    try:
        arrays = [value._array for value in values]
    except AttributeError:  # a value is a number or an array
        pass
    else:
        joined = arrays if primitive.joined is None else [arrays[i] for i in primitive.joined]
        dtype = joined[0].dtype if joined else FLOAT32
        if dtype is FLOAT32 or dtype is FLOAT64:
            for array in joined:
                if array.dtype is not dtype:
                    break
            else:
                return values, arrays  # float64, or beside operands that keep dtypes of their own
    if primitive.joined is None:
        values = operands(primitive.name, values, primitive.keeps_integers)
    else:
        chosen = [values[i] for i in primitive.joined]
        chosen = list(operands(primitive.name, chosen, primitive.keeps_integers))
        values = tuple(
            chosen[primitive.joined.index(i)] if i in primitive.joined
            else value if isinstance(value, Tensor) else _new(value)
            for i, value in enumerate(values)
        )  # fmt: skip
    return values, [value._array for value in values]


def operands(name, values, keeps_integers=False) -> tuple[Tensor, ...]:
    """Return the values as tensors of one dtype, by the policy above.

    name: the operation's name, for errors
    keeps_integers: whether whole numbers stay whole where there is no floating tensor
    """
    dtype: Any = None
    for value in values:
        if isinstance(value, Tensor) and value._array.dtype.kind in "fc":
            dtype = value.dtype if dtype is None else _common(name, dtype, value.dtype)
    if dtype is None:
        if not len(values):
            return ()
        dtype = _promoted(name, values)
        if dtype.kind in "biu" and not keeps_integers:
            dtype = FLOAT32
    return tuple([_as_tensor(name, value, dtype) for value in values])


@lru_cache(maxsize=256, typed=True)
def _number(value, dtype):
    """Return a Python number as a constant; it is read-only, because it is cached and shared."""
    with np.errstate(over="ignore"):  # a number that is too large becomes inf
        array = np.array(value, dtype)
    array.flags.writeable = False
    return owned(array)


def _common(name, one, other):
    """Return the dtype for both. Complex beside floating, as in gradient checks, gives complex."""
    if one != other and one.kind == other.kind:
        raise TypeError(
            f"{name}: {one} and {other} tensors meet; an operation never changes the dtype by "
            "itself, so convert one of them with .to(dtype)"
        )
    return one if one.kind == "c" or other.kind == "f" else other


def _promoted(name, values):
    """Return the dtype that torch.result_type gives values without a floating tensor."""
    ranks: list[list[Any]] = [[], [], []]  # dtypes of values with axes, of 0-d tensors, of numbers
    for value in values:
        tensor = value if isinstance(value, Tensor) else Tensor(value)
        ranks[0 if tensor.ndim else 1 if isinstance(value, Tensor) else 2].append(tensor.dtype)
    found = None
    for rank, dtypes in enumerate(ranks):
        for dtype in dtypes:
            if found is None:
                found, owner = dtype, rank
            elif _kind(dtype) > _kind(found):
                below_arrays = rank == 2 and dtype.kind == "f"
                found, owner = np.dtype(np.float32) if below_arrays else dtype, rank
            elif _kind(dtype) == _kind(found) and rank == owner:
                found = (
                    _common(name, found, dtype)
                    if dtype.kind in "fc"
                    else _whole(name, found, dtype)
                )
    return found


def _kind(dtype):
    return KINDS.index(dtype.kind.replace("u", "i"))


def _whole(name, one, other):
    common = np.promote_types(one, other)
    if common.kind == "f":
        raise TypeError(
            f"{name}: {one} and {other} tensors meet, and no whole numbers hold both; make one of "
            "them another: Tensor(x, dtype='int64')"
        )
    return common


def _as_tensor(name, value, dtype):
    if isinstance(value, Tensor) and value._array.dtype is dtype:
        return value
    if (value.__class__ is float or value.__class__ is int) and dtype.kind == "f":
        return _number(value, dtype) if value else constant(np.array(value, dtype))  # 0 may be −0
    if dtype.kind in "iu" and np.ndim(value) == 0:
        limits = np.iinfo(dtype)
        if not limits.min <= int(value) <= limits.max:
            raise TypeError(
                f"{name}: {int(value)} is no {dtype}, which goes from {limits.min} to "
                f"{limits.max}; make the tensor another: Tensor(x, dtype='int64')"
            )
    if isinstance(value, Tensor):
        return value if value.dtype == dtype else convert[0](value, dtype)
    return _new(value, dtype)


def _new(value, dtype=None):
    """Return a tensor; numbers, also NumPy's, and lists of them become constants."""
    text = value
    while isinstance(text, (list, tuple)) and text:
        text = text[0]
    if isinstance(text, (bool, int, float, complex, np.generic)):
        return constant(value, dtype)
    return Tensor(value, dtype=dtype)


convert: list[Any] = []  # holds the operation that converts a tensor, which primitive.py defines
