"""The matrix product, at the speed of a vendor's BLAS and on numba's own threads.

Three layouts occur in a linear layer: y = x wᵀ, x̄ = ȳ w, w̄ = ȳᵀ x.

- a · b and aᵀ · b: a tile of five rows by one wide vector (simd.py) stays in registers while k
  runs; a is read by strides, so that a and aᵀ are one kernel. b's rows are read in place, wherever
  they start (conv.py makes use of that), or, if b is large, from copies that stay in cache.
- a · bᵀ: rows of both are contiguous along k, so a tile of 4 × 4 dot products runs along k.

A tile at the right or bottom edge is moved back inside and computes some elements a second time,
in the same order and hence to the same bits; an operand smaller than a tile gets rows or columns of
zeros. An element is always summed over k by one thread: the result does not depend on how many
there are.
"""

import numpy as np

from minigrad.kernels import simd, specification
from minigrad.kernels.jit import COMPILED, contiguous, jit, pool, prange

ROWS = 5  # of a register tile: see simd.BYTES
SIDE = 4  # of a tile of dot products: 16 accumulators
LENGTH, GROUP = 256, 8  # elements of a dot product, and tiles, that stay in cache
LONG = 32  # elements for which a dot product is worth its sum at the end; for fewer, b is copied
LARGE = 2**20  # bytes of b from which it is copied, piece by piece
DEPTH, WIDE = 256, 4  # rows, and panels at most, of such a piece: what a cache holds
STRIPS = 8  # at least so many strips of panels, so that each thread gets some
SERIAL = 2**19  # multiply-adds below which waking the other threads costs more than it saves
PIECES = 32  # of a product that is shared among threads


@jit()
def _rows_tile(a, p, row, step, b, starts, out, q, M, more, skip):
    """Five rows of one vector each of out, from place q on: (+)= a · b, + if `more` of a sum.

    a's element (i, k) is a[p + i·row + k·step], b's row k is the vector at starts[k]. The first
    `skip` rows are not written: another tile has them.
    """
    c0 = c1 = c2 = c3 = c4 = simd.zeros(b)
    if more:
        c0 = simd.load(out, q)
        c1 = simd.load(out, q + M)
        c2 = simd.load(out, q + 2 * M)
        c3 = simd.load(out, q + 3 * M)
        c4 = simd.load(out, q + 4 * M)
    for k in range(starts.size):
        v = simd.load(b, starts[k])
        c0 = simd.fma(a[p], v, c0)
        c1 = simd.fma(a[p + row], v, c1)
        c2 = simd.fma(a[p + 2 * row], v, c2)
        c3 = simd.fma(a[p + 3 * row], v, c3)
        c4 = simd.fma(a[p + 4 * row], v, c4)
        p += step
    if skip < 1:
        simd.store(out, q, c0)
    if skip < 2:
        simd.store(out, q + M, c1)
    if skip < 3:
        simd.store(out, q + 2 * M, c2)
    if skip < 4:
        simd.store(out, q + 3 * M, c3)
    simd.store(out, q + 4 * M, c4)


