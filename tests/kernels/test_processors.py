"""Products and convolutions on narrower registers than this machine's, by numba's CPU override."""

import platform

import pytest

from tests.kernels.helpers import output

CODE = """
import hashlib
import numpy as np
from minigrad import ops
from minigrad.core.primitive import evaluate
from minigrad.kernels import tile, vectors

def compute(primitive, *arrays, **static):
    assert primitive.kernel.results(*arrays, **static) is not None
    return evaluate(primitive, arrays, static)

def check(got, want, size, terms):
    assert got.dtype == dtype
    worst = (np.abs(got - want) / np.maximum(size, 1e-30)).max()
    assert worst <= terms * np.finfo(dtype).eps, (dtype, got.shape, worst)

def normal(*shape):
    return generator.standard_normal(shape).astype(dtype)

generator, digest = np.random.default_rng(0), hashlib.sha256()
for dtype in np.float32, np.float64:
    for N, K, M in (1, 3, 1), (5, 1, 9), (7, 40, 33), (13, 600, 20), (99, 30, 10), (150, 90, 131):
        A, B = normal(N, K), normal(K, M)
        wide = [array.astype(np.longdouble) for array in (A, B)]
        want, size = (np.matmul(*map(f, wide)) for f in (np.array, abs))
        for a in (A, A.T.copy().T):
            for b in (B, B.T.copy().T):
                if a.size * M >= 2**11:
                    y = compute(ops.bmm, a, b)
                    check(y, want, size, K)
                    digest.update(y)
    how = {"stride": (2, 1), "padding": (1, 1)}
    x, w, g = normal(37, 3, 9, 10), normal(5, 3, 4, 3), normal(37, 5, 4, 10)
    calls = (ops.convolution, (x, w, normal(5)), how), (
        ops.convolution_transpose, (g, w), how | {"size": (9, 10)}), (
        ops.convolution_weight, (x, g), how | {"kernel": (4, 3)})
    for primitive, arrays, static in calls:
        wide = [array.astype(np.longdouble) for array in arrays]
        want, size = (primitive.forward(*map(f, wide), **static) for f in (np.array, abs))
        check(compute(primitive, *arrays, **static), want, size, 2000)
print(vectors.REGISTER, tile.HEIGHT, digest.hexdigest())
"""


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="x86's registers")
def test_narrower_registers_compute_the_same(tmp_path):
    """With fused multiply-adds the bits of a product are even the same, whatever the registers."""

    def on(**processor):
        return output(CODE, XDG_CACHE_HOME=str(tmp_path), **processor).split()

    features = "+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma"
    fused = on(NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES=features)
    apart, here = on(NUMBA_CPU_NAME="generic"), on()
    assert fused[:2] == ["32", "6"] and apart[:2] == ["16", "6"]
    assert fused[2] != apart[2]
    if here[:2] == ["64", "14"]:
        assert here[2] == fused[2]
