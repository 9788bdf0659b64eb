"""minigrad.kernels: each numba kernel against its specification, and how kernels are started.

The oracle is the specification in long double, wider than either dtype of a kernel. A rounding is a
relative error of eps / 2 at most, which is between half a unit in the last place (ulp) and a whole
one: a function that rounds n times is allowed n ulps, and a sum of N terms N · eps · Σ|term|.
"""

import inspect
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

from minigrad import kernels
from minigrad.kernels import cache, simd, specification

ROOT = Path(__file__).resolve().parent.parent
with kernels.backend("numba"):
    TWIN = {name: getattr(kernels, name) for name in kernels.NAMES}

# exp: what the end of its series and the sum with 1 leave. sigmoid: exp, 1 + e and the quotient.
# softplus: exp, then 2 + e, the quotient u, the series and its product with u. elu: as exp, then
# the difference and the product with alpha. elu_pull: y + alpha and the product. leaky_relu, and
# its pull: the product.
ULPS = {"exp": 2, "sigmoid": 4, "softplus": 6, "elu": 4, "elu_pull": 2}
ULPS |= {"leaky_relu": 1, "leaky_relu_pull": 1}
ALPHA = 0.75  # a number that float32 holds exactly
UNARY = {"exp": (), "sigmoid": (), "softplus": (), "elu": (ALPHA,)}  # and their constants
UNARY |= {"leaky_relu": (ALPHA,)}
PULLS = ["elu_pull", "leaky_relu_pull"]  # each of two arrays of one shape, and ALPHA
# test_image_kernels.py tests these; any kernel that is new is tested here, until it is in the list.
IMAGE_KERNELS = ["affine", "argmax_windows", "conv2d", "conv2d_weight", "conv_transpose2d"]
IMAGE_KERNELS += ["moments", "normalize_pull", "normalized_sum", "pixel_shuffle", "pixel_unshuffle"]
DTYPES = [np.float32, np.float64]
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def run(name, *args):
    """The numba kernel, under the error state that the engine runs it in."""
    with np.errstate(all="ignore"):
        return TWIN[name](*args)


def truth(name, *args):
    wide = [a.astype(np.longdouble) if isinstance(a, np.ndarray) else a for a in args]
    with np.errstate(all="ignore"):
        return np.asarray(getattr(specification, name)(*wide))


def ulp(want, dtype):
    return np.spacing(np.abs(want).astype(dtype))


def tolerance(name, args, want, dtype):
    eps = np.finfo(dtype).eps
    if name in ULPS:
        return ULPS[name] * ulp(want, dtype)
    wide = [np.abs(a.astype(np.longdouble)) for a in args]
    if name == "sum_middle":
        return wide[0].shape[1] * eps * wide[0].sum(axis=1)
    if name == "log_bernoulli":  # all terms have one sign; each is rounded as softplus is, or less
        columns = np.broadcast_shapes(args[0].shape, args[1].shape)[-1]
        return (columns + ULPS["softplus"]) * eps * np.abs(want)
    if name == "logsumexp_last":  # a relative error of the sum is an absolute one of its logarithm
        return eps * (wide[0].shape[1] + 4 + np.abs(want))
    assert name == "matmul"
    return wide[0].shape[-1] * eps * (wide[0] @ wide[1])


def assert_close(name, got, args):
    """NaN and infinities as in the true value, else within the tolerance of it."""
    want = truth(name, *args)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        rounded = want.astype(got.dtype)
        special = ~np.isfinite(rounded)
        np.testing.assert_array_equal(got[special], rounded[special])
        error = np.abs(got - want)[~special]
        allowed = np.broadcast_to(tolerance(name, args, want, got.dtype), want.shape)[~special]
    worst = np.argmax(error - allowed) if error.size else 0
    assert (error <= allowed).all(), f"{name}: off by {error[worst]}, allowed {allowed[worst]}"


