"""Arguments of a compiled function that are no plain arrays, and how they may be given."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor


def test_other_arguments_are_a_part_of_the_program():
    power = mg.compile(lambda x, n, scale=1.0: x**n * scale)
    x = np.float32([1, 2, 3])
    for n, scale in [(2, 1.0), (3, 1.0), (2, 1.0), (2, 0.5), (3, 1.0)]:
        np.testing.assert_array_equal(power(x, n, scale=scale), Tensor(x) ** n * scale)
    with pytest.raises(TypeError, match="n is a set; give arrays and tensors, also in tuples"):
        power(x, {2})


def test_arguments_may_come_in_structures():
    step = mg.compile(lambda *xs, **named: (xs[0]["a"] * xs[1][0] + named["c"], named["n"]))
    for i in range(3):
        a, b, c = np.float32([[i], [2], [3]])
        y, n = step({"a": a}, [b, "text"], c=Tensor(c), n=5)
        assert y.item() == 2 * i + 3 and n == 5
    assert len(step._recordings) == 1 and step._recordings[0].replay


def test_arguments_may_come_by_name_or_by_default():
    ones = np.ones(2, np.float32)
    step = mg.compile(lambda x, y=ones, *, times=2: x * y * times)
    x, y = np.float32([1, 2]), np.float32([3, 4])
    calls = [(x, y), {}], [(x,), {"y": y}], [(), {"y": y, "x": x}], [(x, y), {"times": 2}]
    for args, kwargs in calls:
        assert step(*args, **kwargs).numpy().tolist() == [6, 16]
    assert step(x).numpy().tolist() == [2, 4] and step(x, times=3).numpy().tolist() == [3, 6]
    assert len(step._recordings) == 2
    plain = mg.compile(lambda x, y: x * y)
    for args, kwargs, message in (
        ((x,), {}, "missing a required argument: 'y'"),
        ((x, y, y), {}, "too many positional"),
        ((x, y), {"y": y}, "multiple values for argument 'y'"),
        ((x, y), {"z": y}, "unexpected keyword argument 'z'"),
    ):
        with pytest.raises(TypeError, match=message):
            plain(*args, **kwargs)


@pytest.mark.parametrize("number", [float, np.float32, np.float64])
def test_zeros_of_either_sign_differ_and_nan_is_known_again(number):
    step, x = mg.compile(lambda x, n: x * n), np.float32([1, 2])
    for value in (0.0, -0.0, 0.0, np.nan, -0.0, np.nan):
        found = step(x, number(value)).numpy()
        assert np.isnan(found).all() or (np.signbit(found) == np.signbit(value)).all()
        assert np.isnan(found).all() == np.isnan(value)
    assert len(step._recordings) == 3
