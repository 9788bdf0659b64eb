"""minigrad.kernels: elementwise kernels and reductions, each against the forward it stands for.

helpers.py says what is allowed and why. Products are in test_products.py, images in test_pooling.py
and test_convolution.py; test_normalization.py has the rest.
"""

import math
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

from minigrad import Tensor, ops
from minigrad.core.interpreter import current
from minigrad.core.primitive import evaluate
from tests.kernels.helpers import (
    ACCELERATED,
    ALPHA,
    DTYPES,
    LAYOUTS,
    PRODUCTS,
    PULLS,
    REDUCTIONS,
    TESTED,
    UNARY,
    accelerated,
    arrays_of,
    assert_accelerated,
    both_dtypes,
    compiled_in,
    each,
    layout_of,
    specified,
    truth,
)

pytestmark = pytest.mark.usefixtures("kernels_for_tiny_products")
# exp: what the end of its series and the sum with 1 leave. sigmoid: exp, 1 + e and the quotient.
# softplus: exp, then 2 + e, the quotient u, the series and its product with u. elu: as exp, then
# the difference and the product with alpha. elu_pull: y + alpha and the product. leaky_relu, and
# its pull: the product. expm1: elu without the product. log: m + 1, the quotient, the series, its
# product, and the sum with n log 2. log1p: log, the correction and the sum. tanh: a relative error
# of t = expm1 is one of 2 / (2 + t) ≤ 2 as much, then 2 + t and the quotient.
ULPS = {ops.exp: 2, ops.sigmoid: 4, ops.softplus: 6, ops.elu: 4, ops.elu_pull: 2}
ULPS |= {ops.relu: 0, ops.leaky_relu: 1, ops.leaky_relu_pull: 1}
ULPS |= {ops.expm1: 3, ops.log: 4, ops.log1p: 5, ops.tanh: 7}
LAST = {"axis": -1, "keepdims": False}
MIDDLE = {"axis": 1, "keepdims": False}


def test_every_kernel_is_tested():
    """... here or in the other files that this one names; and each is there at all."""
    assert sorted(ACCELERATED) == sorted(primitive.name for primitive in TESTED)
    for primitive in TESTED:
        assert ACCELERATED[primitive.name] is primitive
        assert primitive.kernel.run is not primitive.forward


def ulp(want, dtype):
    return np.spacing(np.abs(want).astype(dtype))


def tolerance(primitive, arrays, static, want, dtype):
    eps = np.finfo(dtype).eps
    if primitive in ULPS:
        return ULPS[primitive] * ulp(want, dtype)
    wide = [np.abs(a.astype(np.longdouble)) for a in arrays]
    if primitive is ops.log_bernoulli:  # all of one sign; each is rounded as softplus is, or less
        columns = np.broadcast_shapes(arrays[0].shape, arrays[1].shape)[-1]
        return (columns + ULPS[ops.softplus]) * eps * np.abs(want)
    count = arrays[0].size // want.size if want.size else 0
    if primitive is ops.sum:
        return count * eps * wide[0].sum(**static)
    if primitive is ops.logsumexp:  # a relative error of the sum is an absolute one of its log
        return eps * (count + 4 + np.abs(want))
    assert primitive is ops.bmm
    return wide[0].shape[-1] * eps * (wide[0] @ wide[1])


def assert_close(primitive, got, arrays, static):
    """NaN and infinities as in the true value, else within the tolerance of it."""
    want = truth(primitive, *arrays, **static)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        rounded = want.astype(got.dtype)
        special = ~np.isfinite(rounded)
        np.testing.assert_array_equal(got[special], rounded[special])
        error = np.abs(got - want)[~special]
        allowed = tolerance(primitive, arrays, static, want, got.dtype)
        allowed = np.broadcast_to(allowed, want.shape)[~special]
    worst = np.argmax(error - allowed) if error.size else 0
    assert (error <= allowed).all(), (
        f"{primitive.name}: off by {error[worst]}, allowed {allowed[worst]}"
    )


# ---- all of them


def axes_of(ndim):
    """One axis, some, all of them by name, none, or None."""
    some = st.lists(st.integers(-ndim, ndim - 1), max_size=ndim, unique_by=lambda i: i % ndim)
    one = [st.integers(-ndim, ndim - 1), some.map(tuple)] if ndim else [st.just(())]
    return st.one_of(st.none(), *one)


@st.composite
def arguments(draw, primitive, dtype):
    """Arrays, and static arguments."""

    def array(shape, values=lambda generator, shape: 20 * generator.standard_normal(shape)):
        return draw(layout_of(values, shape, dtype))

    if primitive is ops.log_bernoulli:
        shapes = draw(mutually_broadcastable_shapes(num_shapes=2, min_dims=1, min_side=0))
        x, logits = shapes.input_shapes
        return [array(x, np.random.Generator.random), array(logits)], {}
    if primitive is ops.bmm:
        shapes = mutually_broadcastable_shapes(signature="(n,k),(k,m)->(n,m)", max_side=9)
        return [array(s) for s in draw(shapes).input_shapes], {}
    low = 1 if primitive is ops.logsumexp else 0  # which leaves empty arrays to the forward
    shape = draw(array_shapes(min_dims=0, max_dims=4, min_side=low, max_side=9))
    if primitive in PULLS:
        return [array(shape), array(shape)], PULLS[primitive]
    if primitive in UNARY:
        return [array(shape)], UNARY[primitive]
    static = {"axis": draw(axes_of(len(shape))), "keepdims": draw(st.booleans())}
    return [array(shape)], static