@jit()
def _rows(a, row, step, b, starts, out, N, M, lanes, start, stop):
    """Tiles start ≤ t < stop, numbered down the columns so that a panel of b stays in cache."""
    down = (N + ROWS - 1) // ROWS
    for t in range(start, stop):
        i, j = min(t % down * ROWS, N - ROWS), min(t // down * lanes, M - lanes)
        _rows_tile(a, i * row, row, step, b[j:], starts, out, i * M + j, M, False, 0)


@jit()
def _strip(a, row, step, b, out, N, K, M, lanes, start, stop):
    """Panels start ≤ p < stop of a product with a large b, all rows.

    Rows of b lie pages apart, and each tile would wait for them anew. So DEPTH of them at a time
    are copied, a panel after another, and all tiles add what these contribute.
    """
    packed = np.empty((stop - start) * DEPTH * lanes, b.dtype)
    for first in range(0, K, DEPTH):
        depth = min(DEPTH, K - first)
        for k in range(depth):
            for p in range(stop - start):
                j, to = (start + p) * lanes, (p * depth + k) * lanes
                simd.store(packed, to, simd.load(b, (first + k) * M + j))
        starts = np.arange(0, depth * lanes, lanes)
        for tile in range(0, N, ROWS):
            i = min(tile, N - ROWS)
            for p in range(stop - start):
                _rows_tile(a, i * row + first * step, row, step, packed[p * depth * lanes :],
                           starts, out, i * M + (start + p) * lanes, M, first > 0, tile - i)


@jit(fastmath={"contract", "reassoc"})  # reassoc: a vector of partial sums for each dot product
def _dots_tile(a, b, starts, out, i, j, first, last):
    """out[i:i+4, j:j+4] (+)= a[i:i+4, k] b[j:j+4, k]ᵀ over first ≤ k < last, + if first > 0."""
    a0, a1 = a[i, first:last], a[i + 1, first:last]
    a2, a3 = a[i + 2, first:last], a[i + 3, first:last]
    b0, b1 = b[starts[j] + first :], b[starts[j + 1] + first :]
    b2, b3 = b[starts[j + 2] + first :], b[starts[j + 3] + first :]
    c00 = c01 = c02 = c03 = c10 = c11 = c12 = c13 = a.dtype.type(0)
    c20 = c21 = c22 = c23 = c30 = c31 = c32 = c33 = a.dtype.type(0)
    for k in range(a0.size):
        x0, x1, x2, x3 = a0[k], a1[k], a2[k], a3[k]
        y0, y1, y2, y3 = b0[k], b1[k], b2[k], b3[k]
        c00, c01, c02, c03 = c00 + x0 * y0, c01 + x0 * y1, c02 + x0 * y2, c03 + x0 * y3
        c10, c11, c12, c13 = c10 + x1 * y0, c11 + x1 * y1, c12 + x1 * y2, c13 + x1 * y3
        c20, c21, c22, c23 = c20 + x2 * y0, c21 + x2 * y1, c22 + x2 * y2, c23 + x2 * y3
        c30, c31, c32, c33 = c30 + x3 * y0, c31 + x3 * y1, c32 + x3 * y2, c33 + x3 * y3
    o0, o1, o2, o3 = out[i], out[i + 1], out[i + 2], out[i + 3]
    if first:
        c00, c01, c02, c03 = c00 + o0[j], c01 + o0[j + 1], c02 + o0[j + 2], c03 + o0[j + 3]
        c10, c11, c12, c13 = c10 + o1[j], c11 + o1[j + 1], c12 + o1[j + 2], c13 + o1[j + 3]
        c20, c21, c22, c23 = c20 + o2[j], c21 + o2[j + 1], c22 + o2[j + 2], c23 + o2[j + 3]
        c30, c31, c32, c33 = c30 + o3[j], c31 + o3[j + 1], c32 + o3[j + 2], c33 + o3[j + 3]
    o0[j], o0[j + 1], o0[j + 2], o0[j + 3] = c00, c01, c02, c03
    o1[j], o1[j + 1], o1[j + 2], o1[j + 3] = c10, c11, c12, c13
    o2[j], o2[j + 1], o2[j + 2], o2[j + 3] = c20, c21, c22, c23
    o3[j], o3[j + 1], o3[j + 2], o3[j + 3] = c30, c31, c32, c33


@jit()
def _dots(a, b, starts, out, start, stop):
    """Tiles start ≤ t < stop, numbered down GROUP tiles and then along: LENGTH elements of so many
    rows of a stay in cache while b's pass by. All elements at once where tiles overlap, which must
    not add twice."""
    N, M = out.shape
    K, down, across = a.shape[1], (N + SIDE - 1) // SIDE, (M + SIDE - 1) // SIDE
    length = LENGTH if N % SIDE == M % SIDE == 0 else max(K, 1)
    for first in range(0, max(K, 1), length):
        last = min(first + length, K)
        for t in range(start, stop):
            group, place = t // (GROUP * across), t % (GROUP * across)
            height = min(GROUP, down - group * GROUP)
            i, j = (group * GROUP + place % height) * SIDE, place // height * SIDE
            _dots_tile(a, b, starts, out, min(i, N - SIDE), min(j, M - SIDE), first, last)


@jit(parallel=True)
def _rows_parallel(a, row, step, b, starts, out, N, M, lanes, tiles, pieces):
    for piece in prange(pieces):
        start, stop = piece * tiles // pieces, (piece + 1) * tiles // pieces
        _rows(a, row, step, b, starts, out, N, M, lanes, start, stop)


@jit(parallel=True)
def _strips_parallel(a, row, step, b, out, N, K, M, lanes, pieces):
    panels = M // lanes
    for piece in prange(pieces):
        start, stop = piece * panels // pieces, (piece + 1) * panels // pieces
        _strip(a, row, step, b, out, N, K, M, lanes, start, stop)


@jit(parallel=True)
def _dots_parallel(a, b, starts, out, tiles, pieces):
    for piece in prange(pieces):
        _dots(a, b, starts, out, piece * tiles // pieces, (piece + 1) * tiles // pieces)


def _tiles(N, n, M, m):
    return -(-N // n) * -(-M // m)


def _at_least(array, rows, columns):
    """The array C-contiguous, and with zeros appended where it is smaller than a tile."""
    N, M = array.shape
    if N >= rows and M >= columns:
        return contiguous(array)
    padded = np.zeros((max(N, rows), max(M, columns)), array.dtype)
    padded[:N, :M] = array
    return padded


def _product(a, b):
    """a (N, K), b (K, M) -> (N, M); either may be the transpose of a C-contiguous array."""
    (N, K), M = a.shape, b.shape[1]
    if K == 0:
        return np.zeros((N, M), a.dtype)
    lanes = simd.BYTES // a.itemsize
    if b.T.flags.c_contiguous and not b.flags.c_contiguous and K >= LONG:
        return _product_of_rows(a, b.T)
    if M < lanes <= N:  # a narrow result, such as a 10-dimensional latent: turn it on its side
        return contiguous(_product(b.T, a.T).T)
    if a.T.flags.c_contiguous and N >= ROWS:
        flat, row, step, height = a.T.reshape(-1), 1, N, N
    else:
        a = _at_least(a, ROWS, 0)
        flat, row, step, height = a.reshape(-1), K, 1, len(a)
    left = contiguous(flat), row, step
    if b.nbytes >= LARGE and M % lanes == 0:
        out, panels = np.empty((height, M), a.dtype), M // lanes
        pieces = min(panels, max(STRIPS, -(-panels // WIDE)))
        right = contiguous(b).reshape(-1), out.reshape(-1)
        with pool:
            _strips_parallel(*left, *right, height, K, M, lanes, pieces)
    else:
        b = _at_least(b, 0, lanes)
        width = b.shape[1]
        out, tiles = np.empty((height, width), a.dtype), _tiles(height, ROWS, width, lanes)
        right = b.reshape(-1), np.arange(0, K * width, width)
        arguments = *left, *right, out.reshape(-1), height, width, lanes
        if N * K * M > SERIAL:
            with pool:
                _rows_parallel(*arguments, tiles, PIECES)
        else:
            _rows(*arguments, 0, tiles)
    return out if out.shape == (N, M) else out[:N, :M].copy()


def _product_of_rows(a, b):
    """a bᵀ: a (N, K), b (M, K) -> (N, M)."""
    (N, K), M = a.shape, len(b)
    a, b = _at_least(a, SIDE, 0), _at_least(b, SIDE, 0)
    out = np.empty((len(a), len(b)), a.dtype)
    operands = a, b.reshape(-1), np.arange(0, b.size, K), out
    tiles = _tiles(len(a), SIDE, len(b), SIDE)
    if N * K * M > SERIAL:
        with pool:
            _dots_parallel(*operands, tiles, PIECES)
    else:
        _dots(*operands, 0, tiles)
    return out if out.shape == (N, M) else out[:N, :M].copy()


def matmul(a, b):
    if a.dtype != b.dtype or a.dtype not in COMPILED:
        return specification.matmul(a, b)
    if a.ndim == b.ndim == 2:
        return _product(a, b)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = np.empty(batch + (a.shape[-2], b.shape[-1]), a.dtype)
    left, right = (
        x if x.shape[:-2] == batch else np.broadcast_to(x, batch + x.shape[-2:]) for x in (a, b)
    )
    for index in np.ndindex(batch):
        out[index] = _product(left[index], right[index])
    return out
