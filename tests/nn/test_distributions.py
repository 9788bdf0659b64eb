"""minigrad.distributions: values against torch.distributions, derivatives by gradcheck."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from minigrad import Tensor, grad, random
from minigrad.distributions import (
    duplicate,
    gaussian_parameters,
    kl_normal,
    log_bernoulli_with_logits,
    log_mean_exp,
    log_normal,
    sample_gaussian,
)
from minigrad.gradcheck import gradcheck, gradgradcheck

# The same examples at every run; the first one may compile a kernel, which no deadline allows.
drawn = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@st.composite
def same_shape(draw, *ranges):
    """Float64 arrays of one shape, up to 4 × 4 × 4, one for each (low, high)."""
    shape = draw(array_shapes(max_dims=3, max_side=4))
    return [draw(arrays(np.float64, shape, elements=st.floats(*r))) for r in ranges]


def normal(torch, m, v):
    """N(m, diag v) over the last axis, by PyTorch, which wants a standard deviation."""
    m, v = torch.as_tensor(m), torch.as_tensor(v)
    return torch.distributions.Independent(torch.distributions.Normal(m, v.sqrt()), 1)


def assert_close(ours, theirs, terms):
    """Up to a few roundings of the largest of the numbers that were added up."""
    assert ours.dtype == np.float64
    size = 1 + np.max(np.abs(terms))
    np.testing.assert_allclose(ours.data, theirs.numpy(), rtol=1e-13, atol=1e-13 * size)


def decimals(function, *arrays):
    """function of exact numbers, element by element, with 50 digits."""
    with localcontext() as context:
        context.prec = 50
        exact = [[Decimal(float(x)) for x in np.ravel(array)] for array in arrays]
        return np.array([float(function(*xs)) for xs in zip(*exact, strict=True)])


MEANS, LOGS = (-5, 5), (-6, 6)  # variances from e⁻⁶ to e⁶


# ---- against torch.distributions


@drawn
@given(same_shape(MEANS, LOGS, MEANS))
def test_log_normal_is_torchs(torch, mvx):
    m, v, x = mvx[0], np.exp(mvx[1]), mvx[2]
    expected = normal(torch, m, v).log_prob(torch.tensor(x))
    assert_close(log_normal(Tensor(x), Tensor(m), Tensor(v)), expected, (x - m) ** 2 / v)
    prior = normal(torch, np.zeros_like(m), np.ones_like(v)).log_prob(torch.tensor(x))
    assert_close(log_normal(Tensor(x), 0, 1), prior, x**2)


@drawn
@given(same_shape(MEANS, LOGS, MEANS, LOGS))
def test_kl_normal_is_torchs(torch, drawn_arrays):
    """Both ways round: KL is not symmetric."""
    qm, qv, pm, pv = (f(a) for f, a in zip([np.array, np.exp] * 2, drawn_arrays, strict=True))
    for q, p in (((qm, qv), (pm, pv)), ((pm, pv), (qm, qv))):
        expected = torch.distributions.kl_divergence(normal(torch, *q), normal(torch, *p))
        terms = (q[1] + (q[0] - p[0]) ** 2) / p[1]
        assert_close(kl_normal(*map(Tensor, (*q, *p))), expected, terms)


@drawn
@given(same_shape(MEANS, LOGS))
def test_kl_normal_to_the_standard_normal(torch, mv):
    """As the models call it, with plain numbers for the prior."""
    m, v = mv[0], np.exp(mv[1])
    prior = normal(torch, np.zeros_like(m), np.ones_like(v))
    expected = torch.distributions.kl_divergence(normal(torch, m, v), prior)
    assert_close(kl_normal(Tensor(m), Tensor(v), 0, 1), expected, v + m * m)


@drawn
@given(same_shape((0, 1), (-50, 50)), st.booleans())
def test_log_bernoulli_is_torchs(torch, xl, grey):
    """For pixels that are on or off, and for grey ones. A sum over the last axis, not a mean."""
    x, logits = xl[0] if grey else np.round(xl[0]), xl[1]
    bernoulli = torch.distributions.Bernoulli(logits=torch.tensor(logits), validate_args=False)
    expected = torch.distributions.Independent(bernoulli, 1).log_prob(torch.tensor(x))
    assert_close(log_bernoulli_with_logits(Tensor(x), Tensor(logits)), expected, logits)


@drawn
@given(same_shape((-2000, 2000)), st.data())
def test_log_mean_exp_is_torchs(torch, x, data):
    """Also where e^x over- or underflows; and a mean: equal numbers give themselves."""
    x = x[0]
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    expected = torch.logsumexp(torch.tensor(x), axis) - np.log(x.shape[axis])
    assert_close(log_mean_exp(Tensor(x), axis), expected, x)
    same = np.broadcast_to(x.take([0], axis), x.shape)
    assert_close(log_mean_exp(Tensor(same), axis), torch.tensor(x.take(0, axis)), x)


@drawn
@given(same_shape((-30, 30)), st.data())
def test_gaussian_parameters(torch, h, data):
    """The first half is the mean, the second becomes a variance. Along any axis."""
    axis = data.draw(st.integers(-h[0].ndim, h[0].ndim - 1))
    h = np.concatenate([h[0], h[0][::-1] / 2], axis)
    m, v = gaussian_parameters(Tensor(h), axis)
    first, second = torch.tensor(h).chunk(2, axis)
    np.testing.assert_array_equal(m.data, first.numpy())
    # Above its threshold PyTorch returns x for log(1 + eˣ); at 20, its default, that would show.
    expected = torch.nn.functional.softplus(second, threshold=50) + 1e-8
    np.testing.assert_allclose(v.data, expected.numpy(), rtol=1e-14)
    if axis in (-1, h.ndim - 1):
        np.testing.assert_array_equal(gaussian_parameters(Tensor(h))[1].data, v.data)


def test_the_results_have_no_last_axis():
    a, b = Tensor(np.ones((3, 2, 5))), Tensor(np.ones((3, 2, 5)))
    for y in (log_normal(a, b, b), kl_normal(a, b, a, b), log_bernoulli_with_logits(a, b)):
        assert y.shape == (3, 2)
    assert log_mean_exp(a, 1).shape == (3, 5)
    assert [t.shape for t in gaussian_parameters(Tensor(np.ones((3, 4))))] == [(3, 2)] * 2


def test_duplicate_repeats_the_batch_and_not_the_rows(torch):
    """Row n of copy r is row r N + n: reshape(rep, N) brings copies together again."""
    x = np.arange(12.0).reshape(3, 2, 2)
    y = duplicate(Tensor(x), 4).data
    np.testing.assert_array_equal(y, np.concatenate([x] * 4))
    np.testing.assert_array_equal(y, torch.tensor(x).repeat(4, 1, 1).numpy())
    np.testing.assert_array_equal(duplicate(Tensor(x), 1).data, x)


# ---- float32 keeps its digits


# A difference that is exact, log(1 + d) to half a unit, a quotient or two: at most some 8 ε.
CLOSE32 = {"rtol": 8 * 2**-23, "atol": 0}


def kl_in_float32(v, m=0.0, prior=1.0):
    """KL(N(m, v) ‖ N(0, prior)) for each v, its gradients, and the exact values of all three."""
    v, w = np.asarray(v, np.float32), np.float32(prior)
    m = np.full_like(v, m)
    inputs = [Tensor(a[:, None], requires_grad=True) for a in (m, v)]
    y = kl_normal(*inputs, 0, w)
    g = np.random.default_rng(0).uniform(0.5, 2, v.shape).astype(np.float32)
    found = [y.data] + [t.data[:, 0] / g for t in grad(y, inputs, g)]
    w = np.full_like(v, w)
    return found, [
        decimals(lambda m, v, w: (v / w - 1 - (v / w).ln() + m * m / w) / 2, m, v, w),
        decimals(lambda m, w: m / w, m, w),
        decimals(lambda v, w: (1 / w - 1 / v) / 2, v, w),
    ]


@pytest.mark.parametrize("d", [0.3, 1e-2, 2e-3, 1e-3, 5e-4, 1e-4, 1e-6, 2**-23])
@pytest.mark.parametrize("m", [0.0, 1e-4, 0.5])
@pytest.mark.parametrize("prior", [1.0, 3.7])
def test_kl_near_the_prior_in_float32(d, m, prior):
    """v − 1 − log v is what two numbers of size d leave, d²/2: all digits cancel."""
    v = np.float32(prior) * np.float32([1 + d, 1 - d])
    found, expected = kl_in_float32(v, m, prior)
    assert (found[0] > 0).all()
    for ours, exact in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, exact, **CLOSE32)


def test_kl_far_from_the_prior_in_float32():
    """Down to 10⁻⁸, the least that gaussian_parameters gives: v − 1 must not lose v."""
    for ours, exact in zip(*kl_in_float32([1e-8, 1e-6, 1e-4, 1e-2, 30, 1e4]), strict=True):
        np.testing.assert_allclose(ours, exact, **CLOSE32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_least_variance(dtype, backend):
    """Never 0, not even where softplus is: 10⁻⁸ keeps log v and 1 / v finite. Float32 stays."""
    h = np.array([[3, -200.0], [4, -30], [-5, 0], [6, 200]], dtype)
    m, v = gaussian_parameters(Tensor(h))
    assert m.dtype == v.dtype == dtype
    expected = decimals(lambda x: (1 + x.exp()).ln() + Decimal("1e-8"), h[:, 1])
    np.testing.assert_allclose(v.data[:, 0], expected, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [20, 100, 1000])
def test_log_bernoulli_at_large_logits(size, dtype, backend):
    """Right pixels cost e^−|l|, wrong ones |l|; each pulls its own way."""
    x = np.array([1, 0, 1, 0], dtype).reshape(4, 1)
    logits = Tensor(size * np.array([[1], [-1], [-1], [1]], dtype), requires_grad=True)
    y = log_bernoulli_with_logits(Tensor(x), logits)
    g = np.array([0.7, 1.3, 2.0, 0.4], dtype)
    y.backward(g)
    right = -np.log1p(np.exp(-float(size)))
    eps = np.finfo(dtype).eps
    # Where the exact number is below the smallest normal one, 0 will do.
    expected = np.array([right, right, right - size, right - size])
    np.testing.assert_allclose(y.data, expected, rtol=4 * eps, atol=np.finfo(dtype).tiny)
    assert (y.data <= 0).all()
    slope = logits.grad.data[:, 0] / g
    small = np.exp(-float(size))
    # x − σ(l), of two numbers that may both be close to 1: right to a rounding of 1.
    np.testing.assert_allclose(slope, [small, -small, 1 - small, small - 1], rtol=0, atol=2 * eps)


def test_what_cannot_happen_has_log_probability_minus_infinity(backend):
    """An infinite logit for the other value. (For the same value it is 0 · ∞, NaN, as in torch.)"""
    for dtype in (np.float32, np.float64):
        x, logits = np.array([[0], [1]], dtype), np.array([[np.inf], [-np.inf]], dtype)
        assert (log_bernoulli_with_logits(Tensor(x), Tensor(logits)).data == -np.inf).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_mean_exp_beyond_the_range_of_exp(dtype, backend):
    x = np.array([[2000, 2000], [-3000, -3000], [0, -5000], [-np.inf, 1], [-np.inf] * 2], dtype)
    expected = [2000, -3000, -np.log(2), 1 - np.log(2), -np.inf]
    y = log_mean_exp(Tensor(x), -1)
    assert y.dtype == dtype
    np.testing.assert_allclose(y.data, expected, rtol=4 * np.finfo(dtype).eps)


def test_float32_stays_float32():
    """The constants and the noise must not turn the dtype."""
    a, b = (Tensor(np.full((2, 4), n, np.float32)) for n in (0.25, 0.75))
    for y in (
        log_normal(a, a, b),
        kl_normal(a, b, 0, 1),
        log_bernoulli_with_logits(a, b),
        log_mean_exp(a, 0),
        duplicate(a, 2),
        sample_gaussian(a, b),
        *gaussian_parameters(a),
    ):
        assert y.dtype == np.float32


# ---- sample_gaussian


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_variance_of_the_samples_is_v(dtype):
    """Not v² (v taken for a standard deviation), nor e^v. Within five standard errors:
    √(v / n) for the mean, v √(2 / n) for the variance, √(v w / n) for a covariance."""
    n, m, v = 100_000, np.array([-3, 0.5, 20]), np.array([0.04, 1, 9])
    with random.fork(0):
        z = sample_gaussian(*(Tensor(np.broadcast_to(a, (n, 3)), dtype=dtype) for a in (m, v)))
    assert z.shape == (n, 3) and z.dtype == dtype
    z = z.data.astype(np.float64)
    assert (np.abs(z.mean(0) - m) < 5 * np.sqrt(v / n)).all()
    bound = 5 * np.sqrt(np.outer(v, v) * (1 + np.eye(3)) / n)
    assert (np.abs(np.cov(z.T) - np.diag(v)) < bound).all()


def test_samples_are_normal_and_fresh():
    """The noise is that of random.normal, in m's shape, and new at each call."""
    m, v = Tensor(np.array([[1.0, 2], [3, 4]])), Tensor(np.array([[0.25, 1], [4, 9]]))
    with random.fork(1):
        z, again = sample_gaussian(m, v), sample_gaussian(m, v)
    with random.fork(1):
        noise = random.normal((2, 2), np.float64)
    np.testing.assert_allclose(z.data, m.data + np.sqrt(v.data) * noise, rtol=1e-15)
    assert (z.data != again.data).all()
    broadcast = sample_gaussian(Tensor([1.0, 2.0]), Tensor(np.ones((3, 2), np.float32)))
    assert len(np.unique(broadcast.data - [1, 2])) == 6  # noise of z's shape, not of m's


