"""What can't be recorded is refused, in words, where a replay would do something else."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, optim
from minigrad.program import RecordingError

W = Tensor([1.0, 2.0], requires_grad=True)
ARRAY = np.float32([1, 2])
ADAM = optim.Adam([W])
OUTSIDE = W * 2

READ = r"test_refusals.py:\d+ .*: Python reads a value here.*minigrad.where"
MADE = r"test_refusals.py:\d+ .*: an array of shape \(2,\) was made by Python.*minigrad.constant"
REFUSED = {
    "item": (lambda x: x * x.sum().item(), READ),
    "float": (lambda x: x * float(x[0]), READ),
    "a branch": (lambda x: x if x.sum() > 0 else -x, READ),
    "an index": (lambda x: x[int(x[0])], READ),
    "numpy": (lambda x: mg.Tensor(x.numpy() + 1) * 2, READ),
    "data": (lambda x: x * x.data, READ),
    "asarray": (lambda x: x * np.asarray(x), READ),
    "a parameter's": (lambda x: x * W.numpy().sum(), READ),
    "a format": (lambda x: f"{x.sum():.3f}" and x, READ),
    "an array": (lambda x: x * ARRAY, MADE),
    "a tensor of an array": (lambda x: x * Tensor(ARRAY), MADE),
    "a tensor of a list": (lambda x: x * Tensor([1.0, 2.0]), MADE),
    "random numbers of NumPy's": (lambda x: x + np.random.rand(2), MADE),
    "an optimiser's state": (lambda x: x * ADAM._zeros()[0], MADE),
    "an index made by NumPy": (lambda x: x[np.random.permutation(2)], MADE),
    "a mask": (
        lambda x: x[x > 0].sum(),
        "the shape of the result depends on values",
    ),
    "a graph from outside": (lambda x: x * OUTSIDE, r"results? of operations outside the function"),
    "an array that is returned": (lambda x: x.sum() and ARRAY, READ),
    "an array, returned": (lambda x: ARRAY, "the function returned a ndarray"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_replay_would_not_do_is_refused(name):
    function, message = REFUSED[name]
    step = mg.compile(function)
    with pytest.raises(RecordingError, match=message):
        for i in range(3):
            step(np.float32([1, i - 1]))
    assert (W * 2).sum().item() == 6  # and the thread records no more


def test_what_the_text_says_is_frozen_and_constants_are_kept():
    matrix = mg.constant(np.float32([[1, 2], [3, 4]]))

    def function(x):
        y = x * np.float32(2) + [1.0, 2.0]
        z = (matrix @ y)[[0, 1, 0]] * mg.constant(np.float32([1, 2, 3]))
        return z + (y > 0.5).sum() + (np.int64(4) > y).sum() + (y > np.float32(0.5)).sum()

    step = mg.compile(function)
    for i in range(4):
        x = np.float32([i, 1])
        np.testing.assert_array_equal(step(x), function(Tensor(x)), strict=True)
    with pytest.raises(RuntimeError, match="copy_"):
        matrix.copy_(0 * matrix)


def test_a_result_of_recorded_operations_is_no_argument():
    with pytest.raises(RecordingError, match="x is a result of recorded operations.*detach"):
        mg.compile(lambda x: x)(W * 2)


def test_what_is_no_function_and_what_was_not_called():
    with pytest.raises(TypeError, match="compile: 3 is no function"):
        mg.compile(3)
    with pytest.raises(ValueError, match="check_every = -1; it must be a whole number"):
        mg.compile(lambda x: x, check_every=-1)
    with pytest.raises(RuntimeError, match="no program yet; call the function first"):
        print(mg.compile(lambda x: x).program)


def test_where_it_runs_and_who_requires_a_gradient_is_a_part_of_the_program():
    step, x = mg.compile(lambda x: x * 2 if x.requires_grad else x * 3), Tensor([1.0])
    for want in (3, 3, 2, 2):
        x = Tensor([1.0], requires_grad=want == 2)
        assert step(x).item() == want
    for backend in ("numpy", "numba") * 2:
        with mg.kernels.backend(backend):
            step(x)
            step(x)
            assert bool(step._recordings[0].replay._loops) == (backend == "numba")
    assert len(step._recordings) == 3


def test_a_check_finds_other_results_of_the_same_operations():
    order = [0, 1]
    step = mg.compile(lambda x: [[x * 2, x + 1][n] for n in order], check_every=3)
    for _ in range(2):
        assert [y.item() for y in step(np.float32([3]))] == [6, 4]
    order.reverse()
    with pytest.raises(RecordingError, match="what it returns, or which gradients it sets"):
        step(np.float32([3]))
