"""The matrix product, at the speed of a vendor's BLAS, on the threads of pool.py.

y = a b is cut into tiles, whose loop over k is in tile.py. Before it runs, b is packed into panels
as wide as a tile, in which the numbers that a tile reads for one k after another lie side by side;
in b they may be pages apart, or cross lines of the cache, or, if b is a transpose, be a column. Of
a, single numbers are read, by strides; only a large a is packed, too, tile by tile.

    for each slab of K, at most DEPTH deep:
        perhaps pack a's tiles
        for each strip of columns:
            pack b's panels
            for each block of tiles, whose part of a fits into a core's cache:
                for each panel of the strip:            # stays in the nearer cache
                    for each tile of the block:         # its part of a comes from the farther one
                        for each k: …                   # tile.py

The threads share the packing, and then the tiles: the three loops over blocks, panels and tiles are
one sequence, which is cut into pieces of equal work. (After Goto & van de Geijn 2008.)

So one function serves the three layouts of a linear layer: y = x wᵀ, x̄ = ȳ w, w̄ = ȳᵀ x. An element
is always summed over k in order: its bits depend neither on the number of threads nor on the cuts.
"""

import numpy as np

from minigrad import ops
from minigrad.kernels import vectors
from minigrad.kernels.compile import accelerates, contiguous, jit
from minigrad.kernels.threads import team, together
from minigrad.kernels.tile import HEIGHT, WIDTH, tile

DEPTH = 512  # rows of b, at most, that are packed at a time
CACHE = 2**18  # bytes of a core's cache that a block of a may take
STRIP = 2**21  # bytes of b, at most, that are packed at a time, and stay in the caches
LARGE = 2**20  # bytes of a above which it is packed: its rows or columns lie on too many pages
GROUP = 8  # panels or tiles that are packed together, because they lie on the same pages,
GROUPS = 8  # unless there would be fewer groups of panels, for as many threads
PIECES = 64  # that a product is cut into, at most, for as many threads
SERIAL = 2**20  # multiply-adds below which waking the other threads costs more than it saves


@jit()
def _pack(begin, end, b, turned, K, M, first, depth, starts, lanes, packed):
    """packed[p, k, j] = b[first + k, starts[p] + j] for k < depth, and p from begin to end.

    b is flat: (K, M), or (M, K) if turned. For columns that do not exist packed holds other numbers
    of b, or any; nobody looks at the products with them.
    """
    width = packed.size // starts.size // depth
    if not turned:  # row after row: the next one may be on another page
        for k in range(depth):
            row, within = (first + k) * M, b.size - (first + k) * M - starts[end - 1]
            for p in range(begin, end):
                to = (p * depth + k) * width
                if width <= within:
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
            to = p * depth * width + j
            if depth >= lanes:
                for square in range(0, depth, lanes):
                    k = min(square, depth - lanes)
                    vectors.transpose(b, rows, k, packed, columns, to + k * width)
            else:
                for k in range(depth):
                    for i in range(lanes):
                        packed[to + k * width + i] = b[rows[i] + k]


@jit()
def _tiles(start, stop, a, places, row, step, b, columns, first, depth, out, rows, M, lanes):
    """A part of the sequence of tiles, which is counted in registers of y, a tile's row each.

    Tile t has the rows from rows[t] to rows[t + 1] of y, and its part of a begins at places[t]. b
    has the panels that begin at these columns.
    """
    tiles, wide = places.size, WIDTH * lanes
    blocks, done = -(-rows[-1] * depth * a.itemsize // CACHE), 0
    for block in range(blocks):
        begin, end = block * tiles // blocks, (block + 1) * tiles // blocks
        for panel, column in enumerate(columns):
            width = min(WIDTH, (M - column + lanes - 1) // lanes)
            skipped, taken = -(-(start - done) // width), -(-(stop - done) // width)
            for t in range(max(begin, begin + skipped), min(end, begin + taken)):
                tile(rows[t + 1] - rows[t], min(wide, M - column), a, places[t], row, step,
                     b, panel * wide * depth, depth, out, rows[t] * M + column, M,
                     first > 0)  # fmt: skip
            done += (end - begin) * width


@jit()
def _cuts(count, total, parts):
    """0, total / parts, 2 total / parts, … rounded down, up to count of them."""
    return np.arange(count + 1) * total // parts


@jit()
def _places(rows, row, first):
    """Where the tiles that begin at these rows of a begin in memory."""
    return rows[:-1] * row + first


@jit()
def _multiply(pool, a, row, step, b, turned, out, N, K, M, lanes):
    """out = a b, all flat: a[i · row + k · step], and b (K, M), or (M, K) if turned."""
    tiles, high = -(-N // HEIGHT), -(-HEIGHT // lanes) * lanes
    panels, wide = -(-M // (WIDTH * lanes)), WIDTH * lanes
    rows, columns = _cuts(tiles, N, tiles), _cuts(panels - 1, wide, 1)
    slabs = -(-K // DEPTH)
    for slab in range(slabs):
        first = slab * K // slabs
        depth = (slab + 1) * K // slabs - first
        left, places, down, along = a, _places(rows, row, first * step), row, step
        if a.nbytes > LARGE:
            left = vectors.aligned(tiles * high * depth, a)
            places, down, along = _cuts(tiles - 1, high * depth, 1), 1, high
            packing = a, step == 1, K, N, first, depth, rows[:-1], lanes, left
            together(pool, _pack, tiles, -(-tiles // GROUP), packing)
        strips = -(-panels * wide * depth * a.itemsize // STRIP)
        for strip in range(strips):
            some = columns[strip * panels // strips : (strip + 1) * panels // strips]
            right = vectors.aligned(some.size * wide * depth, b)
            pieces = min(PIECES, tiles * some.size)
            groups = min(some.size, max(-(-some.size // GROUP), min(pieces, GROUPS)))
            packing = b, turned, K, M, first, depth, some, lanes, right
            together(pool, _pack, some.size, groups, packing)
            registers = (min(some[-1] + wide, M) - some[0] + lanes - 1) // lanes
            operands = left, places, down, along, right, some, first, depth, out, rows, M, lanes
            together(pool, _tiles, tiles * registers, pieces, operands)


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
        y[...] = side.T
    elif K == 0 or y.size == 0:
        y[...] = 0
    else:
        (a, row, step), (b, _, turned) = _flat(a), _flat(b)
        pool = team(N * K * M > SERIAL)
        _multiply(pool, a, row, step, b, turned > 1, y.reshape(-1), N, K, M, lanes)


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
