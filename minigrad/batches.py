"""Shuffled mini-batches, epoch after epoch."""

from collections.abc import Iterator

import numpy as np

from minigrad import random


class Batches:
    """An endless iterator over the row numbers of mini-batches; each epoch is shuffled afresh.

    count: rows in the data set. drop_last: leave out an epoch's last batch if it is not full.
    Raises ValueError unless 1 ≤ batch_size ≤ count.
    """

    def __init__(self, count: int, batch_size: int, drop_last=False):
        if not 1 <= batch_size <= count:
            raise ValueError(f"batch size {batch_size}: it must be from 1 to {count}, all the data")
        self.batch_size, self.count = batch_size, count
        self.used = count - count % batch_size if drop_last else count  # in each epoch
        self.order = np.arange(0)  # of the epoch that is under way
        self.position = 0  # of the next batch in it

    def state_dict(self) -> dict[str, np.ndarray]:
        """The place in the epoch, in arrays."""
        return {"order": self.order.copy(), "position": np.array(self.position)}

    def load_state_dict(self, state) -> None:
        self.order, self.position = np.array(state["order"]), int(state["position"])

    def __iter__(self) -> Iterator[np.ndarray]:
        return self

    def __next__(self) -> np.ndarray:
        if self.position >= len(self.order):
            self.order, self.position = random.permutation(self.count)[: self.used], 0
        batch = self.order[self.position : self.position + self.batch_size]
        self.position += self.batch_size
        return batch
