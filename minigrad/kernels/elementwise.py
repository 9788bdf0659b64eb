"""Each of these elementwise functions is one pass over its arrays, by its source in scalars.py."""

import numpy as np

from minigrad import ops
from minigrad.kernels import scalars
from minigrad.kernels.compile import accelerates, flat, like
from minigrad.kernels.jobs import shareable
from minigrad.ops.arithmetic import _chain

PIECE = 2**12  # elements that a thread takes at a time


def _of_one(primitive, scalar):
    """Accelerate a primitive of one operand by the loop over a scalar function."""

    def task(start, stop, x, out):
        x, out = x[start:stop], out[start:stop]
        for i in range(x.size):
            out[i] = scalar(x[i])

    task.__qualname__ = f"{primitive.name}_loop"  # compiled code is linked by name
    loop = shareable(fastmath=False)(task)

    @accelerates(primitive, like, only_jobs=True)
    def run(y, x):
        loop(x.size // PIECE, x.size, flat(x), flat(y))

    return loop


LOOPS = {
    primitive.name: _of_one(primitive, scalar)
    for primitive, scalar in (
        (ops.exp, scalars.exp),
        (ops.expm1, scalars.expm1),
        (ops.log, scalars.log),
        (ops.log1p, scalars.log1p),
        (ops.tanh, scalars.tanh),
        (ops.sigmoid, scalars.sigmoid),
        (ops.softplus, scalars.softplus),
        (ops.relu, scalars.relu),
    )
}


@shareable(fastmath=False)
def _elu_loop(start, stop, x, alpha, out):
    x, out = x[start:stop], out[start:stop]
    for i in range(x.size):
        out[i] = scalars.elu(x[i], alpha)


@accelerates(ops.elu, like, only_jobs=True)
def elu(y, x, *, alpha):
    _elu_loop(x.size // PIECE, x.size, flat(x), x.dtype.type(alpha), flat(y))


@shareable(fastmath=False)
def _elu_pull_loop(start, stop, g, y, alpha, out):
    g, y, out = g[start:stop], y[start:stop], out[start:stop]
    for i in range(g.size):
        out[i] = scalars.elu_pull(g[i], y[i], alpha)


@accelerates(ops.elu_pull, like, only_jobs=True)
def elu_pull(h, g, y, *, alpha):
    _elu_pull_loop(g.size // PIECE, g.size, flat(g), flat(y), g.dtype.type(alpha), flat(h))


@shareable(fastmath=False)
def _leaky_relu_loop(start, stop, g, x, slope, out):
    g, x, out = g[start:stop], x[start:stop], out[start:stop]
    for i in range(g.size):
        out[i] = scalars.leaky_relu_pull(g[i], x[i], slope)


@accelerates(
    ops.leaky_relu,
    lambda x, negative_slope: like(x) if negative_slope else None,
    only_jobs=True,
)
def leaky_relu(y, x, *, negative_slope):
    leaky_relu_pull(y, x, x, negative_slope=negative_slope)


@accelerates(ops.leaky_relu_pull, like, only_jobs=True)
def leaky_relu_pull(h, g, x, *, negative_slope):
    slope = g.dtype.type(negative_slope)
    _leaky_relu_loop(g.size // PIECE, g.size, flat(g), flat(x), slope, flat(h))


def _broadcast(*arrays):
    shape = np.broadcast_shapes(*[array.shape for array in arrays])
    return ((shape, arrays[0].dtype),)


def _spread(arrays, shape):
    """The arrays' elements, repeated where they broadcast to the shape."""
    return [flat(a if a.shape == shape else np.broadcast_to(a, shape)) for a in arrays]


@shareable(fastmath=False)
def _chain_loop(start, stop, g, slope, a, b, out):
    g, slope, a, b, out = (
        g[start:stop],
        slope[start:stop],
        a[start:stop],
        b[start:stop],
        out[start:stop],
    )
    for i in range(g.size):
        out[i] = scalars.chain(g[i], slope[i], a[i], b[i])


@accelerates(
    _chain,
    lambda g, slope, *at: _broadcast(g, slope, *at) if 0 < len(at) < 3 else None,
    only_jobs=True,
)
def chain(y, g, slope, *at):
    arrays = _spread([g, slope, at[0], at[-1]], y.shape)
    _chain_loop(y.size // PIECE, y.size, *arrays, flat(y))


@shareable(fastmath=False)
def _itakura_saito_loop(start, stop, q, p, out):
    q, p, out = q[start:stop], p[start:stop], out[start:stop]
    for i in range(q.size):
        out[i] = scalars.itakura_saito(q[i], p[i])


@accelerates(ops.itakura_saito, _broadcast, only_jobs=True)
def itakura_saito(y, q, p):
    _itakura_saito_loop(y.size // PIECE, y.size, *_spread([q, p], y.shape), flat(y))
