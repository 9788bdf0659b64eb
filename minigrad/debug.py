"""A graph as a still picture, for a notebook or a paper; minigrad.explore makes one that moves."""

import io

import numpy as np
from matplotlib.figure import Figure

from minigrad.core.memory import array_of, node_of
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
    arrays: dict = {}  # by the names of leaves and results
    edges: dict = {}
    for node in graph.nodes:
        arrays |= {graph.names[node, i]: array for i, (array, _) in enumerate(node.results)}
        for x in node.operands:
            name = graph.names.get(node_of(x) or id(x))
            if name:  # a constant of one number has none, and stands in the call
                arrays[name] = array_of(x)
                edges[name, graph.names[node, 0]] = None
    labels, styles = [], []
    numbers: dict[str, int] = {}
    for number, (line, _) in enumerate(graph.lines):  # "v1, v2 : kinds = call"
        made, call = line.partition(" : ")[0], line.partition(" = ")[2]
        numbers |= dict.fromkeys(made.split(", "), number)
        values = "  ".join(_value(arrays[name]) for name in made.split(", ") if name in arrays)
        labels.append(f"{made if call in STYLES else f'{made} = {call}'}\n{values}")
        styles.append(STYLES.get(call, ("round", "white")))
    places, routes = layered(len(labels), dict.fromkeys((numbers[a], numbers[b]) for a, b in edges))
    points = [*places, *(point for passed in routes.values() for point in passed)]
    (left, right), (top, bottom) = ((min(side), max(side)) for side in zip(*points, strict=True))
    width = LETTER * max(len(line) for label in labels for line in label.split("\n")) + 0.4
    picture = Picture(figsize=(width * (right - left + 1), HIGH * (bottom - top + 1)))
    axes = picture.add_axes((0, 0, 1, 1))
    axes.set(xlim=(left - 0.5, right + 0.5), ylim=(bottom + 0.5, top - 0.5))
    axes.axis("off")
    t = np.linspace(0, 1, 16)
    bent = t * t * (3 - 2 * t)
    for (a, b), points in routes.items():
        across, down = zip(places[a], *points, (places[b][0], places[b][1] - 0.3), strict=True)
        xs = [u + (v - u) * bent for u, v in zip(across, across[1:], strict=False)]
        ys = [u + (v - u) * t for u, v in zip(down, down[1:], strict=False)]
        axes.plot(np.ravel(xs), np.ravel(ys), "-v", color="#1f62b0", lw=0.9, ms=4, markevery=[-1])
    for (x, layer), label, (shape, colour) in zip(places, labels, styles, strict=True):
        box = {"boxstyle": f"{shape},pad=0.5", "fc": colour, "ec": "#6a7078", "lw": 0.9}
        axes.text(x, layer, label, bbox=box, size=8, family="monospace", ha="center", va="center")
    return picture


def _value(array):
    if 1 < array.size <= FEW:
        return np.array2string(array, precision=4, separator=", ").replace("\n", "")
    return word(array)
