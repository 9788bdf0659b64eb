"""These functions check what users ask of tensors. Each is named for what must hold.

They are apart from the engine so that the engine reads as what it does. Each raises an error or
does nothing, but fits and can_be_written return True or False, and several_tensors returns what it
checked. Here a tensor is anything with a shape, a dtype and a node. contracts.py checks what
operations must keep to.
"""

import numpy as np

DTYPES = "bool, integer, float32 or float64 (complex only for the complex step)"


# ---- tensors


def holds_numbers(data):
    """NumPy would make NaN of None, and numbers of strings."""
    if not hasattr(data, "dtype") and np.asarray(data).dtype.kind not in "biufc":
        raise TypeError(f"Tensor: the dtype is {np.asarray(data).dtype}; give {DTYPES}")


def keeps_imaginary_part(data, dtype):
    if np.iscomplexobj(data) and np.dtype(dtype).kind != "c":
        raise TypeError(f"Tensor: complex numbers as {np.dtype(dtype)} would lose a part of them")


def has_numeric_dtype(array):
    if array.dtype.kind not in "biu" and array.dtype.char not in "fdFD":
        raise TypeError(f"Tensor: the dtype is {array.dtype}; give {DTYPES}")


def is_leaf_for_requires_grad(tensor):
    if tensor._node is not None:
        raise RuntimeError("requires_grad can be set on leaves only; use detach() for a leaf")


def is_true_or_false(what, value, advice=""):
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{what} = {value!r}; it must be True or False{advice}")


def can_require_grad(tensor):
    if tensor.dtype.kind not in "fc":
        raise TypeError(
            f"requires_grad: this tensor is {tensor.dtype}, and only floating-point tensors have "
            "gradients; make it one with dtype='float32' or .float()"
        )


def loses_no_gradient(tensor):
    if tensor._requires_grad:
        raise TypeError(
            "a Tensor with requires_grad would lose its gradient in NumPy; use minigrad's "
            "functions (minigrad.stack, minigrad.where, …), or .numpy() if no gradient is meant"
        )


def holds_one_number(tensor, what):
    if tensor.size != 1:
        raise ValueError(f"{what}: shape {tensor.shape} holds {tensor.size} numbers, not one")


def is_gradient_of(value, tensor):
    """Kernels trust the shape and the dtype of a gradient."""
    if not hasattr(value, "_requires_grad"):
        raise TypeError(
            f"grad: this is of type {type(value).__name__}; give a Tensor like the one that it "
            "belongs to, or None"
        )
    if (value.shape, value.dtype) != (tensor.shape, tensor.dtype):
        raise ValueError(
            f"grad: a gradient of shape {value.shape} and {value.dtype} for a tensor of shape "
            f"{tensor.shape} and {tensor.dtype}; they must be the same"
        )


def is_leaf_for_copies(tensor):
    if tensor._node is not None:
        raise RuntimeError(
            f"a tensor that was computed (by {tensor._node.primitive.name}) can't be copied or "
            "pickled, because the graph behind it would not be; use x.detach(), or copy the leaves "
            "and compute it again"
        )


# ---- writes


def fits(tensor, like, written):
    """Return whether it is a tensor of like's shape and dtype, and writable if `written` is set."""
    array, other = getattr(tensor, "_array", None), like._array
    return (
        array is not None
        and array.shape == other.shape
        and array.dtype == other.dtype
        and (not written or can_be_written(tensor))
    )


def can_be_written(tensor):
    """Return whether it is a leaf whose elements do not share memory."""
    return tensor._node is None and tensor._array.flags.writeable


def is_writable(what, tensor):
    if can_be_written(tensor):
        return
    if tensor._node is not None:
        raise RuntimeError(f"{what}: only leaves can be written; this tensor was computed")
    raise RuntimeError(
        f"{what}: elements of this tensor, of shape {tensor.shape}, share memory, as broadcast_to "
        "leaves them; write into a copy, Tensor(x)"
    )


