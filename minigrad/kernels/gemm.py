"""The matrix product, at the speed of a vendor's BLAS and on numba's own threads.

A tile of five rows by one wide vector (vectors.py) of the result stays in registers while k runs.
Of a, single elements are read, by strides: a and aᵀ are the same to it. Of b, rows as wide as the
vector are read, and these are copied first, a panel of that width and some depth after another: in
b they may lie pages apart, or cross lines of the cache, or, if b is a transpose, be columns.
(After Goto & van de Geijn 2008, who also copy a.)

So one tile serves the three layouts of a linear layer: y = x wᵀ, x̄ = ȳ w, w̄ = ȳᵀ x.

A tile or panel at the edge is moved back inside, and its rows or columns that another one has are
not written; an operand smaller than a tile gets rows or columns of zeros. An element is always
summed over k by one thread: the result does not depend on how many there are.
"""

import numpy as np

from minigrad import ops
from minigrad.kernels import vectors
from minigrad.kernels.compile import accelerates, contiguous, jit, prange
from minigrad.kernels.threads import pool

ROWS = 5  # of a register tile: see vectors.BYTES
DEPTH = 512  # rows at most that are copied at a time,
CACHE = 2**18  # and bytes, about: of panels side by side
PIECES = 8  # at least, of a product that is shared among threads
FEW, MANY = 6, 24  # tiles to a panel: with so few its copy costs a quarter, with so many little
SERIAL = 2**19  # multiply-adds below which waking the other threads costs more than it saves


@jit()
def _rows_tile(a, p, row, step, b, starts, places, out, q, M, more, skip):
    """Five rows of one vector each of out, from place q on: (+)= a · b, + if `more` of a sum.

    a's element (i, k) is a[p + i·row + k·step]. b's row k is the vector whose registers begin at
    starts[k] + places. The first `skip` rows are not written: another tile has them.
    """
    c0 = c1 = c2 = c3 = c4 = vectors.zeros(b)
    if more:
        c0 = vectors.load(out, q)
        c1 = vectors.load(out, q + M)
        c2 = vectors.load(out, q + 2 * M)
        c3 = vectors.load(out, q + 3 * M)
        c4 = vectors.load(out, q + 4 * M)
    for k in range(starts.size):
        v = vectors.gather(b, starts[k], places)
        c0 = vectors.fma(a[p], v, c0)
        c1 = vectors.fma(a[p + row], v, c1)
        c2 = vectors.fma(a[p + 2 * row], v, c2)
        c3 = vectors.fma(a[p + 3 * row], v, c3)
        c4 = vectors.fma(a[p + 4 * row], v, c4)
        p += step
    if skip < 1:
        vectors.store(out, q, c0)
    if skip < 2:
        vectors.store(out, q + M, c1)
    if skip < 3:
        vectors.store(out, q + 2 * M, c2)
    if skip < 4:
        vectors.store(out, q + 3 * M, c3)
    vectors.store(out, q + 4 * M, c4)


@jit()
def _pack(b, turned, K, M, first, depth, start, stop, lanes, packed):
    """packed[p − start, k] = row first + k of b in panel p, for start ≤ p < stop.

    b is flat: (K, M), or (M, K) if turned.
    """
    if not turned:
        for k in range(depth):
            for p in range(start, stop):
                row = vectors.load(b, (first + k) * M + min(p * lanes, M - lanes))
                vectors.store(packed, ((p - start) * depth + k) * lanes, row)
        return
    part = lanes // vectors.PARTS
    rows, columns = np.arange(part) * K, np.arange(part) * lanes
    for p in range(start, stop):
        for i in range(0, lanes, part):
            at = (min(p * lanes, M - lanes) + i) * K + first
            to = (p - start) * depth * lanes + i
            for tile in range(0, depth, part):
                k = min(tile, depth - part)
                vectors.transpose(b, rows, at + k, packed, columns, to + k * lanes)


