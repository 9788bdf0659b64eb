"""The inner loop of a matrix product: a tile of the result stays in registers while k runs.

    for k:                                      # WIDTH registers of b, HEIGHT numbers of a
        for i < rows, for j < columns:          # all at once: HEIGHT · WIDTH multiply-adds
            y[i, j] += a[i, k] · b[k, j]

Each k takes a few registers of b, which lie side by side, and one number of a for each row, which
fills a register too, and adds all their products to the accumulators. 14 rows of 2 registers leave
enough of 32 registers for these operands, and 6 rows of 2 leave enough of 16. A smaller tile, at
the edge of a result, is a loop of its own, so that no row is computed in vain; of its last register
only the columns that exist are written.

An element is summed in the order of k, a multiply-add at a time. So its bits depend neither on the
tile that it is in, nor on the thread, nor on where the loop over k was interrupted.
"""

from collections.abc import Callable
from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minigrad.kernels.vectors import (
    REGISTERS,
    Vector,
    address,
    load_at,
    load_some,
    multiply_add,
    prefetch,
    repeated,
    store_at,
    store_some,
)

WIDTH = 2  # registers
HEIGHT = (REGISTERS - 4) // WIDTH  # rows

I64 = ir.IntType(64)


class _Result:
    """A tile of y in memory: its first element, the step from row to row, how many columns.

    more: whether it is added to what is there. cold: whether to ask for its lines of memory first
    """

    def __init__(self, builder, vector, first, row, columns, *, more, cold):
        self.builder, self.vector, self.first, self.row = builder, vector, first, row
        self.columns, self.more, self.cold = columns, more, cold

    def address(self, i, j):
        """The address of register j of row i."""
        at = self.builder.mul(self.row, I64(i))
        at = self.builder.add(at, I64(j * self.vector.count))
        return self.builder.gep(self.first, [at])

    def load(self, i, j, width):
        """Read a register; only the last of so many may lack columns, which are zeros then."""
        if j < width - 1:
            return load_at(self.builder, self.address(i, j), self.vector)
        first = j * self.vector.count
        return load_some(self.builder, self.address(i, j), self.vector, first, self.columns)

    def store(self, values, width):
        """Write all registers; masks, which some processors are slow at, only where needed."""
        builder = self.builder
        full = builder.icmp_signed("==", self.columns, I64(width * self.vector.count))
        with builder.if_else(full) as (then, otherwise):
            with then:
                for (i, j), value in values.items():
                    store_at(builder, self.address(i, j), value)
            with otherwise:
                for (i, j), value in values.items():
                    if j < width - 1:
                        store_at(builder, self.address(i, j), value)
                    else:
                        first = j * self.vector.count
                        store_some(builder, self.address(i, j), value, first, self.columns)


def _starts(builder, out, places, width):
    """What the accumulators hold before the loop: zeros, or what there is if `more` of a sum."""
    with builder.if_then(out.cold):
        for place in places:
            prefetch(builder, out.address(*place), to_write=1)
    zeros, outside = ir.Constant(out.vector, None), builder.block
    with builder.if_then(out.more):
        loaded, inside = [out.load(*place, width) for place in places], builder.block
    starts = [builder.phi(out.vector) for _ in places]
    for start, value in zip(starts, loaded, strict=True):
        start.add_incoming(zeros, outside)
        start.add_incoming(value, inside)
    return starts


class _Operands(NamedTuple):
    a: ir.Value  # the address of a[0, 0]
    row: ir.Value  # how many elements later a has the next i,
    step: ir.Value  # and the next k
    registers: Callable  # (k, width) -> the addresses of b's registers in its row k
    depth: ir.Value  # how many k there are


