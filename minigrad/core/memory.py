"""What lies behind a tensor, for whoever runs or draws operations: see program/."""

import numpy as np

from minigrad.core.tensor import Tensor, clock


def array_of(tensor: Tensor) -> np.ndarray:
    """Return the array itself; a write into it must be counted."""
    return tensor._array


def memory_of(tensor: Tensor) -> list[int]:
    """Return the list that all views of one memory share, with the times of its last write and of
    its making by Tensor(data), or 0 if an operation made it."""
    return tensor._written


def count_writes(memories) -> None:
    """Note that memories are written, for guards that compare it with a recorded operation."""
    now = next(clock)
    for memory in memories:
        memory[0] = now


def set_gradient(tensor: Tensor, g: Tensor | None) -> None:
    """Set a leaf's `.grad` to what is known to fit, and tell no observer."""
    tensor._grad = g


def node_of(tensor: Tensor):
    """Return the node that computed the tensor, and its number among the results; or None."""
    return None if tensor._node is None else (tensor._node, tensor._index)
