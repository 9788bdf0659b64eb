"""The kernels of batch normalisation: statistics in double precision, channel by channel.

r = 1 / √(σ² + ε) is off by four roundings, of which √ halves two. As a rounding is half of eps at
most, the eps for each rounding named below leave room for them.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad import ops
from minigrad.core.primitive import evaluate
from minigrad.kernels import normalize
from minigrad.ops.normalization import _batch_norm
from minigrad.ops.updates import add_one_, average_
from tests.kernels.helpers import (
    DTYPES,
    LAYOUTS,
    NORMALIZATIONS,
    accelerated,
    arrays_of,
    assert_accelerated,
    assert_within,
    both_dtypes,
    compiled_in,
    each,
    layout_of,
    normal,
    several,
    specified,
    truth,
)

EPS = 1e-5


def channels(t, x):
    return t.reshape(-1, *(1,) * (x.ndim - 2))


def axes(x):
    return (0, *range(2, x.ndim))


def sums_of(x):
    """The relative error of at most N + L additions one after another, in double precision."""
    return (len(x) + math.prod(x.shape[2:])) * np.finfo(np.float64).eps


def inverse_deviation(x, variance):
    return channels(1 / np.sqrt(variance.astype(np.longdouble) + EPS), x)


def assert_moments(got, x):
    """Sums are in double precision.

    The variance is taken about the mean as it was computed and rounded, m. The mean of (x − m)² is
    larger than the true variance by (m − mean)². Before it is added up, (x − m)² is rounded thrice,
    counting twice what is squared, and the division after it rounds once.
    """
    sums, eps = sums_of(x), np.finfo(x.dtype).eps
    mean, variance = truth(ops.moments, x)
    assert_within(got[0], mean, (sums + eps) * truth(ops.moments, np.abs(x))[0])
    about = variance + (got[0] - mean) ** 2
    assert_within(got[1], about, (sums + 4 * eps) * about)


def assert_batch_norm(got, x, weight, bias):
    """y = x · scale + shift is three roundings, or two if the product is not rounded, of what scale
    and shift are; and from x and the moments on, six in all."""
    y, mean, variance = got
    assert_moments((mean, variance), x)
    eps = np.finfo(x.dtype).eps
    scale = weight / np.sqrt(variance + x.dtype.type(EPS))
    scale, shift = channels(scale, x), channels(bias - mean * scale, x)
    wide = x.astype(np.longdouble)
    assert_within(y, wide * scale + shift, 2 * eps * (np.abs(wide * scale) + np.abs(shift)))
    scale, mean, bias = (
        inverse_deviation(x, variance) * channels(weight, x), channels(mean, x), channels(bias, x)
    )  # fmt: skip
    magnitude = np.abs(wide * scale) + np.abs(mean * scale) + np.abs(bias)
    assert_within(y, (wide - mean) * scale + bias, 3 * eps * magnitude)


def assert_pull(got, g, x, mean, variance):
    """Besides the sums, ten roundings: of x − mean, its product with g, ⟨·⟩, r twice, slope ·
    (x − mean), the two differences, and the last product; all are of the magnitude below."""
    r, centre = inverse_deviation(x, variance), channels(mean, x)
    y = np.abs(r * (x.astype(np.longdouble) - centre))
    along = (np.abs(g) * y).mean(axis=axes(x), keepdims=True)
    magnitude = np.abs(g) + np.abs(g).mean(axis=axes(x), keepdims=True) + y * along
    allowed = (sums_of(x) + 10 * np.finfo(x.dtype).eps) * r * magnitude
    assert_within(got, truth(ops.batch_norm_pull, g, x, mean, variance, eps=EPS), allowed)


def assert_sum(got, g, x, mean, variance):
    """Four roundings besides the sums: x − mean, · g, the sum, · r."""
    distance = np.abs(x.astype(np.longdouble) - channels(mean, x))
    r = inverse_deviation(x, variance)
    magnitude = (r * np.abs(g) * distance).sum(axis=axes(x))
    allowed = (sums_of(x) + 4 * np.finfo(got.dtype).eps) * magnitude
    assert_within(got, truth(ops.normalized_sum, g, x, mean, variance, eps=EPS), allowed)


CHECKS = dict(zip(NORMALIZATIONS, (assert_moments, assert_batch_norm, assert_pull, assert_sum),
                  strict=True))  # fmt: skip


def static_of(primitive):
    return {} if primitive is ops.moments else {"eps": EPS}


@each(NORMALIZATIONS)
@both_dtypes
@settings(deadline=None, max_examples=120, derandomize=True)
@given(data=st.data())
def test_kernel_computes_what_is_specified_whatever_the_shape_and_layout(primitive, dtype, data):
    def array(*shape, values=np.random.Generator.standard_normal):
        return data.draw(layout_of(values, shape, dtype))

    N, C = data.draw(st.sampled_from([1, 2, 3, 4, 5, 40])), data.draw(st.integers(1, 4))
    offset = data.draw(st.sampled_from([0, 100]))
    L = data.draw(st.one_of(st.tuples(st.integers(1, 40)), st.sampled_from([(), (3, 5)])))
    x = array(N, C, *L, values=lambda generator, shape: offset + generator.normal(size=shape))
    arrays = {
        ops.moments: lambda: [x],
        _batch_norm: lambda: [x, array(C), array(C)],
        ops.batch_norm_pull: lambda: [array(N, C, *L), x, offset + array(C), array(C) ** 2],
        ops.normalized_sum: lambda: [array(N, C, *L), x, offset + array(C), array(C) ** 2],
    }[primitive]()
    got = assert_accelerated(primitive, arrays, static_of(primitive), dtype)
    CHECKS[primitive](got, *arrays)


def some_arrays(primitive, x):
    one = x[0].reshape(x.shape[1], -1)[:, 0]
    return {
        ops.moments: [x], _batch_norm: [x, one, one[::-1]],
        ops.batch_norm_pull: [x[::-1], x, one, one * one],
        ops.normalized_sum: [x[::-1], x, one, one * one],
    }[primitive]  # fmt: skip


def test_loops_are_compiled_for_one_layout_alone_whatever_the_layout_of_the_arguments():
    """Each further layout that reaches a loop costs its first caller seconds of compilation."""
    for layout in LAYOUTS.values():
        for dtype in DTYPES:
            x = layout(normal(9, 4, 24, dtype=dtype))
            for primitive in NORMALIZATIONS:
                accelerated(primitive, *some_arrays(primitive, x), **static_of(primitive))
    loops = compiled_in(normalize).values()
    assert sum(len(loop.nopython_signatures) >= len(DTYPES) for loop in loops) >= 4
    for loop in loops:
        for signature in loop.nopython_signatures:
            arrays = arrays_of(signature)
            assert all(a.layout == "C" and a.mutable and a.aligned for a in arrays), arrays


@pytest.mark.parametrize("dtype", [np.float16, np.complex128, np.int64, ">f4"])
@each(NORMALIZATIONS)
def test_other_dtypes_are_computed_by_the_forward(primitive, dtype):
    if np.dtype(dtype).kind == "i" and primitive is not ops.moments:
        return  # the door makes them float32: ε is no whole number
    arrays = some_arrays(primitive, (2 * normal(2, 4, 24)).astype(dtype))
    got = evaluate(primitive, arrays, static_of(primitive))
    want = specified(primitive, *arrays, **static_of(primitive))
    for one, other in zip(several(got), several(want), strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize("shape", [(4096, 2, 1), (64, 2, 49), (5, 3, 784), (1, 1, 1), (1, 1, 9)])
@pytest.mark.parametrize("mean", [1e4, -3e6])
@both_dtypes
def test_variance_of_data_far_from_zero(dtype, mean, shape):
    """The mean of squares minus the square of the mean would have lost all digits in float32."""
    x = (mean + normal(*shape)).astype(dtype)
    got = accelerated(ops.moments, x)
    assert_moments(got, x)
    if shape[2] == 1:  # rows of one number: all that is added up is, in double precision
        double = shape[0] * np.finfo(np.float64).eps
        off = np.spacing(dtype(abs(mean))) + double * abs(mean)  # of the mean
        variance = truth(ops.moments, x)[1]
        allowed = (6 * np.finfo(dtype).eps + double) * variance + off**2
        assert_within(got[1], variance, allowed)


@both_dtypes
def test_variance_of_equal_numbers_is_zero(dtype):
    mean, variance = accelerated(ops.moments, np.full((5, 2, 8), 3, dtype))
    assert (mean == 3).all() and (variance == 0).all()


@pytest.mark.parametrize("special", [math.nan, math.inf])
@both_dtypes
def test_nan_and_infinity_stay_in_their_channel(dtype, special):
    one, zero = np.ones(2, dtype), np.zeros(2, dtype)
    for place in np.ndindex(3, 2, 9):
        x, g = normal(3, 2, 9, dtype=dtype), normal(3, 2, 9, dtype=dtype, seed=1)
        x[place] = special
        mean, variance = accelerated(ops.moments, x)
        rows = [mean, variance, *accelerated(_batch_norm, x, one, zero, eps=EPS)]
        for primitive in (ops.batch_norm_pull, ops.normalized_sum):
            rows.append(accelerated(primitive, g, x, mean, one, eps=EPS))
        for row in (row.swapaxes(0, 1) if row.ndim == 3 else row for row in rows):
            assert np.isfinite(row[1 - place[1]]).all() and not np.isfinite(row[place[1]]).any()


@each(NORMALIZATIONS)
def test_what_is_empty_is_left_to_the_forward(primitive):
    for shape in ((0, 3, 4), (2, 0, 4), (2, 3, 0)):
        x, c = np.ones(shape), np.ones(shape[1])
        arrays = {1: [x], 3: [x, c, c], 4: [x, x, c, c]}[primitive.count]
        assert primitive.kernel.results(*arrays, **static_of(primitive)) is None


@pytest.mark.parametrize("size", [0, 1, 7, 3136])
@both_dtypes
def test_averages_are_those_of_the_forward_to_the_bit(dtype, size):
    """So a run that is continued by the other backend goes on with the same statistics."""
    running, batch = normal(size, dtype=dtype), normal(size, dtype=dtype, seed=1)
    for static in ({"momentum": 0.1}, {"momentum": 0.3, "correction": 64 / 63}):
        copy = running.copy()
        average_.forward(running, batch, **static)
        accelerated(average_, copy, batch, **static)
        np.testing.assert_array_equal(running, copy)
    for static in ({"momentum": np.float64(0.1)}, {"momentum": 0.1, "correction": np.float32(2)}):
        assert average_.kernel.results(running, batch, **static) is None
    row = normal(size + 1, dtype=dtype)
    found, want = row.copy(), row.copy()
    average_.forward(want[1:], want[:-1], momentum=0.5)
    evaluate(average_, (found[1:], found[:-1]), {"momentum": 0.5})
    np.testing.assert_array_equal(found, want)
    every_second = np.zeros(2 * size, dtype)[::2]
    evaluate(average_, (every_second, batch), {"momentum": 1.0})
    np.testing.assert_array_equal(every_second, batch)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 4)])
def test_every_count_goes_up_by_one(shape):
    counts = np.arange(math.prod(shape) + 2)
    evaluate(add_one_, (counts[1:-1].reshape(shape),), {})
    want = np.arange(counts.size)
    want[1:-1] += 1
    np.testing.assert_array_equal(counts, want)
