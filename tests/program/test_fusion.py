"""Loops in the place of elementwise operations: bits, source, and what they must not do."""

import re
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, ops
from minigrad.core.tensor import replace
from minigrad.kernels import cache, loops
from minigrad.kernels.loops import CONVERSIONS, FORMULAS, Loop
from minigrad.program.fusion import fused, loop_of
from minigrad.program.instructions import Instruction, Value, simplified
from tests.program.helpers import same
from tests.program.test_programs import recorded

ALPHA, SLOPE = {"alpha": 0.7}, {"negative_slope": 0.2}
STATIC = {"elu": ALPHA, "elu_pull": ALPHA, "leaky_relu": SLOPE, "leaky_relu_pull": SLOPE}
SAME_DTYPE = [primitive for primitive in FORMULAS if primitive not in CONVERSIONS]
SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-30, -1e30, 88.0, -104.0, 3.5]


def operands(count, dtype, shape=(130, 300)):
    """Arrays of the shape, which has several pieces, with special values at its begin."""
    drawn = 3 * np.random.default_rng(count).standard_normal((count, *shape))
    for n in range(count):
        drawn[n].reshape(-1)[: 144 * 3] = np.tile(np.repeat(SPECIAL, 12 if n == 1 else 1), 36)[:432]
    return list(drawn.astype(dtype))


def one_nan(y):
    """The values with a single NaN, because LLVM gives it one sign or the other."""
    return np.where(np.isnan(y.numpy()), np.nan, y.numpy())


def loops_of(step):
    return [
        i for i in step._recordings[0].replay.program.instructions if isinstance(i.primitive, Loop)
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("primitive", SAME_DTYPE, ids=lambda p: p.name)
def test_a_loop_has_the_bits_of_the_kernel_or_the_forward(primitive, dtype):
    count = 4 if primitive.name == "_chain" else primitive.count

    def function(*xs):
        y = primitive(*xs[:count], **STATIC.get(primitive.name, {}))
        return y, y * 3 + xs[0]

    arrays, step = operands(count, dtype), mg.compile(function)
    for shift in range(3):
        xs = [Tensor(np.roll(x, shift)) for x in arrays]
        got, want = ([one_nan(y) for y in f(*xs)] for f in (step, function))
        assert same(got, want)
    (loop,) = loops_of(step)
    assert primitive in [i.primitive for i in loop.primitive.steps] and len(loop.results) == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1,), (7,), (1, 1), (5, 1), (1, 5), (3, 4, 5), (300, 257)])
def test_operands_broadcast_inside_a_loop(shape, dtype):
    def function(x, row, column, one):
        return mg.tanh(x * row + column) - x / one, (x * 2 + one) * row

    parts = shape, shape[-1:], (*shape[:-1], 1), ()
    step = mg.compile(function)
    for call in range(3):
        draw = np.random.default_rng(call)
        xs = [Tensor(np.array(draw.uniform(1, 2, part), dtype)) for part in parts]
        want = [y.numpy() for y in function(*xs)]
        assert same([y.numpy() for y in step(*xs)], want)
    assert loops_of(step)


def test_how_an_operand_is_read():
    def along(array, shape):
        arrays = enumerate((array, np.zeros(shape, "f"), np.zeros(shape, "f")))
        x, y, z = (Value("result", n, None, a.shape, a.dtype, a.strides, n) for n, a in arrays)
        found = loop_of([Instruction(ops.add, (x, y), {}, (z,))])
        return found and (found.sizes, found.along[x])

    x = np.zeros((4, 6), np.float32)
    assert along(x, (4, 6)) == ((1, 1, 24), (0, 0, 1)) == along(x.reshape(4, 1, 6), (4, 1, 6))
    assert along(x[:, :3], (4, 3)) == ((1, 4, 3), (0, 6, 1))
    assert along(x[::2], (2, 6)) == ((1, 2, 6), (0, 12, 1))
    row = (1, 4, 6), (0, 0, 1)
    assert along(x[0], (4, 6)) == row == along(np.broadcast_to(x[0], (4, 6)), (4, 6))
    assert along(x[:, :1].copy(), (4, 6)) == ((1, 4, 6), (0, 1, 0))
    assert along(x[:, :1], (4, 6)) == ((1, 4, 6), (0, 6, 0))
    assert along(x[0, 0], (4, 6)) == ((1, 1, 24), (0, 0, 0))
    assert along(np.zeros((5, 1), "f"), (4, 5, 6)) == ((4, 5, 6), (0, 1, 0))  # channels
    assert along(np.zeros((4, 1, 6), "f"), (4, 5, 6)) == ((4, 5, 6), (6, 0, 1))
    for strange in (x.T, x[:, ::-1].T, x[::-1].T, np.zeros((6, 4, 2), "f")[..., 0]):
        assert along(strange, (6, 4)) is None
    assert along(x[::-1], (4, 6)) is None and along(np.zeros((2, 1, 2, 1)), (2, 2, 2, 2)) is None


