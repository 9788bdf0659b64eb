"""The inner loop of a convolution's gradient: a tile of dot products stays in registers.

    for each place:                             # HEIGHT registers of g, WIDTH of x
        for i < rows, for j < columns:
            y[i, j] += g[i, place] · x[j, place]

A register has a number of each of several images. After the loop the numbers of an accumulator are
added, by halves. As in tile.py a smaller tile at an edge has a loop of its own, and no bit of an
element depends on the tile that it is in.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minigrad.kernels.tile import by_size
from minigrad.kernels.vectors import REGISTERS, Vector, address, load_at, multiply_add, totals

WIDTH = 3
HEIGHT = REGISTERS // 4  # 24 accumulators of 32 registers, or 12 of 16

I64 = ir.IntType(64)


@intrinsic
def tile_of_dots(typing, rows, columns, g, p, row, x, starts, k, places, out, q, M):
    """out[q + i·M + j] = Σ g[p + i·row + n·lanes + l] · x[starts[k + j] + places[n] + l] over n, l.

    i < rows ≤ HEIGHT, j < columns ≤ WIDTH; lanes are those of a register, which l goes through
    """

    def lower(context, builder, signature, args):
        rows, columns, g, p, row, x, starts, k, places, out, q, M = args
        _, _, g_type, _, _, x_type, starts_type, _, places_type, out_type, _, _ = signature.args
        vector = context.get_value_type(Vector(x_type.dtype))
        count = context.make_array(places_type)(context, builder, places).nitems

        def products(height, width):
            firsts = [
                builder.load(address(context, builder, starts_type, starts, there))
                for there in [builder.add(k, I64(j)) for j in range(width)]
            ]
            elements, zero = [*np.ndindex(height, width)], ir.Constant(vector, None)
            sums = {element: cgutils.alloca_once_value(builder, zero) for element in elements}
            with cgutils.for_range(builder, count) as loop:
                place = builder.load(address(context, builder, places_type, places, loop.index))
                at = builder.add(p, builder.mul(loop.index, I64(vector.count)))
                right = [
                    load_at(builder, address(context, builder, x_type, x, there), vector)
                    for there in [builder.add(first, place) for first in firsts]
                ]
                for i in range(height):
                    there = builder.add(at, builder.mul(row, I64(i)))
                    left = load_at(builder, address(context, builder, g_type, g, there), vector)
                    for j in range(width):
                        before = builder.load(sums[i, j])
                        builder.store(multiply_add(builder, left, right[j], before), sums[i, j])
            found = totals(builder, [builder.load(one) for one in sums.values()])
            for (i, j), number in zip(sums, found, strict=True):
                there = builder.add(q, builder.add(builder.mul(M, I64(i)), I64(j)))
                builder.store(number, address(context, builder, out_type, out, there))

        by_size(builder, rows, columns, (HEIGHT, WIDTH), products)
        return context.get_dummy_value()

    return types.void(rows, columns, g, p, row, x, starts, k, places, out, q, M), lower