@jit()
def _block(a, row, step, b, turned, out, N, K, M, lanes, top, bottom, start, stop):
    """Rows top ≤ i < bottom of panels start ≤ p < stop of the product."""
    packed = vectors.aligned((stop - start) * min(K, DEPTH) * lanes, b)
    places = np.arange(0, lanes, lanes // vectors.PARTS)
    highest = min(top, N - ROWS)
    edge = vectors.aligned((bottom - highest) * lanes, b)  # the panel that is moved back inside
    slabs = (K + DEPTH - 1) // DEPTH
    for slab in range(slabs):
        first = slab * K // slabs
        depth = (slab + 1) * K // slabs - first
        _pack(b, turned, K, M, first, depth, start, stop, lanes, packed)
        starts = np.arange(0, depth * lanes, lanes)
        for tile in range(top, bottom, ROWS):
            i = min(tile, N - ROWS)
            for p in range(start, stop):
                target, q, width = out, i * M + p * lanes, M
                if (p + 1) * lanes > M:
                    target, q, width = edge, (i - highest) * lanes, lanes
                _rows_tile(a, i * row + first * step, row, step,
                           packed[(p - start) * depth * lanes :], starts, places, target, q, width,
                           slab > 0, tile - i)  # fmt: skip
    if stop * lanes > M:
        for i in range(top, bottom):
            for j in range((stop - 1) * lanes, M):
                out[i * M + j] = edge[(i - highest + 1) * lanes + j - M]


@jit(parallel=True)
def _blocks(a, row, step, b, turned, out, N, K, M, lanes, down, across):
    tiles, panels = (N + ROWS - 1) // ROWS, (M + lanes - 1) // lanes
    for piece in prange(down * across):
        y, z = piece % down, piece // down
        top, bottom = y * tiles // down * ROWS, min(N, (y + 1) * tiles // down * ROWS)
        start, stop = z * panels // across, (z + 1) * panels // across
        _block(a, row, step, b, turned, out, N, K, M, lanes, top, bottom, start, stop)


def _at_least(array, rows, columns):
    """The array C-contiguous, and with zeros appended where it is smaller than a tile."""
    N, M = array.shape
    if N >= rows and M >= columns:
        return contiguous(array)
    padded = np.zeros((max(N, rows), max(M, columns)), array.dtype)
    padded[:N, :M] = array
    return padded


def _pieces(tiles, panels, K):
    """How often to divide the rows and the columns of a product. Each piece copies its own b, but
    the result is best written in long rows."""
    wide = max(1, CACHE // (min(K, DEPTH) * vectors.BYTES))
    down = max(1, min(PIECES, tiles // MANY))
    across = min(panels, max(-(-panels // wide), -(-PIECES // down)))
    return max(down, min(-(-PIECES // across), tiles // FEW)), across


def _product(y, a, b):
    """y = a b:  a (N, K), b (K, M) -> y (N, M); both may be transposes of C-contiguous arrays."""
    (N, K), M = a.shape, b.shape[1]
    if K == 0:
        y[...] = 0
        return
    lanes = vectors.BYTES // a.itemsize
    if M < lanes <= N:  # a narrow result, such as a 10-dimensional latent: turn it on its side
        side = np.empty((M, N), a.dtype)
        _product(side, b.T, a.T)
        y[...] = side.T
        return
    if a.T.flags.c_contiguous and N >= ROWS:
        flat, row, step, height = a.T.reshape(-1), 1, N, N
    else:
        a = _at_least(a, ROWS, 0)
        flat, row, step, height = a.reshape(-1), K, 1, len(a)
    turned = b.T.flags.c_contiguous and not b.flags.c_contiguous and K >= lanes // vectors.PARTS
    b = _at_least(b.T, lanes, 0) if turned else _at_least(b, 0, lanes)
    width = len(b) if turned else b.shape[1]
    fits = y.shape == (height, width) and y.flags.carray
    out = y if fits else np.empty((height, width), a.dtype)
    arguments = (contiguous(flat), row, step, b.reshape(-1), turned, out.reshape(-1), height, K,
                 width, lanes)  # fmt: skip
    panels = -(-width // lanes)
    if N * K * M > SERIAL:
        with pool:
            _blocks(*arguments, *_pieces(-(-height // ROWS), panels, K))
    else:
        _block(*arguments, 0, height, 0, panels)
    if not fits:
        y[...] = out[:N, :M]


TINY = 2**11  # multiply-adds that NumPy does sooner than a call of the kernel begins


def _matrices(a, b):
    if a.ndim == b.ndim == 2 and a.size * b.shape[1] < TINY:
        return None
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return ((batch + (a.shape[-2], b.shape[-1]), a.dtype),)


@accelerates(ops.bmm, _matrices)
def bmm(y, a, b):
    if a.ndim == b.ndim == 2:
        return _product(y, a, b)
    batch = y.shape[:-2]
    left, right = (
        x if x.shape[:-2] == batch else np.broadcast_to(x, batch + x.shape[-2:]) for x in (a, b)
    )
    for index in np.ndindex(batch):
        _product(y[index], left[index], right[index])


def _rows(x, weight, bias):
    return (((len(x), len(weight)), x.dtype),) if x.size * len(weight) >= TINY else None


@accelerates(ops.linear, _rows)
def linear(y, x, weight, bias):
    _product(y, x, weight.T)
    np.add(y, bias, out=y)


def _outer(x, g):
    return (((g.shape[1], x.shape[1]), x.dtype),) if x.size * g.shape[1] >= TINY else None


@accelerates(ops.linear_weight, _outer)
def linear_weight(y, x, g):
    _product(y, g.T, x)
