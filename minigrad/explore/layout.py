"""Where it stands: each box is laid out by itself, so that the page can fold and unfold it.

A box's children are nodes and other boxes. They stand in layers, so that every edge goes down, and
in each layer in an order with few crossings, which python-igraph finds (Sugiyama, Tagawa & Toda
1981). The page knows how large things are, and makes coordinates from layers and orders.
"""

from importlib.util import find_spec


def needs_igraph(name):
    """Raise ImportError, with what to do, if python-igraph is not installed."""
    if find_spec("igraph") is None:
        raise ImportError(
            f"{name}: the layout needs python-igraph, which is not installed; type\n"
            "  pip install 'minigrad[explore]'"
        )


def nested(paths, edges) -> dict:
    """Return a tree of boxes, each with its children's places, from which a page can draw.

    paths: {node: its boxes, from outside to inside}. edges: (source, target) for nodes

    A box is {"name": …, "sort": …, "children": [[child, x, layer]], "routes": [[a, b, points]]}; a
    child is a node or a box, a and b are numbers of children, and points are the (x, layer) at
    which a long edge passes. The box around all has no name.
    """
    inside: dict = {}  # by the path to a box, those to its children
    whole = {node: (*path, node) for node, path in paths.items()}
    for path in whole.values():
        for depth in range(len(path)):
            inside.setdefault(path[:depth], {})[path[: depth + 1]] = None
    between: dict = {path: {} for path in inside}
    for source, target in edges:
        one, other = whole[source], whole[target]
        depth = next(i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
        between[one[:depth]][one[: depth + 1], other[: depth + 1]] = None

    def box(path):
        number = {child: i for i, child in enumerate(inside[path])}
        places, routes = layered(len(number), [(number[a], number[b]) for a, b in between[path]])
        made = [box(child) if child in inside else child[-1] for child in number]
        return ({"name": path[-1].name, "sort": path[-1].kind} if path else {}) | {
            "children": [[child, *place] for child, place in zip(made, places, strict=True)],
            "routes": [[*edge, points] for edge, points in routes.items() if points],
        }

    return box(())


def layered(count, edges):
    """Return an (x, layer) for each vertex, and for each edge those of the points on its way."""
    from igraph import Graph

    graph, layers = Graph(n=count, edges=list(edges), directed=True), [0] * count
    for a in graph.topological_sorting():
        for b in graph.successors(a):
            layers[b] = max(layers[b], layers[a] + 1)
    for leaf in graph.vs.select(_indegree=0, _outdegree_gt=0).indices:  # just above its use
        layers[leaf] = min(layers[b] for b in graph.successors(leaf)) - 1
    chains: dict[tuple[int, int], list[int]] = {}
    vertical, ends = list(layers), list[tuple[int, int]]()
    for a, b in edges:
        chains[a, b] = [*range(len(vertical), len(vertical) + layers[b] - layers[a] - 1)]
        vertical += range(layers[a] + 1, layers[b])
        ends += zip([a, *chains[a, b]], [*chains[a, b], b], strict=True)
    drawing = Graph(n=len(vertical), edges=ends, directed=True)
    at = drawing.layout_sugiyama(layers=vertical, maxiter=200).coords[: len(vertical)]
    at = [(round(x, 3), layer) for (x, _), layer in zip(at, vertical, strict=True)]
    return at[:count], {edge: [at[i] for i in chain] for edge, chain in chains.items()}
