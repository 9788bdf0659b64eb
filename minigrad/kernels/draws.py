"""Bernoulli draws: the counter-based generator of rng.py in registers, on all threads."""

import numpy as np

from minigrad import ops, rng
from minigrad.kernels.compile import accelerates, flat, like
from minigrad.kernels.jobs import each_time, shareable
from minigrad.kernels.scalars import inline

PIECE = 2**13  # counters that a thread takes at a time


@inline
def _four_rounds(a, b, rotations):
    for r in rotations:
        a = np.uint32(a + b)
        b = np.uint32(np.uint32(b << np.uint32(r)) | np.uint32(b >> np.uint32(32 - r)))
        b = np.uint32(b ^ a)
    return a, b


@inline
def _threefry(i, k0, k1, k2):
    """The two words of the counter i, by the key k0, k1 and its parity k2: see rng.threefry."""
    even, odd = (13, 15, 26, 6), (17, 29, 16, 24)  # as in rng.py, whose edits no cache would see
    a, b = _four_rounds(np.uint32(i + k0), k1, even)
    a, b = _four_rounds(np.uint32(a + k1), np.uint32(b + k2 + np.uint32(1)), odd)
    a, b = _four_rounds(np.uint32(a + k2), np.uint32(b + k0 + np.uint32(2)), even)
    a, b = _four_rounds(np.uint32(a + k0), np.uint32(b + k1 + np.uint32(3)), odd)
    a, b = _four_rounds(np.uint32(a + k1), np.uint32(b + k2 + np.uint32(4)), even)
    return np.uint32(a + k2), np.uint32(b + k0 + np.uint32(5))


@inline
def _words(key):
    """The three words of a key, which is the only number in an array."""
    k0, k1 = np.uint32(key[0] & np.uint64(0xFFFFFFFF)), np.uint32(key[0] >> np.uint64(32))
    return k0, k1, np.uint32(k0 ^ k1 ^ np.uint32(0x1BD11BDA))


@inline
def _one_if(word, p):
    unit = np.float32(np.int32(word >> np.uint32(8))) * np.float32(2**-24)
    return np.float32(1) if unit < p else np.float32(0)


@shareable(fastmath=False)
def _singles(start, stop, p, q, key, y, z):
    """The first half of the draws takes the first words, the second half the second ones."""
    k0, k1, k2 = _words(key)
    p, q, y, z = p[start:stop], q[start:stop], y[start:stop], z[start:stop]
    for i in range(q.size):
        a, b = _threefry(np.uint32(start + i), k0, k1, k2)
        y[i], z[i] = _one_if(a, p[i]), _one_if(b, q[i])
    if p.size > q.size:
        a, b = _threefry(np.uint32(start + q.size), k0, k1, k2)
        y[q.size] = _one_if(a, p[q.size])


@shareable(fastmath=False)
def _doubles(start, stop, p, key, y):
    k0, k1, k2 = _words(key)
    p, y = p[start:stop], y[start:stop]
    for i in range(p.size):
        a, b = _threefry(np.uint32(start + i), k0, k1, k2)
        whole = np.int64(a >> np.uint32(5)) * 2**26 + np.int64(b >> np.uint32(6))
        y[i] = 1.0 if whole * 2.0**-53 < p[i] else 0.0


def _draw(key):
    key[0] = rng.key()


@accelerates(ops.bernoulli, lambda p: like(p) if p.size < 2**32 else None, only_jobs=True)
def bernoulli(y, p):
    key, p, y = np.empty(1, np.uint64), flat(p), flat(y)
    each_time(_draw, key)
    if p.dtype == np.float64:
        return _doubles(p.size // PIECE, p.size, p, key, y)
    half = (p.size + 1) // 2
    _singles(half // PIECE, half, p[:half], p[half:], key, y[:half], y[half:])
