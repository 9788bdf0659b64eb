"""These functions check settings and states, with one wording for every layer and optimiser.

A wrong setting is an error where it is made, not a wrong number or an error in a kernel later.
"""

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from minigrad.core.tensor import Tensor


def whole(owner, what, value, low=1) -> int:
    """Return the whole number `value`; raise TypeError if it is none, ValueError below `low`."""
    words = "a whole number" + f" of at least {low}" * (low > -math.inf)
    return _whole(owner, what, value, value, low, words)


def pair(owner, what, value, low=1) -> tuple[int, int]:
    """Return `value`, a whole number or two, as a pair for the height and the width."""
    words = f"a whole number of at least {low}, or two of them"
    numbers = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else (value, value)
    if len(numbers) != 2:
        raise ValueError(f"{owner}: {what} = {value!r}; it must be {words}")
    return (
        _whole(owner, what, numbers[0], value, low, words),
        _whole(owner, what, numbers[1], value, low, words),
    )


def _whole(owner, what, number, value, low, words):
    if not isinstance(number, Integral) or isinstance(number, bool):
        raise TypeError(f"{owner}: {what} = {value!r}; it must be {words}")
    if number < low:
        raise ValueError(f"{owner}: {what} = {value!r}; it must be {words}")
    return int(number)


def real(owner, what, value, low=-math.inf, high=math.inf, positive=False) -> Any:
    """Return the number `value`; raise TypeError if it is none, ValueError outside [low, high]."""
    if positive:
        words = "a positive number"
    else:
        words = "a number" + f" of at least {low}" * (low > -math.inf)
    words += f", at most {high}" * (high < math.inf)
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{owner}: {what} = {value!r}; it must be {words}")
    if not (math.isfinite(value) and low <= value <= high) or (positive and value <= 0):
        raise ValueError(f"{owner}: {what} = {value!r}; it must be {words}")
    return value


def only(owner, what, value, implemented) -> None:
    """Refuse other values of a setting that is here only to keep PyTorch's order of arguments."""
    if isinstance(value, bool) or value not in (implemented, (implemented, implemented)):
        raise ValueError(
            f"{owner}: {what} = {value!r}; minigrad has {what} = {implemented} alone (a bias is "
            "switched off by name: bias=False)"
        )


def fitted(own: Mapping, given, owner: str) -> dict[str, np.ndarray]:
    """Return `given` as new C-contiguous arrays with the names, shapes and dtypes of `own`.

    Raises ValueError, which names each difference, unless names and shapes are the same and each
    dtype can hold the values. So a caller that writes the result somewhere can't fail halfway.
    """
    if not isinstance(given, Mapping):
        raise TypeError(
            f"load_state_dict: give a dictionary of arrays by name, not a {type(given).__name__}"
        )
    problems = [f"{name} is missing" for name in own if name not in given]
    problems += [f"{name} is not in the {owner}" for name in given if name not in own]
    arrays = {}
    for name in (name for name in own if name in given):
        try:
            arrays[name] = _converted(given[name], own[name], owner)
        except ValueError as error:
            problems.append(f"{name} {error}")
    if problems:
        raise ValueError(
            f"load_state_dict: this is not the state of this {owner}: " + "; ".join(problems)
        )
    return arrays


def _converted(value, own, owner):
    if not isinstance(value, Tensor) and not hasattr(value, "__array__"):
        raise ValueError(f"is a {type(value).__name__}, not an array")
    try:
        array = value.data if isinstance(value, Tensor) else np.asarray(value)
    except (TypeError, RuntimeError) as error:  # from PyTorch, for a GPU's tensor or bfloat16
        raise ValueError(f"is no array for NumPy ({error})") from None
    if array.shape != own.shape:
        raise ValueError(f"has shape {array.shape}, the {owner}'s has {own.shape}")
    if array.dtype.kind not in "biuf" + "c" * (own.dtype.kind == "c"):
        raise ValueError(f"has dtype {array.dtype}, which {own.dtype} can't hold")
    with np.errstate(all="ignore"):
        new = np.array(array, dtype=own.dtype, order="C")
    # A smaller floating dtype may round a value, but must not turn a finite one into infinity.
    kept = np.isfinite(new) == np.isfinite(array) if own.dtype.kind in "fc" else new == array
    if not kept.all():
        raise ValueError(f"has values that {own.dtype} can't hold, such as {array[~kept].flat[0]}")
    return new
