"""A graph as a still picture, for a notebook or a paper; minigrad.explore makes one that moves."""

import io

import numpy as np
from matplotlib.figure import Figure

from minigrad.core.show import Graph
from minigrad.core.tensor import Tensor
from minigrad.explore.layout import layered, needs_igraph
from minigrad.explore.pictures import word

FEW = 4  # so many numbers are shown
HIGH, LETTER = 0.8, 0.085  # of a layer and of a letter, in inches
STYLES = {"leaf": ("round4", "#e8f0fa"), "constant": ("round4", "#f4f1e9")}


class Picture(Figure):
    """A Picture is a matplotlib Figure that shows itself in a notebook."""

    def _repr_svg_(self):
        svg = io.StringIO()
        self.savefig(svg, format="svg", bbox_inches="tight")
        return svg.getvalue()


def draw(y: Tensor | Graph, *more: Tensor) -> Picture:
    """Draw the graph behind y, or behind several tensors, or one that `minigrad.graph` returned.

    Each operation is a box with its call, and its result's value or, if that is large, its dtype
    and shape. Leaves are round, and above what uses them. Raises ImportError where python-igraph is
    missing (`pip install 'minigrad[explore]'`), and RuntimeError for a graph that was freed.

    >>> x = Tensor(3.0, requires_grad=True)
    >>> figure = draw(x * x + x)
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['x0\\n3', 'v1 = multiply(x0, x0)\\n9', 'v2 = add(v1, x0)\\n12']
    """
    needs_igraph("draw")
    graph = y if isinstance(y, Graph) else Graph(y, *more)
    if not all(node.results for node in graph.nodes):
        raise RuntimeError(
            "draw: this graph was freed by an earlier backward or grad; draw it before, or pass "
            "retain_graph=True there"
        )
    number = {name: i for i, line in enumerate(graph.lines) for name in line.names}
    uses = [(name, i) for i, line in enumerate(graph.lines) for name in line.operands]
    edges = dict.fromkeys((number[name], i) for name, i in uses if name in number)
    places, routes = layered(len(graph.lines), edges)
    labels = []
    for line in graph.lines:
        made, values = ", ".join(line.names), "  ".join(map(_value, line.arrays))
        labels.append(f"{made if line.call in STYLES else f'{made} = {line.call}'}\n{values}")
    columns = [column for column, *_ in [*places, *sum(routes.values(), [])]]
    letters = max(len(text) for label in labels for text in label.split("\n"))
    wide, high = max(columns) - min(columns) + 2, max(layer for _, layer in places)
    picture = Picture(figsize=((LETTER * letters + 0.4) / 2 * wide, HIGH * high))
    axes = picture.add_axes((0, 0, 1, 1))
    axes.set(xlim=(min(columns) - 1, max(columns) + 1), ylim=(high + 0.5, 0.5))
    axes.axis("off")
    for (a, b), way in routes.items():
        bends = [(column, y) for column, first, after in way for y in (first, after - 1)]
        ends = np.array([places[a], *bends, np.subtract(places[b], (0, 0.3))])
        axes.plot(*ends.T, "-v", color="#1f62b0", lw=0.9, ms=4, markevery=[-1])
    for (x, layer), label, line in zip(places, labels, graph.lines, strict=True):
        shape, colour = STYLES.get(line.call, ("round", "white"))
        box = {"boxstyle": f"{shape},pad=0.5", "fc": colour, "ec": "#6a7078", "lw": 0.9}
        axes.text(x, layer, label, bbox=box, size=8, family="monospace", ha="center", va="center")
    return picture


def _value(array):
    if 1 < array.size <= FEW:
        return np.array2string(array, precision=4, separator=", ").replace("\n", "")
    return word(array)
