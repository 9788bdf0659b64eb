"""A page on which one sees backpropagation: the graph of a function, stepped through with numbers.

    from minigrad.explore import explore
    explore(lambda x: x * x + x, 3.0)        # writes step.html: open it in a browser

It is one file that needs no network. `python -m minigrad.explore` makes pages of the repository's
models. Read record.py (what ran), layout.py (where it stands), pictures.py, page.py and web/.
"""

import inspect
from contextlib import suppress
from pathlib import Path

import numpy as np

from minigrad.core.tensor import Tensor
from minigrad.explore.layout import needs_igraph
from minigrad.explore.page import page
from minigrad.explore.record import Recording
from minigrad.names import named_parts, reachable
from minigrad.paths import expand
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
    recording = recorded(f, [_as_tensor(x) for x in inputs])
    title = getattr(f, "__name__", type(f).__name__).replace("<lambda>", "lambda")
    with replacing(path) as temporary:
        temporary.write_text(page(recording, title), encoding="utf-8")
    return path


def recorded(f, inputs) -> Recording:
    """Return the Recording of f(*inputs), pulled back; what f can reach has names."""
    found = inspect.signature(f).bind(*inputs).arguments | reachable(f)
    found["self"] = getattr(f, "__self__", f)
    others = [(x, f"input{i}") for i, x in enumerate(inputs)]
    return Recording(f, inputs, [*named_parts(found), *others])


def _as_tensor(x):
    """Return floats, and lists and arrays of them, as a tensor with a gradient."""
    if isinstance(x, (float, list, np.ndarray, np.floating)):
        with suppress(TypeError):  # integers, or a list of something else
            return Tensor(x, requires_grad=True)
    return x
