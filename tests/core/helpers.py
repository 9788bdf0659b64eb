"""What the tests of the engine share, and of what has a state."""

import numpy as np

from minigrad import Tensor


def leaf(*values):
    return Tensor(np.array(values, dtype=np.float64), requires_grad=True)


def misfits(good):
    """States that do not fit: each field missing, and of another shape, dtype and range."""
    for name in good:
        yield {k: v for k, v in good.items() if k != name}
        yield good | {name: np.array(["x"])}
        yield good | {name: good[name].astype(float)}
        yield good | {name: np.stack([good[name], good[name]])}
        yield good | {name: None}
