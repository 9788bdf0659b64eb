"""What an optimiser remembers and writes: its state is saved, taken over, counted as written."""

from itertools import chain, combinations

import numpy as np
import pytest

from minigrad import Tensor, compile, linear, nn, optim
from minigrad.core.interpreter import setting
from minigrad.core.memory import array_of
from tests.nn.optimisers import MAKERS, give_gradients, ours, problem


@pytest.mark.parametrize("name", MAKERS)
def test_a_state_dict_is_all_that_an_optimiser_remembers(name):
    """Without Adam's step, or with state that is shared, the second half would differ.

    The second parameter has missed some steps, so that one count cannot serve both.
    """
    start, gradients = problem(shapes=[(3,), (4,)], steps=10)
    first = [[g, h if i > 2 else None] for i, (g, h) in enumerate(gradients[:5])]
    second = gradients[5:]
    whole = ours(MAKERS[name](optim), start, first + second)
    made = []
    half = ours(lambda params: made.append(MAKERS[name](optim)(params)) or made[0], start, first)
    state = made[0].state_dict()
    for p, g in zip(made[0].params, gradients[0], strict=True):  # the first one goes its own way
        p.grad = Tensor(g)
    half = [p.copy() for p in half]
    made[0].step()

    def resumed(params):
        optimizer = MAKERS[name](optim)(params)
        optimizer.load_state_dict(state)
        return optimizer

    for a, b in zip(ours(resumed, half, second), whole, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(ours(resumed, half, second), whole, strict=True):  # state was only read
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", MAKERS)
def test_state_is_taken_over_in_the_form_that_kernels_go_by(name):
    optimizer = MAKERS[name](optim)(nn.Linear(3, 2).parameters())
    items = optimizer.state_dict().items()
    state = {key: np.array(array + 1, ">f8", order="F") for key, array in items}
    optimizer.load_state_dict(state)
    for key, array in optimizer.state_dict().items():
        slot, i = key.split(".")
        assert isinstance(getattr(optimizer, slot)[int(i)], Tensor)
        mine = getattr(optimizer, slot)[int(i)]._array
        assert mine.dtype == (np.int64 if slot == "steps" else np.float32)
        assert mine.flags.carray and mine.dtype.isnative
        assert not np.shares_memory(mine, state[key])
        np.testing.assert_array_equal(array, state[key])
    give_gradients(optimizer, np.float32)
    optimizer.step()


@pytest.mark.parametrize("name", MAKERS)
def test_every_write_of_a_step_goes_through_the_door(name, backend):
    """An observer sees one update for each parameter, or Adam's of all, and what it says is
    written: parameters and state, all of it. Nothing else ran."""
    optimizer = MAKERS[name](optim)(nn.Linear(3, 2).parameters())
    give_gradients(optimizer, np.float32)
    seen = []
    with setting(observer=lambda primitive, operands, static, results: seen.append(results)):
        optimizer.step()
    state = zip(*(getattr(optimizer, slot) for slot in optimizer.slots), strict=True)
    written = [(p, *others) for p, others in zip(optimizer.params, state, strict=True)]
    assert len(seen) == (1 if name == "Adam" else len(optimizer.params))
    assert [*map(id, chain(*seen))] == [*map(id, chain(*written))]
    for some in written:
        assert all(tensor._written[0] > 0 for tensor in some)


@pytest.mark.parametrize("name", MAKERS)
def test_a_step_makes_a_recorded_graph_stale(name):
    """backward would use the new weights for the old forward pass."""
    p = nn.Parameter(np.float32([[1, 2], [3, 4]]))
    x = Tensor(np.float32([[5, 6]]), requires_grad=True)
    optimizer = MAKERS[name](optim)([p])
    y = linear(x, p, Tensor(np.zeros(2, np.float32)))
    y.backward(np.float32([[0.3, -2]]), retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"linear: operand 1, of shape \(2, 2\), was written"):
        y.backward(np.float32([[0.3, -2]]))


@pytest.mark.parametrize("name", MAKERS)
def test_a_step_makes_a_graph_of_the_state_stale(name):
    """State is tensors, and its writes count as those of parameters do."""
    p = nn.Parameter(np.ones(2, np.float32))
    optimizer = MAKERS[name](optim)([p])
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    y = (x * getattr(optimizer, optimizer.slots[0])[0]).sum()
    p.grad = Tensor(np.ones(2, np.float32))
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"multiply: operand 1, of shape \(2,\), was written"):
        y.backward()


@pytest.mark.parametrize("loaded", [False, True])
def test_what_an_update_touches_lies_apart_in_pages_and_in_lines_of_its_own(loaded):
    """... for a processor takes addresses for the same that agree in their last 12 bits."""
    params = [nn.Parameter(np.ones(shape, np.float32)) for shape in ((64, 64), (300, 7))]
    adam = optim.Adam(params)

    @compile
    def step(x):
        adam.zero_grad()
        sum((p * p * x).sum() for p in params).backward()
        adam.step()

    for i in range(6):
        if loaded and i == 3:
            adam.load_state_dict(adam.state_dict())
        step(np.ones(1, np.float32))
    for p, m, v in zip(params, adam.means, adam.squares, strict=True):
        arrays = [x.numpy() for x in (p, m, v, p.grad)]
        places = [array.ctypes.data % 4096 for array in arrays]
        apart = [abs(a - b) for a, b in combinations(places, 2)]
        assert all(900 < distance < 4096 - 900 for distance in apart), places
        assert all(place % 64 == 0 for place in places[1:])


def test_the_state_of_a_small_parameter_costs_no_page():
    adam = optim.Adam([nn.Parameter(np.ones(8, np.float32))])
    adam.load_state_dict(adam.state_dict())
    assert [array_of(x).base.nbytes for x in (adam.means[0], adam.squares[0])] == [32, 32]
