"""Memory that has several names: arguments, views, gradients. A replay must see one memory, too."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, optim
from minigrad.program import RecordingError
from tests.program.helpers import same


def test_two_arguments_that_are_one_are_another_program():
    step, x, y = mg.compile(lambda a, b: a - b), Tensor([5.0]), Tensor([1.0])
    for _ in range(3):
        assert step(x, x).item() == 0 and step(x, y).item() == 4 and step(y, x).item() == -4


def test_two_views_of_one_memory_are_not_one_array():
    step, x = mg.compile(lambda a, b: a - b), Tensor([1.0, 2.0, 3.0, 4.0])
    left, right = x[:2].detach(), x[2:].detach()
    for _ in range(3):
        assert step(left, left).numpy().tolist() == [0, 0]
        assert step(left, right).numpy().tolist() == [-2, -2]


def test_an_argument_that_the_function_reaches_by_itself_is_refused():
    p = Tensor([5.0])
    with pytest.raises(RecordingError, match="a is an argument, and p, which the function reaches"):
        mg.compile(lambda a: a - p)(p)


shape = Tensor([1.0, 2.0])


def test_an_attribute_is_no_variable_that_is_called_the_same():
    step = mg.compile(lambda a: a.reshape(a.shape) * 2)
    for _ in range(3):
        assert step(shape).numpy().tolist() == [2, 4]


@pytest.mark.parametrize("outside", [False, True])
def test_nothing_that_reads_through_a_view_moves_before_a_write(outside):
    found = []
    for compiled in (False, True):
        p, a = Tensor(np.ones(4, np.float32)), Tensor(np.full((2, 2), 2, np.float32))
        q = p.detach().reshape(2, 2)

        def function(a, p=None, names=(p, q)):
            p, q = names
            v = q if outside else p.reshape(2, 2)
            z = a * 2 if outside else v * a
            p.copy_(p + 1)
            return v * z

        keep = p, q
        step = mg.compile(lambda a, f=function: f(a)) if compiled else function
        found.append([step(a).numpy().copy().tolist() for _ in range(4)])
        assert keep
    assert found[0] == found[1]


def test_a_gradient_from_before_the_call_is_read_anew():
    p = Tensor([1.0], requires_grad=True)
    step = mg.compile(lambda: (p.grad * p.grad).sum())
    for k in range(1, 5):
        p.grad = None
        (p * k).sum().backward()
        assert step().item() == k * k


@pytest.mark.parametrize("more", [False, True])
def test_a_gradient_from_before_the_call_is_written_where_it_is(more):
    def trained(wrapped):
        p, kept = Tensor([1.0, 3.0], requires_grad=True), []
        (p * 4).sum().backward()

        @wrapped
        def step(by):
            p.grad.copy_(p.grad * by)
            if more:
                (p * p).sum().backward()

        for k in range(5):
            before = p.grad if k % 2 else Tensor([k, 7.0])
            p.grad = before
            y = (before * Tensor([1.0, 1.0], requires_grad=True)).sum()
            step(Tensor(0.5 + k))
            kept += [before, p.grad]
            with pytest.raises(RuntimeError, match="was written after"):
                y.backward()
        return [g.numpy().copy() for g in kept]

    assert same(trained(mg.compile), trained(lambda step: step))


def test_a_write_where_two_gradients_are_views_of_one_memory_is_refused():
    ps, g = [Tensor([1.0, 2.0], requires_grad=True) for _ in range(2)], Tensor([3.0, 4.0, 5.0])
    ps[0].grad, ps[1].grad = g[:2], g[1:]
    with pytest.raises(RecordingError, match=r"ps\[0\].grad and ps\[1\].grad are views of"):
        mg.compile(lambda: [ps[0] * ps[1], ps[0].grad.copy_(ps[0].grad + ps[1].grad)][:0])()


def test_a_write_into_a_gradient_that_a_state_is_a_view_of_is_refused():
    p = Tensor([1.0, 2.0], requires_grad=True)
    (p * 4).sum().backward()
    first = p.grad[:1].detach()
    with pytest.raises(RecordingError, match="p.grad and first are views of one memory"):
        mg.compile(lambda: [p.grad.copy_(p.grad * 0.5), first * 1][:0])()


def test_a_write_through_a_view_of_an_argument_or_a_state_is_seen_and_counted():
    one, p = Tensor(np.ones((2, 2), np.float32)), Tensor(np.ones(4, np.float32), requires_grad=True)

    @mg.compile
    def step(x):
        with mg.no_grad():
            x.reshape(2, 2).copy_(one)
            p.detach().reshape(2, 2).copy_(one * 3)

    for _ in range(3):
        x, y = Tensor(np.zeros(4, np.float32)), (p * p).sum()
        step(x)
        assert x.numpy().tolist() == [1] * 4 and p.numpy().tolist() == [3] * 4
        with pytest.raises(RuntimeError, match="was written after"):
            y.backward()


def test_a_write_into_an_argument_is_counted():
    w, step = Tensor([2.0], requires_grad=True), mg.compile(lambda x: [x.copy_(x + 1)][:0])
    for _ in range(3):
        x = Tensor([1.0])
        y = w * x
        step(x)
        assert x.item() == 2
        with pytest.raises(RuntimeError, match="was written after"):
            y.backward()


def test_a_write_into_an_argument_that_is_a_view_of_a_state_is_refused():
    w = Tensor([1.0, 2.0])

    @mg.compile
    def step(x):
        x.copy_(x + 1)
        return w * 1  # of which a replay would see the old values

    with pytest.raises(RecordingError, match="x and w are views of one memory"):
        step(w[:1].detach())
    assert step(Tensor([1.0])).numpy().tolist() == [2, 2]


def test_arguments_may_repeat_or_reverse_elements():
    def function(x):
        return x * 2 + mg.exp(x), x.reshape(6) + 1, x.sum(0), x @ x.mT, x[1:, ::-1] * 3

    x = np.arange(18, dtype=np.float32).reshape(3, 6) / 18
    views = [
        lambda x: mg.broadcast_to(x[0, :3], (2, 3)), lambda x: mg.broadcast_to(x[:2, 1:2], (2, 3)),
        lambda x: x[:2, 2::-1], lambda x: x[1::-1, :3], lambda x: x[1::-1, ::-2],
    ]  # fmt: skip
    for view in views:
        step = mg.compile(function)
        for k in range(3):
            given = view(Tensor(x + k))
            assert same(*([y.numpy().copy() for y in f(given)] for f in (step, function)))
        assert step._recordings[0].replay and len(step._recordings) == 1


def test_an_argument_that_reverses_elements_is_written():
    step = mg.compile(lambda x: [x.copy_(x + 10 * x[::-1])][:0])
    for _ in range(3):
        x = Tensor([1.0, 2.0, 3.0])
        step(x[::-1])
        assert x.numpy().tolist() == [31, 22, 13]


def test_each_leaf_has_a_gradient_of_its_own():
    a, b, c = (Tensor([1.0], requires_grad=True) for _ in range(3))

    @mg.compile
    def step(x):
        for leaf in (a, b, c):
            leaf.grad = None
        (a * x + b * x + c * x).sum().backward()

    for _ in range(4):
        step(np.float32([1]))
        b.grad.copy_(np.float32([0]))
        assert (a.grad.item(), b.grad.item(), c.grad.item()) == (1, 0, 1)


def test_a_parameter_without_a_gradient_gets_an_update_once_it_has_one():
    a, b = (Tensor([1.0], requires_grad=True) for _ in range(2))
    sgd = optim.SGD([a, b], lr=0.1)
    step = mg.compile(lambda: sgd.step())
    for want in (1, 1, 1, 0.9, 0.8):
        sgd.zero_grad()
        (a + b if want < 1 else a * 1).sum().backward()
        step()
        np.testing.assert_allclose(b.item(), want, rtol=1e-6)


def test_a_users_result_that_repeats_elements_is_read_as_it_is():
    rows = mg.primitive(lambda x: np.broadcast_to(x * 2, (2, 3)), pulls=[lambda g, y, x: g * 2])
    step = mg.compile(lambda x: rows(x) * 2 + rows(x))
    for i in range(3):
        found = step(np.float32([i, 1, 2]))
        assert found.numpy().tolist() == [[6 * i, 6, 12]] * 2


def test_what_no_operation_reads_may_be_returned_and_be_a_gradient():
    w, p = Tensor([5.0]), Tensor([1.0], requires_grad=True)

    @mg.compile
    def step(x, g):
        p.grad = g
        return x, w, mg.constant([1.0, 2.0])

    for i in range(3):
        x, p.grad = np.float32([i]), None
        found, state, (one, two) = step(x, x + 1)
        assert found.item() == i and state is w and two.item() == 2 and p.grad.item() == i + 1
        x[:] = 7
        assert found.item() == i
    assert step._recordings[0].replay


def test_a_view_of_a_state_is_returned_as_a_copy():
    p = Tensor(np.zeros(4, np.float32), requires_grad=True)

    @mg.compile
    def step():
        with mg.no_grad():
            p.copy_(p + 1)
        return p.reshape(2, 2), p

    found = [step() for _ in range(3)]
    assert [view.numpy()[0, 0] for view, _ in found] == [1, 2, 3]
    assert all(view.is_leaf for view, _ in found) and all(same is p for _, same in found)


@pytest.mark.parametrize("as_argument", [False, True])
def test_a_state_and_an_argument_are_written_where_their_array_is(as_argument):
    """requires_grad moves a view into memory of its own."""
    ends = []
    for compiled in (False, True):
        w = Tensor(np.ones((3, 2), np.float32)).transpose(0, 1).detach()
        state = [w]

        def function(x, *given):
            (w,) = given or STATES
            w.copy_(w.detach() * x)

        STATES[:] = state
        step = mg.compile(lambda x, *given, f=function: f(x, *given)) if compiled else function
        for i in range(6):
            if i == 3:
                w.requires_grad = True
                w.requires_grad = False
            step(Tensor(np.float32([1, 2, 3])), *(state if as_argument else ()))
        ends.append(w.numpy().copy())
    assert same(*ends) and ends[0][0].tolist() == [1, 64, 729]


STATES: list[Tensor] = []
