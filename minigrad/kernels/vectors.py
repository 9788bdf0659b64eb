"""Vectors in numba: as wide as a register, or as a few of them, and what to do with them.

numba vectorises simple loops by itself, but does not keep the tile of a matrix product in
registers, nor turn a square of numbers around in them. These intrinsics do, each in a few lines of
LLVM, which splits a vector that is wider than the machine's registers into several. Arrays are flat
and C-contiguous, and no index is checked.
"""

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

from minigrad.kernels.compile import jit

_has = llvm.get_host_cpu_features().get
REGISTER = 64 if _has("avx512f") else 32 if _has("avx") else 16  # bytes

# Five rows of one wide vector are the accumulators of a product's tile. With 32 registers of 64
# bytes (AVX-512), 5 × 4 of them; with 16 of 32 bytes (AVX2), 5 × 2; with 32 of 16 bytes (NEON),
# 5 × 4: that leaves some for the operands in each case.
BYTES = 256 if _has("avx512f") else 64
PARTS = BYTES // REGISTER


class Vector(types.Type):
    """So many bytes of consecutive elements of one dtype."""

    def __init__(self, dtype, size):
        self.dtype = dtype
        self.lanes = size // (dtype.bitwidth // 8)
        super().__init__(f"Vector({dtype}, {self.lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, data_models, vector):
        element = data_models.lookup(vector.dtype).get_data_type()
        super().__init__(data_models, vector, ir.VectorType(element, vector.lanes))


def _element(context, builder, array_type, array, index):
    """The address of array[index]."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def _entry(context, builder, table_type, table, i):
    """table[i], for i known now."""
    return builder.load(_element(context, builder, table_type, table, ir.IntType(64)(i)))


def _load(context, builder, array_type, array, index, vector):
    address = _element(context, builder, array_type, array, index)
    value = builder.load(builder.bitcast(address, context.get_value_type(vector).as_pointer()))
    value.align = array_type.dtype.bitwidth // 8
    return value


def _store(context, builder, array_type, array, index, value):
    address = _element(context, builder, array_type, array, index)
    pointer = builder.bitcast(address, value.type.as_pointer())
    builder.store(value, pointer).align = array_type.dtype.bitwidth // 8


def _chosen(builder, one, other, indices):
    """The vector of these elements of the two, which are counted through."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(indices)), list(indices))
    return builder.shuffle_vector(one, other, mask)


def _loader(size):
    @intrinsic
    def load(typing, array, index):
        vector = Vector(array.dtype, size)

        def lower(context, builder, signature, args):
            return _load(context, builder, signature.args[0], *args, vector)

        return vector(array, index), lower

    return load


def _zeros(size):
    @intrinsic
    def zeros(typing, array):
        vector = Vector(array.dtype, size)

        def lower(context, builder, signature, args):
            return ir.Constant(context.get_value_type(vector), None)

        return vector(array), lower

    return zeros


# The vector, or register, array[index : index + lanes]; and one of zeros, of the array's dtype.
load, load_register = _loader(BYTES), _loader(REGISTER)
zeros, zero_register = _zeros(BYTES), _zeros(REGISTER)


@intrinsic
def gather(typing, array, index, places):
    """The vector of the registers at index + places[0], index + places[1], …"""
    vector, register = Vector(array.dtype, BYTES), Vector(array.dtype, REGISTER)

    def lower(context, builder, signature, args):
        array_type, _, places_type = signature.args
        parts = []
        for i in range(PARTS):
            at = builder.add(args[1], _entry(context, builder, places_type, args[2], i))
            parts.append(_load(context, builder, array_type, args[0], at, register))
        while len(parts) > 1:
            both = range(2 * parts[0].type.count)
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [_chosen(builder, *pair, both) for pair in pairs]
        return parts[0]

    return vector(array, index, places), lower


@intrinsic
def store(typing, array, index, vector):
    """array[index : index + lanes] = vector, or register."""

    def lower(context, builder, signature, args):
        _store(context, builder, signature.args[0], *args)
        return context.get_dummy_value()

    return types.void(array, index, vector), lower


@intrinsic
def fma(typing, factor, vector, accumulator):
    """factor · vector + accumulator, rounded once where the machine can; factor: one or as many."""

    def lower(context, builder, signature, args):
        factors = args[0]
        if not isinstance(factor, Vector):
            undefined = ir.Constant(args[1].type, ir.Undefined)
            first = builder.insert_element(undefined, factors, ir.IntType(32)(0))
            factors = _chosen(builder, first, undefined, [0] * vector.lanes)
        product = builder.fmul(factors, args[1], flags=["contract"])
        return builder.fadd(product, args[2], flags=["contract"])

    return accumulator(factor, vector, accumulator), lower


@intrinsic
def sums(typing, a, b, c, d):
    """The sum of the elements of each of four vectors: of halves, until there is one element."""

    def lower(context, builder, signature, args):
        totals = []
        for v in args:
            while v.type.count > 1:
                half = v.type.count // 2
                low = _chosen(builder, v, v, range(half))
                v = builder.fadd(low, _chosen(builder, v, v, range(half, 2 * half)))
            totals.append(builder.extract_element(v, ir.IntType(32)(0)))
        return context.make_tuple(builder, signature.return_type, totals)

    return types.UniTuple(a.dtype, 4)(a, b, c, d), lower


@intrinsic
def transpose(typing, source, rows, at, out, columns, to):
    """A square, as wide as a register: out[columns[j] + to + i] = source[rows[i] + at + j]."""
    register = Vector(source.dtype, REGISTER)
    lanes = register.lanes

    def generate(context, builder, signature, args):
        source_type, rows_type, _, out_type, columns_type, _ = signature.args
        v = []
        for i in range(lanes):
            p = builder.add(_entry(context, builder, rows_type, args[1], i), args[2])
            v.append(_load(context, builder, source_type, args[0], p, register))
        step = 1
        while step < lanes:  # in all squares of twice that width, exchange two of their quarters
            for i in (i for i in range(lanes) if not i & step):
                upper = [j - step + lanes if j & step else j for j in range(lanes)]
                lower = [j + lanes if j & step else j + step for j in range(lanes)]
                pair = v[i], v[i + step]
                v[i], v[i + step] = (_chosen(builder, *pair, m) for m in (upper, lower))
            step *= 2
        for j in range(lanes):
            q = builder.add(_entry(context, builder, columns_type, args[4], j), args[5])
            _store(context, builder, out_type, args[3], q, v[j])
        return context.get_dummy_value()

    return types.void(source, rows, at, out, columns, to), generate


@jit()
def aligned(size, like):
    """A flat array of like's dtype, uninitialised, whose first element begins a line of the cache.

    To load a register that lies in two lines takes twice as long.
    """
    itemsize = like.itemsize
    array = np.empty(size + REGISTER // itemsize, like.dtype)
    skip = -array.ctypes.data % REGISTER // itemsize
    return array[skip : skip + size]
