"""What threads need in compiled code: atomic numbers in memory, calls by address, a clock, a pause.

A number in memory is told by the address of a block of int64 and an index into it. All loads and
stores are sequentially consistent, so they happen in one order, which all threads agree on.
"""

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

I64 = ir.IntType(64)
ORDER = "seq_cst"


def _number(builder, block, index):
    return builder.gep(builder.inttoptr(block, I64.as_pointer()), [index])


@intrinsic
def get(typing, block, index):
    """block[index]"""

    def lower(context, builder, signature, args):
        return builder.load_atomic(_number(builder, *args), ORDER, 8)

    return types.int64(types.int64, types.int64), lower


@intrinsic
def put(typing, block, index, value):
    """block[index] = value"""

    def lower(context, builder, signature, args):
        builder.store_atomic(args[2], _number(builder, *args[:2]), ORDER, 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), lower


@intrinsic
def add(typing, block, index, value):
    """block[index] += value, and return what it was."""

    def lower(context, builder, signature, args):
        return builder.atomic_rmw("add", _number(builder, *args[:2]), args[2], ORDER)

    return types.int64(types.int64, types.int64, types.int64), lower


@intrinsic
def swap(typing, block, index, value):
    """block[index] = value, and return what it was."""

    def lower(context, builder, signature, args):
        return builder.atomic_rmw("xchg", _number(builder, *args[:2]), args[2], ORDER)

    return types.int64(types.int64, types.int64, types.int64), lower


@intrinsic
def pause(typing):
    """Tell the processor that this thread waits in a loop, so that it spares power and its twin."""
    machine = platform.machine().lower()

    def lower(context, builder, signature, args):
        void = ir.VoidType()
        if machine in ("x86_64", "amd64"):
            name, arguments = "llvm.x86.sse2.pause", []
        elif machine in ("aarch64", "arm64"):
            name, arguments = "llvm.aarch64.hint", [ir.IntType(32)(1)]
        else:
            return context.get_dummy_value()
        hint = ir.FunctionType(void, [a.type for a in arguments])
        builder.call(cgutils.get_or_insert_function(builder.module, hint, name), arguments)
        return context.get_dummy_value()

    return types.void(), lower


@intrinsic
def nanoseconds(typing, clock_gettime, clock):
    """The time by the C function of this address, or 0 if there is none."""

    def lower(context, builder, signature, args):
        time = cgutils.alloca_once_value(builder, ir.Constant(ir.ArrayType(I64, 2), None))
        kind = ir.FunctionType(ir.IntType(32), [ir.IntType(32), time.type])
        with builder.if_then(builder.icmp_signed("!=", args[0], I64(0))):
            function = builder.inttoptr(args[0], kind.as_pointer())
            builder.call(function, [builder.trunc(args[1], ir.IntType(32)), time])
        seconds, rest = (builder.extract_value(builder.load(time), i) for i in range(2))
        return builder.add(builder.mul(seconds, I64(10**9)), rest)

    return types.int64(types.int64, types.int64), lower


@intrinsic
def call_lock(typing, function, lock, wait):
    """Call a C function (lock, whether to wait) by its address."""

    def lower(context, builder, signature, args):
        kind = ir.FunctionType(ir.IntType(32), [I64, ir.IntType(32)])
        function = builder.inttoptr(args[0], kind.as_pointer())
        builder.call(function, [args[1], builder.trunc(args[2], ir.IntType(32))])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), lower


ROOM, EACH = 256, 16  # numbers of 8 bytes that the arguments of a bound function take, and each


@intrinsic
def bound(typing, task, arguments, data):
    """The address of a function of (start, stop, data) that calls task(start, stop, *arguments).

    The arguments are written into the memory at the address `data`; whoever calls the function must
    keep their arrays alive.
    """
    arguments_of = (types.int64, types.int64, *arguments.types)
    wanted = task.get_call_type(typing, arguments_of, {})

    def lower(context, builder, signature, args):
        compiled = task.dispatcher.get_compile_result(wanted.replace(return_type=None))
        context.add_linking_libs([compiled.library])
        values = _uncounted(context, builder, arguments, args[1])
        room = max(ROOM, EACH * len(arguments.types))
        assert context.get_abi_sizeof(values.type) <= 8 * room, "ROOM is too small"
        builder.store(values, builder.inttoptr(args[2], values.type.as_pointer()))
        kind = ir.FunctionType(I64, [I64, I64, I64])
        name = f"{compiled.fndesc.mangled_name}.bound"
        function = builder.module.globals.get(name)
        if function is None:
            function = ir.Function(builder.module, kind, name)
            function.linkage = "internal"
            inside = ir.IRBuilder(function.append_basic_block())
            found = inside.load(inside.inttoptr(function.args[2], values.type.as_pointer()))
            found = [inside.extract_value(found, i) for i in range(len(arguments.types))]
            status, _ = context.call_internal_no_propagate(
                inside, compiled.fndesc, compiled.signature, [*function.args[:2], *found]
            )
            inside.ret(inside.zext(status.is_error, I64))
        return builder.ptrtoint(function, I64)

    return types.int64(task, arguments, data), lower


def _uncounted(context, builder, kind, value):
    """The value with arrays that nobody counts the uses of.

    They may outlive the call that bound them, and threads that count together wait for each other.
    """
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value)
        for part in ("meminfo", "parent"):
            setattr(array, part, ir.Constant(getattr(array, part).type, None))
        return array._getvalue()
    if isinstance(kind, types.BaseTuple):
        parts = enumerate(kind.types)
        parts = [
            _uncounted(context, builder, part, builder.extract_value(value, i)) for i, part in parts
        ]
        return context.make_tuple(builder, kind, parts)
    return value


@intrinsic
def call_bound(typing, function, start, stop, data):
    """Call a function that `bound` made, and return 1 if it raised an error, else 0."""

    def lower(context, builder, signature, args):
        kind = ir.FunctionType(I64, [I64, I64, I64])
        function = builder.inttoptr(args[0], kind.as_pointer())
        return builder.call(function, args[1:])

    return types.int64(types.int64, types.int64, types.int64, types.int64), lower