def test_a_loop_is_a_text_that_can_be_read():
    step = mg.compile(lambda a, b: mg.tanh(a * b + a))
    a, b = np.ones((2, 50), np.float32)
    step(a, b)
    step(a, b)
    (loop,) = loops_of(step)
    assert loops.source(loop) == (
        "def task(start, stop, rows, row, steps, x0, x1, y0):\n"
        "    a, b, row = 0, start, stop - start\n"
        "    p0 = a * steps[0, 0] + b * steps[0, 1]\n"
        "    x0_ = x0[p0 : p0 + row]\n"
        "    p1 = a * steps[1, 0] + b * steps[1, 1]\n"
        "    x1_ = x1[p1 : p1 + row]\n"
        "    p2 = a * steps[2, 0] + b * steps[2, 1]\n"
        "    y0_ = y0[p2 : p2 + row]\n"
        "    for j in range(row):\n"
        "        t0 = np.float32(x0_[j] * x1_[j])\n"
        "        t1 = np.float32(t0 + x0_[j])\n"
        "        t2 = np.float32(scalars.tanh(t1))\n"
        "        y0_[j] = t2\n"
    )
    assert re.search(r"v1 : f32\[50\] = loop\(a, b\)", str(step._recordings[0].replay.program))


def test_a_loop_begins_with_the_bias_and_ends_with_sums():
    draw = np.random.default_rng(0)
    w, b, c = (Tensor(draw.standard_normal(shape)) for shape in ((40, 30), (40,), (70, 40)))

    def function(x):
        y = mg.elu(mg.linear(x, w, b))
        return y, mg.log_bernoulli(c, y), (y * c).sum(1), y.sum(0)

    step = mg.compile(function)
    for _ in range(3):
        x = Tensor(draw.standard_normal((70, 30)))
        assert same(*([y.numpy() for y in f(x)] for f in (step, function)))
    (loop,) = loops_of(step)
    steps = [i.primitive.name for i in loop.primitive.steps]
    assert steps == ["add", "elu", "log_bernoulli", "multiply", "sum"]
    assert [y.shape for y in loop.results] == [(70, 40), (70,), (70,)]
    text = loops.source(loop)
    assert "    terms = scratch(2 * row, np.float64).reshape(2, row)\n" in text
    assert "        y1[p4] = sum_row(terms[0])\n" in text


def test_nothing_reads_a_sum_inside_the_loop_that_makes_it():
    def function(x):
        y = mg.exp(x) * 2
        return y / y.sum(axis=1, keepdims=True)

    step, draw = mg.compile(function), np.random.default_rng(0)
    for _ in range(3):
        x = Tensor(draw.standard_normal((30, 20)))
        assert same(step(x).numpy().copy(), function(x).numpy())
    assert [len(i.primitive.steps) for i in loops_of(step)] == [3, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_operands_may_be_parts_of_rows_numbers_for_channels_and_sums_over_last_axes(dtype):
    def function(x, channel, wide, column):
        m, h = wide[:, :12], wide[:, 12:]
        a = x * channel + x
        return a, a.sum((2, 3)), (m * mg.exp(h) + m).sum(1), m * column[:, 1:] - h, wide[::2] * 3

    step = mg.compile(function)
    for call in range(3):
        draw = np.random.default_rng(call)
        shapes = (6, 5, 3, 4), (5, 1, 1), (8, 24), (8, 2)
        xs = [Tensor(draw.standard_normal(shape).astype(dtype)) for shape in shapes]
        assert same(*([y.numpy().copy() for y in f(*xs)] for f in (step, function)))
    steps = [[j.primitive.name for j in i.primitive.steps] for i in loops_of(step)]
    assert ["multiply", "add", "sum"] in steps and ["multiply", "subtract"] in steps, steps


def test_an_argument_that_is_a_part_of_rows_is_read_as_what_a_replay_has_of_it():
    """... which is a copy with the same gaps, so a loop may trust its strides, and its views'."""

    def function(x):
        y = mg.exp(x) * 2
        return y + x[:, 1:2], (y * 3).sum(1)

    step, draw = mg.compile(function), np.random.default_rng(0)
    for _ in range(3):
        x = Tensor(draw.standard_normal((9, 14)))[:, 3:9]
        assert same(*([y.numpy().copy() for y in f(x)] for f in (step, function)))
    assert loops_of(step)


WHOLE = [0, 1, 255, -1, 2**24 + 1, 2**24 + 3, 2**31 - 1, 2**62 + 1, -(2**63)]  # some get rounded
WIDE = [*SPECIAL, 1 + 2**-24, 1 + 3 * 2**-24, 1e39, -1e-42, 1e-50]  # in float32, too


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "uint16", "int32", "int64", "uint64"])
def test_a_loop_takes_whole_numbers_as_the_operations_do(dtype):
    def function(x):
        return x / np.float32(127.5) - 1, x[:, 3:].to(np.float64) * 2

    step = mg.compile(function)
    for shift in range(3):
        x = np.roll(np.resize(np.array(WHOLE).astype(dtype), (50, 300)), shift)
        assert same(*([y.numpy().copy() for y in f(Tensor(x))] for f in (step, function)))
    made = names(step._recordings[0].replay.program)
    assert made == [["_converted", "divide", "subtract"], "_getitem", ["to", "multiply"]]


