"""minigrad.random: what is drawn, how often, and again."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minigrad import Tensor, nn, optim, random
from minigrad.training.batches import Batches
from tests.core.helpers import misfits

DTYPES = [np.float32, np.float64]
pytestmark = pytest.mark.usefixtures("generator")


def draws():
    """A bit of everything, one after another."""
    arrays = [random.normal(5), random.uniform((2, 3)), random.bernoulli(np.full(40, 0.5))]
    return b"".join(a.tobytes() for a in [*arrays, random.permutation(20), random.normal(3)])


# The generator's state


def test_a_seed_starts_the_same_numbers_again_and_another_seed_starts_others():
    random.seed(1)
    first = draws()
    assert draws() != first
    random.seed(1)
    assert draws() == first
    random.seed(2)
    assert draws() != first


def test_a_saved_state_continues_from_its_point_however_often():
    """float32 draws take half a 64-bit number: the other half is part of the state."""
    random.uniform(3)
    state = random.get_state()
    first = draws()
    for _ in range(2):
        random.set_state(state)
        assert draws() == first


def test_fork_leaves_the_outer_stream_as_if_it_had_not_been():
    random.uniform(3)
    state = random.get_state()
    undisturbed = draws()
    random.set_state(state)
    with random.fork(0):
        draws()
    assert draws() == undisturbed


def test_fork_gives_the_same_numbers_whenever_it_is_entered():
    def forked(seed):
        with random.fork(seed):
            return draws()

    first = forked(3)
    draws()
    assert forked(3) == first
    assert forked(4) != first


def test_fork_restores_the_outer_stream_after_an_error_and_from_within_another_fork():
    state = random.get_state()
    undisturbed = draws()
    random.set_state(state)
    with pytest.raises(KeyError), random.fork(0):
        inner = random.get_state()
        expected = draws()
        random.set_state(inner)
        with random.fork(1):
            draws()
        assert draws() == expected
        raise KeyError
    assert draws() == undisturbed


def test_a_network_starts_from_the_seed():
    def weights():
        return nn.Linear(3, 4).state_dict()["weight"].tobytes()

    random.seed(5)
    first = weights()
    assert weights() != first
    random.seed(5)
    assert weights() == first


# Distributions. An estimate from n draws is allowed five standard errors: one seed in 10⁶ exceeds
# them, and the seed is fixed.
N = 100_000


@pytest.mark.parametrize("dtype", DTYPES)
def test_bernoulli_gives_zeros_and_ones_of_the_dtype_and_shape_of_p(dtype):
    x = random.bernoulli(np.full((30, 1, 2), 0.5, dtype))
    assert x.dtype == dtype and x.shape == (30, 1, 2)
    assert set(x.ravel().tolist()) == {0.0, 1.0}
    assert random.bernoulli(np.ones((0, 3), dtype)).shape == (0, 3)
    assert random.bernoulli(Tensor(np.ones((2, 3), dtype))).tolist() == [[1] * 3] * 2


@pytest.mark.parametrize("p", [0.01, 0.3, 0.5, 0.95])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bernoulli_is_one_as_often_as_p_says_and_independently_of_its_neighbours(dtype, p):
    x = random.bernoulli(np.full((N // 2, 2), p, dtype))
    assert abs(x.mean(dtype=float) - p) < 5 * math.sqrt(p * (1 - p) / N)
    assert abs(np.corrcoef(x[:, 0], x[:, 1])[0, 1]) < 5 / math.sqrt(N / 2)
    assert abs(np.corrcoef(x[1:, 0], x[:-1, 1])[0, 1]) < 5 / math.sqrt(N / 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bernoulli_draws_each_element_with_its_own_p(dtype):
    p = np.tile(np.array([0, 1, 0.25], dtype), (N, 1))
    x = random.bernoulli(p)
    assert not x[:, 0].any() and x[:, 1].all()
    assert abs(x[:, 2].mean() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / N)


class Extreme:
    """In place of the generator: its `random` draws the least or the greatest number it can."""

    def __init__(self, greatest):
        self.greatest = greatest

    def random(self, shape, dtype, out=None):
        unit = np.finfo(dtype).eps / 2  # draws are multiples of it, from 0 to 1 - unit
        return np.full(shape, 1 - unit if self.greatest else 0, dtype)


@pytest.mark.parametrize("greatest", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bernoulli_of_0_is_never_1_and_of_1_always_even_for_extreme_draws(
    dtype, greatest, monkeypatch
):
    """`<=` for `<` would make black pixels white, once in 2²⁴ draws."""
    monkeypatch.setattr(random._stream, "generator", Extreme(greatest))
    assert random.bernoulli(np.array([0, 1], dtype)).tolist() == [0, 1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_normal_has_mean_0_variance_1_and_the_tails_of_a_gaussian(dtype):
    x = random.normal((N // 2, 2), dtype)
    assert x.dtype == dtype and x.shape == (N // 2, 2)
    assert abs(x.mean(dtype=float)) < 5 / math.sqrt(N)
    assert abs(x.var(dtype=float) - 1) < 5 * math.sqrt(2 / N)  # var of x² is 2
    outside = math.erfc(2 / math.sqrt(2))
    assert abs((abs(x) > 2).mean() - outside) < 5 * math.sqrt(outside * (1 - outside) / N)
    assert random.normal(3).dtype == np.float32


@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-0.25, 0.25), (3, 7)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_uniform_fills_its_range_evenly(dtype, low, high):
    x = random.uniform((N // 2, 2), low, high, dtype)
    assert x.dtype == dtype and x.shape == (N // 2, 2)
    assert low <= x.min() and x.max() <= high
    counts = np.histogram(x, 10, (low, high))[0]
    assert (abs(counts - N / 10) < 5 * math.sqrt(N * 0.1 * 0.9)).all()
    assert random.uniform(3).dtype == np.float32


@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-0.25, 0.25), (1.0, 2.0), (3, 7)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_uniform_stays_between_its_ends_for_the_least_and_the_greatest_draw(
    dtype, low, high, monkeypatch
):
    monkeypatch.setattr(random._stream, "generator", Extreme(greatest=True))
    assert low < random.uniform((), low, high, dtype) <= high
    monkeypatch.setattr(random._stream, "generator", Extreme(greatest=False))
    assert random.uniform((), low, high, dtype) == low


def test_permutation_has_every_number_once_and_every_order_equally_often():
    assert sorted(random.permutation(100).tolist()) == list(range(100))
    orders = [tuple(random.permutation(3).tolist()) for _ in range(6000)]
    counts = np.array([orders.count(order) for order in set(orders)])
    assert len(counts) == 6
    assert (abs(counts - 1000) < 5 * math.sqrt(6000 * 1 / 6 * 5 / 6)).all()


# ---- threads: each has a generator of its own


def in_thread(function, *arguments):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()


def draws_of(seed):
    random.seed(seed)
    return random.normal(1000)


def test_a_thread_draws_the_numbers_of_its_seed_whatever_runs_beside_it():
    expected = {seed: draws_of(seed) for seed in range(4)}
    barrier = threading.Barrier(4)

    def draw(seed):
        random.seed(seed)
        parts = []
        for _ in range(10):
            barrier.wait()
            parts.append(random.normal(100))
        return np.concatenate(parts)

    with ThreadPoolExecutor(4) as pool:
        for seed, found in enumerate(pool.map(draw, range(4))):
            assert found.tobytes() == expected[seed].tobytes()


def test_a_thread_leaves_the_numbers_of_the_main_thread_alone():
    random.seed(5)
    first = random.normal(3)
    in_thread(draws_of, 7)
    second = random.normal(3)
    random.seed(5)
    assert np.concatenate([first, second]).tolist() == random.normal(6).tolist()


def test_threads_without_a_seed_draw_different_numbers_that_the_main_seed_decides():
    def some():
        random.seed(3)
        return [in_thread(random.normal, 4).tolist() for _ in range(2)]

    (one, other), again = some(), some()
    assert one != other and [one, other] == again
    random.seed(4)
    assert in_thread(random.normal, 4).tolist() not in (one, other)


def test_states_and_forks_are_the_threads_own():
    random.seed(1)
    before = random.get_state()["state"].tolist()

    def other():
        with random.fork(2):
            random.normal(1)
        random.set_state(random.get_state())

    in_thread(other)
    assert random.get_state()["state"].tolist() == before


def test_training_in_threads_gives_each_run_the_bits_of_its_seed():
    """Dropout, batches, BatchNorm and Adam, two trainings at once, as joblib's threads run them."""

    def train(seed):
        random.seed(seed)
        model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.5))
        adam, batches = optim.Adam(model.parameters()), Batches(64, 16)
        x = random.normal((64, 8))
        for _ in range(30):
            loss = (model(Tensor(x[next(batches)])) ** 2).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        return b"".join(array.tobytes() for array in model.state_dict().values())

    expected = [train(seed) for seed in range(2)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(train, range(2))) == expected


def test_a_state_that_does_not_fit_leaves_the_generator_as_it_was():
    with random.fork(3):
        random.uniform(3)
        good = random.get_state()
        random.set_state(good)
        halves = ([2, 0], [0, -1], [0, 2**32], [-1, 1])
        others = [good | {"half": np.array(half)} for half in halves]
        others += [good | {"state": s} for s in (good["state"][:3], good["state"].astype("i8"))]
        for state in [*misfits(good), *others, {}]:
            with pytest.raises(ValueError, match="random: "):
                random.set_state(state)
            now = random.get_state()
            assert all((now[name] == good[name]).all() for name in good)
