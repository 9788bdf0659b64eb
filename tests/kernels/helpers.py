"""What the tests of kernels share: how a kernel is run, what it should have given, and on what.

The oracle is a primitive's forward in long double, wider than either dtype of a kernel. A rounding
is a relative error of eps / 2 at most, which is between half a unit in the last place (ulp) and a
whole one: a function that rounds n times is allowed n ulps, and a sum of N terms N · eps · Σ|term|.
"""

import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import strategies as st
from numba.core.runtime import _nrt_python, rtsys

from minigrad import kernels, ops
from minigrad.core.interpreter import current
from minigrad.core.primitive import OPERATIONS
from minigrad.kernels import vectors
from minigrad.ops import arithmetic, normalization, shapes
from tests import ROOT

with kernels.backend("numba"):  # whatever this process was started with, here kernels are loaded
    ACCELERATED = {
        name: operation
        for name, operation in OPERATIONS.items()
        if getattr(operation, "kernel", None) and operation.__module__.startswith("minigrad.")
    }

ALPHA = 0.75  # a number that float32 holds exactly
UNARY = {  # with their static arguments
    ops.exp: {}, ops.expm1: {}, ops.log: {}, ops.log1p: {}, ops.tanh: {}, ops.sigmoid: {},
    ops.softplus: {}, ops.relu: {}, ops.elu: {"alpha": ALPHA},
    ops.leaky_relu: {"negative_slope": ALPHA},
}  # fmt: skip
PULLS = {ops.elu_pull: {"alpha": ALPHA}, ops.leaky_relu_pull: {"negative_slope": ALPHA}}
REDUCTIONS = [ops.sum, ops.logsumexp, ops.log_bernoulli]
PRODUCTS = [ops.bmm, ops.linear, ops.linear_weight]
CONVOLUTIONS = [ops.convolution, ops.convolution_transpose, ops.convolution_weight]
MOVES = [ops.argmax_windows, ops.pixel_shuffle, ops.pixel_unshuffle]
NORMALIZATIONS = [ops.moments, normalization._batch_norm, ops.batch_norm_pull, ops.normalized_sum]
TESTED = [
    *UNARY, *PULLS, *REDUCTIONS, *PRODUCTS, *CONVOLUTIONS, *MOVES, *NORMALIZATIONS,
    arithmetic._chain, shapes._concatenate, ops.itakura_saito, ops.bernoulli, ops.updates.adam_,
    ops.updates.average_, ops.updates.add_one_,
]  # fmt: skip

DTYPES = [np.float32, np.float64]
LANES = {np.float32: vectors.REGISTER // 4, np.float64: vectors.REGISTER // 8}
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def each(primitives):
    return pytest.mark.parametrize("primitive", list(primitives), ids=lambda p: p.name)


# ---- a kernel and its forward


def filled(shape, dtype):
    """What a result's memory may hold before a kernel writes it: NaN, or a number that is none."""
    return np.full(shape, np.nan if np.dtype(dtype).kind == "f" else -77, dtype)


def accelerated(primitive, *arrays, **static):
    """What the kernel, which must not decline, writes into arrays of rubbish."""
    kernel = primitive.kernel
    assert arrays[0].dtype in kernel.dtypes
    wanted = kernel.results(*arrays, **static)
    assert wanted is not None, f"{primitive.name} declines {[a.shape for a in arrays]}"
    results = [filled(*one) for one in wanted]
    current.interpreter.quietly(kernel.run, *results, *arrays, **static)
    return tuple(results) if len(results) > 1 else results[0] if results else None


def compiled_in(*modules):
    """{name: a compiled function} of these modules."""
    found = {
        (module.__name__, name): getattr(value, "compiled", value)
        for module in modules
        for name, value in vars(module).items()
    }
    return {
        name: function
        for name, function in found.items()
        if hasattr(function, "nopython_signatures")
    }


def arrays_of(signature):
    """The types of the arrays among the arguments, which may be in tuples."""
    flat = []
    for kind in signature.args if hasattr(signature, "args") else signature.types:
        flat += arrays_of(kind) if hasattr(kind, "types") else [kind]
    return [kind for kind in flat if hasattr(kind, "layout")]


def specified(primitive, *arrays, **static):
    """What the forward gives, under the error state that the engine runs it in."""
    with np.errstate(all="ignore"):
        return primitive.forward(*arrays, **static)


def truth(primitive, *arrays, **static):
    """The forward in long double."""
    y = specified(primitive, *[a.astype(np.longdouble) for a in arrays], **static)
    return y if isinstance(y, tuple) else np.asarray(y)


def absolute(arrays):
    return [np.abs(a) for a in arrays]


def several(y):
    return y if isinstance(y, tuple) else (y,)


def assert_within(got, want, allowed):
    """NaN counts as off."""
    error, allowed = np.abs(got - want), np.broadcast_to(allowed, want.shape)
    wrong = np.argwhere(~(error <= allowed))
    assert not len(wrong), (
        f"{len(wrong)} of {got.size} wrong, the first at {wrong[0]}: off by "
        f"{error[tuple(wrong[0])]:.3g}, allowed {allowed[tuple(wrong[0])]:.3g}"
    )


# ---- arrays


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


def normal(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def assert_accelerated(primitive, arrays, static, dtype):
    """The results, after what holds for every kernel: the shapes and dtypes of the forward's, and
    arguments left as they are."""
    before = [a.tobytes() for a in arrays]
    got = accelerated(primitive, *arrays, **static)
    assert [a.tobytes() for a in arrays] == before
    want = several(specified(primitive, *arrays, **static))
    for one, other in zip(several(got), want, strict=True):
        assert isinstance(one, np.ndarray)
        assert (one.shape, one.dtype) == (np.shape(other), other.dtype)
        assert one.dtype == (np.intp if primitive is ops.argmax_windows else dtype)
    return got


# ---- processes of their own


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


@contextmanager
def allocations():
    """Give a function that returns how many arrays compiled code has allocated in the block."""
    _nrt_python.memsys_enable_stats()
    try:
        yield lambda: rtsys.get_allocation_stats().alloc
    finally:
        _nrt_python.memsys_disable_stats()
