"""Adam's update is a single pass, which reads four arrays and writes three of them."""

import math

from minigrad.kernels.compile import COMPILED, accelerates, flat
from minigrad.kernels.threads import shareable
from minigrad.ops.updates import adam_, counts_are_sound, each_state

PIECE = 2**13  # elements that a thread takes at a time


# Contraction is off: LLVM may fuse either of two products with their sum, and its choice can change
# from one compilation to the next.
@shareable(fastmath=False)
def _update(start, stop, p, g, m, v, rate, weight1, beta2, weight2, root, eps):
    # With indices from 0, which can't be negative, numba makes vector code, six times as fast.
    p, g, m, v = p[start:stop], g[start:stop], m[start:stop], v[start:stop]
    for i in range(p.size):
        m[i] += weight1 * (g[i] - m[i])
        v[i] = beta2 * v[i] + weight2 * g[i] * g[i]
        p[i] -= rate * m[i] / (math.sqrt(v[i]) * root + eps)


def _in_place(lr, *states, **static):
    """Take the states if all that is written can be written in place."""
    for p, m, v, _, _ in each_state(states):
        if not (p.dtype in COMPILED and p.flags.carray and m.flags.carray and v.flags.carray):
            return None
    return ()


@accelerates(adam_, _in_place)
def adam_kernel(lr, *states, betas, eps):
    (beta1, beta2), constants = betas, {}
    counts_are_sound(states)
    for p, m, v, step, g in each_state(states):
        step += 1
        t, dtype = int(step), p.dtype
        if (t, dtype) not in constants:
            # 1 − β is taken in double precision: in float32, 1 − 0.999 is off by 10⁻⁵ of itself.
            rate, root = lr.item() / (1 - beta1**t), 1 / math.sqrt(1 - beta2**t)
            numbers = rate, 1 - beta1, beta2, 1 - beta2, root, eps
            constants[t, dtype] = [dtype.type(number) for number in numbers]
        arrays = flat(p), flat(g), flat(m), flat(v)
        _update(p.size // PIECE, p.size, *arrays, *constants[t, dtype])
