"""Programs: recorded on one input and replayed on another, printed, and made shorter."""

import contextlib
import re
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor, optim
from minigrad.core.primitive import evaluate
from minigrad.program import RecordingError
from minigrad.program.instructions import simplified, without_repeats, without_unused
from models.vae import VAE
from tests import ROOT
from tests.ops.table import CASES, VALUES
from tests.program.helpers import classifier, images, pictures, same
from train_vae import make_step

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def with_gradients(f):
    """f, and the gradients of a random combination of its results."""

    def function(*xs):
        ys = f(*xs)
        several = ys if isinstance(ys, (tuple, list)) else (ys,)
        loss = sum((y * (i + 1.5)).sum() for i, y in enumerate(several) if y.requires_grad)
        return ys, (mg.grad(loss, xs, allow_unused=True) if isinstance(loss, Tensor) else ())

    return function


def outcome(function, arrays, dtype, **settings):
    xs = [Tensor(x.astype(dtype) if x.dtype.kind == "f" else x, **settings) for x in arrays]
    return structure(function(*xs))


def structure(ys):
    return [structure(y) for y in ys] if isinstance(ys, (tuple, list)) else y_of(ys)


def y_of(y):
    return None if y is None else y.numpy().copy()


# The table has indices, labels and conditions as arrays of NumPy's, which are refused.
INDEXED = {"_getitem", "getitem", "_scatter_add", "scatter_add", "cross_entropy", "where"}
INDEXED |= {"leaky_relu_pull"}
refused = contextlib.suppress(RecordingError)


def moved(x, by):
    """Other numbers of the same kind."""
    flat = np.roll(x.reshape(-1), by)
    return (flat if x.dtype.kind != "f" else flat * (1 - 0.01 * by)).reshape(x.shape)


def step_by_step(instruction, arrays, results):
    """What stands in for a compiled loop, as each takes half a second to compile."""

    def call():
        values = dict(zip(instruction.operands, arrays, strict=True))
        for i in instruction.primitive.steps:
            given = [values.get(x, np.zeros(x.shape, x.dtype)) for x in i.operands]
            values[i.results[0]] = evaluate(i.primitive, given, i.static)
        for y, array in zip(instruction.results, results, strict=True):
            array[...] = values[y]

    return [call]


no_compiler = mock.patch("minigrad.kernels.loops.jobs", step_by_step)


@no_compiler
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(CASES))
def test_every_operation_is_replayed_on_other_inputs(name, dtype):
    @settings(max_examples=6, deadline=None, suppress_health_check=SLOW, database=None)
    @given(data=st.data())
    def check(data):
        arrays, ours, _ = data.draw(CASES[name])
        step = mg.compile(with_gradients(ours))
        for by in (0, 1, 2):
            other = [moved(x, by) for x in arrays]
            want = outcome(with_gradients(ours), other, dtype, requires_grad=True)
            with refused if name in INDEXED else contextlib.nullcontext():
                assert same(outcome(step, other, dtype, requires_grad=True), want)
        assert name in INDEXED or step._recordings[0].replay

    check()


@no_compiler
@pytest.mark.parametrize("name", sorted(set(VALUES) - {"_scatter_add"}))
def test_every_operation_without_a_gradient_is_replayed(name):
    @settings(max_examples=6, deadline=None, suppress_health_check=SLOW, database=None)
    @given(data=st.data())
    def check(data):
        arrays, ours, _ = data.draw(VALUES[name])
        step = mg.compile(ours)
        for by in (0, 1, 2):
            other = [moved(x, by) for x in arrays]
            assert same(structure(step(*map(Tensor, other))), structure(ours(*map(Tensor, other))))

    check()


OPERATIONS = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b,
    "/": lambda a, b: a / (1.5 + b * b), "@": lambda a, b: a @ b.transpose(0, 1) @ b,
    "max": lambda a, b: mg.maximum(a, b), "where": lambda a, b: mg.where(a > b, a, b),
    "sum": lambda a, b: a + b.sum(axis=0), "rows": lambda a, b: a * b.sum(axis=1, keepdims=True),
    "tanh": lambda a, b: mg.tanh(a) + b, "exp": lambda a, b: mg.exp(-a * a) * b,
    "elu": lambda a, b: mg.elu(a) - b, "sigmoid": lambda a, b: mg.sigmoid(a * b),
    "softplus": lambda a, b: mg.softplus(a) * b, "leaky": lambda a, b: mg.leaky_relu(a - b, 0.2),
    "mean": lambda a, b: a * b.mean(), "index": lambda a, b: a[::-1] + b,
    "roll": lambda a, b: mg.concatenate([a[1:], b[:1]]),
    "norm": lambda a, b: a - mg.log_softmax(b, 1),
    "draw": lambda a, b: a * mg.bernoulli(mg.sigmoid(b)),
    "noise": lambda a, b: a + b * mg.to(mg.randn(shape=()), b.dtype),
}  # fmt: skip


