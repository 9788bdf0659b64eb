"""minigrad: reverse-mode automatic differentiation, small enough to read in an afternoon."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

# isort: off
from minigrad.core.tensor import Tensor, constant
from minigrad.core.backward import backward, grad
from minigrad.core.primitive import primitive
from minigrad.core.interpreter import enable_grad, no_grad
from minigrad.core.show import Graph, graph, trace
from minigrad.ops import *  # noqa: F403
from minigrad import ops
from minigrad import rng as random  # a file random.py would hide Python's own module
from minigrad.processors import get_num_threads, set_num_threads
# isort: on

if TYPE_CHECKING:
    from minigrad.anomaly import detect_anomaly
    from minigrad.program import compile
if find_spec("minigrad.kernels"):  # without them everything works, but slower
    import_module("minigrad.kernels")

__all__ = [
    "Tensor", "backward", "compile", "constant", "detect_anomaly", "enable_grad",
    "get_num_threads", "grad", "graph", "no_grad", "primitive", "random", "set_num_threads",
    "trace", *ops.__all__,
]  # fmt: skip
__version__ = "0.1.0"

_MODULES = (
    "anomaly", "checks", "console", "core", "data", "debug", "distributions", "explore",
    "gradcheck", "kernels", "names", "nn", "ops", "optim", "paths", "processors", "program", "rng",
    "structures", "training",
)  # fmt: skip
_LATER = {"compile": "program", "detect_anomaly": "anomaly"}  # a function, and its module


def __getattr__(name):
    """Import a submodule, such as `minigrad.nn`, or `compile`, when it is first asked for.

    So `import minigrad` is fast, and loads no library for data or files.
    """
    if name in _MODULES:
        return import_module(f"minigrad.{name}")
    if name in _LATER:
        return getattr(import_module(f"minigrad.{_LATER[name]}"), name)
    raise AttributeError(f"module 'minigrad' has no attribute {name!r}")


def _drawn(graph):
    """Return a graph as a picture for a notebook, or None, and the notebook prints it."""
    if len(graph.nodes) > 100:
        return None
    try:
        return import_module("minigrad.debug").draw(graph)._repr_svg_()
    except (ImportError, RuntimeError):  # python-igraph is missing, or the graph was freed
        return None


Graph._repr_svg_ = _drawn  # type: ignore[attr-defined]


def __dir__():
    return sorted({*globals(), *_MODULES, *_LATER})
