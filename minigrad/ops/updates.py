"""These operations write into a leaf, for an optimiser, for BatchNorm's averages and for copy_.

`bind` counts each write, so that `backward` refuses to use values that have been overwritten.
"""

import numpy as np

from minigrad.core.primitive import primitive
from minigrad.ops.shapes import _filled, _separated


def _same_shape(x, values):
    if values.shape != x.shape:
        raise ValueError(f"copy_: shape {values.shape} into a tensor of shape {x.shape}")
    if values.dtype.kind not in ("biufc" if x.dtype.kind == "c" else "biuf"):
        raise TypeError(f"copy_: {values.dtype} values into a tensor of {x.dtype}")


@primitive(writes=(0,), as_given=(0, 1), check=_same_shape)
def copy_(x, values, /):
    """x ← values, of the same shape, converted to x's dtype."""
    x[...] = _held(values, x)


def setitem_(x, value, index) -> None:
    """x[index] ← value, with all of NumPy's indexing."""
    index, arrays = _separated(index)
    _setitem_(x, value, *arrays, index=index)


@primitive(writes=(0,), as_given=range(2**31))
def _setitem_(x, value, /, *arrays, index):
    """x[index] ← value, the arrays in the index being operands."""
    x[_filled(index, arrays)] = _held(value, x)


def _held(values, x):
    """Return the values, or raise an error if x's dtype can't hold them."""
    if values.dtype.kind == "c" and x.dtype.kind != "c":
        raise TypeError(f"complex values into a tensor of {x.dtype} would lose a part of them")
    if x.dtype.kind in "iu" and values.dtype.kind in "iuf" and values.size:
        limits, least, most = np.iinfo(x.dtype), values.min(), values.max()
        if not (limits.min <= least and most < limits.max + 1):  # NaN fails, too
            raise ValueError(f"values from {least} to {most} into a tensor of {x.dtype}")
    return values


@primitive(writes=(0,), as_given=(0,))
def add_one_(count, /):
    """count ← count + 1"""
    count += 1


def _fit(*arrays, **static):
    """Kernels trust that an update's arrays agree."""
    x = arrays[0]
    if any(array.shape != x.shape or array.dtype != x.dtype for array in arrays):
        kinds = ", ".join(f"{array.dtype} of shape {array.shape}" for array in arrays)
        raise ValueError(f"an update's arrays must be of one shape and dtype, and are {kinds}")


@primitive(writes=(0,), check=_fit)
def average_(running, batch, /, momentum, correction=1.0):
    """running ← (1 − m) running + m · correction · batch, with m = momentum."""
    running[...] = (1 - momentum) * running + momentum * (batch * correction)


@primitive(writes=(0, 1), as_given=(3,), check=lambda p, b, g, lr, momentum: _fit(p, b, g))
def sgd_(p, buffer, g, lr, /, momentum):
    """b ← momentum · b + g,  p ← p − lr · b: p, b, g of one shape, lr ()"""
    buffer *= momentum
    buffer += g
    p -= lr.item() * buffer


def each_state(states):
    """Return p, m, v, step and g of each parameter, which adam_ gets one after another."""
    return zip(*[iter(states)] * 5, strict=True)


def counts_are_sound(states):
    """Raise ValueError if a parameter has a negative count of steps: a check of values."""
    for i, (*_, step, _) in enumerate(each_state(states)):
        if step < 0:
            raise ValueError(
                f"Adam: steps of parameter {i} is {step}; a count of steps is not negative"
            )


def _adam_shapes(lr, *states, **static):
    if not states or len(states) % 5:
        raise TypeError(
            f"adam_: {len(states)} arrays after lr; give p, m, v, step and g of each parameter"
        )
    for p, m, v, _, g in each_state(states):
        _fit(p, m, v, g)


@primitive(
    writes=lambda count: [i for i in range(1, count) if i % 5],  # all but lr and each g
    as_given=range(2**31),
    check=_adam_shapes,
)
def adam_(lr, /, *states, betas, eps):
    """One step of Adam: Kingma & Ba 2015, algorithm 1. lr (); states: p, m, v, step, g, p, m, …

    For each parameter p, with m, v and g of its shape, and step ():
    t ← t + 1,  m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²,  p ← p − lr · m̂ / (√v̂ + ε), with
    m̂ = m/(1−β₁ᵗ) and v̂ = v/(1−β₂ᵗ). ε stands outside the root and after the bias correction, as
    in PyTorch.
    """
    rate, (beta1, beta2) = lr.item(), betas
    counts_are_sound(states)
    for p, m, v, step, g in each_state(states):
        step += 1
        t = int(step)
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * g * g
        p -= rate / (1 - beta1**t) * m / (np.sqrt(v) / np.sqrt(1 - beta2**t) + eps)


for _update in (copy_, _setitem_, add_one_, average_, sgd_, adam_):
    _update.pulls = ()