def needs_no_record(symbol, tensor, recorded):
    """No gradient can pass a write in place, because it is not recorded."""
    if tensor._node is not None:
        why = (
            f"this tensor was computed (by {tensor._node.primitive.name}), and its gradient may "
            "need the value; write x = x + …, which makes a new one"
        )
    elif recorded:
        why = (
            "the write would not be recorded, and so have no gradient; for an update by hand write "
            "it inside `with minigrad.no_grad():`, else x = x + …, which makes a new one"
        )
    else:
        return
    raise RuntimeError(f"{symbol} writes into a tensor in place: {why}")


def keeps_dtype(symbol, y, tensor):
    if y.dtype != tensor.dtype:
        raise TypeError(
            f"{symbol}: the result is {y.dtype}, and the tensor that it is written into "
            f"{tensor.dtype}; write x = x + …, or convert first"
        )


# ---- backward


def depends_on_a_leaf(y):
    if not hasattr(y, "_requires_grad"):
        raise TypeError(f"backward: this is a {type(y).__name__}; it must be a Tensor")
    if not y._requires_grad:
        raise RuntimeError(
            "backward: the tensor depends on nothing with requires_grad=True, or was computed "
            "under no_grad"
        )


def has_seed(y, gradient):
    if gradient is None and y.size != 1:
        raise ValueError(
            f"backward: the result has shape {y.shape}, not a single number; reduce it (for "
            "instance .sum()) or pass its cotangent, gradient=…, of that shape"
        )


def is_cotangent_of(seed, y):
    if seed.shape != y.shape or seed.dtype != y.dtype:
        raise ValueError(
            f"backward: gradient is {seed.dtype} of shape {seed.shape}, the result is {y.dtype} "
            f"of shape {y.shape}; they must be the same"
        )


def are_leaves(inputs):
    if not inputs:
        raise TypeError("backward: inputs are empty; give a tensor, or one or more in a list")
    if not all(tensor._requires_grad for tensor in inputs):
        raise ValueError("backward: one of the inputs does not require a gradient")
    if any(tensor._node is not None for tensor in inputs):
        raise ValueError("backward: inputs must be leaves; for results on the way, call grad")


def several_tensors(xs):
    """Return xs as a tuple of tensors."""
    try:
        xs = tuple(xs)
    except TypeError:
        raise TypeError(
            f"backward, grad: inputs are a {type(xs).__name__}; give a tensor, or several in a "
            "list, such as model.parameters()"
        ) from None
    for x in xs:
        if not hasattr(x, "_requires_grad"):
            raise TypeError(
                f"backward, grad: inputs hold a {type(x).__name__}; each must be a Tensor"
            )
    return xs


def all_found(gradients, xs):
    for i, (g, x) in enumerate(zip(gradients, xs, strict=True)):
        if g is None:
            why = "y does not depend on it" if x._requires_grad else "it has no requires_grad"
            raise RuntimeError(
                f"grad: no gradient for xs[{i}], of shape {x.shape}: {why}; if that is meant, "
                "pass allow_unused=True and get None for it"
            )


def is_current(node):
    """The node's pulls must see what its operation saw: values neither freed nor written since."""
    name, time = node.primitive.name, node.time
    if not node.results:
        raise RuntimeError(
            f"{name}: this part of the graph was freed by an earlier backward or grad; pass "
            "retain_graph=True there, or compute the result again"
        )
    for i, operand in enumerate(node.operands):
        if operand._written[0] > time:
            _was_written(name, f"operand {i}", operand.shape)
    for array, written in node.results:
        if written[0] > time:
            _was_written(name, "the result", array.shape)


def _was_written(name, what, shape):
    raise RuntimeError(
        f"{name}: {what}, of shape {shape}, was written after the operation ran (by an optimiser's "
        "step, by loading weights or by copy_); call backward before the write, or compute the "
        "result again"
    )
