"""minigrad.kernels on images: convolution, maxima, pixel shuffling, batch normalisation.

As in test_kernels.py, the oracle is the specification in long double. A convolution is a sum of n
products: it is allowed n · eps · the same sum of absolute values.
"""

import math
from contextlib import nullcontext
from itertools import product
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.kernels import conv, gemm, images, normalize, specification
from tests.test_kernels import (
    DTYPES,
    IMAGE_KERNELS,
    LANES,
    LAYOUTS,
    both_dtypes,
    layout_of,
    output,
    run,
    truth,
)

CONVOLUTIONS = ["conv2d", "conv_transpose2d", "conv2d_weight"]


def all_cut():
    """Inside the block, every batch is cut into blocks of images, however little there is to do."""
    return mock.patch.object(conv, "SERIAL", 0)


def normal(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def geometry_of(size, kernel, stride, padding):
    """The places, and for each convolution the arguments that follow the two arrays."""
    places = specification.window_places(size, kernel, stride, padding)
    how = stride, padding
    rest = {"conv2d": how, "conv_transpose2d": (*how, size), "conv2d_weight": (*how, kernel)}
    return places, rest


def operands(name, x, w, g):
    """The image x, the kernel w and the result g of one geometry: the two that are given; and for
    conv2d a bias. Or their shapes."""
    bias = w[:1] if isinstance(w, tuple) else normal(len(w), dtype=w.dtype, seed=3)
    return {"conv2d": (x, w, bias), "conv_transpose2d": (g, w), "conv2d_weight": (x, g)}[name]


# What is allowed


def terms(name, a, b):
    """How many terms the sums have: channels and kernel and the bias, filters and kernel, or all
    places."""
    return {
        "conv2d": math.prod(b.shape[1:]) + 1,
        "conv_transpose2d": len(b) * math.prod(b.shape[2:]),
        "conv2d_weight": len(b) * math.prod(b.shape[2:]),
    }[name]


def assert_within(got, want, allowed):
    """NaN counts as off."""
    error, allowed = np.abs(got - want), np.broadcast_to(allowed, want.shape)
    wrong = np.argwhere(~(error <= allowed))
    assert not len(wrong), (
        f"{len(wrong)} of {got.size} wrong, the first at {wrong[0]}: off by "
        f"{error[tuple(wrong[0])]:.3g}, allowed {allowed[tuple(wrong[0])]:.3g}"
    )


def absolute(args):
    return [np.abs(a) if isinstance(a, np.ndarray) else a for a in args]


def assert_convolution(name, got, args):
    eps = np.finfo(got.dtype).eps
    allowed = terms(name, *args[:2]) * eps * truth(name, *absolute(args))
    assert_within(got, truth(name, *args), allowed)


def assert_moments(got, x):
    """Sums, of at most N + L additions one after another, are in double precision.

    The variance is taken about the mean as it was computed and rounded, m. The mean of (x − m)² is
    larger than the true variance by (m − mean)². Before it is added up, (x − m)² is rounded thrice,
    counting twice what is squared, and the division after it rounds once.
    """
    (N, _, L), eps = x.shape, np.finfo(x.dtype).eps
    sums = (N + L) * np.finfo(np.float64).eps
    mean, variance = truth("moments", x)
    assert_within(got[0], mean, (sums + eps) * truth("moments", np.abs(x))[0])
    about = variance + (got[0] - mean) ** 2
    assert_within(got[1], about, (sums + 4 * eps) * about)


def assert_normalize_pull(got, g, x, mean, r):
    """Besides the sums, ten roundings: of x − mean, its product with g, ⟨·⟩, r twice, slope ·
    (x − mean), the two differences, and the last product; all are of the magnitude below."""
    (N, _, L), eps = x.shape, np.finfo(x.dtype).eps
    y = np.abs(r[:, None] * (x.astype(np.longdouble) - mean[:, None]))
    along = (np.abs(g) * y).mean(axis=(0, 2))[:, None]
    magnitude = np.abs(g) + np.abs(g).mean(axis=(0, 2))[:, None] + y * along
    sums = (N + L) * np.finfo(np.float64).eps
    allowed = (sums + 10 * eps) * np.abs(r[:, None]) * magnitude
    assert_within(got, truth("normalize_pull", g, x, mean, r), allowed)


def assert_right(name, got, args):
    if name in CONVOLUTIONS:
        assert_convolution(name, got, args)
    elif name in ("argmax_windows", "pixel_shuffle", "pixel_unshuffle"):  # nothing is rounded
        np.testing.assert_array_equal(got, truth(name, *args))
    elif name == "moments":
        assert_moments(got, *args)
    elif name == "affine":  # three roundings, or two if the product is not rounded
        allowed = 2 * np.finfo(got.dtype).eps * truth("affine", *absolute(args))
        assert_within(got, truth("affine", *args), allowed)
    elif name == "normalized_sum":  # four roundings besides the sums: x − mean, · g, the sum, · r
        sums = sum(args[1].shape) * np.finfo(np.float64).eps
        allowed = (sums + 4 * np.finfo(got.dtype).eps) * normalized_magnitude(*args)
        assert_within(got, truth("normalized_sum", *args), allowed)
    else:
        assert name == "normalize_pull"
        assert_normalize_pull(got, *args)


def normalized_magnitude(g, x, mean, r):
    distance = np.abs(x.astype(np.longdouble) - mean[:, None])
    return np.abs(r) * (np.abs(g) * distance).sum(axis=(0, 2))


# The two versions


def with_ties(generator, shape):
    chances = [0.2, 0.2, 0.1, 0.1, 0.2, 0.1, 0.1]
    return generator.choice([-2, -1, -0.0, 0.0, 1, math.inf, math.nan], shape, p=chances)


@st.composite
def geometries(draw, pooled):
    """Size, kernel, stride and padding. Of a window that is pooled, some must be in the image."""
    sides = []
    for _ in "HW":
        kernel, stride = draw(st.integers(1, 5)), draw(st.integers(1, 3))
        padding = draw(st.integers(0, kernel // 2 if pooled else 3))
        size = draw(st.integers(max(1, kernel - 2 * padding), 12))
        sides.append((size, kernel, stride, padding))
    return tuple(zip(*sides, strict=True))


@st.composite
def arguments(draw, name, dtype):
    def array(*shape, values=np.random.Generator.standard_normal):
        return draw(layout_of(values, shape, dtype))

    N, C = draw(st.sampled_from([1, 2, 3, 4, 5, 40])), draw(st.integers(1, 4))
    if name in ("moments", "affine", "normalize_pull", "normalized_sum"):
        L, offset = draw(st.integers(1, 40)), draw(st.sampled_from([0, 100]))
        x = array(N, C, L, values=lambda generator, shape: offset + generator.normal(size=shape))
        mean, r = normal(2, C, dtype=dtype, seed=N)
        if name.startswith("normalize"):
            return array(N, C, L), x, offset + mean, r
        return (x,) if name == "moments" else (x, mean, r)
    if name in ("pixel_shuffle", "pixel_unshuffle"):
        r, H, W = (draw(st.integers(*ends)) for ends in ((1, 4), (0, 4), (0, 4)))
        shape = (C * r**2, H, W) if name == "pixel_shuffle" else (C, H * r, W * r)
        return array(N, *shape), r
    size, kernel, stride, padding = draw(geometries(pooled=name == "argmax_windows"))
    if name == "argmax_windows":
        return array(N, C, *size, values=with_ties), kernel, stride, padding
    places, rest = geometry_of(size, kernel, stride, padding)
    if name != "conv2d" and draw(st.booleans()):  # places at the far edges may be left out
        places = tuple(max(1, n - 1) for n in places)
    F = draw(st.integers(1, 9))
    shapes = operands(name, (N, C, *size), (F, C, *kernel), (N, F, *places))
    return *(array(*shape) for shape in shapes), *rest[name]


@pytest.mark.parametrize("name", IMAGE_KERNELS)
@both_dtypes
@settings(deadline=None, max_examples=120, derandomize=True)
@given(data=st.data())
def test_kernel_computes_what_is_specified_whatever_the_shape_and_layout(name, dtype, data):
    """... into fresh arrays of the dtype, C-contiguous and writable; arguments stay as they are"""
    args = data.draw(arguments(name, dtype))
    arrays = [a for a in args if isinstance(a, np.ndarray)]
    before = [a.tobytes() for a in arrays]
    with all_cut() if data.draw(st.booleans(), label="cut into blocks") else nullcontext():
        got = run(name, *args)
    assert [a.tobytes() for a in arrays] == before
    with np.errstate(all="ignore"):
        want = getattr(specification, name)(*args)
    pairs = zip(got, want, strict=True) if name == "moments" else [(got, want)]
    for array, specified in pairs:
        assert isinstance(array, np.ndarray) and array.shape == specified.shape
        assert array.dtype == specified.dtype == (np.intp if name == "argmax_windows" else dtype)
        assert array.flags.c_contiguous and array.flags.writeable
        assert not any(np.shares_memory(array, a) for a in arrays)
    assert_right(name, got, args)


@pytest.mark.parametrize("N, C, F", [(0, 2, 2), (2, 0, 2), (2, 2, 0), (0, 0, 0)])
@pytest.mark.parametrize("name", CONVOLUTIONS)
@both_dtypes
def test_convolution_without_images_or_channels_or_filters_is_an_empty_sum(name, dtype, N, C, F):
    size, kernel = (4, 5), (3, 2)
    places, rest = geometry_of(size, kernel, (1, 2), (1, 0))
    shapes = operands(name, (N, C, *size), (F, C, *kernel), (N, F, *places))
    args = *(np.ones(shape, dtype) for shape in shapes), *rest[name]
    got, want = run(name, *args), getattr(specification, name)(*args)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, want, strict=True)


@pytest.mark.parametrize("N, C", [(0, 2), (2, 0)])
def test_argmax_windows_without_images_or_channels_is_empty(N, C):
    args = np.ones((N, C, 4, 5), np.float32), (3, 2), (1, 1), (1, 0)
    got, want = run("argmax_windows", *args), specification.argmax_windows(*args)
    assert got.shape == want.shape == (N, C, 4, 4) and got.dtype == want.dtype == np.intp


@pytest.mark.parametrize("fill", [-math.inf, math.nan, math.inf, 0.0])
@both_dtypes
def test_a_window_of_equal_values_has_its_maximum_at_its_first_pixel(fill, dtype):
    """... which is not a place that padding adds, even if no pixel is larger than that."""
    args = np.full((2, 1, 4, 3), fill, dtype), (3, 2), (1, 1), (1, 1)
    first = [[3 * max(y - 1, 0) + max(z - 1, 0) for z in range(4)] for y in range(4)]
    for found in (run("argmax_windows", *args), specification.argmax_windows(*args)):
        np.testing.assert_array_equal(found, np.broadcast_to(first, (2, 1, 4, 4)))


def run_all(dtype, layout):
    """Every kernel here once, and what may be cut into blocks both ways."""
    x, w, g, flat = (
        layout(normal(*shape, dtype=dtype))
        for shape in ((9, 4, 6, 4), (6, 4, 3, 2), (9, 6, 3, 3), (9, 4, 24))
    )
    how = (3, 2), (2, 1), (1, 0)
    _, rest = geometry_of(x.shape[2:], *how)
    for name in CONVOLUTIONS:
        for cut in (nullcontext(), all_cut()):
            with cut:
                run(name, *operands(name, x, w, g), *rest[name])
    run("argmax_windows", x, *how)
    run("pixel_shuffle", x, 2)
    run("pixel_unshuffle", x, 2)
    statistics = run("moments", flat)
    run("affine", flat, *statistics)
    run("normalize_pull", flat, flat, *statistics)
    run("normalized_sum", flat, flat, *statistics)


def test_loops_are_compiled_for_one_layout_alone_whatever_the_layout_of_the_arguments():
    """Each further layout that reaches a loop costs its first caller seconds of compilation."""
    loops = {f"{module.__name__}.{name}": f for module in (conv, gemm, images, normalize)
             for name, f in vars(module).items() if hasattr(f, "nopython_signatures")}  # fmt: skip
    for dtype, layout in product(DTYPES, LAYOUTS.values()):
        run_all(dtype, layout)
    compiled = {name: [[a for a in signature.args if hasattr(a, "layout")]
                       for signature in loop.nopython_signatures]
                for name, loop in loops.items()}  # fmt: skip
    assert sum(len(arrays) >= len(DTYPES) for arrays in compiled.values()) >= 8
    for name, signatures in compiled.items():
        for arrays in signatures:
            assert all(a.layout == "C" and a.mutable and a.aligned for a in arrays), (name, arrays)


OTHERS = [np.float16, np.complex128, np.int64, ">f4", "mixed"]
ONE_ARRAY = ["argmax_windows", "moments", "pixel_shuffle", "pixel_unshuffle"]


@pytest.mark.parametrize("name, dtype", [
    (name, dtype) for name, dtype in product(IMAGE_KERNELS, OTHERS)
    if not (name in ONE_ARRAY and dtype == "mixed")
    and not (name == "argmax_windows" and dtype == np.int64)  # its padding is −∞
])  # fmt: skip
def test_other_dtypes_are_computed_by_the_specification(name, dtype):
    how = (3, 2), (2, 1), (1, 0)
    places, rest = geometry_of((4, 6), *how)
    x, w, g = (2 * normal(*shape) for shape in ((2, 4, 4, 6), (2, 4, 3, 2), (2, 2, *places)))
    flat, (mean, r) = x.reshape(2, 4, 24), x[:, :, 0, 0]
    args = {
        "argmax_windows": (x, *how),
        "moments": (flat,),
        "affine": (flat, mean, r),
        "normalize_pull": (flat, flat[::-1], mean, r),
        "normalized_sum": (flat, flat[::-1], mean, r),
        "pixel_shuffle": (x, 2),
        "pixel_unshuffle": (x, 2),
    }
    args = args[name] if name in args else (*operands(name, x, w, g), *rest[name])
    dtypes = [np.float32, *[np.float64] * 3] if dtype == "mixed" else [dtype] * 4
    cast = iter(dtypes)
    args = [a.astype(next(cast)) if isinstance(a, np.ndarray) else a for a in args]
    got, want = run(name, *args), getattr(specification, name)(*args)
    for one, other in zip(got, want, strict=True) if name == "moments" else [(got, want)]:
        np.testing.assert_array_equal(one, other, strict=True)


# Convolution: tiles and blocks


@both_dtypes
def test_convolution_at_the_edges_of_a_tile(dtype):
    """A tile that is not moved back inside leaves elements unwritten, or writes outside. Results
    of all sizes are parts of the largest: filters and places, counted from the first."""
    lanes = LANES[dtype]
    widths = sorted({*range(1, 71), lanes - 1, lanes, lanes + 1, 2 * lanes - 1, 2 * lanes + 1})
    most = widths[-1]
    x, w = normal(1, 2, 1, most + 2, dtype=dtype), normal(12, 2, 1, 3, dtype=dtype)
    for name in ("conv2d", "conv_transpose2d"):
        if name == "conv2d":
            padding, kernel, size = (0, 0), w, ()
            bias = (normal(12, dtype=dtype, seed=3),)
        else:  # with this padding, a pixel of the result is covered as the places of conv2d are
            padding, kernel, size = (0, 2), w.transpose(1, 0, 2, 3).copy(), ((1, most),)
            bias = ()
        args = x, kernel, *bias, (1, 1), padding, *size
        want = truth(name, *args)
        allowed = terms(name, x, kernel) * np.finfo(dtype).eps * truth(name, *absolute(args))
        for F, width in product(range(1, 13), widths):
            part = kernel[:F] if name == "conv2d" else kernel[:, :F]
            size = ((1, width),) if size else ()
            some = (part, *(b[:F] for b in bias))
            got = run(name, x[..., : width + 2], *some, (1, 1), padding, *size)
            assert got.shape == (1, F, 1, width) and got.flags.c_contiguous
            assert_within(got, want[:, :F, :, :width], allowed[:, :F, :, :width])


@both_dtypes
def test_gradient_of_weights_at_the_edges_of_a_tile(dtype):
    """Here tiles cover filters and kernel elements, and the places are summed over."""
    for kernel, width in product((1, 2), (*range(1, 71), 127, 128, 129)):
        x = normal(1, 5, 1, width + kernel - 1, dtype=dtype)
        g = normal(1, 9, 1, width, dtype=dtype, seed=1)
        args = x, g, (1, 1), (0, 0), (1, kernel)
        want = truth("conv2d_weight", *args)
        allowed = width * np.finfo(dtype).eps * truth("conv2d_weight", *absolute(args))
        for F, C in product(range(1, 10), range(1, 6)):
            got = run("conv2d_weight", x[:, :C], g[:, :F], *args[2:])
            assert got.shape == (F, C, 1, kernel) and got.flags.c_contiguous
            assert_within(got, want[:F, :C], allowed[:F, :C])


@pytest.fixture
def cuts(monkeypatch):
    """The names of the kernels that were called since, of those that cut a batch into blocks."""
    called = []
    for name in ("_correlate_blocks", "_weight_blocks"):
        loop = getattr(conv, name)
        monkeypatch.setattr(conv, name, lambda *a, n=name, f=loop: called.append(n) or f(*a))
    return called


# C, F, size, kernel, stride, padding
CUT = {
    "kernels that overlap": (4, 9, (16, 16), (3, 3), (1, 1), (1, 1)),
    "rectangles with strides": (16, 24, (18, 27), (4, 5), (2, 3), (1, 2)),
    "a kernel smaller than the stride": (24, 30, (20, 34), (2, 3), (3, 3), (0, 1)),
    "images of one pixel": (101, 101, (1, 1), (1, 1), (1, 1), (0, 0)),
}


@pytest.mark.parametrize("sizes", CUT.values(), ids=CUT)
@pytest.mark.parametrize("name", CONVOLUTIONS)
@both_dtypes
def test_convolution_cut_into_blocks(name, dtype, sizes, cuts):
    """Blocks are of as many images as a register has lanes: 16, 8, 4 or 2."""
    C, F, size, kernel, stride, padding = sizes
    places, rest = geometry_of(size, kernel, stride, padding)
    x, g = normal(65, C, *size, dtype=dtype), normal(65, F, *places, dtype=dtype, seed=1)
    w = normal(F, C, *kernel, dtype=dtype, seed=2)
    first, second, *bias = operands(name, x, w, g)
    # In double precision: beside the tolerance for float32 its own error is nothing, and for
    # float64 it is of the same kind, so that twice the tolerance is allowed.
    wide = [a.astype(np.float64) for a in (first, second, *bias)]
    scale = terms(name, first, second) * 2 * np.finfo(dtype).eps
    of_images = name != "conv2d_weight"
    function = getattr(specification, name)
    if of_images:
        want, magnitude = function(*wide, *rest[name]), function(*absolute(wide), *rest[name])
    for count in (1, 7, 8, 9, 15, 16, 17, 64, 65):
        cuts.clear()
        some = (first[:count], *((second, *bias) if of_images else (second[:count],)))
        got = run(name, *some, *rest[name])
        if count >= 64:
            assert cuts, "not cut: this test needs larger sizes"
        if of_images:
            assert_within(got, want[:count], scale * magnitude[:count])
        else:
            some = [a[:count] for a in wide]
            magnitude = function(*absolute(some), *rest[name])
            assert_within(got, function(*some, *rest[name]), scale * count / 65 * magnitude)


# NaN and infinity in a pixel


@pytest.mark.parametrize("special", [math.nan, math.inf])
@pytest.mark.parametrize("how", [((3, 3), (1, 1), (1, 1)), ((4, 2), (2, 3), (1, 0))], ids=str)
@pytest.mark.parametrize(
    "name, place", [(name, 0) for name in CONVOLUTIONS] + [("conv2d_weight", 1)]
)
def test_nan_and_infinity_reach_the_elements_that_their_pixel_takes_part_in(
    name, place, how, special
):
    """... and no others: neither of other images in the block, nor beyond an edge. One block is
    full and one is not."""
    size, (kernel, stride, padding) = (6, 7), how
    places, rest = geometry_of(size, kernel, stride, padding)
    shapes = operands(name, (17, 2, *size), (6, 2, *kernel), (17, 6, *places))
    arrays = [1 + np.abs(normal(*shape, dtype=np.float32)) for shape in shapes]
    rounding = 2 * terms(name, *arrays[:2]) * np.finfo(np.float32).eps  # nothing cancels
    with all_cut():
        clean = run(name, *arrays, *rest[name])
        for n, c in ((0, 1), (1, 0), (16, 1)):
            for pixel in np.ndindex(arrays[place].shape[2:]):
                spoilt = [a.copy() for a in arrays]
                spoilt[place][n, c][pixel] = special
                with np.errstate(all="ignore"):
                    touched = ~np.isfinite(getattr(specification, name)(*spoilt, *rest[name]))
                got = run(name, *spoilt, *rest[name])
                where = f"pixel {pixel} of channel {c} of image {n}"
                reached = ~np.isfinite(got)
                np.testing.assert_array_equal(reached, touched, err_msg=where)
                some = got[~reached], clean[~reached]
                np.testing.assert_allclose(*some, rounding, err_msg=where)


# Batch normalisation


@pytest.mark.parametrize("shape", [(4096, 2, 1), (64, 2, 49), (5, 3, 784), (1, 1, 1), (1, 1, 9)])
@pytest.mark.parametrize("mean", [1e4, -3e6])
@both_dtypes
def test_variance_of_data_far_from_zero(dtype, mean, shape):
    """The mean of squares minus the square of the mean would have lost all digits in float32."""
    x = (mean + normal(*shape)).astype(dtype)
    assert_moments(run("moments", x), x)
    if shape[2] == 1:  # rows of one number: all that is added up is, in double precision
        double = shape[0] * np.finfo(np.float64).eps
        off = np.spacing(dtype(abs(mean))) + double * abs(mean)  # of the mean
        variance = truth("moments", x)[1]
        allowed = (6 * np.finfo(dtype).eps + double) * variance + off**2
        assert_within(run("moments", x)[1], variance, allowed)


@both_dtypes
def test_variance_of_equal_numbers_is_zero(dtype):
    mean, variance = run("moments", np.full((5, 2, 8), 3, dtype))
    assert (mean == 3).all() and (variance == 0).all()


@pytest.mark.parametrize("special", [math.nan, math.inf])
@both_dtypes
def test_nan_and_infinity_stay_in_their_channel(dtype, special):
    for place in np.ndindex(3, 2, 9):
        x, g, r = normal(3, 2, 9, dtype=dtype), normal(3, 2, 9, dtype=dtype, seed=1), np.ones(2)
        x[place] = special
        mean, variance = run("moments", x)
        rows = [mean, variance, run("normalize_pull", g, x, mean, r.astype(dtype))]
        for one in (row.swapaxes(0, 1) if row.ndim == 3 else row for row in rows):
            assert np.isfinite(one[1 - place[1]]).all() and not np.isfinite(one[place[1]]).any()


# Threads


WORK = """
import hashlib
import numpy as np, numba
from minigrad import kernels
from minigrad.kernels import gemm
from minigrad.kernels.specification import window_places

def normal(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)

def work():
    digest = hashlib.sha256()
    for C, F, size, kernel, stride in (
        (1, 32, 28, 4, 2), (32, 64, 14, 4, 2), (16, 32, 14, 3, 1), (8, 1, 28, 3, 1)
    ):
        size, kernel, how = (size, size), (kernel, kernel), ((stride, stride), (1, 1))
        places = window_places(size, kernel, *how)
        assert 64 * C * F * np.prod(places) * np.prod(kernel) > stride ** 2 * gemm.SERIAL
        x, w, g = normal(64, C, *size), normal(F, C, *kernel), normal(64, F, *places)
        transposed = kernels.conv_transpose2d(g, w, *how, size)
        for result in (kernels.conv2d(x, w, normal(F), *how), transposed,
                       kernels.conv2d_weight(x, g, *how, kernel)):
            digest.update(result)
    x = normal(64, 32, 14, 14)
    for result in kernels.pixel_shuffle(x, 2), kernels.pixel_unshuffle(x, 2):
        digest.update(result)
    for shape in (64, 32, 196), (64, 3136, 1):
        x = normal(*shape)
        mean, variance = kernels.moments(x)
        pull = kernels.normalize_pull(x[::-1].copy(), x, mean, variance)
        total = kernels.normalized_sum(x[::-1].copy(), x, mean, variance)
        for result in mean, variance, kernels.affine(x, mean, variance), pull, total:
            digest.update(result)
    return digest.hexdigest()
"""


def test_the_bits_of_a_result_do_not_depend_on_the_number_of_threads():
    masks = "\nfor n in range(numba.config.NUMBA_NUM_THREADS, 0, -1):\n"
    code = WORK + masks + "    numba.set_num_threads(n); print(work())"
    lines = [output(code, NUMBA_NUM_THREADS=str(n)).split() for n in (1, 2, 4)]
    assert [len(line) for line in lines] == [1, 2, 4]
    assert len(set(sum(lines, []))) == 1
