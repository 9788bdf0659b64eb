"""The graph: what is recorded, in which order it is pulled back, what it may be asked for."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, grad, primitive
from tests.core.helpers import leaf

# ---- order


def test_a_reused_result_is_pulled_back_once_with_the_sum():
    a = leaf(3.0)
    b = a + a
    c = b * b + b  # b has three uses: dc/da = 2 (2b + 1)
    c.backward()
    assert a.grad.item() == 2 * (2 * 6 + 1)


def test_diamond_and_the_same_operand_twice():
    x = leaf(2.0)
    left, right = x * 3, x**2
    (left * right + left).backward()  # 3x³ + 3x
    assert x.grad.item() == 9 * 4 + 3
    y = leaf(5.0)
    (y * y).backward()
    assert y.grad.item() == 10


def test_eighteen_doublings_visit_each_node_once(monkeypatch):
    """Walking every path would call 2¹⁸ pulls."""
    calls = []

    @primitive
    def doubled(a, b):
        return a + b

    doubled.pulls = (lambda g, y, a, b: calls.append(1) or g, lambda g, y, a, b: g)

    x = y = leaf(1.0)
    for _ in range(18):
        y = doubled(y, y)
    y.backward()
    assert x.grad.item() == 2**18 and len(calls) == 18


def test_a_gradient_of_a_result_leaves_the_graph_behind_it():
    x = leaf(1.0, 2.0)
    h = x * x
    (g,) = grad(h.sum(), h)
    h.backward(g)
    assert x.grad.numpy().tolist() == [2, 4]


# ---- what is recorded


def test_only_what_requires_a_gradient_is_recorded():
    constant = Tensor([1.0, 2.0])
    assert (constant * 2).is_leaf
    x = leaf(1.0)
    y = constant.double() * x
    assert y.requires_grad and not y.is_leaf


def test_detach_stops_the_gradient():
    x = leaf(3.0)
    (x * x.detach()).backward()
    assert x.grad.item() == 3


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (3, 1), (1, 4), (4,), (3, 4)])
def test_a_broadcast_leaf_gets_a_gradient_of_its_own_shape(shape):
    """Also a 0-dimensional leaf, and one of size 1 whose axes stay."""
    x = Tensor(np.ones(shape), requires_grad=True)
    weights = np.random.RandomState(0).rand(2, 3, 4)
    (x * weights).sum().backward()
    assert x.grad.shape == shape
    axes = tuple(range(3 - len(shape)))
    kept = weights.sum(axes)
    axes = tuple(i for i, n in enumerate(shape) if n != kept.shape[i])
    np.testing.assert_allclose(x.grad.numpy(), kept.sum(axes, keepdims=True).reshape(shape))


# ---- gradients of what is asked for


def test_grad_of_a_result_on_the_way_computes_only_what_lies_between():
    called = []

    @primitive
    def watched(a):
        return a * 2

    watched.pulls = (lambda g, y, a: called.append(1) or g * 2,)

    x = leaf(3.0)
    middle = watched(x)
    y = middle * middle
    (g,) = grad(y, middle)
    assert g.item() == 12 and not called and x.grad is None


def test_grad_of_the_result_itself_and_of_one_asked_for_twice():
    x = leaf(3.0)
    y = x * x
    gy, gx, again = grad(y, [y, x, x])
    assert (gy.item(), gx.item(), again.item()) == (1, 6, 6)


def test_an_unused_input_is_an_error_or_none():
    x, other = leaf(1.0), leaf(1.0)
    with pytest.raises(RuntimeError, match=r"xs\[1\].*allow_unused"):
        grad(x * 2, [x, other])
    assert grad(x * 2, [x, other], allow_unused=True)[1] is None


def test_backward_for_some_inputs_leaves_the_others_alone_and_computes_nothing_for_them():
    pulled = []

    @primitive
    def product(a, b):
        return a * b

    product.pulls = (lambda g, y, a, b: g * b, lambda g, y, a, b: pulled.append("b") or g * a)

    a, b = (Tensor(value, requires_grad=True) for value in (2.0, 3.0))
    product(a, b).backward(inputs=[a])
    assert a.grad.item() == 3 and b.grad is None and pulled == []
    product(a, b).backward(inputs=[b])
    assert a.grad.item() == 3 and b.grad.item() == 2 and pulled == ["b"]


def test_backward_takes_only_leaves_as_inputs():
    a = Tensor(2.0, requires_grad=True)
    y = a * 3
    with pytest.raises(ValueError, match="inputs must be leaves"):
        (y * y).backward(inputs=[y])


def test_backward_takes_one_leaf_or_several():
    w, b = Tensor([1.0, 2.0], requires_grad=True), Tensor(3.0, requires_grad=True)
    y = (w * b).sum()
    y.backward(inputs=w, retain_graph=True)
    assert w.grad.numpy().tolist() == [3, 3] and b.grad is None
    y.backward(inputs=(leaf for leaf in (w, b)))
    assert w.grad.numpy().tolist() == [6, 6] and b.grad.item() == 3
    for wrong in ([], [None], ["w"]):
        with pytest.raises(TypeError, match="inputs are empty|inputs hold a"):
            (w * b).sum().backward(inputs=wrong)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: grad([x * 2], x), TypeError, "list; it must be a Tensor"),
        (lambda x: grad(x * 2, [None]), TypeError, "hold a NoneType; each must"),
        (lambda x: (x * 2).backward(inputs=Tensor(1.0)), ValueError, "does not require"),
        (lambda x: (x * 2).backward(inputs=3), TypeError, r"int; give a tensor.*model.parameters"),
        (lambda x: mg.no_grad(False), TypeError, "False is no function"),
        (lambda x: mg.no_grad(Tensor), TypeError, "is no function"),
    ],
)
def test_what_is_no_question_to_a_graph(call, error, message):
    with pytest.raises(error, match=message):
        call(leaf(1.0))


# ---- seeds


def test_backward_of_many_numbers_needs_a_cotangent():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"shape \(2,\).*gradient="):
        (x * x).backward()
    (x * x).backward(np.array([10.0, 100.0]))
    assert x.grad.numpy().tolist() == [20, 400]


def test_a_cotangent_of_another_shape_is_refused():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match="same"):
        (x * x).backward(np.ones(3))


def test_backward_of_something_without_gradient():
    with pytest.raises(RuntimeError, match="requires_grad=True"):
        Tensor(1.0).backward()
