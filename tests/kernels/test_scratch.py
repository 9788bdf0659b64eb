"""Memory that tasks use while they run: each thread's own, and taken once."""

import os
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.kernels import scratch as memory
from minigrad.kernels.jobs import Jobs, collected, shareable
from minigrad.kernels.scratch import multiples, scratch, zeros
from tests.kernels.helpers import allocations


@shareable()
def _take_several(start, stop, sizes, addresses, wrong):
    """Fill so many arrays with their numbers, and count the elements that another one changed."""
    first = scratch(sizes[0], np.float64)
    first[:] = 0
    addresses[0] = first.ctypes.data
    for i in range(1, sizes.size):
        some = scratch(sizes[i], np.float32)
        some[:] = i
        addresses[i] = some.ctypes.data
        middle = multiples(sizes[i], 7)
        wrong[0] += (some != i).sum() + (middle != np.arange(sizes[i]) * 7).sum()
        wrong[0] += (zeros(sizes[i], np.float64) != 0).sum()
    wrong[0] += (first != 0).sum()


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="not under Linux")


def resident():
    """How many bytes the process has in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def take(*sizes):
    """Return the addresses of arrays of these sizes, which one task took."""
    addresses, wrong = np.zeros(len(sizes), np.int64), np.zeros(1, np.int64)
    _take_several(1, 1, np.array(sizes), addresses, wrong)
    assert wrong[0] == 0
    return list(addresses)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 50_000), min_size=1, max_size=8))
def test_arrays_of_a_task_lie_apart_from_line_to_line(sizes):
    """... also when the thread's block turns out to be too small for them."""
    addresses = take(*sizes)
    assert all(address % memory.LINE == 0 for address in addresses)


def test_a_second_task_finds_the_memory_of_the_first():
    take(100_000, 100_000)  # the block grew meanwhile; the next task has all of it
    assert take(1000, 10) == take(1000, 10)
    assert take(90_000, 90_000) == take(90_000, 90_000)
    assert take(5, 5)[0] == take(9, 9)[0]


@needs_proc
def test_a_block_that_is_too_large_to_keep_is_freed():
    take(2 * memory.KEPT // 8)
    before = resident()
    for _ in range(5):
        take(30 * memory.KEPT // 8)
    assert resident() - before < 10 * memory.KEPT


@needs_proc
def test_threads_have_memory_of_their_own_and_leave_none_behind():
    found, barrier = [], threading.Barrier(2)

    def run():
        take(150_000)
        addresses = take(300_000)  # 2.4 MB, for which the first block is too small
        barrier.wait()
        assert take(300_000) == addresses
        found.extend(addresses)

    def two_threads():
        several = [threading.Thread(target=run) for _ in range(2)]
        [thread.start() for thread in several]
        [thread.join() for thread in several]

    two_threads()
    assert found[0] != found[1]
    before = resident()
    for _ in range(20):
        two_threads()
    assert resident() - before < 20e6  # of 96 MB


def test_numbas_runtime_allocates_nothing():
    """... once a thread has its block. The count would see an array that a task makes."""

    @shareable()
    def takes(start, stop):
        zeros(1000, np.float32), multiples(10, 3)

    @shareable()
    def makes(start, stop):
        np.empty(10)[:] = 0

    counts = []
    with allocations() as count:
        for task in (takes, makes):
            jobs = Jobs(collected(task, 1, 1))
            jobs()
            before = count()
            jobs()
            counts.append(count() - before)
    assert counts == [0, 1]
