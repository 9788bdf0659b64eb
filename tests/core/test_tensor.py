"""Tensors own their arrays, keep their dtype, and mix with NumPy."""

import copy
import os
import pickle
import subprocess
import sys

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
        (lambda x: x.permute(0, 0), r"dims \(0, 0\)"),
        (lambda x: x.transpose(0, 2), r"axis 2 is out of bounds"),
        (lambda x: mg.concatenate([x, x[:, :2]]), r"\[\(2, 3\), \(2, 2\)\]"),
        (lambda x: mg.stack([x, x[0]]), r"\[\(2, 3\), \(3,\)\]"),
        (lambda x: mg.split(x, [2, 2], axis=1), r"\[2, 2\] elements.*3 along axis 1"),
        (lambda x: mg.split(x, 0), "parts of 0"),
        (lambda x: x.clip(), "min and max"),
        (lambda x: mg.stack([]), "stack: the sequence is empty"),
        (lambda x: mg.concatenate([]), "concatenate: the sequence is empty"),
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


def test_what_a_loop_prints_and_counts_with():
    loss = Tensor(1.23456, requires_grad=True) * 2
    assert f"{loss:.3f} {loss:8.2e}" == "2.469 2.47e+00"
    assert f"{Tensor(0.5)}" == "0.5" and f"{Tensor([0.5])}" == "Tensor([0.5])"
    assert f"{Tensor([3]):d}" == "3"
    with pytest.raises(TypeError, match=r"'.3f' is for one number.*\(2,\)"):
        f"{Tensor([1.0, 2.0]):.3f}"
    assert int(loss) == 2 and int(Tensor([7])) == 7
    assert list(range(Tensor(np.array(3)))) == [0, 1, 2] and "abc"[Tensor(np.array(1))] == "b"
    with pytest.raises(TypeError, match="float32 tensor is no index"):
        range(Tensor(3.0))
    with pytest.raises(ValueError, match="holds 2 numbers"):
        int(Tensor([1.0, 2.0]))


def test_static_arguments_go_by_position_too():
    x = Tensor([[1.0, 5.0], [7.0, 3.0]])
    image = Tensor(np.arange(16.0).reshape(1, 1, 4, 4))
    kernel = Tensor(np.ones((1, 1, 2, 2)))
    pairs = [
        (mg.sum(x, 1), x.sum(axis=1)), (mg.mean(x, 0, True), x.mean(axis=0, keepdims=True)),
        (mg.clip(x, 2, 4), x.clip(min=2, max=4)), (mg.amax(x, 1), x.amax(axis=1)),
        (mg.elu(-x, 2.0), mg.elu(-x, alpha=2.0)), (mg.logsumexp(x, 0), x.logsumexp(axis=0)),
        (mg.leaky_relu(-x, 0.5), mg.leaky_relu(-x, negative_slope=0.5)),
        (mg.reshape(x, (4,)), x.reshape(4)), (mg.getitem(x, 1), x[1]),
        (mg.broadcast_to(x[0], (3, 2)), x[0].broadcast_to((3, 2))),
        (mg.log_softmax(x, 1), x.log_softmax(axis=1)), (mg.to(x, "float64"), x.double()),
        (mg.conv2d(image, kernel, None, 2, 1), mg.conv2d(image, kernel, stride=2, padding=1)),
        (mg.max_pool2d(image, 2, 1), mg.max_pool2d(image, kernel_size=2, stride=1)),
        (mg.avg_pool2d(image, 2, 1, 1), mg.avg_pool2d(image, kernel_size=2, stride=1, padding=1)),
        (mg.pixel_unshuffle(image, 2), mg.pixel_unshuffle(image, downscale_factor=2)),
    ]  # fmt: skip
    for one, other in pairs:
        assert one.shape == other.shape and (one == other).numpy().all()


def test_a_static_argument_can_have_no_gradient():
    low = Tensor(0.5, requires_grad=True)
    with pytest.raises(TypeError, match="clip.*static argument.*detach"):
        Tensor([1.0]).clip(low, None)
    assert Tensor([0.0, 1.0]).clip(low.detach()).numpy().tolist() == [0.5, 1]


# ---- empty lists, which NumPy takes for float64


@pytest.mark.parametrize("index", [[], ([],), (slice(None), []), ([], []), (0, [])])
def test_an_empty_list_is_an_index(index):
    x = Tensor(np.ones((3, 2)), requires_grad=True)
    expected = np.ones((3, 2))[tuple(np.array(i, int) if i == [] else i for i in index)
                               if isinstance(index, tuple) else np.array([], int)]  # fmt: skip
    y = x[index]
    assert y.shape == expected.shape
    y.sum().backward()
    assert (x.grad.numpy() == 0).all()
    assert mg.scatter_add(y.detach(), (3, 2), index).numpy().sum() == 0


