"""What lies behind a tensor, for whoever runs or draws operations: see program/.

Where arrays begin matters to a loop that reads and writes several of them side by side. A processor
takes a load for one of what a store before it has not written yet if their addresses agree in the
last 12 bits, and lets it wait. So an optimiser's state for a parameter, and its gradient in a
replay, begin at other places of a page than the parameter does; and all at a line of the cache,
because a register of two lines is loaded twice.
"""

import numpy as np

from minigrad.core.tensor import Tensor, clock, owned

LINE, PAGE = 64, 4096  # bytes
GRADIENT = 3  # the number of its place; an optimiser's slots have 1 and 2


def memory_at(place, size) -> np.ndarray:
    """Return so many bytes, with any values. They begin with the line that has `place` in a page.

    That costs a page, so what is smaller begins anywhere.
    """
    if size < PAGE:
        return np.empty(size, np.uint8)
    memory = np.empty(size + PAGE, np.uint8)
    start = (place // LINE * LINE - memory.ctypes.data) % PAGE
    return memory[start : start + size]


def place_beside(tensor: Tensor, number) -> int:
    """Return a place for what belongs to a parameter. number: 1, 2 or 3, another for each such"""
    return tensor._array.ctypes.data + number * PAGE // 4


def beside(tensor: Tensor, number, array) -> Tensor:
    """Return Tensor(array), in memory at such a place."""
    memory = memory_at(place_beside(tensor, number), array.nbytes)
    copy = np.ndarray(array.shape, array.dtype, memory)
    copy[...] = array
    return owned(copy, [0, next(clock)])


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
