"""What every kernel promises, whatever it computes, and what the engine promises a kernel."""

import threading

import numpy as np
import pytest

from minigrad import Tensor, kernels, ops, random
from minigrad.core.interpreter import current
from minigrad.core.primitive import evaluate
from minigrad.ops.arithmetic import _chain
from minigrad.ops.normalization import _batch_norm
from minigrad.ops.shapes import _concatenate
from minigrad.ops.updates import adam_, add_one_, average_
from tests.kernels.helpers import (
    ACCELERATED,
    LAYOUTS,
    PULLS,
    TESTED,
    UNARY,
    accelerated,
    both_dtypes,
    each,
    filled,
    several,
    specified,
)

pytestmark = pytest.mark.usefixtures("kernels_for_tiny_products")
# ---- calls of every kernel: the operands' shapes, and static arguments

LIKE = [(), (0,), (1,), (7,), (3, 0, 2), (2, 3, 4), (2, 1, 1, 5), (70,), (33, 65)]
AXES = [
    ((), None), ((), ()), ((5,), 0), ((5,), None), ((3, 4), 1), ((3, 4), (0,)), ((3, 4), ()),
    ((3, 4, 5), 1), ((3, 4, 5), (0, 2)), ((3, 4, 5), (-1, 0)), ((2, 3, 4, 5), (1, 3)), ((3, 1), -2),
]  # fmt: skip
EMPTY = [((0,), 0), ((3, 0), 1), ((0, 3), 1), ((2, 0, 3), None), ((2, 0, 3), 0)]
REDUCED = [
    ([shape], {"axis": axis, "keepdims": keepdims})
    for shape, axis in AXES + EMPTY for keepdims in (False, True)
]  # fmt: skip
BERNOULLI = [
    ((5,), (5,)), ((3, 5), (5,)), ((5,), (2, 3, 1)), ((2, 1, 4), (3, 4)), ((0, 5), (5,)),
    ((3, 0), (3, 0)), ((3, 1), (3, 5)),
]  # fmt: skip
MATRICES = [
    ((2, 3), (3, 4)), ((1, 1), (1, 1)), ((40, 7), (7, 3)), ((0, 3), (3, 4)), ((2, 0), (0, 4)),
    ((2, 3), (3, 0)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((2, 1, 2, 3), (5, 3, 4)),
    ((0, 2, 3), (3, 4)),
]  # fmt: skip
SIZES = [(2, 3, 4), (1, 1, 1), (40, 7, 10), (0, 3, 4), (2, 0, 4), (2, 3, 0)]  # of linear: N, K, M
GEOMETRIES = [  # N, C, F, size, places, kernel, stride, padding
    (2, 3, 4, (5, 6), (5, 6), (3, 3), (1, 1), (1, 1)),
    (17, 1, 6, (6, 7), (3, 3), (4, 2), (2, 3), (1, 1)),
    (1, 2, 1, (1, 1), (1, 1), (1, 1), (1, 1), (0, 0)),
    (3, 2, 2, (7, 8), (3, 2), (2, 3), (3, 4), (1, 0)),  # some pixels are seen by no kernel
]
NORMALIZED = [(2, 3), (5, 1), (1, 4, 9), (3, 2, 1), (4, 3, 5, 6), (40, 7, 2)]


def _convolutions():
    calls = {ops.convolution: [], ops.convolution_transpose: [], ops.convolution_weight: []}
    for N, C, F, size, places, kernel, stride, padding in GEOMETRIES:
        x, w, g = (N, C, *size), (F, C, *kernel), (N, F, *places)
        how = {"stride": stride, "padding": padding}
        calls[ops.convolution].append(([x, w, (F,)], how))
        calls[ops.convolution_transpose].append(([g, w], how | {"size": size}))
        calls[ops.convolution_weight].append(([x, g], how | {"kernel": kernel}))
        calls.setdefault(ops.argmax_windows, []).append(([x], how | {"kernel": kernel}))
    return calls


CORRECTED = {"momentum": 0.25, "correction": 64 / 63}
CALLS = {
    **{p: [([shape], static) for shape in LIKE] for p, static in UNARY.items()},
    **{p: [([shape, shape], static) for shape in LIKE] for p, static in PULLS.items()},
    _chain: [(shapes, {}) for s in LIKE for shapes in ([s] * 3, [s] * 4, [s, (), s])],
    ops.itakura_saito: [(shapes, {}) for s in LIKE for shapes in ([s, s], [s, ()])],
    ops.bernoulli: [([shape], {}) for shape in LIKE],
    ops.sum: REDUCED,
    ops.logsumexp: REDUCED,
    ops.log_bernoulli: [(shapes, {}) for shapes in BERNOULLI],
    ops.bmm: [(shapes, {}) for shapes in MATRICES],
    ops.linear: [([(N, K), (M, K), (M,)], {}) for N, K, M in SIZES],
    ops.linear_weight: [([(K, N), (K, M)], {}) for N, K, M in SIZES],
    **_convolutions(),
    ops.pixel_shuffle: [
        ([(N, 2 * r * r, H, 3)], {"upscale_factor": r})
        for N, r, H in [(2, 1, 3), (3, 2, 1), (1, 3, 4), (0, 2, 2), (2, 2, 0)]
    ],
    ops.pixel_unshuffle: [
        ([(N, 2, H * r, 3 * r)], {"downscale_factor": r})
        for N, r, H in [(2, 1, 3), (3, 2, 1), (1, 3, 4), (0, 2, 2), (2, 2, 0)]
    ],
    _concatenate: [
        ([(2, n, 3) for n in sizes], {"axis": axis}) for sizes, axis in [((1,), 1), ((4, 1, 2), -2)]
    ] + [([(3, 4)] * 2, {"axis": axis}) for axis in (0, 1)] + [([(64, 300)] * 2, {"axis": 0})],
    ops.moments: [([shape], {}) for shape in NORMALIZED],
    _batch_norm: [([s, s[1:2], s[1:2]], {"eps": 1e-5}) for s in NORMALIZED],
    **{
        p: [([s, s, s[1:2], s[1:2]], {"eps": 1e-5}) for s in NORMALIZED]
        for p in (ops.batch_norm_pull, ops.normalized_sum)
    },
    adam_: [
        ([(), *([shape] * 3 + [(), shape]) * 2], {"betas": (0.9, 0.99), "eps": 1e-8})
        for shape in [*LIKE, (2**14 + 3,)]
    ],
    average_: [([s, s], how) for s in LIKE for how in ({"momentum": 0.1}, CORRECTED)],
    add_one_: [([shape], {}) for shape in ((), *LIKE)],
}  # fmt: skip
DECLINES = {ops.logsumexp}  # empty arrays; batch normalisation's have no variance, and are refused


def arrays_of(primitive, shapes, dtype, seed=0):
    """Random, and not negative: some are variances."""
    generator = np.random.default_rng(seed)
    arrays = [np.asarray(generator.random(shape), dtype) for shape in shapes]
    if primitive is add_one_:
        arrays = [np.arange(arrays[0].size).reshape(shapes[0])]
    if primitive is adam_:
        arrays[0], arrays[4], arrays[9] = np.array(0.01), np.array(3), np.array(5)
    return arrays


def taken(primitive, dtype, seed=0):
    """The calls that the kernel takes, with arrays; and that it declines only what it may."""
    for shapes, static in CALLS[primitive]:
        arrays = arrays_of(primitive, shapes, dtype, seed)
        if primitive.kernel.results(*arrays, **static) is None:
            assert primitive in DECLINES and 0 in arrays[0].shape
        else:
            yield arrays, static


def test_the_calls_are_of_every_kernel():
    assert list(map(repr, sorted(CALLS, key=repr))) == sorted(map(repr, TESTED))
    for primitive in CALLS:
        assert len([*taken(primitive, np.float32)]) >= 3


# ---- results: shapes and dtypes alone


@each(CALLS)
@both_dtypes
def test_results_have_the_shapes_and_dtypes_of_the_forwards(primitive, dtype):
    for arrays, static in taken(primitive, dtype):
        found = primitive.kernel.results(*arrays, **static)
        want = specified(primitive, *arrays, **static)
        want = () if primitive.writes else several(want)
        assert [tuple(shape) for shape, _ in found] == [np.shape(y) for y in want], (static, found)
        assert [np.dtype(dtype) for _, dtype in found] == [y.dtype for y in want], (static, found)


class Sealed(np.ndarray):
    """An array of which everything may be asked but its values."""

    def _refuse(self, *_, **__):
        raise AssertionError("results looked at values")

    __array_ufunc__ = __array_function__ = __getitem__ = __iter__ = __float__ = __int__ = _refuse
    __bool__ = __index__ = __array__ = __contains__ = __eq__ = __lt__ = __gt__ = _refuse
    item = tolist = tobytes = any = all = sum = min = max = mean = view = copy = astype = _refuse
    reshape = transpose = _refuse
    __hash__ = None  # type: ignore[assignment]


@each(CALLS)
@both_dtypes
def test_results_never_looks_at_values(primitive, dtype):
    for shapes, static in CALLS[primitive]:
        arrays = arrays_of(primitive, shapes, dtype)
        answer = primitive.kernel.results(*arrays, **static)
        spoilt = [np.full(a.shape, np.nan if a.dtype.kind == "f" else -9, a.dtype) for a in arrays]
        sealed = [array.view(Sealed) for array in arrays]
        for others in (arrays_of(primitive, shapes, dtype, seed=1), spoilt, sealed):
            assert primitive.kernel.results(*others, **static) == answer
        before = [array.tobytes() for array in arrays]
        primitive.kernel.results(*arrays, **static)
        assert [array.tobytes() for array in arrays] == before


# ---- run: writes all of what it is given


def run_into(rubbish, primitive, arrays, static):
    """The bits of what is written, by run on results full of rubbish."""
    kernel = primitive.kernel
    random.seed(0)  # for the draws
    results = []
    for shape, dtype in kernel.results(*arrays, **static):
        results.append(filled(shape, dtype))
        if np.dtype(dtype).kind == "f":
            results[-1][...] = rubbish
    assert current.interpreter.quietly(kernel.run, *results, *arrays, **static) is None
    return [array.copy() for array in results or primitive.written(arrays)]


@each(CALLS)
@both_dtypes
def test_run_writes_every_element_of_its_results(primitive, dtype):
    """... from its operands alone: what was there before does not matter."""
    for arrays, static in taken(primitive, dtype):
        copies = ([array.copy() for array in arrays] for _ in range(2))
        first, second = (
            run_into(rubbish, primitive, copy, static)
            for rubbish, copy in zip((np.nan, 1e30), copies, strict=True)
        )
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype.kind != "f" or np.isfinite(one).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@each(CALLS)
@both_dtypes
def test_run_writes_every_element_whatever_the_operands_layout(primitive, dtype, layout):
    """To a few roundings what it is for contiguous ones: a product may be turned on its side."""
    for arrays, static in taken(primitive, dtype):
        written = {*map(id, primitive.written(arrays))}
        given = [
            array if id(array) in written or array.ndim == 0 else LAYOUTS[layout](array)
            for array in arrays
        ]
        plain = [np.array(array, order="C") for array in given]  # "stride 0" has other values
        want = run_into(np.nan, primitive, plain, static)
        before = [a.tobytes() for a in given if id(a) not in written]
        got = run_into(np.nan, primitive, given, static)
        after = [a.tobytes() for a in given if id(a) not in written]
        assert after == before
        for one, other in zip(got, want, strict=True):
            np.testing.assert_allclose(one, other, rtol=40 * np.finfo(dtype).eps)


@each(CALLS)
def test_the_engine_runs_the_kernel_and_gives_arrays_of_its_own(primitive):
    for arrays, static in taken(primitive, np.float32):
        mine, theirs = ([array.copy() for array in arrays] for _ in range(2))
        random.seed(0)
        found = evaluate(primitive, mine, static)
        random.seed(0)
        want = accelerated(primitive, *theirs, **static)
        if primitive.writes:
            assert found == () and want is None
            found, want = (tuple(primitive.written(some)) for some in (mine, theirs))
        for one, other in zip(several(found), several(want), strict=True):
            np.testing.assert_array_equal(one, other, strict=True)
            assert one.flags.c_contiguous and one.flags.writeable
            assert primitive.writes or not any(np.shares_memory(one, a) for a in mine)


# ---- when a kernel runs, and when not


def refuse(*arrays, **static):
    raise AssertionError("a kernel was asked")


@pytest.fixture
def planted(monkeypatch):
    """Every kernel is one that raises, asked for its results or run."""
    for operation in ACCELERATED.values():
        monkeypatch.setattr(operation, "kernel", operation.kernel._replace(results=refuse))


@each(CALLS)
def test_no_kernel_is_asked_where_none_may_accelerate(primitive, planted):
    shapes, static = CALLS[primitive][-1]
    arrays = arrays_of(primitive, shapes, np.float32)
    with kernels.backend("numba"), pytest.raises(AssertionError, match="a kernel was asked"):
        evaluate(primitive, arrays, static)
    with kernels.backend("numpy"):
        evaluate(primitive, arrays, static)


def test_no_kernel_runs_in_a_training_step_where_none_may_accelerate(planted):
    from minigrad import nn, optim

    def step():
        network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ELU(), nn.MaxPool2d(2))
        adam = optim.Adam(network.parameters())
        network(Tensor(np.ones((2, 1, 8, 8), np.float32))).logsumexp(0).sum().backward()
        adam.step()

    with kernels.backend("numpy"):
        step()
    with kernels.backend("numba"), pytest.raises(AssertionError, match="a kernel was asked"):
        step()


