"""The matrix product, at the speed of a vendor's BLAS, on the threads of pool.py.

y = a b is cut into tiles, whose loop over k is in tile.py. A tile reads a panel of b, which is as
wide as the tile. Where b is a transpose, or many tiles read a panel, it is packed before: then the
numbers that are read for one k after another lie side by side, while in b they may be pages apart,
or cross lines of the cache, or be a column. Of a, single numbers are read, by strides; only a large
a is packed, too, tile by tile.

    for each slab of K, at most DEPTH deep:
        perhaps pack a's tiles
        for each part of y, which is some panels wide and some tiles high:
            perhaps pack the part's panels of b             # these stay in a core's cache
            for each block of the part's tiles:             # and so does its part of a
                for each panel:
                    for each tile of the block:
                        for each k: …                       # tile.py

The threads share the parts. A thread that packs panels multiplies them, too: no other waits for
them, and they are where they are needed. If y is high and narrow, several parts pack the same
panels. (After Goto & van de Geijn 2008.)

So one function serves the three layouts of a linear layer: y = x wᵀ, x̄ = ȳ w, w̄ = ȳᵀ x. An element
is always summed over k in order: its bits depend neither on the number of threads nor on the cuts.
"""

import numpy as np

from minigrad import ops
from minigrad.kernels import vectors
from minigrad.kernels.compile import accelerates, contiguous, jit
from minigrad.kernels.jobs import shareable
from minigrad.kernels.pool import OWNER, threads_of, together
from minigrad.kernels.tile import HEIGHT, WIDTH, tile

DEPTH = 512  # rows of b, at most, that are packed at a time
CACHE = 2**18  # bytes of a core's cache that a block of a may take
PAGES = 128  # rows of y, at most, that a panel goes over: each lies on another page
LARGE = 2**20  # bytes of a above which it is packed: its rows or columns lie on too many pages
ALIAS = 2**11  # bytes: rows that are a multiple of it apart take each other's place in the cache
MANY = 32  # tiles above which to pack a panel costs less than to read it from many pages
GROUP = 4  # panels of b, at most, that are packed at a time, and stay in a core's cache
TOGETHER = 8  # tiles of a that are packed together, because they lie on the same pages
PARTS = 4  # of y, at least, for each thread
SERIAL = 2**18  # multiply-adds below which waking the other threads costs more than it saves


@jit()
def _pack(begin, end, b, turned, K, M, first, depth, starts, lanes, packed, width, base):
    """packed[p - base, k, j] = b[first + k, starts[p] + j] for k < depth, j < width and
    begin ≤ p < end.

    b is flat: (K, M), or (M, K) if turned. For columns that do not exist packed holds other numbers
    of b, or any; nobody looks at the products with them.
    """
    if not turned:  # row after row: the next one may be on another page
        for k in range(depth):
            row = (first + k) * M
            for p in range(begin, end):
                to = ((p - base) * depth + k) * width
                if row + starts[p] + width <= b.size:
                    for j in range(0, width, lanes):
                        vectors.store(packed, to + j, vectors.load(b, row + starts[p] + j))
                else:  # nothing is read after the end of b
                    for j in range(min(width, M - starts[p])):
                        packed[to + j] = b[row + starts[p] + j]
        return
    columns = np.arange(lanes) * width
    for p in range(begin, end):
        for j in range(0, min(width, M - starts[p]), lanes):
            rows = np.minimum(np.arange(lanes) + starts[p] + j, M - 1) * K + first
            to = (p - base) * depth * width + j
            if depth >= lanes:
                for square in range(0, depth, lanes):
                    k = min(square, depth - lanes)
                    vectors.transpose(b, rows, k, packed, columns, to + k * width)
            else:
                for k in range(depth):
                    for i in range(lanes):
                        packed[to + k * width + i] = b[rows[i] + k]


