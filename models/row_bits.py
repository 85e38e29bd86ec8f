"""One bit for each of 256 rows, as a value that numba kernels can hold: the few operations that numba has no words for.

numba turns loops into vector instructions only where LLVM recognises them, and recognises none of these: a comparison
whose answers are packed into bits, a choice by such bits, turning bits of rows into numbers of rows. So they are
written in LLVM's own language, for vectors of 8 lanes of 32 bits. LLVM makes one instruction of most of them with AVX2
and a few with anything less, on any processor; nothing here depends on one.

Row r of a block is bit ``r // 8`` of lane ``r % 8``. Byte lanes are read in little-endian order, the only one that
numba is built for.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

BLOCK_ROWS = 256
"""Rows of one value."""
WORDS = 8
"""uint32 that one value takes in an array."""
LEAVES_AT_ONCE = 32
"""Leaves that `add_leaves` reads."""
PLANES = 8
"""Binary digits of a leaf's number, so at most 256 leaves."""

PLACE_OF_ROW = np.array([32 * (row // 8 % 8) + 4 * (row % 8) + row // 64 for row in range(BLOCK_ROWS)], dtype=np.uint8)
"""Where `store_numbers` puts the number of each row."""


class _RowBits(types.Type):  # type: ignore[misc]
    """The type of a value in numba's eyes."""

    def __init__(self) -> None:
        super().__init__(name="RowBits")


@register_model(_RowBits)
class _RowBitsModel(models.PrimitiveModel):  # type: ignore[misc]
    """The type of a value in LLVM's eyes."""

    def __init__(self, manager: Any, numba_type: _RowBits) -> None:
        super().__init__(manager, numba_type, _VECTOR)


_WORD = ir.IntType(32)
_VECTOR = ir.VectorType(_WORD, WORDS)
_ROW_BITS = _RowBits()


def _every(number: int) -> ir.Constant:
    """The number in each lane, given as an unsigned word."""
    return ir.Constant(_VECTOR, [number - (1 << 32) if number >> 31 else number] * WORDS)


def _in_each_lane(builder: ir.IRBuilder, word: Any) -> Any:
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(nothing, word, ir.Constant(_WORD, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(_VECTOR, [0] * WORDS))


class _Memory:
    """Elements of an array argument as vectors; nothing is checked."""

    def __init__(self, context: Any, builder: ir.IRBuilder, array_type: Any, array: Any, position: Any) -> None:
        self._builder = builder
        self._start = builder.gep(context.make_array(array_type)(context, builder, array).data, [position])
        self._align = array_type.dtype.bitwidth // 8

    def load(self, elements: int = 0) -> Any:
        loaded = self._builder.load(self._at(elements))
        loaded.align = self._align
        return loaded

    def store(self, vector: Any, elements: int = 0) -> None:
        self._builder.store(vector, self._at(elements)).align = self._align

    def _at(self, elements: int) -> Any:
        there = self._builder.gep(self._start, [ir.Constant(ir.IntType(64), elements)])
        return self._builder.bitcast(there, _VECTOR.as_pointer())


@intrinsic  # type: ignore[untyped-decorator]
def load_rows(_context: Any, array: Any, position: Any) -> tuple[Any, Callable[..., Any]]:
    """The value at uint32 `position` of the array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _Memory(context, builder, signature.args[0], *arguments).load()

    return _ROW_BITS(array, position), generate


@intrinsic  # type: ignore[untyped-decorator]
def store_rows(_context: Any, array: Any, position: Any, _rows: Any) -> tuple[Any, Callable[..., Any]]:
    """Put a value at uint32 `position` of the array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _Memory(context, builder, signature.args[0], *arguments[:2]).store(arguments[2])
        return context.get_dummy_value()

    return types.void(array, position, _ROW_BITS), generate


@intrinsic  # type: ignore[untyped-decorator]
def no_rows(_context: Any) -> tuple[Any, Callable[..., Any]]:
    """No bit is set."""
    return _ROW_BITS(), lambda _context, _builder, _signature, _arguments: _every(0)


@intrinsic  # type: ignore[untyped-decorator]
def every_row(_context: Any) -> tuple[Any, Callable[..., Any]]:
    """Every bit is set."""
    return _ROW_BITS(), lambda _context, _builder, _signature, _arguments: _every(0xFFFFFFFF)


@intrinsic  # type: ignore[untyped-decorator]
def in_both(_context: Any, _first: Any, _second: Any) -> tuple[Any, Callable[..., Any]]:
    """Rows of the first that are in the second."""
    return _ROW_BITS(_ROW_BITS, _ROW_BITS), lambda _context, builder, _signature, rows: builder.and_(*rows)


@intrinsic  # type: ignore[untyped-decorator]
def in_first_only(_context: Any, _first: Any, _second: Any) -> tuple[Any, Callable[..., Any]]:
    """Rows of the first that are not in the second."""
    return _ROW_BITS(_ROW_BITS, _ROW_BITS), lambda _context, builder, _signature, rows: builder.and_(
        rows[0], builder.not_(rows[1])
    )


@intrinsic  # type: ignore[untyped-decorator]
def in_either(_context: Any, _first: Any, _second: Any) -> tuple[Any, Callable[..., Any]]:
    """Rows of the first and of the second."""
    return _ROW_BITS(_ROW_BITS, _ROW_BITS), lambda _context, builder, _signature, rows: builder.or_(*rows)


@intrinsic  # type: ignore[untyped-decorator]
def below_before(_context: Any, keys: Any, position: Any, _limit: Any, _later: Any) -> tuple[Any, Callable[..., Any]]:
    """Which of 64 rows have a key below the limit, in front of the rows that were asked already.

    Args:
        keys: int32[], of rows side by side.
        position: where the 64 keys start.
        limit: int32.
        later: answers for the keys behind these 64; `no_rows` for the last.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        memory = _Memory(context, builder, signature.args[0], *arguments[:2])
        limits = _in_each_lane(builder, arguments[2])
        found = _every(0)
        for eight in reversed(range(8)):  # a comparison gives -1 or 0: doubling and subtracting appends a bit
            below = builder.sext(builder.icmp_signed(">", limits, memory.load(8 * eight)), _VECTOR)
            found = builder.sub(builder.add(found, found), below)
        return builder.or_(builder.shl(arguments[3], _every(8)), found)

    return _ROW_BITS(keys, position, types.int32, _ROW_BITS), generate


@intrinsic  # type: ignore[untyped-decorator]
def add_leaves(_context: Any, leaves: Any, position: Any, planes: Any) -> tuple[Any, Callable[..., Any]]:
    """Add the lowest five digits of the leaf that each row is in to the planes; returns the rows that are in a leaf.

    Args:
        leaves: uint32[], the rows of 32 leaves, from `position`.
        position: of the first leaf, whose number is a multiple of 32.
        planes: uint32[8 * WORDS], rows whose leaf has the digit 1, the lowest digit first.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        leaf = _Memory(context, builder, signature.args[0], *arguments[:2])
        plane = _Memory(context, builder, signature.args[2], arguments[2], ir.Constant(ir.IntType(64), 0))
        digits = [plane.load(WORDS * digit) for digit in range(5)]

        def rows_of(first: int, digit: int) -> Any:
            """Rows of 2 ** digit leaves; those of the second half have the next lower digit 1."""
            if digit == 0:
                return leaf.load(WORDS * first)
            low, high = (rows_of(first + half, digit - 1) for half in (0, 1 << (digit - 1)))
            digits[digit - 1] = builder.or_(digits[digit - 1], high)
            return builder.or_(low, high)

        rows = rows_of(0, 5)
        for digit, value in enumerate(digits):
            plane.store(value, WORDS * digit)
        return rows

    return _ROW_BITS(leaves, position, planes), generate


@intrinsic  # type: ignore[untyped-decorator]
def store_numbers(_context: Any, planes: Any, numbers: Any, position: Any) -> tuple[Any, Callable[..., Any]]:
    """Turn eight planes into the number of each row: bits of 256 rows become 256 bytes.

    In each byte of the vectors, this transposes eight times eight bits: the halves that cross are exchanged, then the
    quarters, then the eighths (H. S. Warren, "Hacker's Delight", 2nd edition, 7-3).

    Args:
        planes: uint32[8 * WORDS], the lowest digit first.
        numbers: uint8[], gets the number of row r at `position` + `PLACE_OF_ROW[r]`.
        position: where the 256 numbers start.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        plane = _Memory(context, builder, signature.args[0], arguments[0], ir.Constant(ir.IntType(64), 0))
        rows = [plane.load(WORDS * digit) for digit in range(PLANES)]
        for distance, mask in ((4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
            for low in range(PLANES):
                if low & distance:
                    continue
                high = low + distance
                shifted = builder.lshr(rows[low], _every(distance))
                crossing = builder.and_(builder.xor(shifted, rows[high]), _every(mask))
                rows[high] = builder.xor(rows[high], crossing)
                rows[low] = builder.xor(rows[low], builder.shl(crossing, _every(distance)))
        number = _Memory(context, builder, signature.args[1], *arguments[1:])
        for eighth, bytes_of_rows in enumerate(rows):
            number.store(bytes_of_rows, 4 * WORDS * eighth)
        return context.get_dummy_value()

    return types.void(planes, numbers, position), generate