PROGRAMS = {
    "steps": st.lists(
        st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0, 9), st.integers(0, 9)),
        min_size=1, max_size=9,
    ),
    "shape": st.sampled_from([(3, 4), (1, 1), (70, 40)]), "dtype": st.sampled_from(["f4", "f8"]),
    "second": st.booleans(),
}  # fmt: skip


@settings(max_examples=500, deadline=None, suppress_health_check=SLOW)
@given(**PROGRAMS)
def test_random_programs_with_gradients_have_the_bits_of_eager_ones(**program):
    with no_compiler:
        assert_same_bits(**program)


@settings(max_examples=8, deadline=None, suppress_health_check=SLOW, derandomize=True)
@given(**PROGRAMS)
def test_random_programs_with_compiled_loops_do_as_well(**program):
    assert_same_bits(**program)


def assert_same_bits(steps, shape, dtype, second):
    def function(a, b):
        values = [a, b]
        for name, i, j in steps:
            values.append(OPERATIONS[name](values[i % len(values)], values[j % len(values)]))
        y = values[-1]
        if not y.requires_grad:
            return y
        slopes = mg.grad((y * y).mean(), (a, b), create_graph=second, allow_unused=True)
        if second and slopes[0] is not None and slopes[0].requires_grad:
            slopes += mg.grad((slopes[0] * a).sum(), (a, b), allow_unused=True)
        return y, slopes

    step, ends = mg.compile(function), []
    for f in (function, step):
        mg.random.seed(1)
        ends.append([])
        for call in range(3):
            drawn = np.random.default_rng(call).standard_normal((2, *shape)).astype(dtype)
            ends[-1].append(structure(f(*[Tensor(x, requires_grad=True) for x in drawn])))
    assert same(*ends)


# ---- passes


def names(program):
    return [i.primitive.name for i in program.instructions]


def recorded(function, *arrays):
    step = mg.compile(function)
    step(*arrays)
    return step._recordings[0].program


def test_what_nobody_uses_is_dropped_unless_it_acts():
    def function(x):
        y = x * 2
        mg.exp(y)
        mg.randn(shape=(2,))
        state.copy_(y)
        return y + 1

    state = Tensor([0.0, 0.0])
    program = recorded(function, np.float32([1, 2]))
    assert names(program) == ["multiply", "exp", "randn", "copy_", "add"]
    assert names(without_unused(program)) == ["multiply", "randn", "copy_", "add"]


def test_what_is_computed_twice_is_shared_but_never_across_a_write():
    w = Tensor([1.0, 2.0])

    def function(x):
        first, second = x * w, x * w
        view = w[0:1] + 1
        w.copy_(first + second)
        return x * w + mg.randn(shape=(2,)) + mg.randn(shape=(2,)) + view + w[0:1]

    program = without_repeats(recorded(function, np.float32([1, 2])))
    assert names(program).count("multiply") == 2  # before the write, and after it
    assert names(program).count("randn") == 2
    w.copy_(np.float32([1, 2]))
    ends = []
    for f in (function, mg.compile(function)):
        w.copy_(np.float32([1, 2]))
        mg.random.seed(0)
        ends.append([f(Tensor([1.0, 2.0])).numpy().copy() for _ in range(4)])
    assert same(*ends)


def test_a_program_says_where_it_came_from():
    step, model, adam = classifier()
    step = mg.compile(step)
    step(images(0, 784)[:5], np.arange(5))
    text = str(step.program)
    assert re.search(
        r"v1 : f32\[5,32\] = linear\(arrays\[0\], 0.weight, 0.bias\) +# helpers.py:\d+ ", text
    )
    parts = [text.index(f"\n{part}:") if part != "forward" else text.index("forward:")
             for part in ("forward", "backward", "update")]  # fmt: skip
    assert parts == sorted(parts)
    assert "adam_(adam.lr, 0.weight, means(0.weight), squares(0.weight), steps(0.weight), v" in text
    assert "0.weight.grad = v" in text and "return {'loss': v" in text


def test_numbers_of_every_program_are_its_own():
    """Two results never have one name, and no operand is named before it is made."""
    step, *_ = classifier()
    program = simplified(recorded(step, images(0, 784)[:5], np.arange(5)))
    seen = {"arrays[0]", "arrays[1]"}
    for line in str(program).splitlines():
        if " : " in line:
            made, call = line.split(" : ", 1)
            used = {w.strip("(),") for w in call.split("#")[0].split() if w.strip("(),")[0] == "v"}
            assert {u for u in used if u[1:].isdigit()} <= seen, line
            assert not {m.strip() for m in made.split(",")} & seen, line
            seen |= {m.strip() for m in made.split(",")}


def test_the_documentation_has_the_vaes_program():
    vae = VAE(10)
    step = mg.compile(make_step(vae, optim.Adam(vae.parameters())))
    step(pictures(0, count=100))
    lines = [line.partition("  # ")[0].rstrip() for line in str(step.program).splitlines()]
    (printed,) = re.findall(r"```text\n(.*?)\n```", (ROOT / "docs/program.md").read_text(), re.S)
    assert lines == printed.splitlines()
