"""Vectors in numba: a register full of numbers, and what to do with it.

numba vectorises simple loops by itself, but does not keep the tile of a matrix product in
registers, nor turn a square of numbers around in them. These intrinsics, and those of tile.py, do,
each in a few lines of LLVM. Arrays are flat and C-contiguous, and no index is checked.
"""

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from minigrad.kernels.compile import has

REGISTER = 64 if has("avx512f") else 32 if has("avx") else 16  # bytes
# AVX-512 and ARM have twice as many registers as AVX2 and SSE.
REGISTERS = 32 if has("avx512f") or platform.machine() in ("aarch64", "arm64") else 16
PARTS = 64  # of a sum, whose order does not depend on the width of registers


class Vector(types.Type):
    """A register full of consecutive elements of one dtype."""

    def __init__(self, dtype):
        self.dtype = dtype
        self.lanes = REGISTER // (dtype.bitwidth // 8)
        super().__init__(f"Vector({dtype}, {self.lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, data_models, vector):
        element = data_models.lookup(vector.dtype).get_data_type()
        super().__init__(data_models, vector, ir.VectorType(element, vector.lanes))


# ---- the LLVM that intrinsics are made of


def address(context, builder, array_type, array, index):
    """The address of array[index]."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def size_of(vector):
    """The bytes of one of its elements."""
    return 4 if vector.element == ir.FloatType() else 8


def load_at(builder, address, vector):
    """The vector in memory from the address of an element on."""
    value = builder.load(builder.bitcast(address, vector.as_pointer()))
    value.align = size_of(vector)
    return value


def masked(builder, what, address, vector, first, count, values=(), rest=()):
    """LLVM's load or store of those elements first, first + 1, … of a vector that are < count."""
    numbers = ir.VectorType(count.type, vector.count)
    places = ir.Constant(numbers, [*range(first, first + vector.count)])
    exist = builder.icmp_signed("<", places, repeated(builder, count, numbers))
    pointer = builder.bitcast(address, vector.as_pointer())
    arguments = [*values, pointer, ir.IntType(32)(size_of(vector)), exist, *rest]
    kind = ir.VoidType() if values else vector
    function = ir.FunctionType(kind, [argument.type for argument in arguments])
    suffix = f"v{vector.count}f{8 * size_of(vector)}"
    name = f"llvm.masked.{what}.{suffix}.p0{suffix}"
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), arguments)


def load_some(builder, address, vector, first, count):
    """Such a load; elements that are not < count are zeros."""
    zeros = ir.Constant(vector, None)
    return masked(builder, "load", address, vector, first, count, rest=[zeros])


def store_some(builder, address, value, first, count):
    """Such a store."""
    masked(builder, "store", address, value.type, first, count, values=[value])


def store_at(builder, address, value):
    """Write a vector into memory from the address of an element on."""
    pointer = builder.bitcast(address, value.type.as_pointer())
    builder.store(value, pointer).align = size_of(value.type)


def prefetch(builder, address, to_write=0):
    """Ask for the line of memory at an address, which need not be an array's, to be there soon."""
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    how = number(to_write), number(3), number(1)  # into the nearest cache, and of data
    builder.call(function, [builder.bitcast(address, byte), *how])


def repeated(builder, number, vector):
    """A vector whose elements are all that number."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.IntType(32)(0))
    return chosen(builder, first, undefined, [0] * vector.count)


def chosen(builder, one, other, indices):
    """The vector of these elements of the two, which are counted through."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(indices)), list(indices))
    return builder.shuffle_vector(one, other, mask)