def python(code, folder, **settings):
    """The finished process of some code, run on the package in `folder`."""
    ours = ("MINIGRAD_BACKEND", "NUMBA_", "PYTHON")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    environment |= {"PYTHONPATH": str(folder)} | settings
    return subprocess.run([sys.executable, "-c", code], env=environment, cwd=folder,
                          capture_output=True, text=True, timeout=300)  # fmt: skip


def output(code, folder=ROOT, **settings):
    done = python(code, folder, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# The two versions


def test_every_specified_function_is_a_kernel_with_a_numba_twin_of_its_own():
    functions = {name for name, f in vars(specification).items() if inspect.isfunction(f)}
    kernels_alone = {name for name in functions if name[0] != "_"} - {"window_places"}
    assert kernels_alone == set(kernels.NAMES)
    for name, twin in TWIN.items():
        assert twin is not getattr(specification, name), name


def test_backend_switches_and_switches_back_even_after_an_error():
    before = kernels.exp
    with pytest.raises(KeyError), kernels.backend("numpy"):
        assert kernels.exp is specification.exp
        raise KeyError
    assert kernels.exp is before
    with pytest.raises(ValueError, match="choose numba or numpy"), kernels.backend("cuda"):
        pass
    assert kernels.exp is before


LAYOUTS = {
    "C": np.array,
    "transposed": lambda a: np.array(a.T, order="C").T,
    "reversed": lambda a: np.flip(np.flip(a).copy()),
    "every second": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a.copy(),
    "stride 0": lambda a: np.broadcast_to(a[:1], a.shape) if a.ndim and len(a) else a.copy(),
    "misaligned": lambda a: np.ndarray(a.shape, a.dtype, bytearray(b"." + a.tobytes() + b"."), 1),
    "read-only": lambda a: np.ndarray(a.shape, a.dtype, a.tobytes() + b"."),
}


@st.composite
def layout_of(draw, values, shape, dtype):
    """An array of `values(generator, shape)` in one of the LAYOUTS."""
    generator = np.random.default_rng(draw(st.integers(0, 2**16)))
    layout = LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))]
    return layout(np.asarray(values(generator, shape), dtype))


@st.composite
def arguments(draw, name, dtype):
    def array(shape, values=lambda generator, shape: 20 * generator.standard_normal(shape)):
        return draw(layout_of(values, shape, dtype))

    def shape(dims=None, low=0):
        return draw(array_shapes(min_dims=dims or low, max_dims=dims or 4, min_side=0, max_side=9))

    if name in UNARY:
        return array(shape()), *UNARY[name]
    if name in PULLS:
        both = shape()
        return array(both), array(both), ALPHA
    if name == "log_bernoulli":
        shapes = draw(mutually_broadcastable_shapes(num_shapes=2, min_dims=1, min_side=0))
        x, logits = shapes.input_shapes
        return array(x, np.random.Generator.random), array(logits)
    if name == "matmul":
        shapes = mutually_broadcastable_shapes(signature="(n,k),(k,m)->(n,m)", max_side=9)
        return tuple(array(s) for s in draw(shapes).input_shapes)
    return (array(shape(dims={"sum_middle": 3, "logsumexp_last": 2}[name])),)


@pytest.mark.parametrize("name", sorted({*kernels.NAMES} - {"adam_step", *IMAGE_KERNELS}))
@both_dtypes
@settings(deadline=None, max_examples=60, derandomize=True)
@given(data=st.data())
def test_kernel_computes_what_is_specified_whatever_the_shape_and_layout(name, dtype, data):
    """... into a fresh array of the dtype, C-contiguous and writable; arguments stay as they are"""
    args = data.draw(arguments(name, dtype))
    arrays = [a for a in args if isinstance(a, np.ndarray)]
    before = [a.tobytes() for a in arrays]
    got = run(name, *args)
    assert [a.tobytes() for a in arrays] == before
    assert isinstance(got, np.ndarray) and got.dtype == dtype
    assert got.flags.c_contiguous and got.flags.writeable
    assert not any(np.shares_memory(got, a) for a in arrays)
    assert got.shape == truth(name, *args).shape
    assert_close(name, got, args)
    with np.errstate(all="ignore"):
        assert getattr(specification, name)(*args).dtype == dtype


