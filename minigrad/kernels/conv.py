"""Convolution as a matrix product whose right-hand rows overlap.

Take an image with its padding, as one row of numbers. What a kernel's element (i, j) sees, place
after place, is that same row, read from a later start: i lines and j pixels on. So y = w · rows is
the product of gemm.py, with K = C · KH · KW rows that begin at `starts`, and no patch is ever
copied. At places whose kernel would hang over the right edge the product is computed and not used:
13 to 23 % of it in the models here.

With stride s, the pixels are first sorted into s × s *phases*, images of every s-th pixel, in which
the kernel moves by one. In turn, the transposed convolution makes each phase of its result by a
convolution of stride 1 with every s-th element of the kernel.

The memory is that of the padded images of a block, for each thread: below 1 MB in the models here,
where the patches of a batch would take 14 MB. Blocks are cut by shape alone, and their sums are
added in a fixed order: the result does not depend on the number of threads.
"""

import numpy as np

from minigrad.kernels import simd, specification
from minigrad.kernels.gemm import ROWS, SERIAL, SIDE, _at_least, _dots, _rows
from minigrad.kernels.jit import COMPILED, contiguous, jit, pool, prange

COLUMNS = 1024  # places in a block, about: enough for the tiles, few enough for the cache
SUMS = 8  # partial sums of a weight's gradient