def test_a_loop_changes_the_dtype_as_the_operations_do():
    def function(x):
        y = (x.to(np.float32) * 3).to(np.float64) / 3
        return y, x - y

    step = mg.compile(function)
    for shift in range(3):
        x = Tensor(np.roll(np.resize(WIDE, (50, 300)), shift))
        with np.errstate(all="ignore"):
            assert same(*([one_nan(y) for y in f(x)] for f in (step, function)))
    made = names(step._recordings[0].replay.program)
    assert made == [["to", "multiply"], ["to", "divide", "subtract"]]


def test_a_complex_operand_is_converted_by_numpy():
    step, x = mg.compile(lambda x: x.to(np.float32) * 2), Tensor(np.complex64([1 + 2j, 3]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        assert [step(x).numpy().tolist() for _ in range(3)] == [[2, 6]] * 3
    assert names(step._recordings[0].replay.program) == ["to", ["multiply"]]


def test_a_state_that_gets_another_layout_is_another_program():
    w = Tensor(np.arange(12.0).reshape(3, 4))

    def function(x):
        return mg.exp(x * w) + w

    step = mg.compile(function)
    for shift, order in enumerate((np.asarray, np.asfortranarray, np.asfortranarray)):
        array = order(np.arange(12.0).reshape(3, 4) + shift)  # the last one is another array alone
        replace(w, array)
        for _ in range(3):
            x = Tensor(np.random.default_rng(0).random((3, 4)))
            assert same(step(x).numpy(), function(x).numpy())
    assert len(step._recordings) == 2


def names(program):
    return [[j.primitive.name for j in i.primitive.steps] if isinstance(i.primitive, Loop)
            else i.primitive.name for i in program.instructions]  # fmt: skip


def test_nothing_moves_across_a_write_or_before_its_operands():
    w = Tensor(np.ones(50, np.float32))

    def function(x):
        y = mg.exp(x * w)
        w.copy_(y + 1)
        z = x * w
        total = (z * 2).sum()
        return (z + total) * x + y

    program = fused(simplified(recorded(function, np.ones(50, np.float32))))
    before, after = ["multiply", "exp", "add"], ["add", "multiply", "add"]
    assert names(program) == [before, "copy_", ["multiply", "multiply"], "sum", after]
    ends = []
    for f in (function, mg.compile(function)):
        w.copy_(np.ones(50, np.float32))
        x = Tensor(np.linspace(0, 1e-3, 50, dtype=np.float32))
        ends.append([f(x).numpy().copy() for _ in range(4)])
    assert same(*ends)


def test_a_single_sum_keeps_its_kernel():
    def function(x):
        return mg.exp(x).sum() * 2

    program = fused(simplified(recorded(function, np.ones((3, 4), np.float32))))
    assert names(program) == [["exp"], "sum", ["multiply"]]


def test_the_sources_on_disk_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(cache._state, "folder", tmp_path)
    monkeypatch.setattr(cache, "MOST", 3)
    for n in range(6):
        path = cache.generated(f"loop_{n}", f"# {n}\n")
        (tmp_path / f"loops.loop_{n}-0.nbc").touch()
    kept = sorted(path.name for path in tmp_path.glob("loops/*.py"))
    assert kept == ["loop_3.py", "loop_4.py", "loop_5.py"] and path.endswith("loop_5.py")
    assert len(list(tmp_path.glob("*.nbc"))) == 3


def test_ops_that_loops_compute_are_elementwise():
    assert {p.name for p in FORMULAS} <= {*mg.ops.__all__, "_chain", "_converted", "ones_like"}
    assert ops.log_bernoulli not in FORMULAS