def test_a_loop_is_compiled_once_for_each_dtype_whatever_the_layout():
    """Each further layout that reaches a loop costs its first caller seconds of compilation."""
    from minigrad.kernels import elementwise, gemm, reduce

    loops = {f"{module.__name__}.{name}": f for module in (elementwise, gemm, reduce)
             for name, f in vars(module).items() if hasattr(f, "nopython_signatures")}  # fmt: skip
    for dtype in DTYPES:
        for layout in LAYOUTS.values():
            square, cube = layout(np.ones((9, 9), dtype)), layout(np.ones((3, 4, 5), dtype))
            for name, constants in UNARY.items():
                run(name, cube, *constants)
            for name in PULLS:
                run(name, cube, cube, ALPHA)
            run("log_bernoulli", cube, cube)
            run("sum_middle", cube)
            run("logsumexp_last", square)
            run("matmul", square, square.T)

    def arrays(signature):  # numba compiles anew for other kinds of whole numbers as well
        return tuple(str(kind) for kind in signature.args if hasattr(kind, "layout"))

    counts = {name: len(set(map(arrays, f.nopython_signatures))) for name, f in loops.items()}
    assert len(counts) > 10 and counts == {name: min(n, len(DTYPES)) for name, n in counts.items()}


@pytest.mark.parametrize("shapes", [((1, 5), (5,)), ((5,), (3, 1)), ((2, 1, 4), (3, 4))])
def test_log_bernoulli_broadcasts_without_a_warning(shapes):
    args = [np.full(shape, 0.5, np.float32) for shape in shapes]
    assert_close("log_bernoulli", run("log_bernoulli", *args), args)


@pytest.mark.parametrize("dtype", [np.int64, np.float16, np.complex128])
@pytest.mark.parametrize("name", [*UNARY, "sum_middle", "matmul"])
def test_other_dtypes_are_computed_by_the_specification(name, dtype):
    x = (np.arange(8).reshape(2, 2, 2) - 3).astype(dtype)
    args = (x, x) if name == "matmul" else (x, *UNARY.get(name, ()))
    got, want = run(name, *args), getattr(specification, name)(*args)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", ["exp", "matmul", "sum_middle"])
@both_dtypes
def test_the_other_byte_order_is_computed_as_well(name, dtype):
    """Big-endian arrays come out of many file formats; numba can't type them."""
    swapped = np.ones((8, 8, 8), np.dtype(dtype).newbyteorder())
    args = (swapped, swapped) if name == "matmul" else (swapped,)
    np.testing.assert_allclose(run(name, *args), truth(name, *args).astype(dtype), rtol=1e-6)


# Elementwise: the whole range, and special values wherever they stand


SPECIAL = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e30, -1e30, 87.5, -87.5, -101.0, 1.5, -0.3]
SPECIAL += [1e-40, -1e-40, 3e-8]  # 15 in all: in step with no vector


@pytest.mark.parametrize("name", [*UNARY, *PULLS])
@both_dtypes
def test_special_values_come_out_as_specified_at_every_place_of_every_length(name, dtype):
    """The loop over vectors and the remainder after it are different machine code."""
    special = np.array(SPECIAL, dtype)
    if name in PULLS:  # each with each
        arrays = np.repeat(special, len(special)), np.tile(special, len(special))
        constants = (ALPHA,)
    else:
        arrays, constants = (special,), UNARY[name]
    with np.errstate(over="ignore", under="ignore"):
        want = truth(name, *arrays, *constants).astype(dtype)
    for length in range(1, 71):
        for first in range(0, len(want), 1 if len(want) < 70 else 7):
            cycle = np.arange(first, first + length) % len(want)
            got = run(name, *(a[cycle] for a in arrays), *constants)
            assert_close(name, got, [*(a[cycle] for a in arrays), *constants])
            zero = got == 0
            signs = np.signbit(got[zero]), np.signbit(want[cycle][zero])
            np.testing.assert_array_equal(*signs, f"sign of 0 for {arrays[0][cycle][zero]}")


