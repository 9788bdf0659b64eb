"""The kernels that move pixels: where the maxima of windows are, and pixel shuffling."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad import Tensor, kernels, ops
from minigrad.core.primitive import evaluate
from minigrad.kernels import pooling
from minigrad.ops.shapes import _concatenate
from tests.kernels.helpers import (
    DTYPES,
    LAYOUTS,
    MOVES,
    accelerated,
    assert_accelerated,
    both_dtypes,
    compiled_in,
    each,
    layout_of,
    normal,
    specified,
    truth,
)


def windows(kernel, stride, padding):
    return {"kernel": kernel, "stride": stride, "padding": padding}


def with_ties(generator, shape):
    chances = [0.2, 0.2, 0.1, 0.1, 0.2, 0.1, 0.1]
    return generator.choice([-2, -1, -0.0, 0.0, 1, math.inf, math.nan], shape, p=chances)


@st.composite
def arguments(draw, primitive, dtype):
    def array(*shape, values=np.random.Generator.standard_normal):
        return draw(layout_of(values, shape, dtype))

    N, C = draw(st.sampled_from([1, 2, 3, 4, 5, 40])), draw(st.integers(1, 4))
    if primitive is not ops.argmax_windows:
        r, H, W = (draw(st.integers(*ends)) for ends in ((1, 4), (0, 4), (0, 4)))
        if primitive is ops.pixel_shuffle:
            return array(N, C * r**2, H, W), {"upscale_factor": r}
        return array(N, C, H * r, W * r), {"downscale_factor": r}
    sides = []
    for _ in "HW":
        kernel, stride = draw(st.integers(1, 5)), draw(st.integers(1, 3))
        padding = draw(st.integers(0, kernel // 2))  # some of a window must be in the image
        size = draw(st.integers(max(1, kernel - 2 * padding), 12))
        sides.append((size, kernel, stride, padding))
    size, *how = zip(*sides, strict=True)
    return array(N, C, *size, values=with_ties), windows(*how)


@each(MOVES)
@both_dtypes
@settings(deadline=None, max_examples=120, derandomize=True)
@given(data=st.data())
def test_kernel_computes_what_is_specified_whatever_the_shape_and_layout(primitive, dtype, data):
    """Nothing is rounded."""
    x, static = data.draw(arguments(primitive, dtype))
    got = assert_accelerated(primitive, [x], static, dtype)
    np.testing.assert_array_equal(got, truth(primitive, x, **static))


@both_dtypes
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_concatenation_copies_whatever_the_layout(dtype, axis):
    for layout in LAYOUTS.values():
        x, y = (layout(normal(5, 7, 6, dtype=dtype)) for _ in range(2))
        got = assert_accelerated(_concatenate, [x, y, x], {"axis": axis}, dtype)
        assert got.tobytes() == np.concatenate([x, y, x], axis=axis).tobytes()


@pytest.mark.parametrize("N, C", [(0, 2), (2, 0)])
def test_argmax_windows_without_images_or_channels_is_empty(N, C):
    x, static = np.ones((N, C, 4, 5), np.float32), windows((3, 2), (1, 1), (1, 0))
    got, want = (run(ops.argmax_windows, x, **static) for run in (accelerated, specified))
    assert got.shape == want.shape == (N, C, 4, 4) and got.dtype == want.dtype == np.intp


@pytest.mark.parametrize("fill", [-math.inf, math.nan, math.inf, 0.0])
@both_dtypes
def test_a_window_of_equal_values_has_its_maximum_at_its_first_pixel(fill, dtype):
    """... which is not a place that padding adds, even if no pixel is larger than that."""
    x, static = np.full((2, 1, 4, 3), fill, dtype), windows((3, 2), (1, 1), (1, 1))
    first = [[3 * max(y - 1, 0) + max(z - 1, 0) for z in range(4)] for y in range(4)]
    for run in (accelerated, specified):
        found = run(ops.argmax_windows, x, **static)
        np.testing.assert_array_equal(found, np.broadcast_to(first, (2, 1, 4, 4)))


STATIC = {
    ops.argmax_windows: windows((3, 2), (2, 1), (1, 0)),
    ops.pixel_shuffle: {"upscale_factor": 2},
    ops.pixel_unshuffle: {"downscale_factor": 2},
}


def test_loops_are_compiled_for_one_layout_alone_whatever_the_layout_of_the_arguments():
    """Each further layout that reaches a loop costs its first caller seconds of compilation."""
    for dtype, layout in product(DTYPES, LAYOUTS.values()):
        for primitive, static in STATIC.items():
            accelerated(primitive, layout(normal(9, 4, 6, 4, dtype=dtype)), **static)
    loops = compiled_in(pooling).values()
    assert sum(len(loop.nopython_signatures) >= len(DTYPES) for loop in loops) == 2
    for loop in loops:
        for signature in loop.nopython_signatures:
            arrays = [a for a in signature.args if hasattr(a, "layout")]
            assert all(a.layout == "C" and a.mutable and a.aligned for a in arrays), arrays


@pytest.mark.parametrize("dtype", [np.float16, np.complex128, np.int64, np.uint8, bool, ">f4"])
@each(MOVES)
def test_other_dtypes_are_computed_by_the_forward(primitive, dtype):
    x = (2 * normal(2, 4, 4, 6)).real.astype(dtype)
    if primitive is ops.argmax_windows and np.dtype(dtype).kind == "c":
        x = (2 * normal(2, 4, 4, 6)).astype(dtype)
    got = evaluate(primitive, [x], STATIC[primitive])
    np.testing.assert_array_equal(got, specified(primitive, x, **STATIC[primitive]), strict=True)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_factor_of_2_0_is_one_of_2(backend):
    """The check lets it pass, so that both ways of computing must take it."""
    x = Tensor(normal(2, 4, 4, 6))
    with kernels.backend(backend):
        for shuffle in (ops.pixel_shuffle, ops.pixel_unshuffle):
            np.testing.assert_array_equal(shuffle(x, 2.0).numpy(), shuffle(x, 2).numpy())


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_window_that_does_not_fit_is_refused(backend):
    x = Tensor(normal(2, 4, 2, 2))
    with kernels.backend(backend), pytest.raises(ValueError, match="argmax_windows: .* not fit"):
        ops.argmax_windows(x, **windows((3, 3), (1, 1), (0, 0)))
