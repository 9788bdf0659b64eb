"""The kernels of convolution and of its gradients: tiles, blocks of images, NaN in a pixel.

A convolution is a sum of n products: it is allowed n · eps · the same sum of absolute values.
"""

import math
from contextlib import nullcontext
from itertools import product
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad import Tensor, ops
from minigrad.core.primitive import evaluate
from minigrad.kernels import conv, gemm
from minigrad.ops.images import window_places
from tests.kernels.helpers import (
    CONVOLUTIONS,
    DTYPES,
    LANES,
    LAYOUTS,
    absolute,
    accelerated,
    arrays_of,
    assert_accelerated,
    assert_within,
    both_dtypes,
    compiled_in,
    each,
    layout_of,
    normal,
    specified,
    truth,
)

each_convolution = each(CONVOLUTIONS)


def all_cut():
    """Inside the block, every batch is cut into blocks of images, however little there is to do."""
    return mock.patch.object(conv, "SERIAL", 0)


def geometry_of(size, kernel, stride, padding):
    """The places, and for each convolution its static arguments."""
    places, how = window_places(size, kernel, stride, padding), {"stride": stride}
    how["padding"] = padding
    own = ({}, {"size": size}, {"kernel": kernel})
    return places, {p: how | more for p, more in zip(CONVOLUTIONS, own, strict=True)}


def operands(primitive, x, w, g):
    """The image x, the kernel w and the result g of one geometry: the two that are given; and for
    convolution a bias. Or their shapes."""
    bias = w[:1] if isinstance(w, tuple) else normal(len(w), dtype=w.dtype, seed=3)
    return [[x, w, bias], [g, w], [x, g]][CONVOLUTIONS.index(primitive)]


def terms(primitive, a, b):
    """How many terms the sums have: channels and kernel and the bias, filters and kernel, or all
    places."""
    if primitive is ops.convolution:
        return math.prod(b.shape[1:]) + 1
    return len(b) * math.prod(b.shape[2:])


def assert_convolution(primitive, got, arrays, static):
    eps = np.finfo(got.dtype).eps
    allowed = terms(primitive, *arrays[:2]) * eps * truth(primitive, *absolute(arrays), **static)
    assert_within(got, truth(primitive, *arrays, **static), allowed)


@st.composite
def geometries(draw):
    """Size, kernel, stride and padding."""
    sides = []
    for _ in "HW":
        kernel, stride = draw(st.integers(1, 5)), draw(st.integers(1, 3))
        padding = draw(st.integers(0, 3))
        size = draw(st.integers(max(1, kernel - 2 * padding), 12))
        sides.append((size, kernel, stride, padding))
    return tuple(zip(*sides, strict=True))


@each_convolution
@both_dtypes
@settings(deadline=None, max_examples=120, derandomize=True)
@given(data=st.data())
def test_kernel_computes_what_is_specified_whatever_the_shape_and_layout(primitive, dtype, data):
    def array(*shape):
        return data.draw(layout_of(np.random.Generator.standard_normal, shape, dtype))

    N, C = data.draw(st.sampled_from([1, 2, 3, 4, 5, 40])), data.draw(st.integers(1, 4))
    size, kernel, stride, padding = data.draw(geometries())
    places, static = geometry_of(size, kernel, stride, padding)
    F = data.draw(st.integers(1, 9))
    shapes = operands(primitive, (N, C, *size), (F, C, *kernel), (N, F, *places))
    arrays = [array(*shape) for shape in shapes]
    with all_cut() if data.draw(st.booleans(), label="cut into blocks") else nullcontext():
        got = assert_accelerated(primitive, arrays, static[primitive], dtype)
    assert_convolution(primitive, got, arrays, static[primitive])


@pytest.mark.parametrize("places", [(3, 2), (3, 4), (5, 3), (0, 3)])
def test_other_places_than_the_kernel_has_are_refused_before_it_runs(places):
    """It would read, or write, past the end of an image. Here there are (4, 3)."""
    how = {"stride": (1, 2), "padding": (1, 0)}
    x, w, g = normal(2, 3, 4, 6), normal(5, 3, 3, 2), normal(2, 5, *places)
    with pytest.raises(ValueError, match="convolution_transpose: .* has .* places"):
        ops.convolution_transpose(Tensor(g), Tensor(w), **how, size=(4, 6))
    with pytest.raises(ValueError, match="convolution_weight: .* has .* places"):
        ops.convolution_weight(Tensor(x), Tensor(g), **how, kernel=(3, 2))


@pytest.mark.parametrize("N, C, F", [(0, 2, 2), (2, 0, 2), (2, 2, 0), (0, 0, 0)])
@each_convolution
@both_dtypes
def test_convolution_without_images_or_channels_or_filters_is_an_empty_sum(
    primitive, dtype, N, C, F
):
    size, kernel = (4, 5), (3, 2)
    places, static = geometry_of(size, kernel, (1, 2), (1, 0))
    shapes = operands(primitive, (N, C, *size), (F, C, *kernel), (N, F, *places))
    arrays = [np.ones(shape, dtype) for shape in shapes]
    got = evaluate(primitive, arrays, static[primitive])
    assert got.dtype == dtype
    np.testing.assert_array_equal(
        got, specified(primitive, *arrays, **static[primitive]), strict=True
    )


