"""Tensors own their arrays, refuse what is no number, print, compare and copy as one expects."""

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor

# ---- their own arrays


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


def test_gradients_of_equal_tensors_are_kept_apart():
    x, y = (Tensor(np.ones(2), requires_grad=True) for _ in range(2))
    (x * 2 + y * 3).sum().backward()
    assert x.grad.numpy().tolist() == [2, 2] and y.grad.numpy().tolist() == [3, 3]


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


# ---- what is refused


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


@pytest.mark.parametrize("value", [None, "2.5", [None], ["1"], b"1"])
def test_what_is_no_number_does_not_become_one(value):
    x = Tensor([1.0])
    for make in (lambda: x + value, lambda: mg.where(x > 0, x, value),
                 lambda: Tensor(value, dtype="float32")):  # fmt: skip
        with pytest.raises(TypeError, match="the dtype is"):
            make()


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


# ---- small things that a user meets


def test_repr():
    x = Tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "Tensor([1., 2.], requires_grad=True)"
    assert repr(x * 2) == "Tensor([2., 4.], from multiply)"
    assert repr(Tensor(np.ones(1))) == "Tensor([1.], dtype=float64)"


def test_comparisons_are_elementwise_and_hashing_is_by_identity():
    """A dictionary keyed by tensors works because equal hashes mean the same object."""
    x, y = Tensor([1.0, 2.0]), Tensor([1.0, 3.0])
    assert (x == y).numpy().tolist() == [True, False]
    assert (x < y).numpy().tolist() == [False, True]
    assert (x >= 2).numpy().tolist() == [False, True]
    assert (1 < x).numpy().tolist() == [False, True]
    assert {x: 1, y: 2}[y] == 2


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
