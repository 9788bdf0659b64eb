"""backward and grad: what a user asks of the graph, checked."""

import threading
from collections.abc import Iterable

import numpy as np

from minigrad.core import guards
from minigrad.core.graph import pull_back
from minigrad.core.interpreter import setting
from minigrad.core.primitive import bind, primitive
from minigrad.core.tensor import Tensor

_accumulating = threading.Lock()  # .grad + g takes several steps, and threads may share a leaf


@primitive
def ones_like(x):
    """y = 1 of x's shape and dtype: the cotangent that backpropagation begins with.   VJP: x̄ = 0"""
    return np.ones(x.shape, x.dtype)


ones_like.pulls = ()


def backward(y: Tensor, gradient=None, retain_graph=None, create_graph=False, inputs=None) -> None:
    """Add ∂L/∂leaf to `.grad` of every leaf that y depends on, where ∂L/∂y = gradient.

    gradient: of y's shape; 1 if y is a single number, otherwise required (ValueError).
    retain_graph: keep the graph for another pass (default: as create_graph).
    create_graph: record the pulls as well, so that the gradients can be differentiated.
    inputs: the leaf or leaves to accumulate into (default: all); what only others need is not
        computed.

    >>> a, b = Tensor(2.0, requires_grad=True), Tensor(3.0, requires_grad=True)
    >>> backward(a * b + a)
    >>> a.grad, b.grad
    (Tensor(4.), Tensor(2.))
    """
    seed = _seed(y, gradient)
    if inputs is not None:
        inputs = (inputs,) if isinstance(inputs, Tensor) else guards.several_tensors(inputs)
        guards.are_leaves(inputs)
    keep = create_graph if retain_graph is None else retain_graph
    handed_out = {id(seed._array)}
    arrived = pull_back(y, seed, inputs, keep, create_graph)
    with _accumulating:
        for leaf, g in arrived.items():
            if inputs is not None and not any(leaf is wanted for wanted in inputs):
                continue
            if leaf._grad is not None:
                with setting(records=create_graph):
                    g = leaf._grad + g
            elif not g._requires_grad and (id(g._array) in handed_out or g._array.base is not None):
                g = Tensor(g)  # a + b hands one cotangent to both; each leaf must own its gradient
            handed_out.add(id(g._array))
            leaf.grad = g


def grad(
    y: Tensor,
    xs: Tensor | Iterable[Tensor],
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    allow_unused=False,
) -> tuple[Tensor | None, ...]:
    """∂L/∂x for each x in xs, of x's shape, where ∂L/∂y = grad_outputs. No `.grad` is touched.

    xs may be leaves or results on the way; only what lies between them and y is computed.
    With create_graph=True the gradients are themselves functions that can be differentiated.
    Raises RuntimeError if y does not depend on some x (allow_unused=True: None in its place).

    >>> x = Tensor(2.0, requires_grad=True)
    >>> (slope,) = grad(x**3, x, create_graph=True)
    >>> (curvature,) = grad(slope, x)
    >>> slope.item(), curvature.item()
    (12.0, 12.0)
    """
    xs = (xs,) if isinstance(xs, Tensor) else guards.several_tensors(xs)
    seed = _seed(y, grad_outputs)
    keep = create_graph if retain_graph is None else retain_graph
    arrived = pull_back(y, seed, xs, keep, create_graph)
    result = tuple([_cotangent(arrived.get(x._node or x), x) for x in xs])
    if not allow_unused:
        guards.all_found(result, xs)
    return result


def _cotangent(arrived, x):
    """x's own, where its node has several results."""
    return arrived[x._index] if isinstance(arrived, list) else arrived


def _seed(y, gradient):
    guards.depends_on_a_leaf(y)
    guards.has_seed(y, gradient)
    if gradient is None:
        return bind(ones_like, (y,), {})
    seed = gradient if isinstance(gradient, Tensor) else Tensor(gradient, dtype=y.dtype)
    guards.is_cotangent_of(seed, y)
    return seed
