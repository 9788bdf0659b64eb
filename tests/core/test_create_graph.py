"""Gradients that have a graph themselves: create_graph."""

import numpy as np

import minigrad as mg
from minigrad import grad
from tests.core.helpers import leaf


def test_third_derivatives():
    x = leaf(0.7)
    y = mg.tanh(x)
    for _ in range(3):
        (y,) = grad(y, x, create_graph=True)
    t = np.tanh(0.7)
    np.testing.assert_allclose(y.item(), (1 - t * t) * (6 * t * t - 2), rtol=1e-14)


def test_backward_with_create_graph_gives_a_gradient_that_has_a_graph():
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    (g,) = grad(x.grad, x)
    assert g.item() == 12


def test_a_seed_with_a_graph_keeps_it():
    """L = Σ x̄ z̄ with x̄ = 2 x v and z̄ = v: dL/dv = 4 x v."""
    x, z, v = leaf(1.0, 2.0), leaf(1.0, 2.0), leaf(1.0, 1.0)
    (x * x + z).backward(v, create_graph=True)
    (g,) = grad((x.grad * z.grad).sum(), v)
    assert g.numpy().tolist() == [4, 8]
    for p in (x, z):
        p.grad = None
