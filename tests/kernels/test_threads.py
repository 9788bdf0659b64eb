"""Kernels on several threads: numba's, whose number must not be seen, and Python's own."""

import pytest

from tests.kernels.helpers import output

NORMAL = """
import hashlib, sys, threading
import numpy as np, numba
from minigrad import ops
from minigrad.core.primitive import evaluate
from minigrad.kernels import adam, elementwise, gemm

def normal(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)

def compute(primitive, *arrays, **static):
    assert primitive.kernel.results(*arrays, **static) is not None
    return evaluate(primitive, arrays, static)

whole = {"keepdims": False}
"""

WORK = (
    NORMAL
    + """
def work():
    "A digest of the bits of whatever is large enough to be shared out among threads."
    digest = hashlib.sha256()
    shapes = (101, 300, 131), (5000, 40, 10), (10, 700, 200), (48, 1100, 256)
    for N, K, M in *shapes, (600, 500, 131), (20, 512, 1100):
        assert N * K * M > gemm.SERIAL
        a, b = normal(N, K), normal(K, M)
        for left in (a, a.T.copy().T):
            for right in (b, b.T.copy().T):
                digest.update(compute(ops.bmm, left, right))
                digest.update(compute(ops.linear, left, right.T, normal(M)))
    p, g, m, v = normal(4, 3 * adam.PIECE + 5)
    states = p, m, abs(v), np.array(0), g
    compute(ops.updates.adam_, np.array(1e-3), *states, betas=(0.9, 0.999), eps=1e-8)
    digest.update(p)
    x = normal(300, 784)
    assert x.size > elementwise.LARGE
    for array in (compute(ops.exp, x), compute(ops.sum, x, axis=0, **whole),
                  compute(ops.logsumexp, x, axis=1, **whole),
                  compute(ops.leaky_relu, x, negative_slope=0.1),
                  compute(ops.leaky_relu_pull, x, x[::-1], negative_slope=0.1),
                  compute(ops.log_bernoulli, abs(x) % 1, x)):
        digest.update(array)
    return digest.hexdigest()
"""
)

IMAGES = (
    NORMAL
    + """
from minigrad.ops.images import window_places
from minigrad.ops.normalization import _batch_norm

def work():
    digest = hashlib.sha256()
    for C, F, size, kernel, stride in (
        (1, 32, 28, 4, 2), (32, 64, 14, 4, 2), (16, 32, 14, 3, 1), (8, 1, 28, 3, 1)
    ):
        size, kernel = (size, size), (kernel, kernel)
        how = {"stride": (stride, stride), "padding": (1, 1)}
        places = window_places(size, kernel, *how.values())
        assert 64 * C * F * np.prod(places) * np.prod(kernel) > stride ** 2 * gemm.SERIAL
        x, w, g = normal(64, C, *size), normal(F, C, *kernel), normal(64, F, *places)
        for result in (compute(ops.convolution, x, w, normal(F), **how),
                       compute(ops.convolution_transpose, g, w, **how, size=size),
                       compute(ops.convolution_weight, x, g, **how, kernel=kernel)):
            digest.update(result)
    x = normal(64, 32, 14, 14)
    digest.update(compute(ops.pixel_shuffle, x, upscale_factor=2))
    digest.update(compute(ops.pixel_unshuffle, x, downscale_factor=2))
    for shape in (64, 32, 196), (64, 3136, 1):
        x = normal(*shape)
        mean, variance = compute(ops.moments, x)
        pull, total = (compute(p, x[::-1].copy(), x, mean, variance, eps=1e-5)
                       for p in (ops.batch_norm_pull, ops.normalized_sum))
        both = compute(_batch_norm, x, mean, variance, eps=1e-5)
        for result in mean, variance, *both, pull, total:
            digest.update(result)
    return digest.hexdigest()
"""
)


@pytest.mark.parametrize("code", [WORK, IMAGES], ids=["rows", "images"])
def test_the_bits_of_a_result_do_not_depend_on_the_number_of_threads(code, tmp_path):
    """... nor on whether this process has compiled the kernels, as the first of these does, or
    loads them, and LLVM saw less at a time."""
    code += "\nfor n in range(numba.config.NUMBA_NUM_THREADS, 0, -1):\n"
    code += "    numba.set_num_threads(n); print(work())"
    lines = [output(code, NUMBA_NUM_THREADS=str(n), XDG_CACHE_HOME=str(tmp_path)).split()
             for n in (1, 2, 4)]  # fmt: skip
    assert [len(line) for line in lines] == [1, 2, 4]
    assert len(set(sum(lines, []))) == 1


@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_two_python_threads_may_enter_parallel_kernels_at_once(layer):
    """numba's workqueue layer ends the process when that happens to it."""
    code = """
work()
sys.setswitchinterval(1e-5)
results = []
threads = [threading.Thread(target=lambda: results.extend(work() for _ in range(20)))
           for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(results), len(set(results)), numba.threading_layer())
"""
    found = output(WORK + code, NUMBA_NUM_THREADS="2", NUMBA_THREADING_LAYER=layer).split()
    assert found[:2] == ["40", "1"]
    assert layer in ("default", found[2])
