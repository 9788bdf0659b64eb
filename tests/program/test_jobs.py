"""Kernels' jobs in a replay: what they keep, where arrays lie, and what an error leaves."""

from unittest import mock

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, optim
from minigrad.core.interpreter import setting
from minigrad.kernels import loops
from minigrad.program.recorder import RecordingError
from tests.program.helpers import same


def drawn(seed, *shape):
    return Tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


@mg.primitive(pulls=(None,))
def first_three(x):
    """y = a part of an array that is wider"""
    return np.sort(x, axis=1)[:, :3]


@mg.primitive(pulls=(None,))
def turned(x):
    """y = a new array, seen from its end"""
    return (x * 2)[::-1, ::-1]


@pytest.mark.parametrize("of", [
    lambda x: first_three(x)[1:] * 2 + 1,
    lambda x: first_three(x).reshape((5, 1, 3)) * 2 + 1,
    lambda x: turned(x).reshape((30,)) * 1,
    lambda x: turned(x)[1:, 2:] * 3 + 1,
])  # fmt: skip
def test_results_that_have_gaps_or_run_backwards_do_so_in_a_replay(of):
    step = mg.compile(of)
    for seed in range(3):
        x = drawn(seed, 5, 6)
        assert same(step(x).numpy().copy(), of(x).numpy().copy())


def test_a_loop_may_have_many_operands():
    def function(b, *xs):
        return sum([x * b for x in xs[1:]]) + xs[0] * b

    step, xs = mg.compile(function), [drawn(9, 4), *(drawn(k, 6, 4) for k in range(40))]
    for _ in range(2):
        assert same(step(*xs).numpy(), function(*xs).numpy())


def test_a_sum_over_no_axes_keeps_the_sign_of_zero():
    step = mg.compile(lambda x: mg.sum(x * 2, axis=()))
    for _ in range(3):
        assert np.signbit(step(Tensor([-0.0, 1.0])).numpy()[0])


@pytest.mark.parametrize("alpha", [np.array(0.7), np.float32(0.7), np.inf])
def test_a_number_of_any_kind_may_stand_in_a_formula(alpha):
    def function(x):
        return mg.elu(x, alpha=alpha) * 2 + x

    step, x = mg.compile(function), drawn(0, 7)
    for _ in range(2):
        assert same(step(x).numpy(), function(x).numpy())


def test_settings_that_are_arrays_are_told_apart():
    def function(x):
        return mg.elu(x, alpha=np.array(0.5)) - mg.elu(x, alpha=np.array(0.7))

    step, x = mg.compile(function), drawn(0, 7)
    for _ in range(2):
        assert same(step(x).numpy(), function(x).numpy())


def two_parameters():
    ps = [drawn(k, 4, 3) for k in range(2)]
    for p in ps:
        p.requires_grad = True
    adam = optim.Adam(ps, lr=0.1)

    def step(x):
        loss = (ps[0] * ps[1] * x).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss

    return mg.compile(step), step, ps, adam


def test_adam_refuses_a_negative_count_in_a_replay_before_it_writes():
    step, _, ps, adam = two_parameters()
    for seed in range(3):
        step(drawn(seed, 4, 3))
    before = [p.numpy().copy() for p in ps]
    adam.steps[1].copy_(Tensor(-1, dtype="int64"))
    with pytest.raises(ValueError, match="steps of parameter 1 is -1"):
        step(drawn(3, 4, 3))
    assert same(before, [p.numpy() for p in ps])
    assert [count.item() for count in adam.steps] == [3, -1]


def test_an_error_while_a_replay_is_made_again_leaves_none_that_is_half_made():
    w = drawn(0, 4, 3)
    w.requires_grad = True
    adam = optim.Adam([w])

    @mg.compile
    def step(x):
        loss = (w * x).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss

    for seed in range(3):
        step(drawn(seed, 4, 3))
    kept = w.grad.numpy()  # so that the next call makes new arrays, until Adam refuses
    adam.steps[0].copy_(Tensor(-1, dtype="int64"))
    with pytest.raises(ValueError, match="steps of parameter 0 is -1"):
        step(drawn(3, 4, 3))
    adam.steps[0].copy_(Tensor(3, dtype="int64"))
    for seed in range(4, 7):
        want = (w.numpy() * drawn(seed, 4, 3).numpy()).sum()
        assert step(drawn(seed, 4, 3)).item() == pytest.approx(want, rel=1e-4, abs=1e-5)
    assert same(kept, drawn(2, 4, 3).numpy())


def test_an_operation_that_runs_while_jobs_are_collected_is_done():
    """A signal's handler, or a __del__, may compute something between any two lines."""
    found, loop_jobs, x = [], loops.jobs, drawn(0, 50)

    def compute():
        with setting(observer=None):  # the first call is being recorded
            found.append(mg.exp(x * len(found)).numpy().copy())

    def interrupted(*arguments):
        with mock.patch.object(np.lib.stride_tricks, "as_strided", handler):
            return loop_jobs(*arguments)

    def handler(*arguments, as_strided=np.lib.stride_tricks.as_strided):
        compute()
        return as_strided(*arguments)

    kernel = mg.sum.kernel

    def with_handler(*arrays, **static):
        compute()
        return kernel.run.__wrapped__(*arrays, **static)

    with_handler.only_jobs = True
    step = mg.compile(lambda a: (a * 2 + 1).sum())
    with (
        mock.patch.object(loops, "jobs", interrupted),
        mock.patch.object(mg.sum, "kernel", kernel._replace(run=with_handler)),
    ):
        results = [step(drawn(1, 9, 9)).item() for _ in range(3)]
    assert len({*results}) == 1 and len(found) > 2
    for k, y in enumerate(found):
        assert same(y, mg.exp(x * k).numpy())


def test_a_write_where_two_arguments_are_views_of_one_memory_is_refused():
    @mg.compile
    def step(a, b):
        a.copy_(a * 3)
        return b * 1

    a = drawn(0, 4)
    with pytest.raises(RecordingError, match="a and b are views of one memory, which the function"):
        step(a, a[1:3].detach())
    for _ in range(2):
        step(a, a[1:3].detach().clone())
    with pytest.raises(RecordingError, match="a and b are views of one memory, which the function"):
        step(a, a[1:3].detach())  # no replay of the program for two memories


def test_no_operation_warns_in_a_replay_also_not_one_that_makes_a_view():
    @mg.primitive
    def peek(x):
        np.log(x * 0)
        return x[:1]

    peek.pulls = (None,)
    step = mg.compile(lambda x: peek(x * 1) * 2 + mg.log(x[:1] * 0))
    for _ in range(3):
        assert step(drawn(0, 5)).item() == -np.inf
