"""A NaN in any operation, forward or backward, is found and named; a sound one keeps its bits."""

import re
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor, nn, optim
from minigrad.core.primitive import OPERATIONS, Primitive
from tests.core.helpers import leaf
from tests.ops.table import CASES, VALUES
from tests.program.helpers import same
from tests.program.test_programs import outcome, with_gradients
from tests.test_anomaly import message

FEW = settings(
    max_examples=2, deadline=None, database=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip


TABLE = {**CASES, **VALUES}
PRIMITIVES = {
    name: f
    for name, f in OPERATIONS.items()
    if isinstance(f, Primitive) and f.__module__.startswith("minigrad.")
}
NO_FLOATS = {"eq", "ne", "lt", "le", "gt", "ge", "argmax", "argmax_windows", "_labels", "add_one_"}
BY_VALUE = {"_setitem_"}  # judged by what it writes: see tests/test_anomaly.py


def with_nan(y):
    y = np.array(y)
    y.flat[:1] = np.nan
    return y


def spoilt(primitive):
    """The primitive's forward, with a NaN as the first number of each result."""

    def forward(*arrays, **static):
        found = primitive_forward(*arrays, **static)
        if primitive.writes:
            primitive.written(arrays)[0].flat[0] = np.nan
            return None
        return tuple(map(with_nan, found)) if isinstance(found, tuple) else with_nan(found)

    primitive_forward = primitive.forward
    return mock.patch.multiple(primitive, forward=forward, kernel=None)


planted = Primitive(with_nan)  # in no registry
planted.name, planted.pulls = "planted", ()


def with_spoilt_pulls(primitive):
    """A block in which the primitive's pulls return a NaN as the first number."""

    def spoil(pull):
        def spoilt(*args, **static):
            found = pull(*args, **static)
            return tuple(map(planted, found)) if isinstance(found, tuple) else planted(found)

        return pull and spoilt

    pulls = primitive.pulls
    pulls = spoil(pulls) if callable(pulls) else tuple(map(spoil, pulls))
    return mock.patch.object(primitive, "_pulls", pulls)


def norm():
    nn.BatchNorm1d(2)(Tensor([[1.0, 2.0], [3.0, 5.0]]))


def updated(optimiser):
    w = leaf(1.0, 2.0)
    w.grad = Tensor(np.ones(2))
    optimiser([w]).step()


OTHERS = {  # what the table has not, or for whole numbers alone
    "_converted": lambda: Tensor([1, 2]) + Tensor([0.5]),
    "rand": lambda: mg.rand(shape=(3,)), "randn": lambda: mg.randn(shape=(3,)),
    "bernoulli": lambda: mg.bernoulli(Tensor([0.5])),
    "copy_": lambda: Tensor([1.0]).copy_(np.ones(1)), "average_": norm,
    "sgd_": lambda: updated(optim.SGD), "adam_": lambda: updated(optim.Adam),
}  # fmt: skip


@pytest.mark.parametrize(
    "name", sorted(TABLE.keys() & PRIMITIVES.keys() - NO_FLOATS - OTHERS.keys())
)
def test_a_nan_that_an_operation_makes_is_found(name):
    @FEW
    @given(data=st.data())
    def check(data):
        arrays, ours, *_ = data.draw(TABLE[name])
        with spoilt(PRIMITIVES[name]):
            text = message(ours, *map(Tensor, arrays))
        assert re.match(rf"{name} made (1 )?NaN.*\n  {name} was called in ", text)

    check()


@pytest.mark.parametrize("name", sorted(CASES.keys() & PRIMITIVES.keys()))
def test_a_nan_that_a_pull_makes_is_found(name):
    @FEW
    @given(data=st.data())
    def check(data):
        arrays, ours, _ = data.draw(CASES[name])

        def forward_and_back():
            ys = ours(*[Tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays])
            y = sum(y.sum() for y in ys) if isinstance(ys, tuple) else ys.sum()
            mg.backward(y)

        with with_spoilt_pulls(PRIMITIVES[name]):
            text = message(forward_and_back)
        assert re.match(rf"backward of {name}: planted made (1 )?NaN.*\n  {name} was", text)
        assert f"\n  planted was called by the pull of {name}\n    y: f64[" in text
        assert re.search(rf"\n  {name} was called in \w+\.py:\d+  .*\n", text)
        assert "mg.backward" not in text

    check()


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_a_nan_that_a_conversion_a_draw_or_a_write_makes_is_found(name):
    with spoilt(PRIMITIVES[name]):
        text = message(OTHERS[name])
    verb = "wrote" if PRIMITIVES[name].writes else "made"
    assert re.match(rf"{name} {verb} (1 )?NaN.*\n", text)
    assert text.count(", 1 NaN, after the write") == (verb == "wrote")


def test_no_operation_is_forgotten():
    assert (
        TABLE.keys() & PRIMITIVES.keys() | OTHERS.keys() | NO_FLOATS | BY_VALUE == PRIMITIVES.keys()
    )


@pytest.mark.parametrize("name", sorted(CASES))
def test_sound_operations_pass_with_the_same_bits(name, backend):
    @FEW
    @given(data=st.data())
    def check(data):
        arrays, ours, _ = data.draw(CASES[name])
        want = outcome(with_gradients(ours), arrays, np.float32, requires_grad=True)
        with mg.detect_anomaly():
            got = outcome(with_gradients(ours), arrays, np.float32, requires_grad=True)
        assert same(got, want)

    check()