@jit()
def _tiles(left, top, bottom, b, at, below, apart, begin, end, depth, out, rows, M, wide, more):
    """Multiply tiles of rows of a, from `top` to `bottom`, by panels of b, from `begin` to `end`.

    Tile t has the rows from rows[t] to rows[t + 1] of y, and its part of a begins at places[t].
    The first panel is at `at` of b, the next one `apart` later, and a panel's next row `below`.
    """
    a, places, row, step = left
    high = rows[bottom] - rows[top]
    blocks = max(-(-high * depth * a.itemsize // CACHE), -(-high // PAGES))
    for block in range(blocks):
        first = top + block * (bottom - top) // blocks
        last = top + (block + 1) * (bottom - top) // blocks
        for panel in range(begin, end):
            for t in range(first, last):
                tile(rows[t + 1] - rows[t], min(wide, M - panel * wide), a, places[t], row, step,
                     b, at + (panel - begin) * apart, below, depth,
                     out, rows[t] * M + panel * wide, M, more)  # fmt: skip


@jit()
def _parts(start, stop, groups, chunks, b, turned, K, columns, first, depth, left, out, rows, M,
           lanes):  # fmt: skip
    """Compute parts of y. Each has a group of panels and a chunk of tiles; chunks come first."""
    wide, tiles, panels, more = WIDTH * lanes, rows.size - 1, columns.size, first > 0
    packed = vectors.aligned(-(-panels // groups) * wide * depth, b)
    for part in range(start, stop):
        group, chunk = part // chunks, part % chunks
        begin, end = group * panels // groups, (group + 1) * panels // groups
        top, bottom = chunk * tiles // chunks, (chunk + 1) * tiles // chunks
        there = begin  # the first panel that is packed
        if not turned and tiles <= MANY:  # b may end before the last panel's last register does
            there = end - (end * wide > M and M % lanes > 0)
            _tiles(left, top, bottom, b, first * M + begin * wide, M, wide, begin, there, depth,
                   out, rows, M, wide, more)  # fmt: skip
        if there < end:
            if chunk == 0 or part == start:
                _pack(there, end, b, turned, K, M, first, depth, columns, lanes, packed, wide,
                      there)  # fmt: skip
            _tiles(left, top, bottom, packed, 0, wide, wide * depth, there, end, depth,
                   out, rows, M, wide, more)  # fmt: skip


@jit()
def _cuts(count, total, parts):
    """0, total / parts, 2 total / parts, … rounded down, up to count of them."""
    return np.arange(count + 1) * total // parts


@shareable()
def _multiply(pool, shares, a, row, step, b, turned, out, N, K, M, lanes):
    """out = a b, all flat: a[i · row + k · step], and b (K, M), or (M, K) if turned."""
    pool = pool if shares else 0
    tiles, high = -(-N // HEIGHT), -(-HEIGHT // lanes) * lanes
    panels, wide = -(-M // (WIDTH * lanes)), WIDTH * lanes
    rows, columns = _cuts(tiles, N, tiles), _cuts(panels - 1, wide, 1)
    wanted = PARTS * threads_of(pool)
    groups = min(panels, max(-(-panels // GROUP), wanted))
    chunks = min(tiles, -(-wanted // groups))
    slabs = -(-K // DEPTH)
    for slab in range(slabs):
        first = slab * K // slabs
        depth = (slab + 1) * K // slabs - first
        left = a, rows[:-1] * row + first * step, row, step
        if a.nbytes > LARGE or row * a.itemsize % ALIAS == 0:
            packed = vectors.aligned(tiles * high * depth, a)
            packing = a, step == 1, K, N, first, depth, rows, lanes, packed, high, 0
            together(pool, _pack, tiles, max(-(-tiles // TOGETHER), threads_of(pool)), packing)
            left = packed, _cuts(tiles - 1, high * depth, 1), 1, high
        arguments = groups, chunks, b, turned, K, columns, first, depth, left, out, rows, M, lanes
        together(pool, _parts, groups * chunks, groups * chunks, arguments)


def _flat(x):
    """The elements of a matrix in memory, and the steps from row to row and column to column."""
    if x.flags.carray:
        return x.reshape(-1), x.shape[1], 1
    if x.T.flags.carray:
        return x.T.reshape(-1), 1, x.shape[0]
    return contiguous(x).reshape(-1), x.shape[1], 1


def _product(y, a, b):
    """y = a b:  a (N, K), b (K, M) -> y (N, M); both may be transposes of C-contiguous arrays."""
    (N, K), M = a.shape, b.shape[1]
    lanes = vectors.REGISTER // a.itemsize
    if 5 * -(-N // lanes) * M < 4 * -(-M // lanes) * N:  # y is narrow: on its side it wastes less
        side = np.empty((M, N), a.dtype)
        _product(side, b.T, a.T)
        _transpose(1, N, side, y)
    elif K == 0 or y.size == 0:
        _clear(1, y.size, y.reshape(-1))
    else:
        (a, row, step), (b, _, turned) = _flat(a), _flat(b)
        shares = int(N * K * M > SERIAL)
        _multiply(OWNER, shares, a, row, step, b, turned > 1, y.reshape(-1), N, K, M, lanes)


@shareable()
def _clear(start, stop, out):
    out[start:stop] = 0


@shareable()
def _transpose(start, stop, x, out):
    for i in range(start, stop):
        for j in range(len(x)):
            out[i, j] = x[j, i]


TINY = 2**11  # multiply-adds that NumPy does sooner than a call of the kernel begins


def _matrices(a, b):
    if a.ndim == b.ndim == 2 and a.size * b.shape[1] < TINY:
        return None
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return ((batch + (a.shape[-2], b.shape[-1]), a.dtype),)


@accelerates(ops.bmm, _matrices, only_jobs=True)
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


@accelerates(ops.linear_weight, _outer, only_jobs=True)
def linear_weight(y, x, g):
    _product(y, g.T, x)