def totals(builder, values):
    """The sum of each vector's elements: of its halves, of the halves of these, and so on.

    Two vectors' halves are added at once, and are then one vector.
    """
    part = lanes = values[0].type.count
    places = [divmod(n, lanes) for n in range(len(values))]  # where each sum is in the end
    while part > 1:
        values = [*values, *values[len(values) - len(values) % 2 :]]
        lows = [i for i in range(2 * lanes) if i % part < part // 2]
        highs = [i + part // 2 for i in lows]
        values = [
            builder.fadd(chosen(builder, *pair, lows), chosen(builder, *pair, highs))
            for pair in zip(values[::2], values[1::2], strict=True)
        ]
        part //= 2
    return [builder.extract_element(values[n], ir.IntType(32)(i)) for n, i in places]


def multiply_add(builder, a, b, c):
    """a · b + c, rounded once where the machine can."""
    product = builder.fmul(a, b, flags=["contract"])
    return builder.fadd(product, c, flags=["contract"])


# ---- the intrinsics


@intrinsic
def load(typing, array, index):
    """array[index : index + lanes]"""
    vector = Vector(array.dtype)

    def lower(context, builder, signature, args):
        start = address(context, builder, signature.args[0], *args)
        return load_at(builder, start, context.get_value_type(vector))

    return vector(array, index), lower


@intrinsic
def zeros(typing, array):
    """A vector of zeros, of the array's dtype."""
    vector = Vector(array.dtype)

    def lower(context, builder, signature, args):
        return ir.Constant(context.get_value_type(vector), None)

    return vector(array), lower


@intrinsic
def store(typing, array, index, vector):
    """array[index : index + lanes] = vector"""

    def lower(context, builder, signature, args):
        store_at(builder, address(context, builder, signature.args[0], *args[:2]), args[2])
        return context.get_dummy_value()

    return types.void(array, index, vector), lower


@intrinsic
def sum_in_turn(typing, array, start, stop):
    """The sum of array[start:stop], of which each of PARTS sums takes one element in turn."""
    vector_type = Vector(array.dtype)

    def lower(context, builder, signature, args):
        vector, lanes = context.get_value_type(vector_type), vector_type.lanes
        first = address(context, builder, signature.args[0], *args[:2])
        length, parts = builder.sub(args[2], args[1]), ir.IntType(64)(PARTS)
        zero = ir.Constant(vector, None)
        kept = [cgutils.alloca_once_value(builder, zero) for _ in range(0, PARTS, lanes)]

        def add(start, load):
            for n, one in enumerate(kept):
                place = builder.gep(first, [builder.add(start, start.type(n * lanes))])
                builder.store(builder.fadd(builder.load(one), load(n, place)), one)

        whole = builder.udiv(length, parts)
        with cgutils.for_range(builder, whole) as turn:
            start = builder.mul(turn.index, parts)
            add(start, lambda n, place: load_at(builder, place, vector))
        start = builder.mul(whole, parts)
        rest = builder.sub(length, start)
        with builder.if_then(builder.icmp_signed(">", rest, rest.type(0))):
            add(start, lambda n, place: load_some(builder, place, vector, n * lanes, rest))
        values = [builder.load(one) for one in kept]
        while len(values) > 1:
            pairs = zip(values[: len(values) // 2], values[len(values) // 2 :], strict=True)
            values = [builder.fadd(*pair) for pair in pairs]
        return totals(builder, values)[0]

    return array.dtype(array, start, stop), lower


@intrinsic
def transpose(typing, source, rows, at, out, columns, to):
    """A square, as wide as a register: out[columns[j] + to + i] = source[rows[i] + at + j]."""
    lanes = Vector(source.dtype).lanes

    def generate(context, builder, signature, args):
        source_type, rows_type, _, out_type, columns_type, _ = signature.args
        register = context.get_value_type(Vector(source_type.dtype))

        def entry(table_type, table, i):
            return builder.load(address(context, builder, table_type, table, ir.IntType(64)(i)))

        v = []
        for i in range(lanes):
            start = builder.add(entry(rows_type, args[1], i), args[2])
            start = address(context, builder, source_type, args[0], start)
            v.append(load_at(builder, start, register))
        step = 1
        while step < lanes:  # in all squares of twice that width, exchange two of their quarters
            for i in (i for i in range(lanes) if not i & step):
                upper = [j - step + lanes if j & step else j for j in range(lanes)]
                lower = [j + lanes if j & step else j + step for j in range(lanes)]
                pair = v[i], v[i + step]
                v[i], v[i + step] = (chosen(builder, *pair, m) for m in (upper, lower))
            step *= 2
        for j in range(lanes):
            place = builder.add(entry(columns_type, args[4], j), args[5])
            store_at(builder, address(context, builder, out_type, args[3], place), v[j])
        return context.get_dummy_value()

    return types.void(source, rows, at, out, columns, to), generate
