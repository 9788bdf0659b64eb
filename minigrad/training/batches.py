"""Mini-batches are shuffled afresh in every epoch."""

from collections.abc import Iterator

import numpy as np

from minigrad import rng


class Batches:
    """Batches iterates without end over the row numbers of mini-batches, shuffled in each epoch.

    NumPy gives the rows of a large array by `images.take(rows, axis=0)` in half the time of
    `images[rows]`.

    count: the number of rows in the data set
    drop_last: whether to leave out an epoch's last batch if it is not full

    Raises ValueError unless 1 ≤ batch_size ≤ count.
    """

    def __init__(self, count: int, batch_size: int, drop_last=False):
        if not 1 <= batch_size <= count:
            raise ValueError(f"batch size {batch_size}: it must be from 1 to {count}, all the data")
        self.batch_size, self.count = batch_size, count
        self.used = count - count % batch_size if drop_last else count  # rows in each epoch
        self.order = np.arange(0)  # the shuffled rows of the current epoch
        self.position = 0  # the next batch's first place in the order

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return the place in the epoch, in arrays."""
        return {"order": self.order.copy(), "position": np.array(self.position)}

    def load_state_dict(self, state) -> None:
        """Take over a state_dict. Raises ValueError, and changes nothing, if it does not fit."""
        order, position = (np.array(state.get(name)) for name in ("order", "position"))
        if order.dtype.kind not in "iu" or order.shape not in ((0,), (self.used,)):
            raise ValueError(
                f"Batches: order has shape {order.shape} and dtype {order.dtype}; it must be "
                f"{self.used} whole numbers, or none before the first epoch"
            )
        if len(np.unique(order[(order >= 0) & (order < self.count)])) < len(order):
            raise ValueError(f"Batches: order must have each row from 0 to {self.count - 1} once")
        last = len(order) + self.batch_size - 1  # the position after a batch that was not full
        if position.shape or position.dtype.kind not in "iu" or not 0 <= position <= last:
            raise ValueError(f"Batches: position {position} is not a whole number from 0 to {last}")
        self.order, self.position = order, int(position)

    def __iter__(self) -> Iterator[np.ndarray]:
        return self

    def __next__(self) -> np.ndarray:
        if self.position >= len(self.order):
            self.order, self.position = rng.permutation(self.count)[: self.used], 0
        batch = self.order[self.position : self.position + self.batch_size]
        self.position += self.batch_size
        return batch
