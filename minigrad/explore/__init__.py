"""A page on which one sees backpropagation: the graph of a function, stepped through with numbers.

    from minigrad.explore import explore
    explore(lambda x: x * x + x, 3.0)        # writes step.html: open it in a browser

It is one file that needs no network. `python -m minigrad.explore` makes pages of the repository's
models. Read record.py (what ran), layout.py (where it stands), pictures.py, page.py and web/.
"""

import inspect
from pathlib import Path

import numpy as np

from minigrad.core.tensor import Tensor
from minigrad.explore.layout import needs_igraph
from minigrad.explore.page import page
from minigrad.explore.record import Recording
from minigrad.nn.module import Module
from minigrad.paths import expand
from minigrad.program.compiled import Compiled
from minigrad.program.names import reachable
from minigrad.training.checkpoint import replacing

__all__ = ["explore"]


def explore(f, *inputs, path="step.html") -> Path:
    """Run f(*inputs) once, and write a page that steps through its graph. Returns the path.

    f: a function that returns its loss, a tensor of a single number, alone or as the first of
        several; or that calls `backward` on it. It may do more, such as an optimiser's step
    inputs: what f takes; floats, and lists and arrays of them, become tensors with a gradient
    path: the file to be written; what was there is replaced

    Raises ImportError where python-igraph is missing (`pip install 'minigrad[explore]'`),
    TypeError if f is no function, OSError if the file can't be written, and ValueError if f ends
    in no loss.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = explore(lambda x: x * x + x, 3.0, path=f"{folder}/step.html")
    ...     "multiply(x, x)" in file.read_text(encoding="utf-8")
    True
    """
    needs_igraph("explore")
    if not callable(f):
        raise TypeError(f"explore: {f!r:.60} is no function; give it first, and then its inputs")
    path = expand(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"explore: path = {str(path)!r}: there is no folder {path.parent}")
    if path.is_dir():
        raise IsADirectoryError(f"explore: path = {str(path)!r} is a folder; name a file in it")
    f = f.function if isinstance(f, Compiled) else f  # a replay would run no operation
    recording = recorded(f, [_as_tensor(x) for x in inputs])
    title = getattr(f, "__name__", type(f).__name__).replace("<lambda>", "lambda")
    with replacing(path) as temporary:
        temporary.write_text(page(recording, title), encoding="utf-8")
    return path


def recorded(f, inputs) -> Recording:
    """Return the Recording of f(*inputs), pulled back; what f can reach has names."""
    reached = inspect.signature(f).bind(*inputs).arguments | reachable(f)
    reached["self"] = getattr(f, "__self__", f)
    modules = {name: x for name, x in reached.items() if isinstance(x, Module)}
    names = {id(x): name for name, x in reached.items() if isinstance(x, Tensor)}
    for name, module in modules.items():
        prefix = name if len(modules) > 1 else ""
        below = [*module.named_modules(prefix=prefix)]
        for own, x in [*below, *module.named_tensors(f"{prefix}." if prefix else "")]:
            names.setdefault(id(x), own or name)
    for i, x in enumerate(inputs):
        names.setdefault(id(x), f"input{i}")
    return Recording(f, inputs, names)


def _as_tensor(x):
    """Return floats, and lists and arrays of them, as a tensor with a gradient."""
    if isinstance(x, (float, list, np.ndarray, np.floating)):
        try:
            tensor = Tensor(x)
        except TypeError:  # a list of something else
            return x
        if tensor.dtype.kind == "f":
            tensor.requires_grad = True
            return tensor
    return x
