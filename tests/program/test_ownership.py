"""Whose a gradient is, which names memory has at a later call, and who may call meanwhile."""

import signal
import time

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor
from minigrad.program import RecordingError


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
        soon()  # and not while this runs, which takes longer on a busy machine

    def soon():
        signal.setitimer(signal.ITIMER_REAL, 0.003)

    before = signal.signal(signal.SIGALRM, interrupt)
    soon()
    try:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            assert agrees(0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert inside[0] > 20 < calls[0]


def test_a_gradient_from_before_is_known_by_any_name():
    def trained(wrapped):
        w = leaf(1, 2)

        def update():
            with mg.no_grad():
                w.copy_(w - w.grad.detach())

        update = wrapped(update)
        for k in range(1, 5):
            w.grad = None
            (w * Tensor([k, k], dtype="float32")).sum().backward()
            update()
        return tell(w)

    assert trained(mg.compile) == trained(lambda update: update) == [[-9, -8]]


def test_a_gradient_that_is_a_leaf_and_then_gone_is_another_program():
    w, x = leaf(1, 2), np.ones(2, np.float32)
    step = mg.compile(lambda x: (w * x).sum().backward())
    step(x), step(x)
    w.grad.requires_grad = True
    step(x)
    w.grad = None
    for k in range(1, 4):
        step(x)
        assert tell(w.grad) == [[k, k]]
