"""Tensors own their arrays, keep their dtype, and mix with NumPy."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor


def test_a_tensor_copies_what_it_is_given():
    array = np.ones(3)
    x = Tensor(array, requires_grad=True)
    y = (x * array).sum()  # also as a constant
    array[:] = 7
    y.backward()
    assert x.numpy().tolist() == [1, 1, 1] and x.grad.numpy().tolist() == [1, 1, 1]


@pytest.mark.parametrize("view", [lambda x: x.data, lambda x: x.numpy(), np.asarray])
def test_what_it_hands_out_is_read_only(view):
    x = Tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        view(x)[0] = 5
    with pytest.raises(ValueError, match="read-only"):
        view(x.reshape(2, 1))[0] = 5


def test_an_index_array_that_changes_later_does_not_change_the_gradient():
    index = np.array([0, 1])
    x = Tensor(np.zeros(3), requires_grad=True)
    y = x[index]
    index[:] = 2
    y.sum().backward()
    assert x.grad.numpy().tolist() == [1, 1, 0]


def test_a_condition_that_changes_later_does_not_change_the_gradient():
    condition = np.array([True, False])
    x = Tensor(np.zeros(2), requires_grad=True)
    y = mg.where(condition, x, 0)
    condition[:] = False
    y.sum().backward()
    assert x.grad.numpy().tolist() == [1, 0]


# ---- dtypes


@pytest.mark.parametrize("scalar", [2, 2.0, np.float64(2), np.float32(2), np.int64(2), True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scalars_do_not_change_the_dtype(scalar, dtype):
    x = Tensor(np.ones(3, dtype), requires_grad=True)
    for y in (x + scalar, scalar - x, x * scalar, scalar / x, x**scalar, scalar**x):
        assert y.dtype == dtype
    (scalar * x).mean().backward()
    assert x.grad.dtype == dtype


def test_means_sums_and_seeds_keep_float32():
    x = Tensor(np.ones((3, 4), np.float32), requires_grad=True)
    y = x.mean(axis=0).sum() / 3 + sum(row.sum() for row in x)
    assert y.dtype == np.float32
    y.backward()
    assert x.grad.dtype == np.float32


def test_python_floats_are_float32_and_arrays_keep_theirs():
    assert Tensor(1.5).dtype == Tensor([1.5, 2]).dtype == np.float32
    assert Tensor(np.ones(2)).dtype == Tensor(np.float64(1)).dtype == np.float64
    assert Tensor([1, 2]).dtype == np.int64 and Tensor([True]).dtype == bool
    assert Tensor([1, 2], dtype="float32").dtype == np.float32


def test_two_floating_dtypes_do_not_mix():
    with pytest.raises(TypeError, match=r"add: float32 and float64.*\.to\(dtype\)"):
        Tensor([1.0]) + Tensor(np.ones(1))
    x = Tensor([1.0], requires_grad=True)
    (x.double() + Tensor(np.ones(1))).sum().backward()
    assert x.grad.dtype == np.float32


def test_integers_join_floats_and_arrays_become_constants():
    x = Tensor([1.0, 2.0])
    assert (x * Tensor([1, 2])).dtype == np.float32
    assert (x * np.array([1.0, 2.0])).dtype == np.float32


# ---- NumPy on the left


@pytest.mark.parametrize("array", [np.ones((2, 3)), np.float64(2), np.arange(3)])
def test_an_array_on_the_left_gives_a_tensor(array):
    """Without `__array_ufunc__ = None` NumPy makes an array of three objects."""
    x = Tensor(np.ones(3), requires_grad=True)
    results = (array + x, array - x, array * x, array / x, array**x)
    shape = np.broadcast_shapes(np.shape(array), x.shape)
    assert all(isinstance(y, Tensor) and y.shape == shape for y in results)
    (array - x).sum().backward()
    assert isinstance(np.ones((2, 3)) @ x, Tensor)


def test_augmented_assignment_makes_a_new_tensor():
    x = Tensor(np.ones(2), requires_grad=True)
    y = x
    y += 1
    assert x.numpy().tolist() == [1, 1] and y.numpy().tolist() == [2, 2] and not y.is_leaf


def test_numpy_functions_refuse_to_drop_a_gradient():
    x = Tensor(np.ones(2), requires_grad=True)
    for f in (np.asarray, np.exp, lambda x: np.where([True, False], x, 0), lambda x: np.stack([x])):
        with pytest.raises(TypeError):
            f(x)
    assert np.asarray(x.detach()).tolist() == [1, 1]


def test_the_other_byte_order_is_converted():
    x = Tensor(np.array([1.0, 2.0], ">f4"))
    assert x.dtype == np.float32 and x.dtype.isnative
    np.testing.assert_allclose(x.exp().numpy(), np.exp([1, 2]), rtol=1e-6)


def test_whole_numbers_in_an_operation_become_float32():
    for y in (Tensor([1, 2]) / 2, Tensor([1, 2]) * 0.5, Tensor([1, 2]).exp(), Tensor([1]).mean()):
        assert y.dtype == np.float32
    assert (Tensor([1, 2]) + 1).dtype == np.int64


def test_arrays_become_constants_of_the_tensors_dtype_in_products_and_stacks_too():
    x = Tensor([[1.0, 2.0]])
    assert (x @ np.ones((2, 2))).dtype == mg.stack([x, np.ones((1, 2))]).dtype == np.float32
    assert x.clip(np.float64(0), None).dtype == np.float32


def test_a_cast_to_whole_numbers_is_refused():
    with pytest.raises(TypeError, match=r"int64.*Tensor\(x, dtype='int64'\)"):
        Tensor([1.5], requires_grad=True).to(np.int64)


# ---- comparison, hashing


def test_comparisons_are_elementwise_and_hashing_is_by_identity():
    """A dictionary keyed by tensors works because equal hashes mean the same object."""
    x, y = Tensor([1.0, 2.0]), Tensor([1.0, 3.0])
    assert (x == y).numpy().tolist() == [True, False]
    assert (x < y).numpy().tolist() == [False, True]
    assert (x >= 2).numpy().tolist() == [False, True]
    assert (1 < x).numpy().tolist() == [False, True]
    assert {x: 1, y: 2}[y] == 2


def test_gradients_of_equal_tensors_are_kept_apart():
    x, y = (Tensor(np.ones(2), requires_grad=True) for _ in range(2))
    (x * 2 + y * 3).sum().backward()
    assert x.grad.numpy().tolist() == [2, 2] and y.grad.numpy().tolist() == [3, 3]


# ---- refusals


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.array([object()]), "dtype is object"),
        ("text", "dtype is <U4"),
        ([1.0, None], "dtype is object"),
        ([[1.0], [1.0, 2.0]], "no array of numbers"),
        (np.ones(2, np.float16), "dtype is float16"),
        ([Tensor(1.0, requires_grad=True), Tensor(2.0)], "minigrad.stack"),
        ([[[Tensor(1.0, requires_grad=True)]]], "minigrad.stack"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(data, message):
    with pytest.raises(TypeError, match=message):
        Tensor(data)


def test_an_integer_leaf_cannot_require_a_gradient():
    with pytest.raises(TypeError, match="int64.*only floating-point.*dtype='float32'"):
        Tensor([1, 2], requires_grad=True)
    x = Tensor([1, 2])
    with pytest.raises(TypeError, match="only floating-point"):
        x.requires_grad = True


def test_requires_grad_is_for_leaves():
    y = Tensor(1.0, requires_grad=True) * 2
    with pytest.raises(RuntimeError, match="leaves only.*detach"):
        y.requires_grad = False


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: x @ np.ones((2, 3)), r"matmul: \(2, 3\) @ \(2, 3\).*\(3\).*\(2\).*\.mT"),
        (lambda x: x @ 2.0, "multiply with"),
        (lambda x: x @ np.ones(2), r"matmul: \(2, 3\) @ \(2,\)"),
        (lambda x: mg.bmm(x, np.ones((2, 3))), r"matmul: \(2, 3\) @ \(2, 3\)"),
        (lambda x: mg.where(np.ones(2, bool), x, 0), r"condition's shape \(2,\)"),
        (lambda x: mg.stack([x, x], axis=3), "axis 3 is out of bounds"),
        (lambda x: mg.linear(x, np.ones((4, 2)), np.ones(4)), r"\(N, in\) and \(out, in\)"),
        (lambda x: mg.linear(x, np.ones((4, 3)), np.ones(3)), r"bias \(3,\)"),
        (lambda x: x.reshape(4), r"6 elements of shape \(2, 3\).*\(4,\)"),
        (lambda x: x.broadcast_to((2, 2)), r"\(2, 3\).*\(2, 2\)"),
        (lambda x: x.transpose(0, 0), r"axes \(0, 0\)"),
        (lambda x: mg.concatenate([x, x[:, :2]]), r"\[\(2, 3\), \(2, 2\)\]"),
        (lambda x: mg.stack([x, x[0]]), r"\[\(2, 3\), \(3,\)\]"),
        (lambda x: mg.split(x, 2, axis=1), "3 elements along axis 1"),
        (lambda x: mg.elu(x, alpha=0), "alpha = 0"),
        (lambda x: x[:0].max(axis=0), r"max: shape \(0, 3\)"),
        (lambda x: x + np.ones((2, 2)), r"add: shapes \(2, 3\) and \(2, 2\)"),
        (lambda x: x.item(), r"\(2, 3\) holds 6 numbers"),
    ],
)
def test_shapes_that_do_not_fit_are_named_with_the_mend(make, message):
    with pytest.raises(ValueError, match=message):
        make(Tensor(np.ones((2, 3))))


# ---- small things that a user meets


def test_repr():
    x = Tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "Tensor([1., 2.], requires_grad=True)"
    assert repr(x * 2) == "Tensor([2., 4.], from multiply)"
    assert repr(Tensor(np.ones(1))) == "Tensor([1.], dtype=float64)"


def test_len_iteration_bool_and_float():
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    assert len(x) == 2 and [row.sum().item() for row in x] == [3, 7]
    assert float(x[1, 1]) == 4 and bool(x[0, 0] == 1)
    with pytest.raises(ValueError, match="truth of 4 numbers"):
        bool(x == x)
    with pytest.raises(TypeError, match="no length"):
        len(x[0, 0])
