"""These functions check what the authors and the callers of an operation must keep to.

Users write operations of their own, so an operation's arguments are checked, and so is what its
forward and its pulls return. Each function raises an error or does nothing, but only_reads wraps a
forward, explained rewords an error, and shares_of returns what it checked.
"""

import inspect
from functools import wraps

# ---- calls and forwards


def have_pulls(primitive):
    if primitive.pulls is None:
        raise TypeError(
            f"{primitive.name}: a gradient has to pass, and no pulls are set; set "
            f"{primitive.name}.pulls to a function (g, y, *operands) for each operand, or to () "
            "if there is none"
        )


def pulls_fit(primitive, pulls):
    if primitive.count is None and pulls and not callable(pulls) and pulls[-1] is not ...:
        raise TypeError(
            f"{primitive.name}: there may be any number of operands; give one function that "
            "returns all cotangents, or end the pulls with None, ... for operands that get none"
        )
    if primitive.count is not None and pulls and not callable(pulls):
        if len(pulls) != primitive.count:
            raise TypeError(
                f"{primitive.name}: {primitive.count} tensors but {len(pulls)} pulls; give one "
                "for each, or None where the gradient is 0"
            )


def takes_arguments(primitive, values, static):
    """Raise the TypeError that a call of the forward would raise, with the operation's name."""
    try:
        inspect.signature(primitive.forward).bind(*values, **static)
    except TypeError as error:
        raise TypeError(f"{primitive.name}: {error}") from None


def only_reads(forward):
    """Wrap the forward of a user's operation, so that it can't write into its arrays."""

    @wraps(forward)
    def reading(*arrays, **static):
        views = [array.view() for array in arrays]
        for view in views:
            view.flags.writeable = False
        return forward(*views, **static)

    return reading


def is_array_of_numbers(y, primitive):
    if y.dtype.kind not in "biufc":
        raise TypeError(
            f"{primitive.name}: the forward returned {y.dtype} values; it must return an array of "
            f"numbers, or a tuple of them, and the pulls are set apart: {primitive.name}.pulls = …"
        )


def has_no_gradient(operation, name, value):
    """The static argument `name` must not be a tensor that requires a gradient."""
    if value._requires_grad:
        raise TypeError(
            f"{operation}: {name} is a static argument and gets no gradient, but is a tensor "
            f"of shape {value.shape} that requires one; use .detach() if that is meant"
        )


def explained(error, primitive, operands):
    """Reword NumPy's error about shapes or bools: name the operation, and say what to do."""
    text = str(error)
    if "could not be broadcast" in text or "shape mismatch" in text:
        shapes = " and ".join(str(operand.shape) for operand in operands)
        return ValueError(
            f"{primitive.name}: shapes {shapes} do not broadcast; from the right, sizes must be "
            "equal, or one of them 1 or missing"
        )
    if "numpy boolean" in text:
        return TypeError(
            f"{primitive.name}: not for bool tensors, as in PyTorch; make whole numbers of them: "
            "Tensor(x, dtype='int64')"
        )
    return error


# ---- pulls


def shares_of(node, returned):
    """Return what a pull for all operands returned, if it is one share for each operand."""
    if not isinstance(returned, (tuple, list)) or len(returned) != len(node.operands):
        raise TypeError(
            f"{node.primitive.name}: the pull for all operands returned "
            f"{type(returned).__name__}; it must be a tuple of {len(node.operands)} cotangents, "
            "one for each operand"
        )
    return returned


def is_share_of(share, operand, primitive):
    """A pull's share may still have the axes along which its operand was broadcast."""
    name = primitive.name
    if not hasattr(share, "_array"):
        raise TypeError(f"{name}: a pull returned {type(share).__name__}; it must be a Tensor")
    one, other = share._array, operand._array
    if one.shape == other.shape and one.dtype == other.dtype:
        return
    if share.dtype != operand.dtype:
        raise TypeError(f"{name}: a pull returned {share.dtype} for an operand of {operand.dtype}")
    extra = share.ndim - operand.ndim
    padded = (1,) * extra + operand.shape
    if extra < 0 or any(n not in (1, m) for n, m in zip(padded, share.shape, strict=True)):
        raise ValueError(
            f"{name}: a pull returned shape {share.shape} for an operand of shape "
            f"{operand.shape}, which could not have been broadcast to it"
        )
