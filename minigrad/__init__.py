"""minigrad: reverse-mode automatic differentiation, small enough to read in an afternoon."""

from importlib import import_module

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

_MODULES = (
    "batches", "checkpoint", "checks", "console", "data", "distributions", "dtypes", "engine",
    "gradcheck", "kernels", "module", "nn", "ops", "optim", "paths", "random", "recording",
    "tensor",
)  # fmt: skip


def __getattr__(name):
    """`minigrad.nn` after `import minigrad`: imported when it is asked for, so that the import of
    minigrad stays fast and needs no library of data or of files."""
    if name in _MODULES:
        return import_module(f"minigrad.{name}")
    raise AttributeError(f"module 'minigrad' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_MODULES})
