"""Memory for what a task needs while it runs: each thread keeps its own, and nothing is allocated.

`scratch` takes a part of a block that belongs to the calling thread. After the task all of the
block is free again. A thread has none at first; when a block is too small for a task, the thread
gets a larger one, and from then on such a task finds room. Blocks are freed when their thread ends.

Only tasks may take from it: pool.py gives it back after each, and nobody else does.
"""

import ctypes
import os

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from minigrad.kernels.atomics import get, put
from minigrad.kernels.compile import jit

KEPT = 2**23  # bytes: a larger block is freed after the task
LINE = 64  # bytes of the cache, in which arrays begin: a register in two lines is loaded twice
SIZE, TAKEN, LAST = range(3)  # what a block begins with: two sizes in bytes, and the block before
HEAD = 24  # bytes that these take

# A thread's block is what POSIX calls thread-specific data: of a key, which compiled code finds by
# a name, because it is another one in each process. Elsewhere, arrays are allocated.
KEY = "minigrad_scratch_key"
HAS_KEYS = os.name == "posix"
if HAS_KEYS:
    _libc = ctypes.CDLL(None)
    _key = ctypes.c_int64()
    if _libc.pthread_key_create(ctypes.byref(_key), ctypes.cast(_libc.free, ctypes.c_void_p)):
        raise OSError("minigrad: the system has no key for the memory of threads")
    llvm.add_symbol(KEY, ctypes.addressof(_key))


I32, I64 = ir.IntType(32), ir.IntType(64)


def _calls(name, own=False, result=I64):
    """Return how to call a C function of numbers of 64 bits. own: with the key first"""

    def lower(context, builder, signature, args):
        if own:
            key = builder.module.globals.get(KEY) or ir.GlobalVariable(builder.module, I64, KEY)
            args = [builder.load(key), *args]
        kind = ir.FunctionType(result, [I64] * len(args))
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)

    return lower


@intrinsic
def _block(typing):
    """The address of the calling thread's block, or 0."""
    return types.int64(), _calls("pthread_getspecific", own=True)


@intrinsic
def _set_block(typing, block):
    return types.int32(types.int64), _calls("pthread_setspecific", own=True, result=I32)


@intrinsic
def _malloc(typing, size):
    return types.int64(types.int64), _calls("malloc")


@intrinsic
def _free(typing, block):
    return types.int64(types.int64), _calls("free")


@intrinsic
def _bytes_of(typing, dtype):
    """How many bytes an element takes."""

    def lower(context, builder, signature, args):
        size = context.get_abi_sizeof(context.get_data_type(dtype.dtype))
        return context.get_constant(types.intp, size)

    return types.intp(dtype), lower


@intrinsic
def _array_at(typing, address, size, dtype):
    """A flat array of memory, whose uses nobody counts."""
    kind = types.Array(dtype.dtype, 1, "C")

    def lower(context, builder, signature, args):
        array = context.make_array(kind)(context, builder)
        element = context.get_data_type(kind.dtype)
        data = builder.inttoptr(args[0], element.as_pointer())
        element = context.get_constant(types.intp, context.get_abi_sizeof(element))
        populate_array(array, data, [args[1]], [element], element, None)
        return array._getvalue()

    return kind(address, size, dtype), lower


@jit()
def _first(block):
    """How far from a block's begin its first array lies."""
    return HEAD + -(block + HEAD) % LINE


@jit()
def _take(size):
    """Return the address of so many bytes of the calling thread's, where a line begins."""
    block = _block()
    at = get(block, TAKEN) if block else 0
    if block == 0 or at + size > get(block, SIZE):
        room = max(2 * get(block, SIZE) if block else 0, size + 2 * LINE)
        larger = _malloc(room)
        if larger == 0 or _set_block(larger):
            _free(larger)
            raise MemoryError  # jobs.py says it in words
        put(larger, SIZE, room)
        put(larger, LAST, block)
        block, at = larger, _first(larger)
    put(block, TAKEN, at + -(-size // LINE) * LINE)
    return block + at


@jit()
def scratch(size, dtype):
    """Return a flat array of the dtype, which is there until the task ends, and holds anything."""
    if HAS_KEYS:
        return _array_at(_take(size * _bytes_of(dtype)), size, dtype)
    return np.empty(size, dtype)


@jit()
def zeros(size, dtype):
    """Return such an array of zeros."""
    array = scratch(size, dtype)
    array[:] = 0
    return array


@jit()
def multiples(count, step):
    """Return such an array of 0, step, 2 step, …, so many indices."""
    array = scratch(count, np.intp)
    for i in range(count):
        array[i] = i * step
    return array


@jit()
def give_back():
    """End the use of all that the calling thread took."""
    if HAS_KEYS:
        block = _block()
        if block:
            before = get(block, LAST)
            while before:
                put(block, LAST, get(before, LAST))
                _free(before)
                before = get(block, LAST)
            put(block, TAKEN, _first(block))
            if get(block, SIZE) > KEPT:
                _set_block(0)
                _free(block)
