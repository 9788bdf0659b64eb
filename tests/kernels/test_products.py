"""The matrix product's kernel: at the edges of its tiles, and cut into pieces.

A sum of K products is allowed K · eps · the sum of their absolute values; a bias adds one term.
"""

import math
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad import ops
from minigrad.kernels import gemm
from minigrad.kernels.tile import HEIGHT, WIDTH
from tests.kernels.helpers import (
    LANES,
    absolute,
    accelerated,
    assert_accelerated,
    assert_within,
    both_dtypes,
    layout_of,
    output,
    truth,
)

pytestmark = pytest.mark.usefixtures("kernels_for_tiny_products")


def assert_product(got, a, b):
    """NaN and infinities as in the true value, else within the tolerance of it."""
    want = truth(ops.bmm, a, b)
    special = ~np.isfinite(want)
    np.testing.assert_array_equal(got[special], want[special].astype(got.dtype))
    allowed = a.shape[-1] * np.finfo(got.dtype).eps * truth(ops.bmm, *absolute([a, b]))
    assert_within(got[~special], want[~special], allowed[~special])


def assert_linear(got, arrays):
    allowed = (arrays[0].shape[1] + 1) * np.finfo(got.dtype).eps
    allowed = allowed * truth(ops.linear, *absolute(arrays))
    assert_within(got, truth(ops.linear, *arrays), allowed)


@both_dtypes
@settings(deadline=None, max_examples=120, derandomize=True)
@given(data=st.data())
def test_linear_computes_what_is_specified_whatever_the_shape_and_layout(dtype, data):
    N, K, M = (data.draw(st.integers(0, 40)) for _ in "NKM")
    values = np.random.Generator.standard_normal
    arrays = [data.draw(layout_of(values, shape, dtype)) for shape in ((N, K), (M, K), (M,))]
    assert_linear(assert_accelerated(ops.linear, arrays, {}, dtype), arrays)


@both_dtypes
@settings(deadline=None, max_examples=120, derandomize=True)
@given(data=st.data())
def test_a_weights_gradient_is_a_product_whatever_the_shape_and_layout(dtype, data):
    N, K, M = (data.draw(st.integers(0, 40)) for _ in "NKM")
    values = np.random.Generator.standard_normal
    x, g = (data.draw(layout_of(values, shape, dtype)) for shape in ((N, K), (N, M)))
    assert_product(assert_accelerated(ops.linear_weight, [x, g], {}, dtype), g.T, x)


@pytest.mark.parametrize("right", ["b", "b.T"])
@pytest.mark.parametrize("left", ["a", "a.T"])
@both_dtypes
def test_a_product_at_the_edges_of_a_tile(dtype, left, right):
    """Each size of a tile is a loop of its own, and the last register of one may lack columns."""
    lanes = LANES[dtype]
    rows = sorted({*range(1, HEIGHT + 3), lanes - 1, lanes, lanes + 1})
    columns = sorted({*range(1, 71), lanes - 1, lanes, lanes + 1, 2 * lanes - 1, 2 * lanes + 1})
    generator = np.random.default_rng(0)
    for K in (0, 1, 2, 100):
        A = generator.standard_normal((rows[-1], K)).astype(dtype)
        B = generator.standard_normal((K, columns[-1])).astype(dtype)
        want = truth(ops.bmm, A, B)
        allowed = K * np.finfo(dtype).eps * truth(ops.bmm, *absolute([A, B]))
        for N in rows:
            a = A[:N].copy() if left == "a" else A[:N].T.copy().T
            for M in columns:
                b = B[:, :M].copy() if right == "b" else B[:, :M].T.copy().T
                got = accelerated(ops.bmm, a, b)
                assert got.shape == (N, M) and got.dtype == dtype
                within = np.abs(got - want[:N, :M]) <= allowed[:N, :M]
                assert within.all(), f"({N}, {K}) ({K}, {M}): wrong at {np.argwhere(~within)[0]}"


