"""Whose a gradient is, which names memory has at a later call, and who may call meanwhile."""

import signal
import time
from unittest import mock

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, nn
from minigrad.program import RecordingError
from minigrad.program.replay import Replay


def leaf(*values):
    return Tensor(np.float32(values), requires_grad=True)


def tell(*gradients):
    return [g.numpy().tolist() for g in gradients]


@pytest.mark.parametrize("named", [True, False])
def test_a_gradient_that_the_function_sets_is_not_the_one_from_before(named):
    def trained(wrapped):
        a, base, found = leaf(1, 1), Tensor(np.float32([9, 9])), []
        several = [a]

        def step(x):
            (a if named else several[0]).grad = base
            ((a if named else several[0]) * x).sum().backward()
            return x * 1

        step = wrapped(step)
        for k in range(5):
            step(np.float32([1, 2]))
            found += tell(a.grad)
            base.copy_(base + k)
        return found

    assert trained(mg.compile) == trained(lambda step: step)


def test_gradients_can_change_places():
    def swapped(wrapped):
        a, b, found = leaf(1), leaf(1), []
        a.grad, b.grad = Tensor(np.float32([1])), Tensor(np.float32([2]))

        def step(x):
            g = a.grad
            a.grad = b.grad
            b.grad = g
            return x * 1

        step = wrapped(step)
        for _ in range(4):
            step(np.float32([1]))
            found += [tell(a.grad, b.grad)]
        return found

    assert swapped(mg.compile) == swapped(lambda step: step)


def test_a_gradient_from_before_is_known_of_a_leaf_that_is_first_seen_when_another_is_set():
    class Holder:
        p = leaf(1, 1)

    @mg.compile
    def step(x):
        before = Holder.p.grad
        Holder.p.grad = None
        (Holder.p * x).sum().backward()
        return before + Holder.p.grad

    for k in range(4):
        Holder.p.grad = Tensor(np.float32([k, k]))
        assert step(np.float32([10, 20])).numpy().tolist() == [10 + k, 20 + k]


def scaled(*leaves):
    """A compiled function that scales the gradients of leaves, after two calls."""

    @mg.compile
    def step(x):
        for p in leaves:
            p.grad.copy_(p.grad * x)
        return x * 1

    for _ in range(2):
        for p in leaves:
            p.grad = Tensor(np.float32([1, 1]))
        step(Tensor(np.float32([3, 3])))
    return step


def test_leaves_that_have_one_gradient_at_a_later_call_are_refused():
    a, b = leaf(1, 1), leaf(1, 1)
    step = scaled(a, b)
    a.grad = b.grad = Tensor(np.float32([1, 1]))
    with pytest.raises(RecordingError, match="2 leaves have this gradient in common, of shape"):
        step(Tensor(np.float32([3, 3])))
    a.grad, b.grad = Tensor(np.float32([1, 1])), Tensor(np.float32([2, 2]))
    step(Tensor(np.float32([3, 3])))
    assert tell(a.grad, b.grad) == [[3, 3], [6, 6]]


def test_a_gradient_that_is_the_argument_at_a_later_call_is_refused():
    a = leaf(1, 1)
    step = scaled(a)
    a.grad = x = Tensor(np.float32([3, 3]))
    with pytest.raises(RecordingError, match=r"x is an argument, and leaves\[0\].grad, which"):
        step(x)
    assert tell(x) == [[3, 3]]


def test_an_argument_that_shares_memory_with_a_written_state_at_a_later_call_is_refused():
    p, other = Tensor(np.ones(3, np.float32)), Tensor(np.full(3, 5, np.float32))

    @mg.compile
    def step(t):
        p.copy_(t * 2)
        return t + 0

    for _ in range(3):
        assert step(other).numpy().tolist() == [5, 5, 5] and p.numpy().tolist() == [10, 10, 10]
    refused = (p.detach(), "and p, which the"), (p, "and p, which the"), (p[::-1], "t and p are v")
    for view, why in refused:
        with pytest.raises(RecordingError, match=why):
            step(view)
    assert step(other).numpy().tolist() == [5, 5, 5] and len(step._recordings) == 1