@jit()
def _range(stride, first, size, count):
    """The places 0 ≤ o < count where 0 ≤ o · stride + first < size, as start and stop."""
    start = max(0, -(first // stride))
    return start, max(start, min(count, (size - 1 - first) // stride + 1))


@jit()
def _copy(source, at, step, out, to, to_step, count):
    """count elements of a flat array into another. Unsigned indices are not checked for < 0."""
    p, q = np.uint64(at), np.uint64(to)
    for _ in range(count):
        out[q] = source[p]
        p += np.uint64(step)
        q += np.uint64(to_step)


@jit()
def _sort(x, stride, first, H, W, out):
    """out[(c, a, b), (n, y, z)] = x[n, c, y s + a + first, z s + b + first], 0 beyond the edges.

    H and W are the height and width of a phase: (n, y, z) is the column (n · H + y) · W + z.
    """
    B, C, height, width = x.shape
    x, row = x.reshape(-1), 0
    for c in range(C):
        for a in range(stride[0]):
            top, bottom = _range(stride[0], a + first[0], height, H)
            for b in range(stride[1]):
                left, right = _range(stride[1], b + first[1], width, W)
                out[row] = 0
                for n in range(B):
                    for y in range(top, bottom):
                        line = (n * C + c) * height + y * stride[0] + a + first[0]
                        at = line * width + left * stride[1] + b + first[1]
                        _copy(x, at, stride[1], out[row], (n * H + y) * W + left, 1, right - left)
                row += 1


@jit()
def _place(columns, stride, first, H, W, out):
    """out[n, c, y s + first, z s + first] = columns[c, (n, y, z)], where that is in the image."""
    B, C, height, width = out.shape
    top, bottom = _range(stride[0], first[0], height, H)
    left, right = _range(stride[1], first[1], width, W)
    out = out.reshape(-1)
    for c in range(C):
        for n in range(B):
            for y in range(top, bottom):
                line = (n * C + c) * height + y * stride[0] + first[0]
                to = line * width + left * stride[1] + first[1]
                _copy(columns[c], (n * H + y) * W + left, 1, out, to, stride[1], right - left)


@jit()
def _correlate(x, stride, first, H, W, lines, offsets, matrix, lanes, to_stride, to_first, out):
    """One block of images: sort, multiply, place."""
    M = max(len(x) * H * W - offsets[-1], lanes)  # the last place whose kernel is inside
    rows = np.empty((x.shape[1] * stride[0] * stride[1], M + offsets[-1]), x.dtype)
    _sort(x, stride, first, H, W, rows)
    y = np.empty((len(matrix), M), x.dtype)
    starts = lines * rows.shape[1] + offsets
    tiles = ((len(matrix) + ROWS - 1) // ROWS) * ((M + lanes - 1) // lanes)
    flats = matrix.reshape(-1), starts.size, 1, rows.reshape(-1), starts, y.reshape(-1)
    _rows(*flats, len(matrix), M, lanes, 0, tiles)
    _place(y, to_stride, to_first, H, W, out)


@jit(parallel=True)
def _correlate_blocks(
    x, stride, first, H, W, lines, offsets, matrix, lanes, to_stride, to_first, out, block
):
    for i in prange((len(x) + block - 1) // block):
        some = x[i * block : (i + 1) * block]
        _correlate(some, stride, first, H, W, lines, offsets, matrix, lanes, to_stride, to_first,
                   out[i * block : (i + 1) * block])  # fmt: skip


@jit()
def _weight(x, g, stride, first, H, W, lines, offsets, out):
    """out += the gradient of one block: dot products of g's rows with x's.

    g is 0 at the places that do not count; an infinite pixel there makes NaN of the product.
    """
    M = len(x) * H * W - offsets[-1]
    rows = np.empty((x.shape[1] * stride[0] * stride[1], M + offsets[-1]), x.dtype)
    _sort(x, stride, first, H, W, rows)
    flat = np.zeros((max(g.shape[1], SIDE), M), x.dtype)
    _sort(g, (1, 1), (0, 0), H, W, flat)
    starts = lines * rows.shape[1] + offsets
    share = np.empty_like(out)
    tiles = ((out.shape[0] + SIDE - 1) // SIDE) * ((out.shape[1] + SIDE - 1) // SIDE)
    _dots(flat, rows.reshape(-1), starts, share, 0, tiles)
    out += share


@jit(parallel=True)
def _weight_blocks(x, g, stride, first, H, W, lines, offsets, sums, block):
    blocks = (len(x) + block - 1) // block
    for s in prange(len(sums)):
        for i in range(s * blocks // len(sums), (s + 1) * blocks // len(sums)):
            some = slice(i * block, (i + 1) * block)
            _weight(x[some], g[some], stride, first, H, W, lines, offsets, sums[s])


def _layout(C, kernel, stride, places):
    """A phase's height and width, and where each row of the product begins: line and offset."""
    H, W = (n + (k - 1) // s for n, k, s in zip(places, kernel, stride, strict=True))
    c, i, j = np.indices((C, *kernel)).reshape(3, -1)
    lines = (c * stride[0] + i % stride[0]) * stride[1] + j % stride[1]
    return H, W, lines, i // stride[0] * W + j // stride[1]


def _block(count, places, multiply_adds):
    """Images in a block; all of them where waking other threads costs more than it saves."""
    if multiply_adds <= SERIAL:
        return max(1, count)
    return max(1, min(-(-count // SUMS), COLUMNS // places))


def _correlation(x, w, stride, first, places, out, to_stride=(1, 1), to_first=(0, 0)):
    """out[n, f, y t + b, …] = Σ x[n, c, y s + i + a, …] w[f, c, i, j] for y < places; a, b first"""
    F, C, *kernel = w.shape
    H, W, lines, offsets = _layout(C, kernel, stride, places)
    matrix = _at_least(w.reshape(F, -1), ROWS, 0)
    block = _block(len(x), H * W, len(x) * F * H * W * lines.size)
    arguments = (contiguous(x), stride, first, H, W, lines, offsets, matrix,
                 simd.BYTES // x.itemsize, to_stride, to_first, out)  # fmt: skip
    if block >= len(x):
        _correlate(*arguments)
    else:
        with pool:
            _correlate_blocks(*arguments, block)


def _compiled(a, b):
    """Whether the kernels here are for such arrays. Empty ones are left to the specification."""
    return a.dtype == b.dtype and a.dtype in COMPILED and 0 not in (a.size, b.size)


def conv2d(x, w, stride, padding):
    if not _compiled(x, w):
        return specification.conv2d(x, w, stride, padding)
    places = specification.window_places(x.shape[2:], w.shape[2:], stride, padding)
    out = np.empty((len(x), len(w), *places), x.dtype)
    _correlation(x, w, stride, (-padding[0], -padding[1]), places, out)
    return out


def conv_transpose2d(g, w, stride, padding, size):
    if not _compiled(g, w):
        return specification.conv_transpose2d(g, w, stride, padding, size)
    out = np.zeros((len(g), w.shape[1], *size), g.dtype)
    for phase in np.ndindex(min(stride[0], size[0]), min(stride[1], size[1])):
        # Pixel y s + b of the result, at place y + q of a kernel whose element r lies on it, gets
        # g[y + q − u] w[r + u s] for each u.
        (q, r), (q_, r_) = (divmod(phase[i] + padding[i], stride[i]) for i in (0, 1))
        part = w[:, :, r :: stride[0], r_ :: stride[1]].transpose(1, 0, 2, 3)[..., ::-1, ::-1]
        if part.size:
            first = q + 1 - part.shape[2], q_ + 1 - part.shape[3]
            places = tuple(-((phase[i] - size[i]) // stride[i]) for i in (0, 1))
            _correlation(g, part, (1, 1), first, places, out, stride, phase)
    return out


def conv2d_weight(x, g, stride, padding, kernel):
    if not _compiled(x, g):
        return specification.conv2d_weight(x, g, stride, padding, kernel)
    N, C, F = len(x), x.shape[1], g.shape[1]
    H, W, lines, offsets = _layout(C, kernel, stride, g.shape[2:])
    K = lines.size
    block = _block(N, H * W, N * F * H * W * K)
    sums = np.zeros((min(SUMS, -(-N // block)), max(F, SIDE), max(K, SIDE)), x.dtype)
    missing = (0, sums.shape[2] - K)
    first = -padding[0], -padding[1]
    arguments = (contiguous(x), contiguous(g), stride, first, H, W,
                 np.pad(lines, missing), np.pad(offsets, missing, mode="edge"))  # fmt: skip
    if block >= N:
        _weight(*arguments, sums[0])
    else:
        with pool:
            _weight_blocks(*arguments, sums, block)
    return contiguous(sums.sum(axis=0)[:F, :K]).reshape(F, C, *kernel)