@each([*UNARY, *PULLS, *REDUCTIONS, ops.bmm])
@both_dtypes
@settings(deadline=None, max_examples=120, derandomize=True)
@given(data=st.data())
def test_kernel_computes_what_is_specified_whatever_the_shape_and_layout(primitive, dtype, data):
    arrays, static = data.draw(arguments(primitive, dtype))
    got = assert_accelerated(primitive, arrays, static, dtype)
    assert_close(primitive, got, arrays, static)


def run_all(dtype, layout):
    square, cube = layout(np.ones((9, 9), dtype)), layout(np.ones((3, 4, 5), dtype))
    for primitive, static in UNARY.items():
        accelerated(primitive, cube, **static)
    for primitive, static in PULLS.items():
        accelerated(primitive, cube, cube, **static)
    accelerated(ops.log_bernoulli, cube, cube)
    for axis in (1, (0, 2), None, -1):
        accelerated(ops.sum, cube, axis=axis, keepdims=False)
        accelerated(ops.logsumexp, cube, axis=axis, keepdims=False)
    accelerated(ops.bmm, square, square.T)
    accelerated(ops.linear, square, square, square[0])


def test_a_loop_is_compiled_once_for_each_dtype_whatever_the_layout():
    """Each further layout that reaches a loop costs its first caller seconds of compilation."""
    from minigrad.kernels import elementwise, gemm, reduce

    of_one = SimpleNamespace(__name__="LOOPS", **elementwise.LOOPS)
    loops = compiled_in(elementwise, of_one, gemm, reduce)
    for dtype, layout in product(DTYPES, LAYOUTS.values()):
        run_all(dtype, layout)

    def arrays(signature):  # numba compiles anew for other kinds of whole numbers as well
        return tuple(map(str, arrays_of(signature)))

    counts = {name: len(set(map(arrays, f.nopython_signatures))) for name, f in loops.items()}
    assert len(counts) > 10 and counts == {name: min(n, len(DTYPES)) for name, n in counts.items()}


@pytest.mark.parametrize("shapes", [((1, 5), (5,)), ((5,), (3, 1)), ((2, 1, 4), (3, 4))])
def test_log_bernoulli_broadcasts_without_a_warning(shapes):
    arrays = [np.full(shape, 0.5, np.float32) for shape in shapes]
    assert_close(ops.log_bernoulli, accelerated(ops.log_bernoulli, *arrays), arrays, {})


def arguments_of(primitive, x):
    """... that fit, made of a cube."""
    if primitive in REDUCTIONS[:2]:
        return [x], MIDDLE
    if primitive is ops.linear:
        return [x[0], x[1], x[0, 0]], {}
    if primitive in UNARY:
        return [x], UNARY[primitive]
    return [x, x], PULLS.get(primitive, {})


@pytest.mark.parametrize("dtype", [np.int64, np.float16, np.complex128])
@each([*UNARY, *PULLS, *REDUCTIONS, *PRODUCTS])
def test_other_dtypes_are_computed_by_the_forward(primitive, dtype):
    if primitive is ops.logsumexp and dtype == np.int64:
        return  # the door makes them float32: its −∞ is no whole number
    arrays, static = arguments_of(primitive, (np.arange(8).reshape(2, 2, 2) - 3).astype(dtype))
    got = evaluate(primitive, arrays, static, current.interpreter.quietly)
    want = specified(primitive, *arrays, **static)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


@each([*UNARY, *PULLS, *REDUCTIONS, *PRODUCTS])
@both_dtypes
def test_the_other_byte_order_is_computed_as_well(primitive, dtype):
    """Big-endian arrays come out of many file formats; numba can't type them."""
    cube = np.ones((8, 8, 8), np.dtype(dtype).newbyteorder())
    arrays, static = arguments_of(primitive, cube)
    want = truth(primitive, *arrays, **static).astype(dtype)
    np.testing.assert_allclose(evaluate(primitive, arrays, static), want, rtol=1e-6)


# ---- elementwise: the whole range, and special values wherever they stand


SPECIAL = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e30, -1e30, 87.5, -87.5, -101.0, 1.5, -0.3]
SPECIAL += [1e-40, -1e-40, 3e-8]  # 15 in all: in step with no vector


