"""Eight bytes at a time: what kernels over text need and numba does not offer."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from features.compiled import compiled

_WORD = ir.IntType(64)
_DOUBLE_WORD = ir.IntType(128)
_SIGNS = ir.VectorType(ir.IntType(8), 32)


def _all_of(sign: int) -> Any:
    return ir.Constant(_SIGNS, [sign] * _SIGNS.count)


@intrinsic  # type: ignore[untyped-decorator]
def word_at(_typing: Any, _data: Any, _place: Any) -> Any:
    """`word_at(data, place)`: uint64, the eight bytes of a uint8 array from `place` on, little-endian, not checked."""
    if not (isinstance(_data, types.Array) and _data.dtype == types.uint8 and isinstance(_place, types.Integer)):
        return None
    signature = types.uint64(_data, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = cgutils.gep_inbounds(builder, array.data, arguments[1])
        word = builder.load(builder.bitcast(address, _WORD.as_pointer()))
        word.align = 1
        return word

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]
def put_word(_typing: Any, _data: Any, _place: Any, _word: Any) -> Any:
    """`put_word(data, place, word)`: write eight bytes of a uint8 array from `place` on, little-endian, not checked."""
    if not (isinstance(_data, types.Array) and _data.dtype == types.uint8 and isinstance(_place, types.Integer)):
        return None
    signature = types.void(_data, types.int64, types.uint64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = cgutils.gep_inbounds(builder, array.data, arguments[1])
        builder.store(arguments[2], builder.bitcast(address, _WORD.as_pointer())).align = 1
        return context.get_dummy_value()

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]
def folded_product(_typing: Any, _left: Any, _right: Any) -> Any:
    """`folded_product(left, right)`: uint64, the two halves of the 128-bit product of two uint64, xored."""
    signature = types.uint64(types.uint64, types.uint64)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        left, right = (builder.zext(argument, _DOUBLE_WORD) for argument in arguments)
        product = builder.mul(left, right)
        high = builder.lshr(product, ir.Constant(_DOUBLE_WORD, 64))
        return builder.trunc(builder.xor(product, high), _WORD)

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit(_typing: Any, _word: Any) -> Any:
    """`lowest_bit(word)`: int64, place of the lowest bit of a uint64 that is set; 64 if none is."""
    signature = types.int64(types.uint64)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]
def strange_signs(_typing: Any, _data: Any, _place: Any) -> Any:
    """`strange_signs(data, place)`: uint64, a bit for each of the 32 bytes from `place` on that ends a plain string.

    That is a quote, or what is not plain: a backslash, a control character, and whatever is not ASCII. Not checked.
    """
    if not (isinstance(_data, types.Array) and _data.dtype == types.uint8 and isinstance(_place, types.Integer)):
        return None
    signature = types.uint64(_data, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = cgutils.gep_inbounds(builder, array.data, arguments[1])
        signs = builder.load(builder.bitcast(address, _SIGNS.as_pointer()))
        signs.align = 1
        found = builder.icmp_signed("<", signs, _all_of(ord(" ")))  # as signed bytes, all but ASCII is negative
        for sign in (ord('"'), ord("\\"), 0x7F):
            found = builder.or_(found, builder.icmp_unsigned("==", signs, _all_of(sign)))
        return builder.zext(builder.bitcast(found, ir.IntType(_SIGNS.count)), _WORD)

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]
def uncounted(_typing: Any, _array: Any) -> Any:
    """`uncounted(array)`: the same array without its reference count, which many small calls would spend their time on.

    The caller keeps the array alive, as it does with an argument of the kernel.
    """
    if not isinstance(_array, types.Array):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        make_array = context.make_array(signature.args[0])
        array, bare = make_array(context, builder, arguments[0]), make_array(context, builder)
        cgutils.copy_struct(bare, array)
        bare.meminfo = ir.Constant(bare.meminfo.type, None)
        return bare._getvalue()

    return _array(_array), generate


@compiled
def same_bytes(data: NDArray[np.uint8], start: int, other: NDArray[np.uint8], other_start: int, length: int) -> bool:
    """Whether two stretches of one length hold the same."""
    place = 0
    while place < length and data[start + place] == other[other_start + place]:
        place += 1
    return place == length


SLACK_BYTES = 32
"""What reads eight or 32 bytes at a time reads beyond the end of a text: so many more have to be there."""


def bytes_of(text: bytes) -> NDArray[np.uint8]:
    """A uint8 array over `text`, which is not copied and cannot be written through it."""
    return np.frombuffer(text, dtype=np.uint8)
