"""A replay lends its gradients to its caller: nobody who keeps one may see it change."""

from unittest import mock

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, nn
from minigrad.program.replay import Replay
from tests.program.test_ownership import leaf, tell


def step_on(w):
    """A compiled function that leaves its argument as the gradient of w."""

    @mg.compile
    def step(x):
        w.grad = None
        (w * x).sum().backward()

    return step


KEEPERS = {
    "it": lambda g: g,
    "detach": lambda g: g.detach(),
    "numpy": lambda g: g.numpy(),
    "a view": lambda g: g[:1],
    "a view of numpy": lambda g: g.numpy()[1:],
    "a graph": lambda g: g * Tensor([2.0, 3.0], requires_grad=True),
    "bytes": lambda g: memoryview(g.numpy()),
}


@pytest.mark.parametrize("keeper", KEEPERS)
def test_a_gradient_stays_as_it_was_for_whoever_keeps_anything_of_it(keeper):
    """A replay writes into the gradients of the last one, but only if nobody can see that."""
    w = leaf(2, 3)
    step = step_on(w)
    for k in range(3):
        step(np.float32([k, k]))
    kept = KEEPERS[keeper](w.grad)
    value = np.array(kept.numpy() if isinstance(kept, Tensor) else kept)
    for k in range(5, 8):
        step(np.float32([k, k]))
        assert tell(w.grad) == [[k, k]]
    assert np.array_equal(kept.numpy() if isinstance(kept, Tensor) else kept, value)


def test_a_gradient_that_a_user_changed_is_a_gradient_again_after_the_next_call():
    w = leaf(2, 3)
    step = step_on(w)
    for k in range(12):
        step(np.float32([k, k]))
        assert tell(w.grad) == [[k, k]] and not w.grad.requires_grad and w.grad.grad is None
        if k % 4 == 1:
            w.grad.copy_(Tensor([7.0, 7.0]))
        elif k % 4 == 2:
            w.grad.grad = Tensor([9.0, 9.0])
        elif k % 4 == 3:
            w.grad.requires_grad = True


def test_a_gradient_that_is_kept_while_the_function_is_recorded_again_stays_as_it_was():
    """requires_grad makes a copy of an array that is not contiguous, and leaves the old one."""
    w = Tensor(np.ones((2, 3), np.float32), requires_grad=True)

    @mg.compile
    def step(x):
        w.grad = None
        (w.permute(1, 0) @ x).sum().backward()

    def given(k):
        return k * np.arange(1, 9, dtype=np.float32).reshape(2, 4)

    for k in range(3):
        step(given(k))
    kept = w.grad.detach()
    value = kept.numpy().copy()
    w.grad.requires_grad = True
    w.grad.requires_grad = False
    for k in range(5, 9):
        step(given(k))
        assert tell(w.grad) == [np.repeat(given(k).sum(1), 3).reshape(2, 3).tolist()]
    assert np.array_equal(kept.numpy(), value)


def test_a_function_that_is_recorded_again_goes_on_to_lend_its_gradients():
    """A recorder saw the gradients of the last replay: nobody may hold them when it is done."""
    model, prepare = nn.Linear(3, 2), Replay._prepare

    @mg.compile
    def step(x):
        model.zero_grad()
        model(x).sum().backward()

    with mock.patch.object(Replay, "_prepare", autospec=True, side_effect=prepare) as calls:
        for k in range(12):
            step(np.float32([[k, 1, 2]]))
            if k % 4 == 3:
                model.eval()
                model.train()
    assert calls.call_count == 1
