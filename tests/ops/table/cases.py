"""What the tables are made of: how an operation is entered, and the arrays that they draw."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import strategies as st

CASES = {}
VALUES = {}  # of operations without a derivative: their values are compared with PyTorch's


def case(name, table=CASES):
    def register(function):
        assert name not in table, f"{name} is in the table already"
        table[name] = st.composite(function)()
        return function

    return register


def shapes(min_dims=0, max_dims=3):
    return hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=1, max_side=3)


def values(shape, low, high, unique=False):
    """Arrays of grid points between low and high. The grid is off centre: from −a to a, nothing is
    nearer to 0 than a / 128."""
    points = st.integers(0, 24).map(lambda k: low + (high - low) * (2 * k + 1.3) / 51)
    return hnp.arrays(np.float64, shape, elements=points, unique=unique)


def distinct(draw, shape):
    """Numbers between −1 and 1, no two of them alike."""
    number = math.prod(shape)
    order = np.array(draw(st.permutations(range(number)))).reshape(shape)
    return (2 * order - number + 0.3) / number
