"""A graph is freed as backward goes, however long it is, and leaves no garbage."""

import gc
import os
import threading
import weakref

import numpy as np
import pytest

from minigrad import Tensor, optim, random
from models.vae import VAE
from tests.core.helpers import leaf


def test_a_chain_of_100_000_operations_goes_forward_backward_and_is_freed():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    y.backward(retain_graph=True)
    assert x.grad.item() == 1
    node = y
    for _ in range(50_000):
        node = node._node.operands[0]
    middle = weakref.ref(node)
    del node, y  # with the graph retained, this frees 100,000 nodes one inside the other
    assert middle() is None


def test_a_chain_is_freed_in_a_thread_with_a_small_stack():
    def work():
        y = leaf(1.0)
        for _ in range(100_000):
            y = y + 1.0
        del y
        done.append(True)

    done = []
    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert done


def test_a_graph_that_was_freed_says_so():
    x = leaf(2.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match="multiply.*freed.*retain_graph=True"):
        y.backward()


def test_backward_frees_memory_as_it_goes():
    x = leaf(1.0)
    y = x * 2
    result = weakref.ref(y)
    z = y * 3
    del y
    z.backward()
    assert result() is None  # although z is still here


def live_tensors():
    return sum(issubclass(type(o), Tensor) for o in gc.get_objects())


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux's /proc")
def test_1000_training_steps_leave_no_garbage():
    """With the collector off, any reference cycle per step would show."""
    random.seed(0)
    vae = VAE()
    adam = optim.Adam(vae.parameters())

    def step():
        x = Tensor(random.bernoulli(np.full((100, 784), 0.3, np.float32)))
        adam.zero_grad()
        vae.negative_elbo_bound(x)[0].backward()
        adam.step()

    for _ in range(20):
        step()
    gc.collect()
    gc.disable()
    try:
        tensors, memory = live_tensors(), resident()
        for _ in range(1000):
            step()
        assert live_tensors() == tensors
        assert resident() - memory < 5 * 2**20
    finally:
        gc.enable()
