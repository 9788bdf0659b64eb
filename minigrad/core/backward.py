"""backward and grad check what a user asks for, and pull cotangents back through the graph."""

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


@primitive(keeps_integers=True)
def clone(x):
    """y = x, in memory of its own.   VJP: x̄ = g"""
    return np.array(x, order="K")


clone.pulls = (lambda g, y, x: g,)


def backward(y: Tensor, gradient=None, retain_graph=None, create_graph=False, inputs=None) -> None:
    """Add ∂L/∂leaf to `.grad` of every leaf that y depends on, where ∂L/∂y = gradient.

    gradient: the cotangent of y; 1 if y is a single number, otherwise required (ValueError)
    retain_graph: whether to keep the graph for another pass (default: the same as create_graph)
    create_graph: whether to record the pulls, so that the gradients can be differentiated
    inputs: the leaf or leaves to accumulate into (default: all); what only other leaves need is not
        computed

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
                g = clone(g)  # a + b sends both one array, but each leaf must own its gradient
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
    """Return ∂L/∂x, of x's shape, for each x in xs, where ∂L/∂y = grad_outputs. No `.grad` changes.

    xs may be leaves or intermediate results; only what lies between them and y is computed. With
    create_graph=True the gradients can themselves be differentiated. If y does not depend on one of
    xs, that is a RuntimeError or, with allow_unused=True, None in place of its gradient.

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
    """Return x's own cotangent from the list of them, where its node has several results."""
    return arrived[x._index] if isinstance(arrived, list) else arrived


def _seed(y, gradient):
    guards.depends_on_a_leaf(y)
    guards.has_seed(y, gradient)
    if gradient is None:
        return bind(ones_like, (y,), {})
    seed = gradient if isinstance(gradient, Tensor) else Tensor(gradient, dtype=y.dtype)
    guards.is_cotangent_of(seed, y)
    return seed
