"""What an operation of a user's own must keep to: its forward, its pulls, its arguments."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, grad, primitive
from tests.core.helpers import leaf

# ---- pulls


def test_a_pull_of_an_impossible_shape_is_an_error_that_names_the_operation():
    """Summing (3, 3) down to (3,) because "it fits" would hide a wrong pull."""

    @primitive
    def row_sums(a):
        return a.sum(1)

    row_sums.pulls = (lambda g, y, a: g,)

    x = Tensor(np.ones((3, 3)), requires_grad=True)
    with pytest.raises(ValueError, match=r"row_sums.*\(3,\).*\(3, 3\)"):
        row_sums(x).sum().backward()


def test_a_pull_of_another_dtype_is_an_error_that_names_the_operation():
    @primitive
    def drifts(a):
        return a * 2

    drifts.pulls = (lambda g, y, a: Tensor(np.float64(2) * g.data.astype(np.float64)),)

    with pytest.raises(TypeError, match="drifts.*float64.*float32"):
        drifts(Tensor([1.0], requires_grad=True)).sum().backward()


def test_a_pull_that_returns_no_tensor_is_an_error_that_names_the_operation():
    @primitive
    def forgetful(a):
        return a * 2

    forgetful.pulls = (lambda g, y, a: None,)

    with pytest.raises(TypeError, match="forgetful: a pull returned NoneType"):
        forgetful(leaf(1.0)).backward()


def test_too_few_pulls_is_an_error_at_once():
    def halved(a, b):
        return a / b

    with pytest.raises(TypeError, match="halved: 2 tensors but 1 pulls"):
        primitive(halved, pulls=[lambda g, y, a, b: g / b])
    operation = primitive(halved)
    with pytest.raises(TypeError, match="halved: 2 tensors but 1 pulls"):
        operation.pulls = (lambda g, y, a, b: g / b,)


def test_an_operation_whose_pulls_were_forgotten_does_not_lose_a_gradient_in_silence():
    @primitive
    def forgotten(a):
        return a * 2

    assert forgotten(Tensor(1.0)).item() == 2
    with pytest.raises(TypeError, match=r"forgotten.*no pulls.*forgotten\.pulls"):
        forgotten(leaf(1.0))
    forgotten.pulls = ()
    assert not forgotten(leaf(1.0)).requires_grad


def test_none_in_place_of_a_pull_says_that_the_gradient_is_zero():
    @mg.primitive
    def sign_times(a, b):
        return np.sign(a) * b

    sign_times.pulls = (None, lambda g, y, a, b: g * np.sign(a.data))

    a, b = (Tensor(value, requires_grad=True) for value in (-2.0, 3.0))
    sign_times(a, b).backward()
    assert a.grad is None and b.grad.item() == -1
    y = sign_times(a, b)
    a.copy_(5.0)  # and yet it is an operand: what it was is needed
    with pytest.raises(RuntimeError, match="operand 0.*was written"):
        y.backward()


def test_pulls_for_any_number_of_operands_are_one_function_or_say_that_the_rest_get_none():
    def total(*xs):
        return sum(xs)

    with pytest.raises(TypeError, match="total: there may be any number.*None, ..."):
        primitive(total, pulls=[lambda g, y, *xs: g])
    together = primitive(total, pulls=lambda g, y, *xs: [g] * len(xs))
    a, b, c = leaf(1.0), leaf(2.0), leaf(3.0)
    together(a, b, c).backward()
    assert [x.grad.item() for x in (a, b, c)] == [1, 1, 1]
    first = primitive(total, pulls=(lambda g, y, *xs: g, None, ...))
    assert [g and g.item() for g in grad(first(a, b), [a, b], allow_unused=True)] == [1, None]
    for wrong in (lambda g, y, *xs: g, lambda g, y, *xs: [g]):
        with pytest.raises(TypeError, match="total: the pull for all operands.*tuple of 2"):
            primitive(total, pulls=wrong)(a, b).backward()


# ---- forwards and arguments


def test_a_forward_can_not_write_into_its_operands():
    @primitive(pulls=())
    def greedy(a):
        a += 1
        return a

    x = leaf(1.0)
    with pytest.raises(ValueError, match="read-only"):
        greedy(x)
    assert x.item() == 1


def test_a_forward_that_returns_its_operand_returns_a_view_of_it():
    @primitive(pulls=[lambda g, y, a: g])
    def same(a):
        return a

    x = leaf(1.0, 2.0)
    y = same(x)
    x.copy_(np.zeros(2))
    assert y.numpy().tolist() == [0, 0]
    with pytest.raises(RuntimeError, match="same.*was written"):
        y.sum().backward()


def test_a_forward_that_returns_no_array_is_told_where_pulls_go():
    @primitive(pulls=())
    def mistaken(a):
        return a * 2, lambda g, y: g * 2

    with pytest.raises(TypeError, match=r"mistaken: the forward returned object.*mistaken\.pulls"):
        mistaken(leaf(1.0))


def test_an_argument_that_is_unknown_or_given_twice_is_named():
    x = Tensor([[1.0, 2.0]])
    for call, message in (
        (lambda: mg.sum(x, dim=0), "sum: .*'dim'"),
        (lambda: mg.elu(x, beta=2), "elu: .*'beta'"),
        (lambda: mg.argmax(x), "argmax: .*'axis'"),
        (lambda: mg.sum(x, 0, axis=1), "sum: .*multiple values.*'axis'"),
        (lambda: mg.add(x), "add: .*'b'"),
        (lambda: mg.add(x, x, x), "add: too many"),
    ):
        with pytest.raises(TypeError, match=message):
            call()
