"""Backpropagation records operations, and pulls cotangents back: see core/__init__.py."""

from operator import attrgetter

from minigrad.core import contracts, guards
from minigrad.core.interpreter import current
from minigrad.core.tensor import clock, owned
from minigrad.core.unbroadcast import unbroadcast


class Node:
    """A Node records an operation that ran: which one, on which operands, with which results.

    It keeps the results' arrays: their tensors refer to it, and a cycle would outlive its last use.
    """

    __slots__ = ("primitive", "operands", "static", "results", "needs", "time", "line")

    def __init__(self, primitive, operands, static, results):
        self.primitive, self.operands, self.static = primitive, operands, static
        self.results = [(y._array, y._written) for y in results]
        self.needs = [operand._requires_grad for operand in operands]  # each gets a gradient or not
        self.time = next(clock)  # larger than the time of every node behind the operands
        self.line = None  # the line of the user's code, if it ran inside `trace()`

    def result(self, i):
        """Return the i-th result as a tensor that, if differentiable, depends on this node."""
        y = owned(*self.results[i])
        if self.primitive.differentiable is None or i < self.primitive.differentiable:
            y._requires_grad, y._node, y._index = True, self, i
        return y


def order(root):
    """Return the nodes that root depends on, latest first: each precedes all that it depends on."""
    seen, stack = set(), [root._node]
    while stack:  # recursion would fail at a chain of 100,000 operations
        node = stack.pop()
        if node is not None and node not in seen:
            guards.is_current(node)
            seen.add(node)
            stack += [operand._node for operand in node.operands]
    return sorted(seen, key=attrgetter("time"), reverse=True)


def pull_back(root, seed, targets, keep_graph, create_graph):
    """Return the cotangents of the targets (None: of all leaves), where root's is the seed.

    Only what lies between root and targets is computed. Cotangents are summed in this call alone,
    and a node's sum is dropped once it is pulled back: a second pass over the graph starts from 0.
    """
    nodes, wanted, needed = order(root), set(), None
    if targets is not None:
        wanted = {target._node or target for target in targets}
        needed = set(wanted)
        for node in reversed(nodes):
            if any([(operand._node or operand) in needed for operand in node.operands]):
                needed.add(node)
    sums: dict = {}
    interpreter = current.interpreter
    outside, interpreter.records = interpreter.records, create_graph
    try:
        arrive(sums, root, seed)
        for node in nodes:
            g = sums.get(node) if node in wanted else sums.pop(node, None)
            if g is not None and (needed is None or node in needed):
                found = shares(node, g, needed)
                for operand, share in found:
                    arrive(sums, operand, share)
                if found and not keep_graph:
                    node.operands = node.results = ()
    finally:
        interpreter.records = outside
    return sums


def arrive(sums, tensor, g):
    """Add g to the tensor's cotangent; a node with several results has a list of cotangents."""
    owner = tensor._node or tensor
    if owner is tensor or owner.primitive.differentiable == 1:
        sums[owner] = sums[owner] + g if owner in sums else g
    else:
        several = sums.setdefault(owner, [None] * len(owner.results))
        before = several[tensor._index]
        several[tensor._index] = g if before is None else before + g


def shares(node, g, needed):
    """Pull g back: return (operand, share) for each operand that needs a gradient."""
    primitive, operands, static = node.primitive, node.operands, node.static
    single = primitive.differentiable == 1 and len(node.results) == 1
    y = node.result(0) if single else [node.result(i) for i in range(len(node.results))]
    pulls, found = primitive.pulls, []
    all_shares = callable(pulls) and contracts.shares_of(node, pulls(g, y, *operands, **static))
    for i, operand in enumerate(operands):
        if node.needs[i] and (needed is None or (operand._node or operand) in needed):
            if all_shares or (i < len(pulls) and pulls[i] is not None):
                share = all_shares[i] if all_shares else pulls[i](g, y, *operands, **static)
                found.append((operand, unbroadcast(share, operand, primitive)))
    return found
