"""Each thread's generator of random numbers, seeded, with a state that can be saved.

For users it is `minigrad.random`, as PyTorch's is `torch.random`. No file of the package has the
name of a module of Python's: a Python that is started in the package's folder would import it.

A thread has its own, so that a run's numbers are those of its seed whatever runs beside it. One
that never called `seed` draws from a stream that the main thread's last seed and the number of such
threads before it decide. SFC64 is NumPy's fastest bit generator, and drawing pixels is part of
every training step.
"""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


class _Root:
    """What the streams of unseeded threads are derived from."""

    seed, threads = 0, itertools.count()


class _Stream(threading.local):
    """The calling thread's generator, made when it is first used there."""

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
    """The generator's state, in arrays: pass it to `set_state` to continue from this point."""
    state = _stream.bits.state
    half = np.array([state["has_uint32"], state["uinteger"]])  # of a 64-bit draw, still unused
    return {"state": state["state"]["state"].copy(), "half": half}


def set_state(state) -> None:
    """Continue from a state that `get_state` gave. Raises ValueError, and changes nothing, if it
    is another."""
    words, rest = (np.asarray(state.get(name)) for name in ("state", "half"))
    if (words.shape, words.dtype, rest.shape) != ((4,), np.uint64, (2,)) or rest.dtype.kind not in (
        "iu"
    ):
        raise ValueError("random: this is not the generator's state: state is (4,) in uint64 and "
                         f"half is (2,) whole numbers, not {words!r} and {rest!r}")  # fmt: skip
    has_half, half = map(int, rest)
    if has_half not in (0, 1) or not 0 <= half < 2**32:
        raise ValueError(f"random: half is {rest}; it must be 0 or 1, and a number of 32 bits")
    values = {"state": {"state": words}, "has_uint32": has_half, "uinteger": half}
    _stream.bits.state = _stream.bits.state | values


@contextmanager
def fork(value: int) -> Iterator[None]:
    """Inside the block draw from another seed; after it, continue as if nothing had been drawn.

    An evaluation then gives the same numbers whenever it is made, and disturbs no training.
    """
    before = get_state()
    _stream.bits.state = np.random.SFC64(value).state
    try:
        yield
    finally:
        set_state(before)


def normal(shape, dtype=np.float32) -> np.ndarray:
    """Draws from N(0, 1)."""
    return _stream.generator.standard_normal(shape, dtype)


def uniform(shape, low=0.0, high=1.0, dtype=np.float32) -> np.ndarray:
    """Draws from the uniform distribution between low and high."""
    draws = _stream.generator.random(shape, dtype)
    return draws * (high - low) + low if (low, high) != (0, 1) else draws


def bernoulli(p) -> np.ndarray:
    """Draws of 0 and 1, of p's shape and dtype, 1 with probability p."""
    p = np.asarray(p)
    p = p if p.dtype.kind == "f" else p.astype(np.float32)
    return (_stream.generator.random(p.shape, p.dtype) < p).astype(p.dtype)


def permutation(n: int) -> np.ndarray:
    """The numbers 0 … n − 1 in random order."""
    return _stream.generator.permutation(n)
