"""minigrad: reverse-mode automatic differentiation, small enough to read in an afternoon."""

# isort: off
from minigrad.tensor import Tensor
from minigrad.engine import backward, grad, primitive
from minigrad.recording import enable_grad, no_grad
from minigrad.ops import *  # noqa: F403
from minigrad import ops, random
# isort: on

__all__ = [
    "Tensor", "backward", "enable_grad", "grad", "no_grad", "primitive", "random", *ops.__all__,
]  # fmt: skip
__version__ = "0.1.0"
