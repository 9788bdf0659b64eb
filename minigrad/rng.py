"""Each thread has a generator of random numbers, with a seed and a state that can be saved.

Users call this module `minigrad.random`, as PyTorch's is `torch.random`. The file is not random.py,
because a Python that is started in its folder would import it in place of Python's own module.

As each thread has its own generator, a run's numbers depend on its seed and not on what runs beside
it. The stream of a thread that never called `seed` depends on the main thread's last seed and on
the number of such threads before it. SFC64 is NumPy's fastest bit generator; even so it takes too
long for the pixels that every training step draws, so these are a function of a key and a counter.
"""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


class _Root:
    """The streams of unseeded threads are derived from these."""

    seed, threads = 0, itertools.count()


class _Stream(threading.local):
    """A _Stream holds a thread's generator, which is made when the thread first uses it."""

    def __init__(self):
        source: Any = 0
        if threading.current_thread() is not threading.main_thread():
            source = np.random.SeedSequence(_Root.seed, spawn_key=(next(_Root.threads),))
        self.bits: Any = np.random.SFC64(source)
        self.generator = np.random.Generator(self.bits)


_stream = _Stream()


def seed(value: int) -> None:
    """Start the calling thread's generator again from a seed (a non-negative integer)."""
    _stream.bits.state = np.random.SFC64(value).state
    if threading.current_thread() is threading.main_thread():
        _Root.seed, _Root.threads = value, itertools.count()


def get_state() -> dict[str, np.ndarray]:
    """Return the generator's state, in arrays. Pass it to `set_state` to continue from here."""
    state = _stream.bits.state
    half = np.array([state["has_uint32"], state["uinteger"]])  # the unused half of a 64-bit draw
    return {"state": state["state"]["state"].copy(), "half": half}


def set_state(state) -> None:
    """Continue from a state that `get_state` returned.

    Raises ValueError, and changes nothing, for anything else.
    """
    words, pair = (np.asarray(state.get(name)) for name in ("state", "half"))
    if (words.shape, words.dtype, pair.shape) != ((4,), np.uint64, (2,)) or pair.dtype.kind not in (
        "iu"
    ):
        raise ValueError("random: this is not the generator's state: state is (4,) in uint64 and "
                         f"half is (2,) whole numbers, not {words!r} and {pair!r}")  # fmt: skip
    has_half, half = map(int, pair)
    if has_half not in (0, 1) or not 0 <= half < 2**32:
        raise ValueError(f"random: half is {pair}; it must be 0 or 1, and a number of 32 bits")
    values = {"state": {"state": words}, "has_uint32": has_half, "uinteger": half}
    _stream.bits.state = _stream.bits.state | values


@contextmanager
def fork(value: int) -> Iterator[None]:
    """Draw from another seed inside the block; after it, restore the state from before the block.

    So an evaluation gives the same numbers whenever it is made, and does not affect the training.
    """
    before = get_state()
    _stream.bits.state = np.random.SFC64(value).state
    try:
        yield
    finally:
        set_state(before)


def normal(shape, dtype=np.float32, out=None) -> np.ndarray:
    """Draw from N(0, 1). out: the array to fill, or None for a new one"""
    return _stream.generator.standard_normal(shape, dtype, out)


def uniform(shape, low=0.0, high=1.0, dtype=np.float32, out=None) -> np.ndarray:
    """Draw from the uniform distribution between low and high. out: as above"""
    draws = _stream.generator.random(shape, dtype, out)
    if (low, high) != (0, 1):
        draws *= high - low
        draws += low
    return draws


def bernoulli(p) -> np.ndarray:
    """Draw 1 with probability p, else 0, in p's shape and dtype.

    The thread's generator gives a key, and `threefry` the numbers for it.
    """
    p = np.asarray(p)
    p = p if p.dtype.kind == "f" else p.astype(np.float32)
    if p.dtype == np.float64:  # of 53 bits
        a, b = threefry(key(), p.size)
        unit = ((a >> np.uint32(5)) * 2.0**26 + (b >> np.uint32(6))) * 2.0**-53
    else:  # of 24 bits
        words = np.concatenate(threefry(key(), (p.size + 1) // 2))[: p.size]
        unit = (words >> np.uint32(8)) * np.float32(2**-24)
    return (unit.reshape(p.shape) < p).astype(p.dtype)


ROTATIONS = 13, 15, 26, 6, 17, 29, 16, 24


def key() -> int:
    """Draw a key of 64 bits for `threefry`."""
    return _stream.bits.random_raw()


def threefry(key: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two random words of 32 bits for each counter from 0 to count − 1.

    They are a function of the key and the counter alone, so that threads can share the work. This
    is Threefry-2x32 with 20 rounds, by Salmon, Moraes, Dror & Shaw (2011, "Parallel random
    numbers: as easy as 1, 2, 3"). The third word of a key is the parity of the two, and a constant.
    """
    low, high = key & 0xFFFFFFFF, key >> 32
    words = np.uint32(low), np.uint32(high), np.uint32(low ^ high ^ 0x1BD11BDA)
    a, b = np.arange(count, dtype=np.uint32) + words[0], np.full(count, words[1])
    for i in range(20):
        rotation = ROTATIONS[i % 8]
        a += b
        b = (b << np.uint32(rotation) | b >> np.uint32(32 - rotation)) ^ a
        if i % 4 == 3:
            turn = i // 4 + 1
            a += words[turn % 3]
            b += words[(turn + 1) % 3]
            b += np.uint32(turn)
    return a, b


def permutation(n: int) -> np.ndarray:
    """Return the numbers 0 … n − 1 in random order."""
    return _stream.generator.permutation(n)
