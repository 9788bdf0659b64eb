"""What must hold of every operation in the table, over inputs that Hypothesis draws."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor, kernels
from minigrad.core.primitive import OPERATIONS, Primitive
from minigrad.gradcheck import gradcheck, gradgradcheck
from tests.ops.table import CASES, EFFECTS, VALUES

each = pytest.mark.parametrize("name", sorted(CASES))


def examples(n):
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=n, deadline=None, suppress_health_check=slow)


def test_the_table_names_every_operation():
    """A user's own operations are registered as well, hence the module."""
    ours = {name for name, f in OPERATIONS.items() if f.__module__.startswith("minigrad.")}
    assert {*CASES, *VALUES, *EFFECTS} == ours
    assert not {*VALUES, *EFFECTS} & set(CASES)
    for name in {*VALUES, *EFFECTS}:
        assert isinstance(OPERATIONS[name], Primitive) and OPERATIONS[name].pulls == (), name
    inside = {"ones_like", "copy_", "add_one_", "average_", "sgd_", "adam_"}
    assert {name for name in ours if name[0] != "_"} - inside == set(mg.ops.__all__)


@each
@examples(25)
@given(data=st.data())
def test_first_derivatives(name, data):
    arrays, ours, _ = data.draw(CASES[name])
    assert gradcheck(ours, arrays)


@each
@examples(12)
@given(data=st.data())
def test_second_derivatives(name, data):
    arrays, ours, _ = data.draw(CASES[name])
    method = "five-point" if name == "abs" else "auto"  # |z| is real: no cotangent of it is complex
    assert gradgradcheck(ours, arrays, method=method)


def run(f, arrays, cotangent=None):
    """f's results in one vector, a random cotangent for it, and the gradients."""
    xs = [Tensor(x, requires_grad=True) for x in arrays]
    y = joined(f(*xs))
    if cotangent is None:
        cotangent = np.random.RandomState(0).uniform(0.5, 1.5, y.size)
    y.backward(cotangent)
    return y.numpy(), cotangent, [x.grad.numpy() for x in xs]


def joined(ys):
    return mg.concatenate([y.reshape(-1) for y in several(ys)])


def several(ys):
    return ys if isinstance(ys, tuple | list) else (ys,)


def close(a, b, tolerance):
    assert a.shape == b.shape
    scale = max(1.0, np.abs(b).max(initial=0))
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("name", sorted(VALUES))
@examples(25)
@given(data=st.data())
def test_values_without_a_derivative_are_pytorchs(name, torch, data):
    arrays, ours, theirs = data.draw(VALUES[name])
    xs = [Tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays]
    for y, t in zip(
        several(ours(*xs)), several(theirs(*map(torch.from_numpy, arrays))), strict=True
    ):
        assert y.is_leaf and not y.requires_grad
        close(y.numpy(), t.numpy(), 1e-13)


@each
@examples(25)
@given(data=st.data())
def test_values_and_gradients_are_pytorchs(name, torch, data):
    """To 10⁻¹³ of the largest: both round in float64, in sums of at most a few dozen terms."""
    arrays, ours, theirs = data.draw(CASES[name])
    xs = [torch.tensor(x, requires_grad=True) for x in arrays]
    expected = several(theirs(*xs))
    assert [y.shape for y in several(ours(*map(Tensor, arrays)))] == [y.shape for y in expected]
    flat = torch.cat([y.reshape(-1) for y in expected])
    y, cotangent, gradients = run(ours, arrays)
    close(y, flat.detach().numpy(), 1e-13)
    flat.backward(torch.from_numpy(cotangent))
    for g, x in zip(gradients, xs, strict=True):
        close(g, x.grad.numpy(), 1e-13)


@each
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 3e-6)])
@examples(6)
@given(data=st.data())
def test_backends_agree_and_keep_the_dtype(name, dtype, tolerance, data):
    """In float32 to a few dozen roundings of 6·10⁻⁸."""
    arrays, ours, _ = data.draw(CASES[name])
    arrays = [x.astype(dtype) for x in arrays]
    results = []
    for backend in ("numba", "numpy"):
        with kernels.backend(backend):
            y, cotangent, gradients = run(ours, arrays)
        assert {y.dtype, *(g.dtype for g in gradients)} == {np.dtype(dtype)}
        results.append((y, gradients))
    (y, gradients), (specified, expected) = results
    close(y, specified, tolerance)
    for g, reference in zip(gradients, expected, strict=True):
        close(g, reference, tolerance)


LAYOUTS = {
    "transposed": lambda x: Tensor(x.T.copy(), requires_grad=True).T,
    "reversed": lambda x: Tensor(x[::-1].copy(), requires_grad=True)[::-1] if x.ndim else Tensor(x),
    "strided": lambda x: Tensor(np.repeat(x, 2, -1))[..., ::2] if x.ndim else Tensor(x),
    "repeated": lambda x: mg.broadcast_to(Tensor(x.flat[0]), shape=x.shape),  # strides 0, read-only
}


@each
@pytest.mark.parametrize("layout", LAYOUTS)
@examples(5)
@given(data=st.data())
def test_any_layout_gives_the_same(name, layout, data):
    """Views inside the library are not contiguous; values and gradients must not notice."""
    arrays, ours, _ = data.draw(CASES[name])
    views = [LAYOUTS[layout](x).detach() for x in arrays]
    plain = [np.array(view.numpy()) for view in views]
    for view in views:
        view.requires_grad = True
    y = joined(ours(*views))
    expected, cotangent, gradients = run(ours, plain)
    close(y.numpy(), expected, 1e-14)
    for view, g, reference in zip(views, mg.grad(y, views, cotangent), gradients, strict=True):
        assert g.shape == view.shape
        close(g.numpy(), reference, 1e-14)


ELEMENTWISE = ["add", "divide", "elu", "exp", "log1p", "maximum", "sigmoid", "softplus", "where"]


@pytest.mark.parametrize("name", ELEMENTWISE + ["sum", "linear", "bmm", "concatenate"])
def test_empty_tensors(name):
    x = Tensor(np.zeros((0, 3)), requires_grad=True)
    f = getattr(mg, name)
    y = {
        "where": lambda: f(np.zeros((0, 1), bool), x, x),
        "sum": lambda: f(x, axis=0),
        "linear": lambda: f(x, Tensor(np.ones((2, 3))), Tensor(np.ones(2))),
        "bmm": lambda: f(x, Tensor(np.ones((3, 2)))),
        "concatenate": lambda: f([x, x]),
        **dict.fromkeys(("add", "divide", "maximum"), lambda: f(x, x)),
    }.get(name, lambda: f(x))()
    y.backward(np.ones(y.shape))
    assert x.grad.shape == (0, 3)
    assert name != "sum" or (y.numpy() == np.zeros(3)).all()
