"""Where it stands: in layers, so that every edge goes down, and in columns, with few crossings.

python-igraph finds the order in each layer (Sugiyama, Tagawa & Toda 1981).
"""

from importlib.util import find_spec
from itertools import groupby
from operator import itemgetter


def needs_igraph(name):
    """Raise ImportError, with what to do, if python-igraph is not installed."""
    if find_spec("igraph") is None:
        raise ImportError(
            f"{name}: the layout needs python-igraph, which is not installed; type\n"
            "  pip install 'minigrad[explore]'"
        )


def layered(count, edges):
    """Return a (column, layer) for each vertex, and the way of each edge: (column, layer, layer) of
    each column that it goes down, with the first layer that it no longer goes through there.

    They are counted from 1. What stands at a column takes the next one, too, so that a vertex can
    stand between two others.
    """
    from igraph import Graph

    graph, layers = Graph(n=count, edges=list(edges), directed=True), [0] * count
    for a in graph.topological_sorting():
        for b in graph.successors(a):
            layers[b] = max(layers[b], layers[a] + 1)
    for leaf in graph.vs.select(_indegree=0, _outdegree_gt=0).indices:  # just above its use
        layers[leaf] = min(layers[b] for b in graph.successors(leaf)) - 1
    chains, ends = dict[tuple, list](), list[tuple]()  # a long edge is a chain of short ones
    for a, b in edges:
        chains[a, b] = [*range(len(layers), len(layers) + layers[b] - layers[a] - 1)]
        layers += range(layers[a] + 1, layers[b])
        ends += zip([a, *chains[a, b]], [*chains[a, b], b], strict=True)
    drawing = Graph(n=len(layers), edges=ends, directed=True)
    found = drawing.layout_sugiyama(layers=layers, maxiter=200).coords[: len(layers)]
    places = [(int(2 * x) + 1, layer + 1) for (x, _), layer in zip(found, layers, strict=True)]
    ways = {}
    for edge, chain in chains.items():
        downs = [[*down] for _, down in groupby([places[i] for i in chain], itemgetter(0))]
        ways[edge] = [(*down[0], down[-1][1] + 1) for down in downs]
    return places[:count], ways
