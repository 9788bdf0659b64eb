"""What was written after an operation read it is refused by backward, with the operation's name."""

import numpy as np
import pytest

from minigrad import Tensor, optim
from tests.core.helpers import leaf


def test_a_write_between_forward_and_backward_is_an_error_that_names_the_operation():
    w = leaf(1.0, 2.0)
    y = (w.exp() * w).sum()
    w.copy_(np.zeros(2))
    with pytest.raises(RuntimeError, match=r"(multiply|exp).*was written after"):
        y.backward()


def test_a_write_is_seen_through_views():
    """The reshaped tensor shares the leaf's array, and must share its version."""
    w = leaf(1.0, 2.0)
    view = w.reshape(2, 1)
    y = (view * view).sum()
    w.copy_(np.zeros(2))
    with pytest.raises(RuntimeError, match="multiply"):
        y.backward()
    detached = w.detach()
    z = (leaf(1.0) * detached).sum()
    w.copy_(np.ones(2))
    with pytest.raises(RuntimeError, match="multiply"):
        z.backward()


def test_an_optimiser_step_counts_as_a_write():
    w = leaf(1.0)
    y = w * w
    y.backward(retain_graph=True)
    optim.SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="multiply.*optimiser"):
        y.backward()


def test_writes_to_other_tensors_do_no_harm():
    w, other = leaf(2.0), leaf(2.0)
    y = w * w
    other.copy_(np.zeros(1))
    y.backward()
    assert w.grad.item() == 4


def test_a_write_to_the_result_that_a_pull_reads_is_seen():
    """exp's pull is g y; a detached y shows the same array, and can be written."""
    x = leaf(1.0)
    y = x.exp()
    y.detach().copy_(np.zeros(1))
    with pytest.raises(RuntimeError, match="exp: the result.*was written"):
        y.backward()


def test_a_broadcast_to_the_same_shape_is_a_view_too():
    w, x = leaf(1.0, 1.0), Tensor(np.ones(2))
    y = (w * x.broadcast_to((2,))).sum()
    x.copy_(np.zeros(2))
    with pytest.raises(RuntimeError, match="was written"):
        y.backward()


def test_a_view_that_becomes_a_leaf_of_its_own_makes_older_graphs_stale():
    x, w = Tensor(np.arange(4.0).reshape(2, 2)), Tensor(np.ones((2, 2)), requires_grad=True)
    view = x.T
    y = (view * w).sum()
    x.copy_(np.full((2, 2), 100.0))
    view.requires_grad = True
    with pytest.raises(RuntimeError, match="was written"):
        y.backward()


def test_what_requires_a_gradient_only_later_gets_none_at_all():
    """Half of the paths were not recorded; the other half alone would be a wrong gradient."""
    a, w = Tensor(np.array(2.0)), leaf(3.0)
    y = (a * 2) * w + a * w
    a.requires_grad = True
    y.backward()
    assert a.grad is None and w.grad.item() == 6
