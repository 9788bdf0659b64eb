"""Adam's kernel against the update's forward, for every size, layout and step."""

import numpy as np
import pytest

from minigrad.core.primitive import evaluate
from minigrad.ops.updates import adam_
from tests.kernels.helpers import accelerated, both_dtypes


def adam_arrays(size, dtype):
    """p, m, v and g."""
    generator = np.random.default_rng(size)
    p, g, m = (generator.standard_normal(size).astype(dtype) for _ in range(3))
    v = generator.random(size).astype(dtype)
    return [p / 2**16, m, v, g]  # a small p, in which the step is seen to more digits


def take_step(run, arrays, lr, step, static):
    """The step's count goes up by one, to `step`."""
    p, m, v, g = arrays
    count = np.array(step - 1)
    run(np.array(lr), p, m, v, count, g, **static)
    assert count == step and count.shape == () and count.dtype == np.int64


def assert_adam_step(arrays, dtype, lr, beta1, beta2, step, eps=1e-8, run=None):
    """m and v are each four roundings, of terms no larger than those on the right-hand side. The
    step is that error, half of v's, and seven roundings of its own."""
    wide = [array.astype(np.longdouble) for array in arrays]
    p, m, v, g = (np.abs(array) for array in wide)
    gradient = arrays[3].tobytes()
    static = {"betas": (beta1, beta2), "eps": eps}
    run = run or (lambda *arrays, **static: accelerated(adam_, *arrays, **static))
    take_step(run, arrays, lr, step, static)
    take_step(adam_.forward, wide, lr, step, static)
    assert arrays[3].tobytes() == gradient, "g was written"
    unit = np.finfo(dtype).eps
    error_m = 4 * unit * (m + (1 - beta1) * (g + m))
    error_v = 4 * unit * wide[2]
    rate = lr / (1 - beta1**step) / (np.sqrt(wide[2] / (1 - beta2**step)) + eps)
    error_p = unit * np.abs(wide[0]) + rate * (error_m + 9 * unit * np.abs(wide[1]))
    for name, got, want, allowed in (
        ("m", arrays[1], wide[1], error_m),
        ("v", arrays[2], wide[2], error_v),
        ("p", arrays[0], wide[0], error_p),
    ):
        error = np.abs(got - want)
        assert got.dtype == dtype
        assert (error <= allowed).all(), f"{name}: off by {(error / allowed).max():.3g} tolerances"


@pytest.mark.parametrize("size", [0, 1, 7, 64, 70, 2**13, 2**14 - 1, 2**14, 3 * 2**13 + 5])
@both_dtypes
def test_a_step_is_as_specified_for_every_size(size, dtype):
    for step, beta1, beta2 in ((1, 0.5, 0.75), (10, 0.5, 0.75), (1, 0.0, 0.0)):
        assert_adam_step(adam_arrays(size, dtype), dtype, 1e-3, beta1, beta2, step)


@both_dtypes
def test_a_step_is_as_specified_for_the_usual_betas(dtype):
    """1 − float32(0.999) is 1.3e-5 of itself away from 0.001: to be subtracted in double."""
    for step in (1, 100, 20_000):
        assert_adam_step(adam_arrays(1000, dtype), dtype, 1e-3, 0.9, 0.999, step)


LAYOUTS = {
    "0-d": lambda a: a[:1].reshape(()),
    "transposed": lambda a: a.reshape(4, 6).T,
    "every second": lambda a: a[::2],
    "misaligned": lambda a: np.ndarray(a.shape, a.dtype, bytearray(b"." + a.tobytes()), 1),
}


def through_the_door(*arrays, **static):
    evaluate(adam_, arrays, static)


@pytest.mark.parametrize("layout", LAYOUTS)
@both_dtypes
def test_a_step_writes_into_arrays_of_any_layout(layout, dtype):
    """A kernel that flattens a strided array updates a copy of it, and nobody notices."""
    arrays = [LAYOUTS[layout](array) for array in adam_arrays(24, dtype)]
    assert_adam_step(arrays, dtype, 1e-3, 0.5, 0.75, step=1, run=through_the_door)


@pytest.mark.parametrize("strided", [0, 1, 2, 3])
def test_one_array_of_another_layout_is_enough(strided):
    """... for the kernel to leave the step to the forward, unless that array is only read."""
    arrays = adam_arrays(24, np.float32)
    arrays[strided] = np.repeat(arrays[strided], 2)[::2]
    p, m, v, g = arrays
    static = {"betas": (0.5, 0.75), "eps": 1e-8}
    taken = adam_.kernel.results(np.array(1e-3), p, m, v, np.array(0), g, **static)
    assert taken == (() if strided == 3 else None)
    assert_adam_step(arrays, np.float32, 1e-3, 0.5, 0.75, step=1, run=through_the_door)