def test_cross_entropy_of_no_rows():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    assert np.isnan(mg.cross_entropy(x[:0], []).item())
    with pytest.raises(TypeError, match="labels are float64"):
        mg.cross_entropy(x[:0], np.array([]))


def test_functions_take_arrays_and_lists_where_they_take_tensors():
    image = np.arange(16.0).reshape(1, 1, 4, 4)
    assert mg.max_pool2d(image, 2).numpy().tolist() == [[[[5, 7], [13, 15]]]]
    assert mg.avg_pool2d(image, 2).numpy().tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]
    assert mg.conv2d(image, np.ones((1, 1, 4, 4))).item() == 120
    assert mg.conv_transpose2d(image, np.ones((1, 1, 1, 1)), np.ones(1)).shape == (1, 1, 4, 4)
    assert mg.mean([1.0, 2.0]).item() == 1.5 and mg.max([1, 2]).item() == 2
    assert [part.size for part in mg.split([1, 2, 3], 2)] == [2, 1]
    assert mg.transpose([[1, 2]], 0, 1).shape == (2, 1)
    assert mg.logsigmoid([0.0]).item() == mg.log_softmax([[0.0, 0.0]], 1).numpy()[0, 0]
    assert mg.cross_entropy([[0.0, 0.0]], [1]).item() == np.float32(np.log(2))


# ---- names that PyTorch has mean what PyTorch means


def test_transpose_exchanges_two_axes():
    x = Tensor(np.arange(24.0).reshape(2, 3, 4))
    assert x.transpose(0, 1).shape == (3, 2, 4) and x.transpose(-1, 0).shape == (4, 3, 2)
    assert Tensor([[1.0, 2.0]]).transpose(0, 1).numpy().tolist() == [[1], [2]]
    assert x.permute(2, 0, 1).shape == x.permute((2, 0, 1)).shape == (4, 2, 3)
    assert x.T.shape == (4, 3, 2) and x.mT.shape == (2, 4, 3)
    for call in (lambda: x.transpose(), lambda: x.transpose(0, 2, 1), lambda: x.transpose((0, 1))):
        with pytest.raises(TypeError):
            call()


def test_max_along_an_axis_has_indices():
    x = Tensor([[1.0, 5.0, 5.0], [7.0, np.nan, 3.0]])
    values, indices = x.max(1)
    assert x.max(1)[1].numpy().tolist() == indices.numpy().tolist() == [1, 1]
    assert values.numpy()[0] == 5 and np.isnan(values.numpy()[1])
    assert x.max(0, keepdims=True).indices.numpy().tolist() == [[1, 1, 0]]
    assert Tensor([2.0, 9.0]).max().item() == 9
    assert mg.max(Tensor([1.0, 5.0]), Tensor([3.0, 2.0])).numpy().tolist() == [3, 5]
    with pytest.raises(TypeError, match="amax"):
        x.max((0, 1))


def test_split_takes_the_size_of_a_part():
    x = Tensor(np.arange(10.0))
    assert [part.size for part in mg.split(x, 4)] == [4, 4, 2]
    assert [part.size for part in mg.split(x, [1, 9])] == [1, 9]
    assert [part.shape for part in mg.split(Tensor(np.ones((2, 3))), 2, 1)] == [(2, 2), (2, 1)]
    assert [part.size for part in mg.split(x[:0], 3)] == [0]


# ---- writes in place


def test_under_no_grad_a_leaf_is_updated_in_place_and_the_write_counted():
    w = Tensor([1.0, 2.0], requires_grad=True)
    same, stale = w, (w * w).sum()
    w.sum().backward()
    with mg.no_grad():
        w -= 0.5 * w.grad
    assert w is same and w.requires_grad and w.is_leaf and w.numpy().tolist() == [0.5, 1.5]
    with pytest.raises(RuntimeError, match="was written after"):
        stale.backward()


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        ("w += 2", [4, 6]), ("w -= 2", [0, 2]), ("w *= 2", [4, 8]), ("w /= 2", [1, 2]),
        ("w **= 2", [4, 16]), ("w += np.array([1.0, 2.0])", [3, 6]), ("w[0] = 7", [7, 4]),
        ("w[0] += 7", [9, 4]), ("w[[0, 1]] *= 3", [6, 12]), ("w[:] = other", [1, 1]),
        ("w -= w", [0, 0]), ("w += other", [3, 5]),
    ],
)  # fmt: skip
def test_every_operator_writes_in_place_under_no_grad(update, expected):
    w, other = Tensor([2.0, 4.0], requires_grad=True), Tensor([1.0, 1.0], requires_grad=True)
    y, kept = (w * w).sum(), w.data
    names = {"w": w, "other": other, "np": np}
    with mg.no_grad():
        exec(update, names)
    assert names["w"] is w and kept.tolist() == w.numpy().tolist() == expected
    with pytest.raises(RuntimeError, match="was written after"):
        y.backward()