@both_dtypes
def test_leaky_relu_of_slope_0_is_0_where_slope_times_x_would_be_nan(dtype):
    special = np.array(SPECIAL, dtype)
    each, other = np.repeat(special, len(special)), np.tile(special, len(special))
    for name, *arrays in (("leaky_relu", each), ("leaky_relu_pull", each, other)):
        assert_close(name, run(name, *arrays, 0.0), [*arrays, 0.0])


@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf, 0.0, -0.0])
@both_dtypes
def test_one_special_value_in_a_sum_comes_out_as_specified_wherever_it_stands(special, dtype):
    for length in range(1, 71):
        table = np.random.default_rng(length).random((length, length)).astype(dtype)
        place = table.copy()
        np.fill_diagonal(place, special)  # row i has it at place i
        ones = np.ones_like(table)
        for name, *args in (
            ("sum_middle", place[None]),
            ("sum_middle", place[:, :, None]),
            ("logsumexp_last", place),
            ("log_bernoulli", table, place),
            ("log_bernoulli", ones, place),
            ("log_bernoulli", 0 * ones, place),
        ):
            assert_close(name, run(name, *args), args)


@pytest.mark.parametrize("fill", [math.nan, math.inf, -math.inf, -200.0, 3e38])
@both_dtypes
def test_logsumexp_of_equal_values_neither_overflows_nor_loses_infinity(fill, dtype):
    for length in (1, 2, 15, 16, 17, 64):
        x = np.full((2, length), fill, dtype)
        assert_close("logsumexp_last", run("logsumexp_last", x), [x])


@pytest.mark.parametrize("name", UNARY)
def test_float32_functions_are_accurate_over_their_whole_range(name):
    """Every 523rd float32 there is, and every one where eˣ overflows, underflows and ends."""
    bits = np.arange(0, 2**32, 523, np.int64)
    for edge in (88.72284, -87.33654, -103.97208, -104.0, math.log(2) / 2, 1e-8, 17.0):
        middle = int(np.float32(edge).view(np.uint32))
        bits = np.concatenate([bits, np.arange(middle - 3000, middle + 3000)])
        bits = np.concatenate([bits, np.arange(middle - 3000, middle + 3000) ^ 2**31])
    x = bits.astype(np.uint32).view(np.float32)
    x = x[np.isfinite(x) & (np.abs(x) < 200)]
    got, want = run(name, x, *UNARY[name]), truth(name, x, *UNARY[name])
    with np.errstate(over="ignore", under="ignore"):
        rounded = want.astype(np.float32)
    np.testing.assert_array_equal(np.isinf(got), np.isinf(rounded))
    finite = np.isfinite(rounded)
    error = np.abs(got[finite] - want[finite]) / ulp(want[finite], np.float32)
    worst = error.argmax()
    assert error[worst] <= ULPS[name], f"{error[worst]} ulps at {x[finite][worst]}"


# The matrix product