@each([*UNARY, *PULLS])
@both_dtypes
def test_special_values_come_out_as_specified_at_every_place_of_every_length(primitive, dtype):
    """The loop over vectors and the remainder after it are different machine code."""
    arrays, static = [np.array(SPECIAL, dtype)], (UNARY | PULLS)[primitive]
    if primitive in PULLS:  # each with each
        arrays = [np.repeat(arrays[0], len(SPECIAL)), np.tile(arrays[0], len(SPECIAL))]
    with np.errstate(over="ignore", under="ignore"):
        want = truth(primitive, *arrays, **static).astype(dtype)
    for length in range(1, 71):
        for first in range(0, len(want), 1 if len(want) < 70 else 7):
            cycle = np.arange(first, first + length) % len(want)
            some = [a[cycle] for a in arrays]
            got = accelerated(primitive, *some, **static)
            assert_close(primitive, got, some, static)
            zero = got == 0
            signs = np.signbit(got[zero]), np.signbit(want[cycle][zero])
            np.testing.assert_array_equal(*signs, f"sign of 0 for {some[0][zero]}")


@both_dtypes
def test_the_pull_of_slope_0_is_0_where_slope_times_g_would_be_nan(dtype):
    """relu's pull. leaky_relu itself keeps NaN, as PyTorch's does: its forward has slope 0."""
    special, static = np.array(SPECIAL, dtype), {"negative_slope": 0.0}
    arrays = [np.repeat(special, 15), np.tile(special, 15)]
    assert_close(
        ops.leaky_relu_pull, accelerated(ops.leaky_relu_pull, *arrays, **static), arrays, static
    )
    y = ops.leaky_relu(Tensor(special), 0.0).numpy()
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(y, np.where(special > 0, special, 0 * special))


@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf, 0.0, -0.0])
@both_dtypes
def test_one_special_value_in_a_sum_comes_out_as_specified_wherever_it_stands(special, dtype):
    for length in range(1, 71):
        table = np.random.default_rng(length).random((length, length)).astype(dtype)
        place = table.copy()
        np.fill_diagonal(place, special)  # row i has it at place i
        ones = np.ones_like(table)
        for primitive, arrays, static in (
            (ops.sum, [place[None]], MIDDLE),
            (ops.sum, [place[:, :, None]], MIDDLE),
            (ops.logsumexp, [place], LAST),
            (ops.log_bernoulli, [table, place], {}),
            (ops.log_bernoulli, [ones, place], {}),
            (ops.log_bernoulli, [0 * ones, place], {}),
        ):
            assert_close(primitive, accelerated(primitive, *arrays, **static), arrays, static)


@pytest.mark.parametrize("fill", [math.nan, math.inf, -math.inf, -200.0, 3e38])
@both_dtypes
def test_logsumexp_of_equal_values_neither_overflows_nor_loses_infinity(fill, dtype):
    for length in (1, 2, 15, 16, 17, 64):
        x = np.full((2, length), fill, dtype)
        assert_close(ops.logsumexp, accelerated(ops.logsumexp, x, **LAST), [x], LAST)


@both_dtypes
def test_a_sum_of_several_blocks(dtype):
    """... of 4096 each, the last cut short, along rows and down columns."""
    x = np.random.default_rng(0).standard_normal((2, 9000, 3)).astype(dtype)
    for array, axis in ((x, 1), (x[..., :1], 1), (x.transpose(0, 2, 1), 2), (x, None)):
        static = {"axis": axis, "keepdims": False}
        assert_close(ops.sum, accelerated(ops.sum, array, **static), [array], static)


@each(UNARY)
def test_float32_functions_are_accurate_over_their_whole_range(primitive):
    """Every 523rd float32 there is, and every one where eˣ overflows, underflows and ends."""
    bits = np.arange(0, 2**32, 523, np.int64)
    for edge in (88.72284, -87.33654, -103.97208, -104.0, math.log(2) / 2, 1e-8, 17.0):
        middle = int(np.float32(edge).view(np.uint32))
        bits = np.concatenate([bits, np.arange(middle - 3000, middle + 3000)])
        bits = np.concatenate([bits, np.arange(middle - 3000, middle + 3000) ^ 2**31])
    x = bits.astype(np.uint32).view(np.float32)
    x = x[np.isfinite(x) & ((np.abs(x) < 200) | (primitive in (ops.log, ops.log1p)))]
    static = UNARY[primitive]
    got, want = accelerated(primitive, x, **static), truth(primitive, x, **static)
    with np.errstate(over="ignore", under="ignore"):
        rounded = want.astype(np.float32)
    np.testing.assert_array_equal(np.isinf(got), np.isinf(rounded))
    finite = np.isfinite(rounded)
    error = np.abs(got[finite] - want[finite]) / ulp(want[finite], np.float32)
    worst = error.argmax()
    assert error[worst] <= ULPS[primitive], f"{error[worst]} ulps at {x[finite][worst]}"


@each([ops.leaky_relu, ops.leaky_relu_pull])
@both_dtypes
def test_large_arrays_are_cut_into_pieces(primitive, dtype):
    from minigrad.kernels.elementwise import PIECE

    x = 20 * np.random.default_rng(0).standard_normal(3 * PIECE + 77).astype(dtype)
    arrays = [x] if primitive is ops.leaky_relu else [x, x[::-1]]
    static = {"negative_slope": ALPHA}
    assert_close(primitive, accelerated(primitive, *arrays, **static), arrays, static)
