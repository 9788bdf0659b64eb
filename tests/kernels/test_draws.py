"""Kernels that draw, and those of the KL term, against their forwards."""

import numpy as np
import pytest

from minigrad import ops, random, rng
from minigrad.core.primitive import evaluate
from minigrad.ops.arithmetic import _chain
from tests.kernels.helpers import accelerated, assert_within, both_dtypes, specified, truth

SIZES = [0, 1, 2, 3, 15, 16, 17, 33, 1000, 2**14, 2**14 + 1, 78_400]


@pytest.mark.parametrize("size", SIZES)
@both_dtypes
def test_the_kernel_draws_the_bits_of_the_forward_and_leaves_the_same_generator(dtype, size):
    p = np.random.default_rng(size).random(size).astype(dtype)
    found = []
    for draw in (accelerated, specified):
        random.seed(7)
        found.append((draw(ops.bernoulli, p), random.normal(3)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


@both_dtypes
def test_each_call_draws_anew(dtype):
    half = np.full(1000, 0.5, dtype)
    assert (accelerated(ops.bernoulli, half) != accelerated(ops.bernoulli, half)).any()


@pytest.mark.parametrize("key, words", [
    ((0, 0), (0x6B200159, 0x99BA4EFE)), ((0x13198A2E, 0x03707344), None),
])  # fmt: skip
def test_threefry_gives_the_words_that_its_authors_list(key, words):
    """... for counter 0, in Random123's file of known answers; and other words for other keys."""
    found = tuple([int(word[0]) for word in rng.threefry(key[0] + 2**32 * key[1], 1)])
    assert words is None or found == words
    assert words or found != (0x6B200159, 0x99BA4EFE)


SPECIAL = [0.0, -0.0, 1.5, -2.0, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("count", [1, 2])
@both_dtypes
def test_the_chain_rule_gives_0_exactly_where_its_forward_does(count, dtype):
    """Every combination of special values, of which one operand of more than one is not finite."""
    arrays = [a.ravel().astype(dtype) for a in np.meshgrid(*[SPECIAL] * (2 + count))]
    got, want = accelerated(_chain, *arrays), specified(_chain, *arrays)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(want[got == 0]))
    assert (got == 0).sum() > 10 and np.isnan(got).any()


def test_three_operands_are_left_to_the_forward():
    assert _chain.kernel.results(*[np.ones(3, np.float32)] * 5) is None


@both_dtypes
def test_itakura_saito_has_all_its_digits_near_0_and_far_from_it(dtype):
    """It is computed in double precision, whose rounding, of 1 and of the series, is 4 · 10⁻¹⁶."""
    p = np.exp(np.random.default_rng(0).uniform(-20, 20, 3000)).astype(dtype)
    ratio = np.concatenate([1 + np.geomspace(1e-7, 0.9, 1500), np.geomspace(1e-12, 1e12, 1500)])
    q = (p * ratio).astype(dtype)
    want = truth(ops.itakura_saito, q, p)
    allowed = np.finfo(dtype).eps * np.abs(want) + 1e-15 * np.maximum(1, np.abs(want))
    near = np.abs((q.astype(float) - p) / p) < 0.5
    allowed[near] = (np.finfo(dtype).eps + 2e-12) * np.abs(want[near])
    assert_within(accelerated(ops.itakura_saito, q, p), want, allowed)
    with np.errstate(all="ignore"):
        scalar = evaluate(ops.itakura_saito, [q, np.asarray(p[0])], {})
    assert scalar.shape == q.shape


@both_dtypes
def test_itakura_saito_at_the_ends_is_what_its_forward_is(dtype):
    """0, infinity, NaN, numbers of either sign, and those that have not all their digits."""
    ends = [0.0, -0.0, np.inf, np.nan, -1.0, 1.0, np.finfo(dtype).smallest_subnormal, 3e38]
    q, p = (x.reshape(-1).astype(dtype) for x in np.meshgrid(ends, ends))
    want, got = specified(ops.itakura_saito, q, p), accelerated(ops.itakura_saito, q, p)
    np.testing.assert_allclose(got, want, rtol=2 * np.finfo(dtype).eps)
    assert np.isposinf(got).any() and np.isnan(got).any() and (got > 80).sum() > 2