LANES = {np.float32: simd.BYTES // 4, np.float64: simd.BYTES // 8}


@pytest.mark.parametrize("right", ["b", "b.T"])
@pytest.mark.parametrize("left", ["a", "a.T"])
@both_dtypes
def test_matmul_at_the_edges_of_a_tile(dtype, left, right):
    """A tile that is not moved back inside leaves elements unwritten, or writes outside."""
    lanes = LANES[dtype]
    rows = sorted({*range(1, 13), lanes - 1, lanes, lanes + 1})
    columns = sorted({*range(1, 71), lanes - 1, lanes, lanes + 1, 2 * lanes - 1, 2 * lanes + 1})
    generator = np.random.default_rng(0)
    for K in (0, 1, 2, 100):
        A = generator.standard_normal((rows[-1], K)).astype(dtype)
        B = generator.standard_normal((K, columns[-1])).astype(dtype)
        want, allowed = truth("matmul", A, B), tolerance("matmul", [A, B], None, dtype)
        for N in rows:
            a = A[:N].copy() if left == "a" else A[:N].T.copy().T
            for M in columns:
                b = B[:, :M].copy() if right == "b" else B[:, :M].T.copy().T
                got = run("matmul", a, b)
                assert got.shape == (N, M) and got.dtype == dtype
                within = np.abs(got - want[:N, :M]) <= allowed[:N, :M]
                assert within.all(), f"({N}, {K}) ({K}, {M}): wrong at {np.argwhere(~within)[0]}"


@pytest.mark.parametrize("right", ["b", "b.T"])
@pytest.mark.parametrize("left", ["a", "a.T"])
@pytest.mark.parametrize("shape", [
    (81, 129, 83), (2, 700, 500), (500, 700, 3), (4, 200, 1000),
    (3, 1100, 256), (12, 600, 448), (23, 300, 1088),  # several depths and panels
])  # fmt: skip
@both_dtypes
def test_matmul_cut_into_pieces(dtype, shape, left, right):
    N, K, M = shape
    generator = np.random.default_rng(0)
    a = generator.standard_normal((N, K) if left == "a" else (K, N)).astype(dtype)
    b = generator.standard_normal((K, M) if right == "b" else (M, K)).astype(dtype)
    args = a if left == "a" else a.T, b if right == "b" else b.T
    assert_close("matmul", run("matmul", *args), args)


@both_dtypes
def test_a_nan_or_infinity_stays_in_its_row_and_column_of_the_product(dtype):
    for N, M in ((3, 5), (7, LANES[dtype] + 3), (LANES[dtype] + 1, 6)):
        a, b = np.ones((N, 4), dtype), np.ones((4, M), dtype)
        a[N - 1, 3], b[0, M - 1] = math.nan, math.inf
        for left in (a, a.T.copy().T):
            for right in (b, b.T.copy().T):
                assert_close("matmul", run("matmul", left, right), [left, right])


# Adam


def adam_arrays(size, dtype):
    generator = np.random.default_rng(size)
    p, g, m = (generator.standard_normal(size).astype(dtype) for _ in range(3))
    v = generator.random(size).astype(dtype)
    return [p / 2**16, g, m, v]  # a small p, in which the step is seen to more digits


def assert_adam_step(arrays, dtype, lr, beta1, beta2, step, eps=1e-8):
    """m and v are each four roundings, of terms no larger than those on the right-hand side. The
    step is that error, half of v's, and seven roundings of its own."""
    wide = [array.astype(np.longdouble) for array in arrays]
    p, g, m, v = (np.abs(array) for array in wide)
    gradient = arrays[1].tobytes()
    run("adam_step", *arrays, lr, beta1, beta2, eps, step)
    specification.adam_step(*wide, lr, beta1, beta2, eps, step)
    assert arrays[1].tobytes() == gradient, "g was written"
    unit = np.finfo(dtype).eps
    error_m = 4 * unit * (m + (1 - beta1) * (g + m))
    error_v = 4 * unit * wide[3]
    rate = lr / (1 - beta1**step) / (np.sqrt(wide[3] / (1 - beta2**step)) + eps)
    error_p = unit * np.abs(wide[0]) + rate * (error_m + 9 * unit * np.abs(wide[2]))
    for name, got, want, allowed in (
        ("m", arrays[2], wide[2], error_m),
        ("v", arrays[3], wide[3], error_v),
        ("p", arrays[0], wide[0], error_p),
    ):
        error = np.abs(got - want)
        assert got.dtype == dtype
        assert (error <= allowed).all(), f"{name}: off by {(error / allowed).max():.3g} tolerances"


@pytest.mark.parametrize("size", [0, 1, 7, 64, 70, 2**13, 2**14 - 1, 2**14, 3 * 2**13 + 5])
@both_dtypes
def test_adam_step_is_as_specified_for_every_size(size, dtype):
    for step, beta1, beta2 in ((1, 0.5, 0.75), (10, 0.5, 0.75), (1, 0.0, 0.0)):
        assert_adam_step(adam_arrays(size, dtype), dtype, 1e-3, beta1, beta2, step)


@both_dtypes
def test_adam_step_is_as_specified_for_the_usual_betas(dtype):
    """1 − float32(0.999) is 1.3e-5 of itself away from 0.001: to be subtracted in double."""
    for step in (1, 100, 20_000):
        assert_adam_step(adam_arrays(1000, dtype), dtype, 1e-3, 0.9, 0.999, step)


@pytest.mark.parametrize("layout", ["0-d", "transposed", "every second"])
def test_adam_step_writes_into_arrays_of_any_layout(layout):
    """A kernel that flattens a strided array updates a copy of it, and nobody notices."""
    cut = {
        "0-d": lambda a: a[:1].reshape(()),
        "transposed": lambda a: a.reshape(4, 6).T,
        "every second": lambda a: a[::2],
    }[layout]
    arrays = [cut(array) for array in adam_arrays(24, np.float32)]
    assert_adam_step(arrays, np.float32, 1e-3, 0.5, 0.75, step=1)


# Threads


WORK = """
import hashlib, sys, threading
import numpy as np, numba
from minigrad import kernels
from minigrad.kernels import adam, gemm

def normal(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)

def work():
    "A digest of the bits of whatever is large enough to be shared out among threads."
    digest = hashlib.sha256()
    for N, K, M in ((101, 300, 131), (5000, 40, 10), (10, 700, 200), (48, 1100, 256)):
        assert N * K * M > gemm.SERIAL
        a, b = normal(N, K), normal(K, M)
        for left in (a, a.T.copy().T):
            for right in (b, b.T.copy().T):
                digest.update(kernels.matmul(left, right))
    p, g, m, v = normal(4, 3 * adam.PIECE + 5)
    kernels.adam_step(p, g, m, abs(v), 1e-3, 0.9, 0.999, 1e-8, 1)
    digest.update(p)
    x = normal(300, 784)
    for array in (kernels.exp(x), kernels.sum_middle(x[None]), kernels.logsumexp_last(x),
                  kernels.log_bernoulli(abs(x) % 1, x)):
        digest.update(array)
    return digest.hexdigest()
"""


def test_the_bits_of_a_result_do_not_depend_on_the_number_of_threads(tmp_path):
    """... nor on whether this process has compiled the kernels, as the first of these does, or
    loads them, and LLVM saw less at a time."""
    masks = "\nfor n in range(numba.config.NUMBA_NUM_THREADS, 0, -1):\n"
    code = WORK + masks + "    numba.set_num_threads(n); print(work())"
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


# Starting: the choice of a backend, and the cache of compiled code


def test_the_numpy_backend_trains_without_importing_numba():
    code = """
import sys
import numpy as np
from minigrad import Tensor, optim
from models.vae import VAE
vae = VAE()
adam = optim.Adam(vae.parameters())
x = Tensor(np.zeros((5, 784), "f"))
for _ in range(2):
    loss = vae.negative_elbo_bound(x)[0]
    adam.zero_grad()
    loss.backward()
    adam.step()
print(loss.item() < 784 * np.log(2), {m.split(".")[0] for m in sys.modules} & {"numba", "llvmlite"})
"""
    assert output(code, MINIGRAD_BACKEND="numpy") == "True set()"


def test_numba_is_imported_in_kernels_alone():
    """Otherwise MINIGRAD_BACKEND=numpy needs numba after all."""
    files = [*ROOT.glob("minigrad/**/*.py"), *ROOT.glob("models/**/*.py"), *ROOT.glob("*.py")]
    imports = re.compile(r"^\s*(import|from)\s+(numba|llvmlite)", re.MULTILINE)
    found = {file.parent for file in files if imports.search(file.read_text())}
    assert found == {ROOT / "minigrad" / "kernels"}


def test_a_backend_that_does_not_exist_is_named_with_those_that_do():
    done = python("import minigrad", ROOT, MINIGRAD_BACKEND="nonsense")
    assert done.returncode == 1
    assert "MINIGRAD_BACKEND is 'nonsense': choose numba or numpy" in done.stderr


IMPORT = "import numpy as np; from minigrad import kernels; "
EXP_OF_ZERO = IMPORT + "print(kernels.exp(np.zeros(1, 'f'))[0])"
THREE = IMPORT + "print(np.exp(kernels.logsumexp_last(np.zeros((1, 3), 'f')))[0])"


@pytest.fixture
def copied(tmp_path):
    """A copy of the package that a test may edit: the folder that it is in."""
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "minigrad", tmp_path / "copy" / "minigrad", ignore=skip)
    return tmp_path / "copy"