@pytest.mark.parametrize("update", ["x += 1", "x -= 1", "x *= 2", "x /= 2", "x **= 2", "x[0] = 1"])
def test_elsewhere_a_write_in_place_is_an_error_that_says_why(update):
    w, plain = Tensor([1.0, 2.0], requires_grad=True), Tensor([1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"not be recorded.*no_grad\(\).*x = x \+"):
        exec(update, {"x": w})
    with pytest.raises(RuntimeError, match=r"computed \(by multiply\).*x = x \+"):
        exec(update, {"x": w * 2})
    with mg.no_grad(), pytest.raises(RuntimeError, match=r"computed \(by multiply\)"):
        with mg.enable_grad():
            y = w * 2
        exec(update, {"x": y})
    with pytest.raises(RuntimeError, match="not be recorded"):
        exec(update.replace("1", "w.sum()").replace("2", "w.sum()"), {"x": plain, "w": w})
    assert w.numpy().tolist() == plain.numpy().tolist() == [1, 2]


def test_where_no_gradient_is_involved_a_leaf_is_written_without_no_grad():
    """Running averages, and gradients that are clipped before a step."""
    average, w = Tensor([1.0]), Tensor([3.0], requires_grad=True)
    same = average
    average *= 0.5
    assert average is same and average.item() == 0.5
    (w * 4).sum().backward()
    w.grad *= 0.25
    assert w.grad.item() == 1


def test_a_write_in_place_keeps_dtype_and_shape_or_writes_nothing():
    x, whole = Tensor([1.0, 2.0]), Tensor([1, 2])
    with pytest.raises(TypeError, match=r"/=: the result is float32.*int64"):
        whole /= 2
    with pytest.raises(ValueError, match=r"\(2, 2\) into a tensor of shape \(2,\)"):
        x += np.ones((2, 2))
    repeated = Tensor([1.0]).broadcast_to((3,)).detach()
    for write in (lambda: repeated.copy_(np.ones(3)), lambda: repeated.__setitem__(0, 1.0)):
        with pytest.raises(RuntimeError, match="share memory"):
            write()
    for values in (np.array([1j, 2]), np.array(["a", "b"]), [None, 1.0]):
        with pytest.raises(TypeError, match="copy_|Tensor: the dtype"):
            x.copy_(values)
    assert x.numpy().tolist() == [1, 2] and whole.numpy().tolist() == [1, 2]


# ---- gradients that are set


def test_a_gradient_that_is_set_must_fit():
    w = Tensor(np.ones(40_000, np.float32), requires_grad=True)
    with pytest.raises(ValueError, match=r"\(5,\) and float32.*\(40000,\)"):
        w.grad = Tensor(np.ones(5, np.float32))
    with pytest.raises(ValueError, match="float64"):
        w.grad = Tensor(np.ones(40_000))
    with pytest.raises(TypeError, match="ndarray; give a Tensor"):
        w.grad = np.ones(40_000, np.float32)
    assert w.grad is None
    w.grad = Tensor(np.ones(40_000, np.float32))
    w.grad = None


# ---- copies


def test_a_computed_tensor_is_not_copied_or_pickled():
    w = Tensor([1.0, 2.0], requires_grad=True)
    y = w * w
    for copied in (y, (w, y), {"y": y}):
        for f in (copy.deepcopy, pickle.dumps):
            with pytest.raises(RuntimeError, match=r"computed \(by multiply\).*detach"):
                f(copied)
    with pytest.raises(RuntimeError, match="detach"):
        copy.copy(y)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), copy.copy]
)
def test_leaves_are_copied_with_their_gradient(duplicate):
    w = Tensor([1.0, 2.0], requires_grad=True)
    (w * w).sum().backward()
    x = duplicate(w)
    assert x.requires_grad and x.is_leaf and x.grad.numpy().tolist() == [2, 4]
    if duplicate is not copy.copy:
        with mg.no_grad():
            x += 1
        assert w.numpy().tolist() == [1, 2] and x.numpy().tolist() == [2, 3]
    twins = copy.deepcopy((w, w))
    assert twins[0] is twins[1] is not w


# ---- what NumPy would take for a number, and for an index


@pytest.mark.parametrize("value", [None, "2.5", [None], ["1"], b"1"])
def test_what_is_no_number_does_not_become_one(value):
    x = Tensor([1.0])
    for make in (lambda: x + value, lambda: mg.where(x > 0, x, value),
                 lambda: Tensor(value, dtype="float32")):  # fmt: skip
        with pytest.raises(TypeError, match="the dtype is"):
            make()


def test_complex_numbers_beside_real_ones_are_refused():
    with pytest.raises(TypeError, match="complex numbers as float32 would lose"):
        Tensor([1.0]) * np.array([2j])


