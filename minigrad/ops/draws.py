"""Random draws are operations, so that a graph that runs again draws again.

They come from the calling thread's generator.
"""

import numpy as np

from minigrad import rng
from minigrad.core.primitive import primitive


@primitive
def randn(*, shape, dtype=np.float32):
    """y ~ N(0, 1), of that shape.   VJP: none"""
    return rng.normal(shape, dtype)


@primitive
def rand(*, shape, dtype=np.float32):
    """y ~ uniform from 0 to 1, of that shape.   VJP: none"""
    return rng.uniform(shape, dtype=dtype)


@primitive
def bernoulli(p, /):
    """y = 1 with probability p, else 0, for each element.   VJP: none"""
    return rng.bernoulli(p)


for _draw in (randn, rand, bernoulli):
    _draw.pulls, _draw.acts = (), True
