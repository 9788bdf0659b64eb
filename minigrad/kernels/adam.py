"""Adam's update is a single pass, which reads four arrays and writes three of them."""

import math

import numpy as np

from minigrad.kernels.compile import COMPILED, accelerates, flat
from minigrad.kernels.jobs import shareable
from minigrad.ops.updates import adam_, counts_are_sound, each_state

PIECE = 2**13  # elements that a thread takes at a time


@shareable()
def _check(start, stop, step):
    if step[0] < 0:
        raise ValueError  # counts_are_sound says it in words


@shareable(fastmath=False)
def _advance(start, stop, step, lr, beta1, beta2, eps, numbers):
    """Count a step, and write down the numbers that it needs, in the dtype of the parameter."""
    step[0] += 1
    t = np.float64(step[0])
    numbers[0] = lr[0] / (1 - beta1**t)
    # 1 − β is taken in double precision: in float32, 1 − 0.999 is off by 10⁻⁵ of itself.
    numbers[1], numbers[2], numbers[3] = 1 - beta1, beta2, 1 - beta2
    numbers[4], numbers[5] = 1 / math.sqrt(1 - beta2**t), eps


# Contraction is off: LLVM may fuse either of two products with their sum, and its choice can change
# from one compilation to the next.
@shareable(fastmath=False)
def _update(start, stop, p, g, m, v, numbers):
    # With indices from 0, which can't be negative, numba makes vector code, six times as fast.
    p, g, m, v = p[start:stop], g[start:stop], m[start:stop], v[start:stop]
    rate, weight1, beta2, weight2 = numbers[0], numbers[1], numbers[2], numbers[3]
    root, eps = numbers[4], numbers[5]
    for i in range(p.size):
        m[i] += weight1 * (g[i] - m[i])
        v[i] = beta2 * v[i] + weight2 * g[i] * g[i]
        p[i] -= rate * m[i] / (math.sqrt(v[i]) * root + eps)


def _in_place(lr, *states, **static):
    """Take the states if all that is written can be written in place."""
    for p, m, v, step, _ in each_state(states):
        written = p.flags.carray and m.flags.carray and v.flags.carray and step.flags.carray
        if p.dtype not in COMPILED or step.dtype != np.int64 or not written:
            return None
    return ()


@accelerates(adam_, _in_place, only_jobs=True)
def adam_kernel(lr, *states, betas, eps):
    counts_are_sound(states)
    for *_, step, _ in each_state(states):
        _check(1, 1, flat(step))  # before anything is written
    for p, m, v, step, g in each_state(states):
        numbers = np.empty(6, p.dtype)
        _advance(1, 1, flat(step), flat(lr), *map(float, betas), float(eps), numbers)
        _update(p.size // PIECE, p.size, flat(p), flat(g), flat(m), flat(v), numbers)
