"""Writes in place: into leaves, where no gradient is lost, and of what fits."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor
from tests.core.helpers import leaf

# ---- where


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


def test_only_leaves_can_be_written():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="only leaves"):
        (x * 2).copy_(np.ones(1))
    with pytest.raises(ValueError, match=r"\(2,\).*\(1,\)"):
        x.copy_(np.ones(2))


def test_numbers_that_are_shared_can_not_be_written():
    """A constant 3 is one array wherever it occurs; a view of it must not change it."""
    for make in (lambda: mg.broadcast_to(3.0, ()), lambda: mg.reshape(3.0, (1,)),
                 lambda: mg.permute(3.0, ())):  # fmt: skip
        with pytest.raises(RuntimeError, match="share memory"):
            make().copy_(np.full(make().shape, 5.0))
    assert (Tensor([1.0]) * 3.0).item() == 3


# ---- what


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
