"""What a replay allocates, and what many replays leave."""

import gc
import tracemalloc
import warnings
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, nn, optim
from minigrad.program.replay import Replay
from models.vae import VAE
from tests.kernels.helpers import allocations
from tests.program.helpers import pictures, same
from tests.program.test_fusion import loops_of
from train_gan import make_networks as gan_networks
from train_gan import make_step as gan_step
from train_vae import make_step as vae_step


@contextmanager
def threads(count):
    before = mg.get_num_threads()
    mg.set_num_threads(count)
    try:
        yield
    finally:
        mg.set_num_threads(before)


def allocated(call):
    """The bytes that a call holds at a time, at most, besides what was there before."""
    call(), call(), call()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def assert_allocates_nothing(step, x, eagerly):
    """... but what it returns: neither in Python nor in compiled code, on one thread or two.

    eagerly: bytes that it takes at least if it is not replayed, so that the count is known to count
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the last line's function is recorded too often
        assert allocated(lambda: mg.compile(step)(x)) > eagerly
    compiled = mg.compile(step)
    for count in (1, 2):
        with threads(count), allocations() as made:
            compiled(x)
            (recording,) = compiled._recordings
            assert allocated(lambda: compiled(x)) < 12_288  # tensors and lists; a draw takes more
            _, calls, *_ = recording.replay._made
            assert allocated(lambda calls=calls: [call() for call in calls]) < 1024  # of Python
            before = made()
            compiled(x)
            assert made() == before


def test_a_replay_of_the_vae_allocates_no_array_but_its_results():
    vae = VAE()
    step = vae_step(vae, optim.Adam(vae.parameters()))
    assert_allocates_nothing(step, pictures(0, count=100), eagerly=2**21)


@pytest.mark.parametrize("kind", ["conv", "mlp"])
def test_a_replay_of_the_gan_allocates_no_array_but_its_results(kind):
    step = gan_step("nonsaturating", *gan_networks(kind, 1e-3))
    assert_allocates_nothing(step, pictures(0), eagerly=2**21)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("draw", [mg.randn, mg.rand])
def test_draws_into_planned_memory_are_those_of_eager(draw, dtype):
    def step(x):
        return x * draw(shape=(3, 5), dtype=dtype), draw(shape=(), dtype=dtype)

    def drawn(f):
        mg.random.seed(3)
        return [y.numpy() for _ in range(4) for y in f(Tensor(np.ones(5, dtype)))]

    for one, other in zip(drawn(mg.compile(step)), drawn(step), strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def two_over_two(p, x):
    a = mg.exp(p)
    return a @ (a * (x @ x.T))


def two_over_one(p, x):
    a = mg.exp(p)
    return a @ (a * p)  # p is read again after a is written


@pytest.mark.parametrize(
    "function, count",
    [
        (lambda p, x: mg.tanh(p) @ x, 1),
        (lambda p, x: (p * mg.sigmoid(p) - p) @ x, 1),
        (two_over_two, 2),
        (two_over_one, 1),
        (lambda p, x: mg.tanh(p) @ p, 0),  # it is used later
        (lambda p, x: (p * p[1]) @ x, 0),  # another view of it is read
        (lambda p, x: (p.sum(0) + x) @ x, 0),  # it is smaller
        (lambda p, x: x * -p.sum(), 0),  # a single number
        (lambda p, x: (p.to(np.float64) + 1) @ x.to(np.float64), 0),
        (lambda p, x: (mg.tanh(x) @ x) @ p, 0),  # it is an argument
        (lambda p, x: (mg.tanh(p) @ x)[0] + mg.tanh(p).sum(1), 2),
    ],
)
def test_a_loop_writes_a_result_over_an_operand_that_ends_there(function, count):
    def multiplied(x):
        return function(x @ x, x)

    step, draw = mg.compile(multiplied), np.random.default_rng(0)
    for _ in range(3):
        x = Tensor(draw.standard_normal((40, 40)).astype(np.float32))
        before = x.numpy().copy()
        assert same(*[f(x).numpy() for f in (step, multiplied)]) and same(x.numpy(), before)
    arrays, *_ = step._recordings[0].replay._made
    begins = [[[arrays[x].ctypes.data for x in some] for some in i[1:4:2]] for i in loops_of(step)]
    assert sum([len({*operands} & {*results}) for operands, results in begins]) == count


def small_step():
    model = nn.Sequential(nn.Linear(5, 7), nn.ELU(), nn.Linear(7, 3))
    adam = optim.Adam(model.parameters())

    def step(x):
        loss = (model(x) ** 2).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss

    return mg.compile(step)


def held():
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_memory_is_flat_over_10_000_replays():
    step, x = small_step(), np.ones((4, 5), np.float32)
    for _ in range(10):
        step(x)
    tracemalloc.start()
    try:
        before = held()
        for _ in range(10_000):
            step(x)
        assert held() - before < 2000  # a byte for five calls
    finally:
        tracemalloc.stop()


def test_memory_is_flat_over_100_shapes():
    step = small_step()

    def at(rows):
        for _ in range(2):
            step(Tensor(np.ones((rows, 5), np.float32)))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the ninth recording warns
        tracemalloc.start()
        try:
            ends = []
            for rows in [*range(60, 160)] * 2:
                at(rows)
                ends += [held()] if rows == 159 else []
            assert ends[1] - ends[0] < 100_000  # one recording alone takes more
        finally:
            tracemalloc.stop()


def test_a_replay_makes_its_arrays_once_unless_a_gradient_is_kept():
    w = Tensor([2.0, 3.0], requires_grad=True)
    v = Tensor([5.0], requires_grad=True)

    @mg.compile
    def step(x):
        (w * x + v).sum().backward()
        v.grad = None  # nobody's gradient

    def made(count):
        with mock.patch.object(Replay, "_prepare", autospec=True, side_effect=prepare) as calls:
            for _ in range(count):
                w.grad = None
                step(np.ones(2, np.float32))
        return calls.call_count

    prepare = Replay._prepare
    assert made(10) == 1
    kept = w.grad
    assert made(10) == 1 and kept.numpy().tolist() == [1.0, 1.0]
    keeps = [kept]
    with mock.patch.object(Replay, "_prepare", autospec=True, side_effect=prepare) as calls:
        for _ in range(10):
            w.grad = None
            step(np.ones(2, np.float32))
            keeps.append(w.grad)
    assert not calls.called and len({id(g) for g in keeps}) == 11  # they are copies by now


def test_a_gradient_that_is_added_to_is_kept_by_nobody():
    w, prepare = Tensor([2.0, 3.0], requires_grad=True), Replay._prepare
    step = mg.compile(lambda x: (w * x).sum().backward())
    with mock.patch.object(Replay, "_prepare", autospec=True, side_effect=prepare) as calls:
        for n in range(10):
            step(np.ones(2, np.float32))
            assert w.grad.numpy().tolist() == [n + 1, n + 1]
    assert calls.call_count == 1


def test_a_gradient_that_is_kept_keeps_no_other_result():
    w, x = Tensor([1.0], requires_grad=True), np.ones(100_000, np.float32)

    def train():
        @mg.compile
        def step(x):
            w.grad = None
            mg.tanh(mg.exp(w * x)).sum().backward()

        for _ in range(3):
            step(x)

    train()  # which compiles a loop
    tracemalloc.start()
    try:
        train()
        assert held() < x.nbytes and w.grad.shape == (1,)
    finally:
        tracemalloc.stop()