@each_convolution
def test_pairs_may_be_lists_of_whole_numbers_of_any_kind(primitive):
    """For a user of the primitives themselves; conv2d makes them pairs of int."""
    places, static = geometry_of((4, 6), (3, 2), (1, 2), (1, 0))
    x, w, g = normal(2, 3, 4, 6), normal(5, 3, 3, 2), normal(2, 5, *places)
    arrays = operands(primitive, x, w, g)
    want = accelerated(primitive, *arrays, **static[primitive])
    for kind in (list, lambda pair: tuple(np.array(pair)), np.array):
        other = {name: kind(pair) for name, pair in static[primitive].items()}
        np.testing.assert_array_equal(accelerated(primitive, *arrays, **other), want)


def test_loops_are_compiled_for_one_layout_alone_whatever_the_layout_of_the_arguments():
    """Each further layout that reaches a loop costs its first caller seconds of compilation."""
    loops = compiled_in(conv, gemm)
    shapes = (9, 4, 6, 4), (6, 4, 3, 2), (9, 6, 3, 3)
    _, static = geometry_of((6, 4), (3, 2), (2, 1), (1, 0))
    for dtype, layout in product(DTYPES, LAYOUTS.values()):
        arrays = [layout(normal(*shape, dtype=dtype)) for shape in shapes]
        for primitive, cut in product(CONVOLUTIONS, (nullcontext, all_cut)):
            with cut():
                accelerated(primitive, *operands(primitive, *arrays), **static[primitive])
    compiled = {name: [*map(arrays_of, loop.nopython_signatures)] for name, loop in loops.items()}
    assert sum(len(arrays) >= len(DTYPES) for arrays in compiled.values()) >= 3
    for name, signatures in compiled.items():
        for arrays in signatures:
            assert all(a.layout == "C" and a.mutable and a.aligned for a in arrays), (name, arrays)


@pytest.mark.parametrize("dtype", [np.float16, np.complex128, np.int64, ">f4"])
@each_convolution
def test_other_dtypes_are_computed_by_the_forward(primitive, dtype):
    places, static = geometry_of((4, 6), (3, 2), (2, 1), (1, 0))
    shapes = (2, 4, 4, 6), (2, 4, 3, 2), (2, 2, *places)
    x, w, g = ((2 * normal(*shape)).astype(dtype) for shape in shapes)
    arrays, static = operands(primitive, x, w, g), static[primitive]
    got, want = evaluate(primitive, arrays, static), specified(primitive, *arrays, **static)
    np.testing.assert_array_equal(got, want, strict=True)


# ---- tiles and blocks


@both_dtypes
def test_convolution_at_the_edges_of_a_tile(dtype):
    """Each size of a tile is a loop of its own. Results of all sizes are parts of the largest:
    filters and places, counted from the first."""
    lanes = LANES[dtype]
    widths = sorted({*range(1, 71), lanes - 1, lanes, lanes + 1, 2 * lanes - 1, 2 * lanes + 1})
    most = widths[-1]
    x, w = normal(1, 2, 1, most + 2, dtype=dtype), normal(16, 2, 1, 3, dtype=dtype)
    for primitive in CONVOLUTIONS[:2]:
        forward = primitive is ops.convolution
        if forward:
            padding, kernel, size = (0, 0), w, {}
            bias = (normal(16, dtype=dtype, seed=3),)
        else:  # here a pixel of the result is covered as the places of convolution are
            padding, kernel = (0, 2), w.transpose(1, 0, 2, 3).copy()
            size, bias = {"size": (1, most)}, ()
        how = {"stride": (1, 1), "padding": padding}
        arrays = x, kernel, *bias
        want = truth(primitive, *arrays, **how, **size)
        allowed = truth(primitive, *absolute(arrays), **how, **size)
        allowed = terms(primitive, x, kernel) * np.finfo(dtype).eps * allowed
        for F, width in product(range(1, 17), widths):
            part = kernel[:F] if forward else kernel[:, :F]
            size = {"size": (1, width)} if size else {}
            some = (part, *(b[:F] for b in bias))
            got = accelerated(primitive, x[..., : width + 2], *some, **how, **size)
            assert got.shape == (1, F, 1, width)
            assert_within(got, want[:, :F, :, :width], allowed[:, :F, :, :width])


@both_dtypes
def test_gradient_of_weights_at_the_edges_of_a_tile(dtype):
    """Here tiles cover filters and kernel elements, and the places are summed over."""
    for kernel, width in product((1, 2), (*range(1, 71), 127, 128, 129)):
        x = normal(1, 5, 1, width + kernel - 1, dtype=dtype)
        g = normal(1, 9, 1, width, dtype=dtype, seed=1)
        static = {"stride": (1, 1), "padding": (0, 0), "kernel": (1, kernel)}
        want = truth(ops.convolution_weight, x, g, **static)
        allowed = truth(ops.convolution_weight, *absolute([x, g]), **static)
        allowed = width * np.finfo(dtype).eps * allowed
        whole = accelerated(ops.convolution_weight, x, g, **static)
        for F, C in product(range(1, 10), range(1, 6)):
            got = accelerated(ops.convolution_weight, x[:, :C], g[:, :F], **static)
            assert got.shape == (F, C, 1, kernel)
            assert_within(got, want[:F, :C], allowed[:F, :C])
            np.testing.assert_array_equal(got, whole[:F, :C])  # whatever tile an element is in