def test_a_block_holds_for_its_own_thread_alone():
    """Two threads, each in the other's time: a global switch would be seen by both."""
    seen, turn = {}, threading.Barrier(2, timeout=30)

    def compute(name, other):
        with kernels.backend(name):
            turn.wait()  # both are inside
            seen[name] = [current.interpreter.accelerates]
            with kernels.backend(other):
                turn.wait()
                seen[name].append(current.interpreter.accelerates)
                turn.wait()
            seen[name].append(current.interpreter.accelerates)
            turn.wait()

    names = ("numba", "numpy")
    threads = [threading.Thread(target=compute, args=pair) for pair in (names, names[::-1])]
    before = current.interpreter.accelerates
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"numba": [True, False, True], "numpy": [False, True, False]}
    assert current.interpreter.accelerates == before


@pytest.mark.parametrize("name", ["numba", "numpy"])
def test_a_new_thread_starts_with_the_process_setting_not_with_its_makers(name):
    found = []
    with kernels.backend(name):
        worker = threading.Thread(target=lambda: found.append(current.interpreter.accelerates))
        worker.start()
        worker.join()
    outside = threading.Thread(target=lambda: found.append(current.interpreter.accelerates))
    outside.start()
    outside.join()
    assert found[0] == found[1]


@each(p for p in CALLS if p.count != 1)
def test_operands_of_two_dtypes_reach_no_kernel(primitive, planted):
    """It goes by the first one's dtype, so the door refuses them, whichever is the other one."""
    shapes, static = CALLS[primitive][-1]
    for i, shape in enumerate(shapes):
        if i in primitive.as_given and (primitive.count or shape == ()):
            continue  # adam_, of any number of operands, keeps all as given, and checks the states
        tensors = [Tensor(array) for array in arrays_of(primitive, shapes, np.float32)]
        tensors[i] = Tensor(np.ones(shape))
        before = [tensor.data.copy() for tensor in tensors]
        with pytest.raises((TypeError, ValueError), match="float32.*float64|float64.*float32"):
            primitive(*tensors, **static)
        for tensor, old in zip(tensors, before, strict=True):
            np.testing.assert_array_equal(tensor.data, old)