def _loop(builder, out, height, width, operands):
    """Compute a tile of so many rows and registers, and add it to what is there if `more`."""
    a, row, step, registers, depth = operands
    places = [(i, j) for i in range(height) for j in range(width)]
    starts = _starts(builder, out, places, width)
    before, loop = builder.block, builder.append_basic_block("k")
    after = builder.append_basic_block("end")
    builder.branch(loop)
    builder.position_at_end(loop)
    k, p = builder.phi(I64), builder.phi(a.type)
    sums = [builder.phi(out.vector) for _ in places]
    b = [load_at(builder, register, out.vector) for register in registers(k, width)]
    totals = []
    for (i, j), total in zip(places, sums, strict=True):
        if j == 0:
            number = builder.load(builder.gep(p, [builder.mul(row, I64(i))]))
            number = repeated(builder, number, out.vector)
        totals.append(multiply_add(builder, number, b[j], total))
    following = builder.add(k, I64(1)), builder.gep(p, [step]), *totals
    for phi, first, value in zip((k, p, *sums), (I64(0), a, *starts), following, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(value, loop)
    builder.cbranch(builder.icmp_signed("<", following[0], depth), loop, after)
    builder.position_at_end(after)
    out.store(dict(zip(places, totals, strict=True)), width)


def by_size(builder, rows, columns, most, loop):
    """Run loop(height, width) for a tile's size: each, up to the largest one, has its own code."""
    size = builder.add(builder.mul(rows, I64(most[1] + 1)), columns)
    done = builder.append_basic_block("done")
    choice = builder.switch(size, done)
    for height in range(1, most[0] + 1):
        for width in range(1, most[1] + 1):
            block = builder.append_basic_block("tile")
            choice.add_case(I64(height * (most[1] + 1) + width), block)
            builder.position_at_end(block)
            loop(height, width)
            builder.branch(done)
    builder.position_at_end(done)


def _tile(builder, rows, out, operands):
    lanes = I64(out.vector.count)
    registers = builder.udiv(builder.add(out.columns, builder.sub(lanes, I64(1))), lanes)

    def loop(height, width):
        _loop(builder, out, height, width, operands)

    by_size(builder, rows, registers, (HEIGHT, WIDTH), loop)


@intrinsic
def tile(typing, rows, columns, a, p, row, step, b, at, below, depth, out, q, M, more, cold,
         soon, ahead):  # fmt: skip
    """out[q + i·M + j] = Σₖ a[p + i·row + k·step] · bₖ[j], + what it is if `more` of a sum.

    i < rows ≤ HEIGHT, j < columns ≤ WIDTH registers, k < depth, of which there is at least one. bₖ
    are WIDTH registers of b from at + k·below on, which are read whole, if some of their columns
    are wanted.

    cold: whether out's lines are probably in no near cache, and are asked for before the loop
    ahead: (start, down, right, high, often) says what is prefetched of the array `soon` with each
        bₖ: as much as that is, from start + (n mod 2^high) · down + (n div 2^high) · right on, with
        n = k div 2^often. So n counts the rows of a column of `soon`, and then those of the next
    """

    def lower(context, builder, signature, args):
        rows, columns, a, p, row, step, b, at, below, depth, out, q, M, more, cold = args[:15]
        soon, ahead = args[15:]
        types_of = signature.args
        vector = context.get_value_type(Vector(types_of[2].dtype))
        first = address(context, builder, types_of[10], out, q)
        result = _Result(builder, vector, first, M, columns, more=more, cold=cold)
        start, down, right, high, often = (builder.extract_value(ahead, i) for i in range(5))

        def registers(k, width):
            n, place = builder.lshr(k, often), builder.add(at, builder.mul(k, below))
            line = builder.mul(builder.and_(n, builder.not_(builder.shl(I64(-1), high))), down)
            line = builder.add(line, builder.mul(builder.lshr(n, high), right))
            line = builder.add(line, start)
            for j in range(width):
                further = I64(j * vector.count)
                later = builder.add(line, further)
                prefetch(builder, address(context, builder, types_of[15], soon, later))
                yield address(context, builder, types_of[6], b, builder.add(place, further))

        a = address(context, builder, types_of[2], a, p)
        _tile(builder, rows, result, _Operands(a, row, step, registers, depth))
        return context.get_dummy_value()

    arguments = rows, columns, a, p, row, step, b, at, below, depth, out, q, M, more, cold
    return types.void(*arguments, soon, ahead), lower


@intrinsic
def tile_of_places(typing, rows, columns, a, p, row, step, b, starts, places, out, q, M):
    """The same, added to what out is, where bₖ has its registers at starts[k] + places[0], …"""

    def lower(context, builder, signature, args):
        rows, columns, a, p, row, step, b, starts, places, out, q, M = args
        types_of = signature.args
        vector = context.get_value_type(Vector(types_of[2].dtype))
        first = address(context, builder, types_of[9], out, q)
        yes, no = ir.IntType(1)(1), ir.IntType(1)(0)
        result = _Result(builder, vector, first, M, columns, more=yes, cold=no)
        depth = context.make_array(types_of[7])(context, builder, starts).nitems

        def registers(k, width):
            start = builder.load(address(context, builder, types_of[7], starts, k))
            for j in range(width):
                place = builder.load(address(context, builder, types_of[8], places, I64(j)))
                yield address(context, builder, types_of[6], b, builder.add(start, place))

        a = address(context, builder, types_of[2], a, p)
        _tile(builder, rows, result, _Operands(a, row, step, registers, depth))
        return context.get_dummy_value()

    return types.void(rows, columns, a, p, row, step, b, starts, places, out, q, M), lower