@pytest.mark.parametrize("right", ["b", "b.T"])
@pytest.mark.parametrize("left", ["a", "a.T"])
@pytest.mark.parametrize("shape", [
    (81, 129, 83), (600, 500, 131), (20, 512, 1100), (2, 700, 500), (500, 700, 3), (4, 200, 1000),
    (3, 1100, 256), (12, 600, 448), (23, 300, 1088),  # several depths and panels
    (300, 1100, 131), (70, 1024, 100),  # of a left operand that is packed, too
    (100, 2700, 131),  # or is as large, but has few rows
])  # fmt: skip
@both_dtypes
def test_a_product_cut_into_pieces(dtype, shape, left, right):
    N, K, M = shape
    generator = np.random.default_rng(0)
    a = generator.standard_normal((N, K) if left == "a" else (K, N)).astype(dtype)
    b = generator.standard_normal((K, M) if right == "b" else (M, K)).astype(dtype)
    a, b = a if left == "a" else a.T, b if right == "b" else b.T
    assert_product(accelerated(ops.bmm, a, b), a, b)
    arrays = [a, b.T, generator.standard_normal(M).astype(dtype)]
    assert_linear(accelerated(ops.linear, *arrays), arrays)


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 5), st.booleans())
def test_parts_follow_one_another_and_threads_have_equal_shares(tiles, registers, threads, whole):
    total, parts = tiles * registers, gemm.PARTS * threads
    cut = partial(gemm._cut.py_func, parts=parts, total=total, panel=WIDTH * tiles, whole=whole)
    cuts = [cut(part) for part in range(parts + 1)]
    assert cuts == sorted(cuts)
    assert cuts[:: gemm.PARTS] == [total * thread // threads for thread in range(threads + 1)]
    inner = [at for at in cuts if at not in cuts[:: gemm.PARTS]]
    assert not whole or all(at % (WIDTH * tiles) == 0 for at in inner)


AT_THE_END_OF_MEMORY = """
import ctypes, mmap
import numpy as np
import minigrad.kernels
from minigrad import ops

def at_the_end(x):
    size = -(-x.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = np.frombuffer(mmap.mmap(-1, size + mmap.PAGESIZE), np.uint8)
    after = ctypes.c_void_p(memory.ctypes.data + size)
    assert ctypes.CDLL(None).mprotect(after, mmap.PAGESIZE, 0) == 0
    y = memory[size - x.nbytes : size].view(x.dtype).reshape(x.shape)
    y[...] = x
    return y

for dtype in (np.float32, np.float64):
    for N, K in ((1, 1), (3, 20), (14, 33), (31, 100)):
        for M in (*range(1, 70), 96, 100):
            a, b = np.ones((N, K), dtype), np.ones((K, M), dtype)
            y, a, b, c, d = map(at_the_end, (np.empty((N, M), dtype), a, b, a.T.copy(), b.T.copy()))
            for left in (a, c.T):
                for right in (b, d.T):
                    ops.bmm.kernel.run(y, left, right)
                    assert (y == K).all(), (N, K, M)
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mprotect of Linux's C library")
def test_nothing_is_read_or_written_after_the_end_of_an_array():
    """Each array ends where a page ends, and the next page can't be touched."""
    assert output(AT_THE_END_OF_MEMORY) == "done"


@both_dtypes
def test_a_nan_or_infinity_stays_in_its_row_and_column_of_the_product(dtype):
    for N, M in ((3, 5), (7, LANES[dtype] + 3), (LANES[dtype] + 1, 6)):
        a, b = np.ones((N, 4), dtype), np.ones((4, M), dtype)
        a[N - 1, 3], b[0, M - 1] = math.nan, math.inf
        for left in (a, a.T.copy().T):
            for right in (b, b.T.copy().T):
                assert_product(accelerated(ops.bmm, left, right), left, right)