# ---- derivatives


M, N = np.random.default_rng(1).standard_normal((2, 2, 4))
V, W = np.random.default_rng(2).uniform(0.3, 3, (2, 2, 4))
X = np.random.default_rng(3).uniform(0, 1, (2, 4))
DIFFERENTIABLE = {
    "gaussian_parameters": (gaussian_parameters, [M]),
    "gaussian_parameters, axis 0": (lambda h: gaussian_parameters(h, 0), [M]),
    "kl_normal": (kl_normal, [M, V, N, W]),
    "kl_normal near the prior": (lambda m, v: kl_normal(m, v, 0, 1), [M / 1e4, 1 + N / 1e4]),
    "log_normal": (log_normal, [N, M, V]),
    "log_bernoulli_with_logits": (log_bernoulli_with_logits, [X, 3 * M]),
    "log_mean_exp, axis 0": (lambda x: log_mean_exp(x, 0), [M]),
    "log_mean_exp, axis 1": (lambda x: log_mean_exp(x, 1), [N]),
    "duplicate": (lambda x: duplicate(x, 3), [M]),
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_derivatives(check, name, backend):
    """Both derivatives, with random cotangents, by the complex step."""
    assert check(*DIFFERENTIABLE[name], method="complex")


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
@pytest.mark.parametrize("method", ["five-point", "auto"])
def test_derivatives_of_a_sample(method, check):
    """For one noise. The default must work as well: it is what a reader tries on the VAE's loss."""

    def sample(m, v):
        with random.fork(0):
            return sample_gaussian(m, v)

    assert check(sample, [M, V], method=method)


def test_log_bernoulli_does_not_differentiate_data():
    """x is a constant in the models: no cotangent is computed for it."""
    x, logits = Tensor(np.ones((2, 3))), Tensor(M[:, :3], requires_grad=True)
    log_bernoulli_with_logits(x, logits).backward(np.array([0.3, -2]))
    assert x.grad is None and logits.grad is not None


def test_a_likelihood_without_an_axis_to_sum_over_is_refused():
    for x, logits in ((1.0, 0.0), ([1.0], 0.0), (1.0, [0.0])):
        with pytest.raises(ValueError, match=r"log_bernoulli.*last axis"):
            log_bernoulli_with_logits(Tensor(x), Tensor(logits))