def test_a_gradient_that_cannot_be_written_is_refused_before_anything_is():
    p, n = leaf(1, 1), Tensor(np.float32([0]))

    @mg.compile
    def step(x):
        p.grad.copy_(p.grad + x)
        n.copy_(n + 1)
        return x * 1

    p.grad = Tensor(np.float32([0, 0]))
    for _ in range(3):
        step(Tensor(np.float32([1, 1])))
    for g in (mg.constant(np.zeros(2, np.float32)), mg.broadcast_to(Tensor(np.float32([1])), (2,))):
        p.grad = g
        with pytest.raises(RuntimeError, match="compile: elements of this tensor"):
            step(Tensor(np.float32([1, 1])))
        assert n.item() == 3


def test_an_array_that_requires_a_gradient_inside_is_nobodys_leaf():
    def double(x):
        x.requires_grad = True
        (x * x).sum().backward()
        return x.grad

    def assigned(x):
        x.grad = x * 2
        return x + 1

    def unused(x):
        x.requires_grad = True
        return (x * 3).detach()

    for function, want in ((double, [2, 4]), (assigned, [2, 3]), (unused, [3, 6])):
        step = mg.compile(function)
        for _ in range(3):
            assert step(np.float32([1, 2])).numpy().tolist() == want
        assert step._recordings[0].replay


def test_minus_zero_is_another_number_and_nan_the_same():
    step = mg.compile(lambda x, k: x / (k * mg.constant(np.float32(1))))
    one = np.float32([1])
    assert [step(one, k).item() for k in (0.0, 0.0, -0.0, -0.0)] == [np.inf] * 2 + [-np.inf] * 2
    for _ in range(3):
        assert np.isnan(step(one, float("nan")).item())
    assert len(step._recordings) == 3


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
def test_a_signals_handler_may_call_what_it_interrupts():
    w = Tensor(np.random.default_rng(0).standard_normal((200, 200)), requires_grad=True)
    inputs = [Tensor(np.full((200, 200), value)) for value in (1.0, 2.0)]

    @mg.compile
    def step(x):
        h = mg.tanh(x @ w)
        return h.sum(), mg.tanh(h @ w)

    other = mg.compile(lambda x: mg.exp(x) * 2)
    want = [[y.numpy() for y in step(x)] for x in inputs]
    exp = other(inputs[1]).numpy()
    calls, inside = [0, 0], [0]

    def agrees(number):
        calls[number] += 1
        found = [y.numpy() for y in step(inputs[number])]
        return all(map(np.array_equal, found, want[number]))

    def interrupt(*_):
        inside[0] += 1
        assert agrees(1) and np.array_equal(other(inputs[1]).numpy(), exp)

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
    try:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            assert agrees(0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert inside[0] > 20 < calls[0]


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

    @mg.compile
    def step(x):
        w.grad = None
        (w * x).sum().backward()

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

    @mg.compile
    def step(x):
        w.grad = None
        (w * x).sum().backward()

    for k in range(9):
        step(np.float32([k, k]))
        assert tell(w.grad) == [[k, k]] and not w.grad.requires_grad
        if k % 3 == 1:
            w.grad.copy_(Tensor([7.0, 7.0]))
        elif k % 3 == 2:
            w.grad.requires_grad = True


def test_a_function_that_is_recorded_again_goes_on_to_lend_its_gradients(monkeypatch):
    """A recorder saw the gradients of the last replay: nobody may hold them when it is done."""
    made, prepare, model = [], Replay._prepare, nn.Linear(3, 2)
    monkeypatch.setattr(
        Replay, "_prepare", lambda *args, **kw: made.append(0) or prepare(*args, **kw)
    )

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