def below(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_cache_folder_changes_its_name_with_every_byte_of_every_kernel(copied, monkeypatch):
    folder = copied / "minigrad" / "kernels"
    monkeypatch.setattr(cache, "__file__", str(folder / "cache.py"))
    names = [cache._folder()]
    assert cache._folder() == names[0]
    files = sorted(folder.glob("*.py"))
    assert len(files) >= 7
    for file in files:
        file.write_bytes(file.read_bytes() + b"\n")
        names.append(cache._folder())
    assert len(set(names)) == len(names)


def test_compiled_kernels_are_kept_and_an_edit_in_what_a_kernel_imports_takes_effect(copied):
    """reduce.py takes _exp, and with it ONE, from elementwise.py: numba's cache sees no change."""
    folder = copied.parent / "cache"
    first = python(THREE, copied, XDG_CACHE_HOME=str(folder))
    kept = below(folder)
    again = python(THREE, copied, XDG_CACHE_HOME=str(folder))
    assert abs(float(first.stdout) - 3) < 1e-5 and again.stdout == first.stdout
    assert "compiling" in first.stderr and first.stderr.count("\n") == 1
    assert again.stderr == "" and kept and below(folder) == kept  # nothing was compiled again

    with open(copied / "minigrad" / "kernels" / "elementwise.py", "a") as file:
        file.write("\nONE = np.float32(2)  # e⁰ = 0 + ONE\n")
    assert abs(float(output(THREE, copied, XDG_CACHE_HOME=str(folder))) - 6) < 1e-5
    in_package = [path for path in below(copied) if path.suffix in (".nbi", ".nbc")]
    assert in_package == []


@pytest.mark.parametrize("place", ["its parent", "itself"])
def test_a_file_in_place_of_the_cache_folder_is_one_line_on_stderr(place, copied, monkeypatch):
    """... and nothing is cached elsewhere: numba's second choice, __pycache__, can be stale."""
    monkeypatch.setattr(cache, "__file__", str(copied / "minigrad" / "kernels" / "cache.py"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(copied.parent / "cache"))
    folder = cache._folder() if place == "itself" else copied.parent / "cache"
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("I was here before.")
    done = python(EXP_OF_ZERO, copied)
    assert (done.returncode, done.stdout) == (0, "1.0\n"), done.stderr
    in_package = [path.name for path in below(copied) if path.suffix in (".nbi", ".nbc")]
    assert in_package == []
    assert "can't be used" in done.stderr and done.stderr.count("\n") == 1
    assert folder.read_text() == "I was here before."


def test_a_cache_folder_that_another_process_has_just_made_is_used(copied):
    """Two processes start at once: each sees no folder, and one of them makes it first."""
    folder = copied.parent / "cache"
    blind = (
        "import pathlib; asked = []; really = pathlib.Path.is_dir; pathlib.Path.is_dir = "
        "lambda self: asked.append(self) or (len(asked) > 1 and really(self)); "  # not at first
    )
    for _ in range(2):
        done = python(blind + EXP_OF_ZERO, copied, XDG_CACHE_HOME=str(folder))
        assert (done.returncode, done.stdout) == (0, "1.0\n")
        assert "can't be used" not in done.stderr
