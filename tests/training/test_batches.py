"""training.batches: every row once an epoch, in an order of the seed's, from any place on."""

import numpy as np
import pytest

from minigrad import random
from minigrad.training.batches import Batches
from tests.core.helpers import misfits

pytestmark = pytest.mark.usefixtures("generator")


@pytest.mark.parametrize("count, size, sizes", [
    (10, 4, [4, 4, 2]), (12, 4, [4, 4, 4]), (5, 5, [5]), (3, 1, [1, 1, 1]), (1, 1, [1]),
])  # fmt: skip
def test_every_epoch_has_every_row_once_the_last_batch_taking_what_is_left(count, size, sizes):
    batches = Batches(count, size)
    for _ in range(3):
        epoch = [next(batches) for _ in sizes]
        assert [len(batch) for batch in epoch] == sizes
        assert sorted(np.concatenate(epoch).tolist()) == list(range(count))


@pytest.mark.parametrize("count, size, full", [(10, 4, 2), (12, 4, 3), (7, 5, 1), (5, 5, 1)])
def test_drop_last_leaves_out_a_batch_that_is_not_full_and_no_row_for_good(count, size, full):
    batches, seen = Batches(count, size, drop_last=True), set()
    for _ in range(50):  # (4 / 5)⁵⁰: a row that no epoch sees is left out on purpose
        epoch = [next(batches) for _ in range(full)]
        assert [len(batch) for batch in epoch] == [size] * full
        rows = np.concatenate(epoch).tolist()
        assert len(set(rows)) == len(rows) and set(rows) <= set(range(count))
        seen |= set(rows)
    assert seen == set(range(count))


def test_each_epoch_is_shuffled_afresh():
    batches = Batches(100, 100)
    epochs = [next(batches).tolist() for _ in range(3)]
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert sorted(epochs[0]) != epochs[0]


def test_the_seed_decides_the_batches():
    def rows():
        random.seed(11)
        batches = Batches(10, 3)
        return [next(batches).tolist() for _ in range(9)]

    assert rows() == rows()


def test_a_batch_stays_as_it_is_when_the_next_epoch_is_shuffled():
    """A permutation made in place would change the rows of a batch that is still in use."""
    batches = Batches(6, 6)
    batch = next(batches)
    before = batch.tolist()
    next(batches)
    assert batch.tolist() == before


def test_batches_is_an_endless_iterator():
    batches = Batches(4, 2)
    assert [len(rows) for rows, _ in zip(batches, range(9), strict=False)] == [2] * 9


@pytest.mark.parametrize("count, size", [(10, 0), (10, -1), (10, 11), (0, 1)])
@pytest.mark.parametrize("drop_last", [False, True])
def test_a_batch_size_that_cannot_be_is_refused_with_the_sizes_that_can(count, size, drop_last):
    with pytest.raises(ValueError, match=f"batch size {size}: it must be from 1 to {count}"):
        Batches(count, size, drop_last)


@pytest.mark.parametrize("drop_last", [False, True])
def test_a_place_that_does_not_fit_leaves_the_batches_as_they_were(drop_last):
    with random.fork(3):
        batches = Batches(7, 3, drop_last)
        for _ in range(6):
            good = batches.state_dict()
            next(batches)
            after = batches.state_dict()
            batches.load_state_dict(good)
            batches.load_state_dict(after)
        order = after["order"]
        again = order.copy()
        again[1] = again[0]
        others = [order[:-1], np.append(order, 7), again, order - 1, order + 1]
        others = [after | {"order": other} for other in others]
        others += [after | {"position": np.array(p)} for p in (-1, len(order) + 3, [0])]
        for state in [*misfits(after), *others, {}, {"order": order[:0], "position": np.array(3)}]:
            with pytest.raises(ValueError, match="Batches: "):
                batches.load_state_dict(state)
            now = batches.state_dict()
            assert all((now[name] == after[name]).all() for name in after)
