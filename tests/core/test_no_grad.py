"""no_grad and enable_grad: blocks, decorators and generators, in each thread by itself."""

import threading

import pytest

import minigrad as mg
from minigrad import Tensor, enable_grad, no_grad
from tests.core.helpers import leaf


def test_no_grad_and_enable_grad_nest_and_are_restored_after_an_error():
    x = leaf(1.0)
    with no_grad():
        assert (x * 2).is_leaf and not (x * 2).requires_grad
        with enable_grad():
            assert not (x * 2).is_leaf
        assert (x * 2).is_leaf
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert not (x * 2).is_leaf


def test_no_grad_is_per_thread():
    x, seen = leaf(1.0), []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * 2).is_leaf))
        thread.start()
        thread.join()
    assert seen == [False]


@mg.no_grad()
def decorated(x):
    return x * 2


@mg.no_grad
def bare(x):
    return x * 2


@mg.no_grad()
def generator(x):
    received = yield x * 2
    try:
        yield received * 3
    except KeyError:
        yield x * 4
    return x * 5


def test_a_decorated_generator_does_not_record_but_who_receives_does():
    x = Tensor(1.0, requires_grad=True)
    assert not decorated(x).requires_grad and not bare(x).requires_grad
    steps = generator(x)
    assert not next(steps).requires_grad
    assert (x * 2).requires_grad  # between two of its steps
    assert not steps.send(x * 2).requires_grad
    assert not steps.throw(KeyError()).requires_grad
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert not stop.value.value.requires_grad and (x * 2).requires_grad
    with mg.no_grad():
        steps = mg.enable_grad()(lambda: iter([x * 2]))()
        assert next(steps).requires_grad and not (x * 2).requires_grad


def test_a_generator_that_is_closed_or_fails_leaves_recording_as_it_was():
    x, closed = Tensor(1.0, requires_grad=True), []

    @mg.no_grad()
    def steps():
        try:
            yield x * 2
        finally:
            closed.append((x * 2).requires_grad)
            raise ValueError("out")

    running = steps()
    next(running)
    with pytest.raises(ValueError, match="out"):
        running.close()
    assert closed == [False] and (x * 2).requires_grad


def test_one_object_serves_for_several_blocks():
    x, off = Tensor(1.0, requires_grad=True), mg.no_grad()
    for _ in range(2):
        with off:
            with mg.enable_grad(), off:
                assert not (x * 2).requires_grad
            assert not (x * 2).requires_grad
        assert (x * 2).requires_grad


def test_one_object_serves_for_several_threads():
    x, off = Tensor(1.0, requires_grad=True), mg.no_grad()
    inside, done, found = threading.Event(), threading.Event(), []

    def other():
        with mg.enable_grad(), off:
            inside.set()
            done.wait(10)
            found.append((x * 2).requires_grad)
        found.append((x * 2).requires_grad)

    thread = threading.Thread(target=other)
    with off:
        thread.start()
        inside.wait(10)
    assert (x * 2).requires_grad
    done.set()
    thread.join()
    assert found == [False, True]


def test_a_coroutine_is_refused():
    async def coroutine():
        pass

    async def steps():
        yield

    for function in (coroutine, steps):
        with pytest.raises(TypeError, match=r"no_grad on .*write `with no_grad\(\):`"):
            mg.no_grad()(function)