@pytest.fixture
def cuts(monkeypatch):
    """The names of the kernels that were called since, of those that cut a batch into blocks."""
    called = []
    for name in ("_correlate_blocks", "_weight_blocks"):
        loop = getattr(conv, name)

        def run(pieces, *arguments, name=name, loop=loop):
            called.extend([name] * (pieces > 1))
            loop(pieces, *arguments)

        monkeypatch.setattr(conv, name, run)
    return called


# C, F, size, kernel, stride, padding
CUT = {
    "kernels that overlap": (4, 9, (16, 16), (3, 3), (1, 1), (1, 1)),
    "rectangles with strides": (16, 24, (18, 27), (4, 5), (2, 3), (1, 2)),
    "a kernel smaller than the stride": (24, 30, (20, 34), (2, 3), (3, 3), (0, 1)),
    "images of one pixel": (131, 131, (1, 1), (1, 1), (1, 1), (0, 0)),
}


@pytest.mark.parametrize("sizes", CUT.values(), ids=CUT)
@each_convolution
@both_dtypes
def test_convolution_cut_into_blocks(primitive, dtype, sizes, cuts):
    """Blocks are of as many images as a register has lanes: 16, 8, 4 or 2."""
    C, F, size, kernel, stride, padding = sizes
    places, static = geometry_of(size, kernel, stride, padding)
    x, g = normal(65, C, *size, dtype=dtype), normal(65, F, *places, dtype=dtype, seed=1)
    w, static = normal(F, C, *kernel, dtype=dtype, seed=2), static[primitive]
    first, second, *bias = operands(primitive, x, w, g)
    # In double precision: beside the tolerance for float32 its own error is nothing, and for
    # float64 it is of the same kind, so that twice the tolerance is allowed.
    wide = [a.astype(np.float64) for a in (first, second, *bias)]
    scale = terms(primitive, first, second) * 2 * np.finfo(dtype).eps
    of_images, function = primitive is not ops.convolution_weight, primitive.forward
    if of_images:
        want, magnitude = function(*wide, **static), function(*absolute(wide), **static)
    for count in (1, 7, 8, 9, 15, 16, 17, 64, 65):
        cuts.clear()
        some = (first[:count], *((second, *bias) if of_images else (second[:count],)))
        got = accelerated(primitive, *some, **static)
        if count >= 64:
            assert cuts, "not cut: this test needs larger sizes"
        if of_images:
            assert_within(got, want[:count], scale * magnitude[:count])
        else:
            some = [a[:count] for a in wide]
            magnitude = function(*absolute(some), **static)
            assert_within(got, function(*some, **static), scale * count / 65 * magnitude)


# ---- NaN and infinity in a pixel


@pytest.mark.parametrize("special", [math.nan, math.inf])
@pytest.mark.parametrize("how", [((3, 3), (1, 1), (1, 1)), ((4, 2), (2, 3), (1, 0))], ids=str)
@pytest.mark.parametrize(
    "primitive, place",
    [(p, 0) for p in CONVOLUTIONS] + [(ops.convolution_weight, 1)],
    ids=lambda value: getattr(value, "name", value),
)
def test_nan_and_infinity_reach_the_elements_that_their_pixel_takes_part_in(
    primitive, place, how, special
):
    """... and no others: neither of other images in the block, nor beyond an edge. One block is
    full and one is not."""
    size, (kernel, stride, padding) = (6, 7), how
    places, static = geometry_of(size, kernel, stride, padding)
    static = static[primitive]
    shapes = operands(primitive, (17, 2, *size), (6, 2, *kernel), (17, 6, *places))
    arrays = [1 + np.abs(normal(*shape, dtype=np.float32)) for shape in shapes]
    rounding = 2 * terms(primitive, *arrays[:2]) * np.finfo(np.float32).eps  # nothing cancels
    with all_cut():
        clean = accelerated(primitive, *arrays, **static)
        for n, c in ((0, 1), (1, 0), (16, 1)):
            for pixel in np.ndindex(arrays[place].shape[2:]):
                spoilt = [a.copy() for a in arrays]
                spoilt[place][n, c][pixel] = special
                touched = ~np.isfinite(specified(primitive, *spoilt, **static))
                got = accelerated(primitive, *spoilt, **static)
                where = f"pixel {pixel} of channel {c} of image {n}"
                reached = ~np.isfinite(got)
                np.testing.assert_array_equal(reached, touched, err_msg=where)
                some = got[~reached], clean[~reached]
                np.testing.assert_allclose(*some, rounding, err_msg=where)