@pytest.mark.parametrize("index", [((0, 0),), ([0, 0],), (np.array([0, 0]),), (range(1),)])
def test_a_sequence_in_an_index_is_an_array(index):
    x = Tensor([1.0, 2.0], requires_grad=True)
    x[index].sum().backward()
    counts = np.zeros(2)
    np.add.at(counts, (np.array(index[0]),), 1)
    assert x.grad.numpy().tolist() == counts.tolist()


def test_an_index_that_is_a_tensor_is_an_operand_whose_writes_are_counted():
    x, index = Tensor([1.0, 2.0], requires_grad=True), Tensor([0, 0])
    y = x[index].sum()
    index.copy_([1, 1])
    with pytest.raises(RuntimeError, match="_getitem: operand 1.*was written"):
        y.backward()
    with pytest.raises(TypeError, match="the dtype is <U1"):
        x["a"]


def test_whole_numbers_that_do_not_fit_are_not_written():
    x = Tensor(np.uint8([1, 2]))
    for write in (lambda: x.copy_([300, 1]), lambda: x.__setitem__(0, 300),
                  lambda: x.__setitem__(0, -1)):  # fmt: skip
        with pytest.raises(ValueError, match="uint8"):
            write()
    assert x.numpy().tolist() == [1, 2]


def test_numbers_that_do_not_fit_are_not_written_either():
    x = Tensor(np.uint8([1, 2]))
    for value in (300.0, -1.0, np.nan, 1e30):
        with pytest.raises(ValueError, match="uint8"):
            x[0] = value
    x[0] = 2.0
    assert x.numpy().tolist() == [2, 2]
    with pytest.raises(TypeError, match="complex values"):
        Tensor([1.0])[0] = 1j


def test_what_must_be_true_or_false_is():
    x = Tensor(np.ones((2, 3, 4)))
    for make in (lambda: Tensor([1.0], np.float64), lambda: Tensor([1.0], "float64"),
                 lambda: setattr(x, "requires_grad", "no")):  # fmt: skip
        with pytest.raises(TypeError, match="requires_grad = .*True or False.*dtype="):
            make()
    for make in (lambda: x.mean(1, 2), lambda: x.sum(1, 2), lambda: x.max(1, 2),
                 lambda: x.amax(1, 2), lambda: x.logsumexp(1, 2)):  # fmt: skip
        with pytest.raises(TypeError, match=r"keepdims = 2.*axis=\(0, 1\)"):
            make()
    with pytest.raises(TypeError, match="to: None"):
        x.to(None)
    with pytest.raises(TypeError, match=r"Tensor\.sum\(\) got an unexpected keyword.*'dim'"):
        x.sum(dim=1)


def test_a_model_that_was_pickled_trains_in_another_process(tmp_path):
    """Each process has a clock of its own, which tells what was written before an operation ran."""
    code = """if True:
        import pickle, sys
        from minigrad import Tensor, nn, optim
        if sys.argv[1] == "write":
            layer = nn.Linear(2, 1)
            sgd = optim.SGD(layer.parameters())
            for _ in range(30):
                layer(Tensor([[1.0, 2.0]])).sum().backward()
                sgd.step()
            pickle.dump((layer, sgd), open(sys.argv[2], "wb"))
        else:
            layer, sgd = pickle.load(open(sys.argv[2], "rb"))
            layer(Tensor([[1.0, 2.0]])).sum().backward()
            sgd.step()
    """
    for what in ("write", "read"):
        command = [sys.executable, "-c", code, what, tmp_path / "model"]
        subprocess.run(command, check=True, env=os.environ | {"MINIGRAD_BACKEND": "numpy"})


def test_shapes_may_be_one_number_and_none_is_negative():
    assert Tensor([1.0, 2.0]).reshape(2).shape == mg.reshape(Tensor([1.0, 2.0]), 2).shape == (2,)
    assert mg.broadcast_to(Tensor(1.0), 3).shape == (3,)
    for shape in ((-1,), (-1, 3)):
        with pytest.raises(ValueError, match="negative|Negative|not broadcast"):
            mg.broadcast_to(Tensor(1.0), shape)
    for call in (lambda x: mg.split(x, 1, 5), lambda x: mg.concatenate([x, x], 5)):
        with pytest.raises(ValueError, match="axis 5 is out of bounds"):
            call(Tensor([1.0]))
    assert Tensor([1.0]).to(">f4").dtype == np.float32


def test_batch_norm_refuses_statistics_of_another_size_before_it_moves_any():
    mean = Tensor(np.zeros(2, np.float32))
    with pytest.raises(ValueError, match=r"batch_norm: running_var has shape \(3,\)"):
        mg.batch_norm(Tensor(np.ones((4, 2), np.float32)), mean, np.ones(3), training=True)
    assert mean.numpy().tolist() == [0, 0]
