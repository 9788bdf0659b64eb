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

While a tile is multiplied, the memory of what comes later is asked for: the next panel of b, which
a processor does not foresee, and the lines of y, which it must have before it can write them.

The threads share the parts. The tiles of y are counted down one panel after the other, by their
width, and each thread has as much of them as the others: where one's share ends within a panel, the
next one's begins. A thread that packs panels multiplies them, too: no other waits for them, and
they are where they are needed. (After Goto & van de Geijn 2008.)

So one function serves the three layouts of a linear layer: y = x wᵀ, x̄ = ȳ w, w̄ = ȳᵀ x. An element
is always summed over k in order: its bits depend neither on the number of threads nor on the cuts.
"""

import numpy as np

from minigrad import ops
from minigrad.kernels import vectors
from minigrad.kernels.compile import accelerates, contiguous, jit
from minigrad.kernels.jobs import shareable
from minigrad.kernels.scratch import multiples, scratch
from minigrad.kernels.tile import HEIGHT, WIDTH, tile
from minigrad.processors import get_num_threads

DEPTH = 512  # rows of b, at most, that are packed at a time
CACHE = 2**18  # bytes of a core's cache that a block of a may take
PAGES = 128  # rows of y, at most, that a panel goes over: each lies on another page
LARGE = 2**20  # bytes of a, if it has more rows, above which it is packed: too many pages
COLD = 2**20  # bytes of b or y above which what is needed of them next is prefetched
ALIAS = 2**12  # bytes: rows that are a multiple of it apart take each other's place in the cache
MANY = 32  # tiles above which to pack a panel costs less than to read it from many pages
GROUP = 4  # panels of b, at most, that are packed at a time, and stay in a core's cache
TOGETHER = 8  # tiles of a that are packed together, because they lie on the same pages
PARTS = 4  # of y for each thread
SERIAL = 2**18  # multiply-adds below which waking the other threads costs more than it saves


@jit()
def _pack(begin, end, pieces, b, turned, K, M, first, depth, lanes, packed, width):
    """packed[p - begin, k, j] = b[first + k, at + j] for k < depth, j < width, begin ≤ p < end.

    b is flat: (K, M), or (M, K) if turned. Of so many pieces of b, piece p begins at its column
    `at`. For columns that do not exist packed holds other numbers of b, or any; nobody looks at the
    products with them.
    """
    length, count = pieces
    if not turned:  # row after row: the next one may be on another page
        for k in range(depth):
            row = (first + k) * M
            for p in range(begin, end):
                at, to = p * length // count, ((p - begin) * depth + k) * width
                if row + at + width <= b.size:
                    for j in range(0, width, lanes):
                        vectors.store(packed, to + j, vectors.load(b, row + at + j))
                else:  # nothing is read after the end of b
                    for j in range(min(width, M - at)):
                        packed[to + j] = b[row + at + j]
        return
    rows, columns = scratch(lanes, np.intp), multiples(lanes, width)
    for p in range(begin, end):
        at = p * length // count
        for j in range(0, min(width, M - at), lanes):
            for i in range(lanes):
                rows[i] = min(at + j + i, M - 1) * K + first
            to = (p - begin) * depth * width + j
            if depth >= lanes:
                for square in range(0, depth, lanes):
                    k = min(square, depth - lanes)
                    vectors.transpose(b, rows, k, packed, columns, to + k * width)
            else:
                for k in range(depth):
                    for i in range(lanes):
                        packed[to + k * width + i] = b[rows[i] + k]


@shareable()
def _pack_left(start, stop, a, turned, N, K, first, depth, lanes, packed, high):
    """Pack a slab of some tiles of a, which is (N, K), or (K, N) if turned."""
    tiles, size = -(-N // HEIGHT), high * depth
    some = packed[start * size : stop * size]
    _pack(start, stop, (N, tiles), a, not turned, K, N, first, depth, lanes, some, high)


@jit()
def _ahead(part, parts, at, K, depth, wide):
    """Return what `tile` prefetches of columns of b that lie in rows of K, and will be packed next.

    The first of them is at `at`, and this is a part of them.
    """
    often = high = 0
    while 2 << often <= parts:
        often += 1
    while 1 << high < wide:
        high += 1
    return at + part * -(-(depth >> often) // wide) * wide, K, wide, high, often


@jit()
def _tiles(left, right, soon, top, bottom, begin, end, first, depth, out, N, M, wide, cold):
    """Multiply tiles of rows of a, from `top` to `bottom`, by panels of b, from `begin` to `end`.

    right: b, where the first panel is, how far a panel's next row is, and the next panel
    soon: b, and what is packed of it after these panels: from where on, in rows of how many, and
        from which panel on; or rows of 0, if b is not packed
    """
    (a, row, step, high), (b, at, below, apart), (later, front, K, following) = left, right, soon
    tiles = -(-N // HEIGHT)
    rows = bottom * N // tiles - top * N // tiles
    blocks = max(-(-rows * depth * a.itemsize // CACHE), -(-rows // PAGES))
    for block in range(blocks):
        highest = top + block * (bottom - top) // blocks
        lowest = top + (block + 1) * (bottom - top) // blocks
        for panel in range(begin, end):
            start, ahead = at + (panel - begin) * apart, (0, 0, 0, 0, 0)
            for t in range(highest, lowest):
                if K == 0:
                    ahead = start + wide, below, 0, 62, 0
                elif cold and (following + panel - begin + 1) * wide <= M:
                    columns = front + (panel - begin) * wide * K
                    ahead = _ahead(t - highest, lowest - highest, columns, K, depth, wide)
                i = t * N // tiles
                p = t * high if high else i * row + first * step
                tile((t + 1) * N // tiles - i, min(wide, M - panel * wide), a, p, row, step,
                     b, start, below, depth, out, i * M + panel * wide, M, first > 0, cold,
                     later, ahead)  # fmt: skip


@jit()
def _cut(part, parts, total, panel, whole):
    """Return how many registers of y come before a part, when panel after panel is counted.

    If parts should be `whole` panels, only threads share one: each has PARTS parts.
    """
    at = part * total // parts
    if whole:
        thread = part // PARTS * PARTS
        begin, end = thread * total // parts, (thread + PARTS) * total // parts
        at = max(begin, min((at + panel // 2) // panel * panel, end)) if part > thread else at
    return at


@shareable()
def _multiply(start, stop, parts, left, b, turned, out, N, K, M, first, depth, lanes, cold):
    """Add a slab's products to some of so many parts of out = a b; the first slab's are the first.

    left: a, how far its next row and its next column are, and its next tile if it is packed
    b: (K, M), or (M, K) if turned
    cold: whether b or out is larger than what a core's cache keeps of them
    """
    wide, tiles, registers = WIDTH * lanes, -(-N // HEIGHT), -(-M // lanes)
    few, panel, pieces = tiles <= MANY, WIDTH * tiles, (wide, 1)
    packed = scratch(GROUP * wide * depth, b.dtype)
    at = _cut(start, parts, tiles * registers, panel, turned and few)
    stop = _cut(stop, parts, tiles * registers, panel, turned and few)
    while at < stop:
        begin = at // panel
        width = min(WIDTH, registers - begin * WIDTH)
        top, bottom, end = (at - begin * panel) // width, tiles, begin + 1
        if top == 0 and stop // panel > begin:
            end = min(stop // panel, begin + GROUP)
        else:
            bottom = min(tiles, (stop - begin * panel) // width)
        there = begin  # the first panel that is packed
        if few and not turned:  # b may end before the last panel's last register does
            there = end - (end * wide > M and M % lanes > 0)
        if begin < there:
            right, soon = (b, first * M + begin * wide, M, wide), (b, 0, 0, 0)
            _tiles(left, right, soon, top, bottom, begin, there, first, depth, out, N, M, wide,
                   cold)  # fmt: skip
        if there < end:
            _pack(there, end, pieces, b, turned, K, M, first, depth, lanes, packed, wide)
            following = end if turned else M
            right, soon = (packed, 0, wide, wide * depth), (b, end * wide * K + first, K, following)
            _tiles(left, right, soon, top, bottom, there, end, first, depth, out, N, M, wide,
                   cold)  # fmt: skip
        at = min(stop, end * panel)


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
        (a, row, step), (b, _, below), out = _flat(a), _flat(b), y.reshape(-1)
        threads = get_num_threads() if N * K * M > SERIAL else 1
        parts, slabs = PARTS * threads if threads > 1 else 1, -(-K // DEPTH)
        tiles, high = -(-N // HEIGHT), -(-HEIGHT // lanes) * lanes
        cold = max(b.nbytes, y.nbytes) > COLD
        packs = N > PAGES and a.nbytes > LARGE or row * a.itemsize % ALIAS == 0
        packed = np.empty(tiles * high * -(-K // slabs) if packs else 0, a.dtype)
        for slab in range(slabs):
            first, left = slab * K // slabs, (a, row, step, 0)
            depth = (slab + 1) * K // slabs - first
            if packs:
                pieces = max(-(-tiles // TOGETHER), threads) if threads > 1 else 1
                _pack_left(pieces, tiles, a, row == 1, N, K, first, depth, lanes, packed, high)
                left = packed, 1, high, high * depth
            _multiply(
                parts, parts, parts, left, b, below > 1, out, N, K, M, first, depth, lanes, cold
            )


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
