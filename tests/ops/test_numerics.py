"""Values and gradients where arithmetic is delicate: ties, singular points, infinities, NaN."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor
from tests.ops.table import CASES

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def value_and_slope(f, x, dtype=np.float64):
    x = Tensor(np.array(x, dtype), requires_grad=True)
    y = f(x)
    y.backward(np.ones(y.shape))
    return y.numpy(), x.grad.numpy()


# ---- ties


def test_a_tie_in_maximum_and_minimum_is_split_in_half():
    for f in (mg.maximum, mg.minimum):
        a, b = Tensor([1.0, 2.0], requires_grad=True), Tensor([1.0, 2.0], requires_grad=True)
        f(a, b).sum().backward()
        assert a.grad.numpy().tolist() == b.grad.numpy().tolist() == [0.5, 0.5]


def test_ties_in_max_go_where_pytorchs_go(torch):
    """Along an axis to the first; in amax, and over everything, in equal shares."""
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    for ours, theirs, slope in (
        (lambda x: x.amax(axis=1), lambda x: torch.amax(x, 1), [[0, 0.5, 0.5], [1 / 3] * 3]),
        (lambda x: x.max(1).values, lambda x: torch.max(x, 1).values, [[0, 1, 0], [1, 0, 0]]),
        (mg.max, torch.max, [[0, 0.5, 0.5], [0, 0, 0]]),
    ):
        _, found = value_and_slope(ours, x)
        np.testing.assert_allclose(found, slope)
        t = torch.tensor(x, requires_grad=True)
        theirs(t).sum().backward()
        np.testing.assert_allclose(found, t.grad.numpy())


@pytest.mark.parametrize("x", [[-np.inf, -np.inf], [np.inf, np.inf], [np.inf, 0.0], [0.0, -np.inf]])
@pytest.mark.parametrize("name", ["logsumexp", "amax"])
def test_at_infinities_extremes_and_logsumexp_do_as_pytorchs(name, x, torch):
    value, slope = value_and_slope(lambda x: getattr(mg, name)(x, axis=0), x)
    t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    y = getattr(torch, name)(t, 0)
    y.backward()
    np.testing.assert_array_equal(value, y.detach().numpy())
    np.testing.assert_array_equal(slope, t.grad.numpy())


# ---- singular points


@pytest.mark.parametrize(
    ("f", "x", "slope"),
    [
        (lambda x: x**0, 0.0, 0.0),
        (lambda x: x**1, 0.0, 1.0),
        (lambda x: x**2, 0.0, 0.0),
        (lambda x: x**2.5, 0.0, 0.0),
        (lambda x: 0.0**x, 2.0, 0.0),
        (lambda x: 0.0**x, 0.0, 0.0),
        (lambda x: mg.sqrt(x), 0.0, np.inf),
        (lambda x: mg.log(x), 0.0, np.inf),
        (lambda x: x**0.5, 0.0, np.inf),
        (lambda x: abs(x), 0.0, 0.0),
        (lambda x: mg.relu(x), 0.0, 0.0),
    ],
)
def test_slopes_at_singular_points(f, x, slope):
    """x**0 is 1 and 0**x is 0 for x > 0: constant, hence slope 0 and not 0 · ∞."""
    assert value_and_slope(f, x)[1] == slope


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: mg.where(x > 0, mg.log(x), 0.0), [0.0, -1.0]),
        (lambda x: mg.where(x > 0, mg.sqrt(x), 0.0), [0.0, -1.0]),
        (lambda x: mg.where(x > 0, 1 / x, 0.0), [0.0, -0.0]),
        (lambda x: mg.where(x > 0, x / x, 0.0), [0.0, -0.0]),
        (lambda x: mg.where(x > 0, x**-1.5, 0.0), [0.0, -1.0]),
        (lambda x: mg.where(x > -1, mg.log1p(x), 0.0), [-1.0, -2.0]),
        (lambda x: mg.where(x < 800, mg.exp(x), 0.0), [1000.0, 2000.0]),
        (lambda x: mg.where(x < 800, mg.expm1(x), 0.0), [1000.0, 2000.0]),
        (lambda x: mg.where(x > 0, mg.itakura_saito(x, 1), 0.0), [0.0, -1.0]),
        (lambda x: mg.where(x > 0, mg.itakura_saito(1, x), 0.0), [0.0, -1.0]),
        (lambda x: mg.where(x > 0, x**0.5, 0.0), [0.0, -1.0]),
        (lambda x: mg.where(x > 0, (-x) ** x, 0.0), [0.0, -1.0]),
    ],
)
def test_no_nan_comes_back_through_the_branch_not_taken(f, x):
    value, slope = value_and_slope(f, x)
    assert value.tolist() == [0, 0] and slope.tolist() == [0, 0]


def test_the_price_of_the_convention():
    """A cotangent that is 0 only in the limit sends 0 as well (and NaN in PyTorch)."""
    assert value_and_slope(lambda x: mg.sqrt(x) ** 2, 0.0)[1] == 0
    assert value_and_slope(lambda x: mg.exp(mg.log(x)), 0.0)[1] == 0


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (mg.exp, np.inf), (mg.expm1, np.inf), (mg.log, np.nan), (mg.sqrt, np.nan),
        (lambda x: 1 / x, np.nan), (lambda x: x / x, np.inf), (lambda x: x**2, np.inf),
        (lambda x: mg.itakura_saito(x, 1), np.nan), (lambda x: x * np.inf, 1.0),
    ],
)  # fmt: skip
def test_where_an_operand_is_not_finite_a_zero_cotangent_is_arithmetic(f, x):
    """0 · ∞ and 0 · NaN are NaN there, as in PyTorch: something went wrong before."""
    x = Tensor(np.array(x), requires_grad=True)
    (f(x) * 0.0).backward()
    assert np.isnan(x.grad.item())


SINGULAR = [0.0, -0.0, 1.0, -1.0, 1e-300, -1e300, 1e300, 800.0, -800.0, 1 + 1e-9]


@pytest.mark.parametrize("name", sorted(CASES))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_at_finite_operands_a_zero_cotangent_sends_zero_in_every_operation(name, data):
    """Over the whole table, at the numbers where slopes are infinite, undefined or overflow."""
    arrays, ours, _ = data.draw(CASES[name])
    # What the variance of 10³⁰⁰ is, and x̂ with it, float64 can't hold.
    numbers = SINGULAR[:4] + SINGULAR[7:] if name.startswith("batch_norm") else SINGULAR
    draw = np.random.RandomState(data.draw(st.integers(0, 2**31)))
    xs = [Tensor(draw.choice(numbers, x.shape), requires_grad=True) for x in arrays]
    y = ours(*xs)
    for part in y if isinstance(y, tuple) else (y,):
        for g in mg.grad(part, xs, np.zeros(part.shape), allow_unused=True, retain_graph=True):
            assert g is None or (g.numpy() == 0).all()


def test_a_zero_cotangent_keeps_its_own_derivative():
    """The guard against 0 · ∞ must not cut d(g / x)/dg: L = (log x)² at x = 1, where L′ = 0 and
    L″ = 2 (1 − log x) / x² = 2."""
    x = Tensor(np.array(1.0), requires_grad=True)
    (first,) = mg.grad(mg.log(x) ** 2, x, create_graph=True)
    (second,) = mg.grad(first, x)
    assert first.item() == 0 and second.item() == 2


@pytest.mark.parametrize("size", [1e3, 1e5, 1e7, 1e38])
@both_dtypes
def test_cross_entropy_of_large_equal_logits_is_log_2(dtype, size):
    """Without the shift, x − log Σ eˣ has no digit of log 2 left."""
    for sign in (1, -1):
        x = np.array([[sign * size, sign * size]], dtype)
        value, slope = value_and_slope(lambda x: mg.cross_entropy(x, [0]), x, dtype)
        np.testing.assert_allclose(value, np.log(2), rtol=1e-6)
        np.testing.assert_allclose(slope, [[-0.5, 0.5]], rtol=1e-6)


def test_slopes_of_a_power_whose_exponent_is_0():
    for x in (1e-40, 1e-300, 1e300):
        assert value_and_slope(lambda x: x**0, x)[1] == 0
    assert value_and_slope(lambda x: x**0, 1e-40, np.float32)[1] == 0


def test_leaky_relu_of_slope_0_keeps_nan(backend):
    x = np.array([np.nan, -1.0, 2.0])
    y = mg.leaky_relu(Tensor(x), 0.0).numpy()
    assert np.isnan(y[0]) and y[1:].tolist() == [0, 2]


# ---- overflow


@both_dtypes
def test_softplus_sigmoid_and_logsigmoid_at_the_ends(dtype, backend):
    x = np.array([-np.inf, -1000, -200, -20, 0, 20, 200, 1000, np.inf], dtype)
    tiny = np.exp(np.float64(-20))
    softplus, slope = value_and_slope(mg.softplus, x, dtype)
    logsigmoid, log_slope = value_and_slope(mg.logsigmoid, x, dtype)
    expected = [0, 0, np.exp(-200.0), np.log1p(tiny), np.log(2), 20 + tiny, 200, 1000, np.inf]
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(softplus, np.array(expected, dtype), rtol=tolerance, atol=1e-44)
    np.testing.assert_allclose(logsigmoid, -softplus[::-1], rtol=tolerance, atol=1e-44)
    sigmoid = np.array([0, 0, np.exp(-200.0), tiny / (1 + tiny), 0.5, 1 - tiny, 1, 1, 1], dtype)
    np.testing.assert_allclose(slope, sigmoid, rtol=tolerance, atol=1e-44)
    np.testing.assert_allclose(log_slope, sigmoid[::-1], rtol=tolerance, atol=1e-44)


@both_dtypes
def test_log_of_one_minus_sigmoid_is_finite_as_logsigmoid_of_minus_h(dtype):
    """log(1 − σ(h)) in float32 is −∞ from h ≈ 16.6 on; logsigmoid(−h) is −h."""
    h = np.array([17.0, 100.0], dtype)
    value, slope = value_and_slope(lambda h: mg.logsigmoid(-h), h, dtype)
    np.testing.assert_allclose(value, -h, rtol=1e-6)
    np.testing.assert_allclose(slope, [-1, -1], rtol=1e-6)


def test_logsumexp_at_the_ends(backend):
    """Shifted by the maximum it does not overflow; a row of −∞ gives −∞."""
    x = np.array([[1000, 1000], [-1000, -1001], [-np.inf, 0], [-np.inf, -np.inf]])
    value, slope = value_and_slope(lambda x: mg.logsumexp(x, axis=1), x)
    np.testing.assert_allclose(value[:3], [1000 + np.log(2), -1000 + np.log1p(np.exp(-1)), 0])
    assert value[3] == -np.inf
    s = 1 / (1 + np.exp(-1))
    np.testing.assert_allclose(slope[:3], [[0.5, 0.5], [s, 1 - s], [0, 1]], atol=1e-15)
    _, slope = value_and_slope(lambda x: mg.logsumexp(x, axis=0), [np.nan, 5.0])
    assert np.isnan(slope).all()


@both_dtypes
def test_log_bernoulli_is_accurate_where_it_is_nearly_zero(dtype, backend):
    """x = 1 at l = 20 is log σ(20) = −2·10⁻⁹; x l − softplus(l) would give 0 in float32."""
    x, logits = np.array([[1], [0]], dtype), np.array([[20], [-20]], dtype)
    y = mg.log_bernoulli(Tensor(x), Tensor(logits)).numpy()
    np.testing.assert_allclose(y, -np.log1p(np.exp(-20.0)), rtol=1e-6)


@pytest.mark.parametrize(
    "r", [1.1, 1.01, 1.002, 1.0001, 1 + 1e-6, 1 - 1e-3, 0.5, 0.01, 1e-8, 1e-30, 1e20]
)
@pytest.mark.parametrize("p", [1.0, 0.3, 1e-25, 1e15])
def test_itakura_saito_keeps_all_digits(r, p):
    q, p = np.float32(max(r * p, 1e-37)), np.float32(p)
    ratio = np.longdouble(q) / p
    d = (np.longdouble(q) - p) / p
    near = sum((-1) ** n * d**n / n for n in range(2, 60)) if abs(d) < 0.2 else None
    exact = ratio - 1 - np.log(ratio) if near is None else near
    value, slope = value_and_slope(lambda q: mg.itakura_saito(q, p), q, np.float32)
    np.testing.assert_allclose(value, float(exact), rtol=1.2e-7)
    np.testing.assert_allclose(slope, float(d / q), rtol=4e-7)


def test_nan_goes_through_everything(backend):
    x = np.array([0.5, np.nan, 0.5])
    functions = [
        mg.exp, mg.expm1, mg.log, mg.log1p, mg.sqrt, mg.sigmoid, mg.softplus, mg.logsigmoid,
        mg.tanh, mg.relu, mg.leaky_relu, mg.elu, mg.abs, lambda x: mg.itakura_saito(x, 1),
        lambda x: mg.clip(x, min=0, max=1), lambda x: mg.maximum(x, 0), lambda x: mg.minimum(0, x),
        lambda x: x / x, lambda x: x**2,
    ]  # fmt: skip
    for f in functions:
        assert np.isnan(f(Tensor(x)).numpy()).tolist() == [False, True, False]
    for f in (mg.sum, mg.mean, mg.max, lambda x: mg.logsumexp(x, axis=0)):
        assert np.isnan(f(Tensor(x)).item())
