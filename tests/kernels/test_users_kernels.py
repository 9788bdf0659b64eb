"""A kernel of a user's own, for an operation of their own: registered as minigrad's are."""

import numba
import numpy as np
import pytest

from minigrad import Tensor, kernels, ops, primitive
from minigrad.core.primitive import Kernel, evaluate
from minigrad.kernels.compile import accelerates, flat, jit, like
from tests.kernels.helpers import DTYPES

SHAPES = [(), (0,), (1,), (7,), (3, 0, 2), (2, 3, 4), (33, 65)]


@pytest.fixture
def users():
    """A primitive, and ten lines of numba for it."""

    @primitive
    def gelu_for_test_kernels(x, /, scale=1.0):
        return x / (1 + np.exp(-float(scale) * 1.702 * x))

    gelu_for_test_kernels.calls = []

    @jit()
    def loop(x, scale, out):
        for i in range(x.size):
            out[i] = x[i] / (1 + np.exp(-scale * 1.702 * x[i]))

    @accelerates(gelu_for_test_kernels, like)
    def gelu(y, x, *, scale):
        gelu_for_test_kernels.calls.append(x.dtype)
        loop(flat(x), scale, flat(y))

    return gelu_for_test_kernels


def test_a_users_kernel_computes_what_their_forward_does(users):
    for dtype in DTYPES:
        for shape in SHAPES:
            x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
            for array in (x, x.T, np.flip(x)):
                with kernels.backend("numba"):
                    got = users(Tensor(array), scale=0.5)
                with kernels.backend("numpy"):
                    want = users(Tensor(array), scale=0.5)
                rounding = 8 * np.finfo(dtype).eps
                np.testing.assert_allclose(got.numpy(), want.numpy(), rounding, strict=True)
    assert len(users.calls) == len(DTYPES) * len(SHAPES) * 3  # and not in the numpy block


def test_a_users_kernel_gets_its_dtypes_alone(users):
    whole, half = np.arange(5), np.arange(5, dtype=np.float16)
    with kernels.backend("numba"):
        for array in (whole, half, whole.astype(complex), whole.astype(">f4")):
            want = users.forward(array, scale=1.0)
            np.testing.assert_array_equal(evaluate(users, [array], {"scale": 1.0}), want)
        assert users.calls == []
        users(whole)  # at the door whole numbers become float32
        assert users.calls == [np.float32]
        users.kernel = users.kernel._replace(dtypes=(np.dtype("float64"),))
        users(Tensor(whole, dtype="float32"))
        assert users.calls == [np.float32]
        users(Tensor(whole, dtype="float64"))
        assert users.calls == [np.float32, np.float64]


def test_a_kernel_that_declines_leaves_it_to_the_forward(users):
    def short(x, *, scale):
        return like(x) if x.size < 4 else None

    users.kernel = Kernel(users.kernel.dtypes, short, users.kernel.run)
    with kernels.backend("numba"):
        for size in (3, 4):
            x = Tensor(np.ones(size, np.float32))
            np.testing.assert_allclose(users(x).numpy(), users.forward(np.ones(size)), rtol=1e-6)
    assert len(users.calls) == 1


def test_a_kernel_of_several_results_and_static_arguments():
    @primitive(differentiable=0)
    def extremes_for_test_kernels(x, /, *, axis=0):
        return x.min(axis), x.max(axis)

    @numba.njit
    def loop(x, low, high):
        for j in range(x.shape[1]):
            low[j], high[j] = x[:, j].min(), x[:, j].max()

    def results(x, *, axis):
        return ((x.shape[1:], x.dtype),) * 2 if axis == 0 and x.ndim == 2 else None

    @accelerates(extremes_for_test_kernels, results, dtypes=(np.dtype("int64"),))
    def extremes(low, high, x, *, axis):
        loop(x, low, high)

    x = np.array([[3, 1], [2, 5]])
    with kernels.backend("numba"):
        low, high = evaluate(extremes_for_test_kernels, [x], {"axis": 0})
    np.testing.assert_array_equal([low, high], [[2, 1], [3, 5]])
    assert low.dtype == np.int64


@pytest.mark.parametrize("name", ["numba", "numpy"])
def test_a_forward_may_compute_with_operations(name):
    """The engine runs forwards in a context of its own, which can't be entered twice."""

    @primitive
    def halves_for_test_kernels(x, /):
        inner = Tensor(x)
        return (inner.exp() / 2 + (inner - inner) / (inner * 0)).numpy()

    with kernels.backend(name):
        for _ in range(2):
            assert np.isnan(halves_for_test_kernels(Tensor([1.0])).numpy()).all()  # 0 / 0 silently
        with pytest.raises(ZeroDivisionError):
            primitive(lambda x, /: 1 // 0)(Tensor([1.0]))
        with np.errstate(all="raise"):  # a user's own, which the door is not to change
            halves_for_test_kernels(Tensor([1.0]))
            with pytest.raises(FloatingPointError):
                np.float32(1) / np.zeros(1, np.float32)


@pytest.mark.parametrize("name", ["numba", "numpy"])
@pytest.mark.parametrize("kind", [np.float64, np.float32, Tensor, np.array, int], ids=repr)
def test_static_numbers_of_any_kind_leave_the_dtype_alone(name, kind):
    """A NumPy number is of float64, and would win over a float32 array."""
    x = Tensor(np.array([-1, 0.5, 2], np.float32))
    with kernels.backend(name):
        for operation, operands in (
            (ops.elu, [x]), (ops.elu_pull, [x, x]),
            (ops.leaky_relu, [x]), (ops.leaky_relu_pull, [x, x]),
        ):  # fmt: skip
            y, want = operation(*operands, kind(2)).numpy(), operation(*operands, 2.0).numpy()
            np.testing.assert_array_equal(y, want, strict=True)
            assert y.dtype == np.float32
