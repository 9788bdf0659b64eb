"""Gradients add up in leaves, and each leaf owns its own."""

import sys
import threading

import numpy as np

import minigrad as mg
from minigrad import Tensor, optim
from tests.core.helpers import leaf


def test_backward_twice_accumulates_into_leaves_only():
    """Intermediate cotangents that survive the first pass give 108 instead of 72."""
    x = leaf(3.0)
    y = x * x
    z = y * y / x  # x³, dz/dx = 27 + …
    z.backward(retain_graph=True)
    first = x.grad.item()
    z.backward()
    assert first == 27 and x.grad.item() == 54
    assert y.grad is None and z.grad is None


def test_threads_that_share_a_leaf_lose_no_gradient():
    w, before = leaf(1.0), sys.getswitchinterval()

    def work():
        for _ in range(500):
            (w * 1.0).backward()

    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert w.grad.item() == 2000


def test_each_leaf_owns_its_gradient():
    """add hands one cotangent to both operands, and sum a view without memory of its own."""
    a, b, c = leaf(1.0, 2.0), leaf(3.0, 4.0), leaf(5.0, 6.0)
    seed = Tensor(np.ones(2))
    (a + b).backward(seed)
    c.sum().backward()
    for p in (a, b, c):
        p.grad.copy_(p.grad.numpy() * 0.5)
    assert [p.grad.numpy().tolist() for p in (a, b, c)] == [[0.5, 0.5]] * 3
    seed.copy_(np.zeros(2))
    assert a.grad.numpy().tolist() == [0.5, 0.5]


def test_leaves_own_their_gradients_where_a_sum_or_a_broadcast_keeps_the_shape():
    """Their cotangents are then one array, which several tensors show."""
    a, b = Tensor(1.0, requires_grad=True), Tensor(2.0, requires_grad=True)
    (a.sum() + b.sum()).backward()
    for p in (a, b):
        p.grad *= 0.5
    assert a.grad.item() == b.grad.item() == 0.5
    seed, c = Tensor(1.0), Tensor(1.0, requires_grad=True)
    c.sum().backward(seed)
    c.grad += 5
    assert seed.item() == 1


def test_a_trainable_leaf_made_of_a_view_owns_a_contiguous_array():
    """Otherwise an optimiser's step would go into a copy, and be lost."""
    whole = Tensor(np.arange(6.0).reshape(2, 3))
    for w in (whole.T * 1.0, whole.T, mg.broadcast_to(Tensor(np.ones(1)), shape=(2, 3))):
        w = w.detach()
        w.requires_grad = True
        before = w.numpy().copy()
        (w * w).sum().backward()
        for optimiser in (optim.Adam([w], lr=0.1), optim.SGD([w], lr=0.1)):
            optimiser.step()
        assert (w.numpy() != before).sum() >= 5
    assert whole.numpy().tolist() == [[0, 1, 2], [3, 4, 5]]
