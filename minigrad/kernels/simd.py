"""Vectors in numba: a type as wide as a few registers, and the four things to do with it.

numba vectorises simple loops by itself, but does not keep the tile of a matrix product in
registers. These intrinsics do: each is one line of LLVM. LLVM splits a vector that is wider than
the machine's registers into several.
"""

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

# Five rows of one such vector are the accumulators of a product's tile. With 32 registers of 64
# bytes (AVX-512), 5 × 4 of them; with 16 of 32 bytes (AVX2), 5 × 2; with 32 of 16 bytes (NEON),
# 5 × 4: that leaves some for the operands in each case.
BYTES = 256 if llvm.get_host_cpu_features().get("avx512f") else 64


class Vector(types.Type):
    """BYTES of consecutive elements of one dtype."""

    def __init__(self, dtype):
        self.dtype = dtype
        self.lanes = BYTES // (dtype.bitwidth // 8)
        super().__init__(f"Vector({dtype}, {self.lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, data_models, vector):
        element = data_models.lookup(vector.dtype).get_data_type()
        super().__init__(data_models, vector, ir.VectorType(element, vector.lanes))


def _pointer(context, builder, array_type, array, index, vector):
    data = context.make_array(array_type)(context, builder, array).data
    address = builder.gep(data, [index])
    return builder.bitcast(address, context.get_value_type(vector).as_pointer())


@intrinsic
def load(typing, array, index):
    """The vector array[index : index + lanes] of a flat C-contiguous array. No bounds check."""
    vector = Vector(array.dtype)

    def lower(context, builder, signature, args):
        value = builder.load(_pointer(context, builder, signature.args[0], *args, vector))
        value.align = array.dtype.bitwidth // 8
        return value

    return vector(array, index), lower


@intrinsic
def store(typing, array, index, vector):
    """array[index : index + lanes] = vector. No bounds check."""

    def lower(context, builder, signature, args):
        place = _pointer(context, builder, signature.args[0], args[0], args[1], vector)
        builder.store(args[2], place).align = array.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, index, vector), lower


@intrinsic
def zeros(typing, array):
    """A vector of zeros of the array's dtype."""
    vector = Vector(array.dtype)

    def lower(context, builder, signature, args):
        return ir.Constant(context.get_value_type(vector), None)

    return vector(array), lower


@intrinsic
def fma(typing, scalar, vector, accumulator):
    """scalar · vector + accumulator, rounded once where the machine can."""

    def lower(context, builder, signature, args):
        kind = context.get_value_type(vector)
        undefined = ir.Constant(kind, ir.Undefined)
        index = ir.IntType(32)
        first = builder.insert_element(undefined, args[0], index(0))
        mask = ir.Constant(ir.VectorType(index, vector.lanes), None)
        splat = builder.shuffle_vector(first, undefined, mask)
        product = builder.fmul(splat, args[1], flags=["contract"])
        return builder.fadd(product, args[2], flags=["contract"])

    return accumulator(scalar, vector, accumulator), lower
