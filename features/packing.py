"""An account as one byte string: header, exact history, and the summary of what was folded away, if anything was.

The arrays are stored as they lie in memory (little-endian); RocksDB compresses them. The first byte is the schema.
Of one account `pack` and `unpack` make and read it; of many `features/account_kernels.py`, in one call.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.columns import EVENT, Events
from features.compiled import compiled
from features.errors import AssayError
from features.folded import Folded, empty_folded
from features.identity import hash64
from features.kernel import HISTORY_CAPACITY
from features.name_order import rows_by_name
from features.summaries import SUMMARY_BYTES

SCHEMA = 2

_HEADER = struct.Struct("<BBHIq")  # schema, has a summary, number of events, reserved, last offset
HEADER_BYTES = _HEADER.size
_EVENT_BYTES = EVENT.itemsize


class Unpacked(NamedTuple):
    """A packed account, opened."""

    last_offset: int
    events: Events
    folded: Folded | None


class PackedRows(NamedTuple):
    """Packed accounts side by side in one buffer, as kernels read them."""

    data: NDArray[np.uint8]
    start: NDArray[np.int64]
    """int64[n], where each begins."""
    length: NDArray[np.int64]
    """int64[n], in bytes; -1 for an account that was never packed."""


def pack(last_offset: int, events: Events, folded: Folded | None) -> bytes:
    """The account as bytes; `folded` holds exactly one summary."""
    parts = [_HEADER.pack(SCHEMA, folded is not None, len(events), 0, last_offset), events.tobytes()]
    if folded is not None:
        parts.extend(array.tobytes() for array in folded)
    return b"".join(parts)


def unpack(key: str, packed: bytes) -> Unpacked:
    """The account that `pack` packed.

    Raises:
        AssayError: another schema, a length that does not fit the header, or more events than a history holds.
    """
    if len(packed) < _HEADER.size or packed[0] != SCHEMA:
        raise AssayError(
            f"state of account hash {hash_text(key)}: expected schema {SCHEMA}, got {packed[:1].hex() or 'nothing'}; "
            "this state was written by another version: rebuild it from the log in a fresh state directory"
        )
    _, has_folded, count, _, last_offset = _HEADER.unpack_from(packed)
    expected = _HEADER.size + count * _EVENT_BYTES + (SUMMARY_BYTES if has_folded else 0)
    if len(packed) != expected or count > HISTORY_CAPACITY:
        raise AssayError(
            f"state of account hash {hash_text(key)}: expected {expected} bytes for {count} events, at most "
            f"{HISTORY_CAPACITY}, got {len(packed)}; the record is damaged: rebuild the state from the log in a fresh "
            "state directory"
        )
    place = _HEADER.size
    events = np.frombuffer(packed, dtype=EVENT, count=count, offset=place)
    place += events.nbytes
    folded = None
    if has_folded:
        arrays = []
        for array in empty_folded(1):
            loaded = np.frombuffer(packed, dtype=array.dtype, count=array.size, offset=place).reshape(array.shape)
            arrays.append(loaded)
            place += array.nbytes
        folded = Folded(*arrays)
    return Unpacked(last_offset, events, folded)


def side_by_side(packed: Sequence[bytes | None]) -> PackedRows:
    """Packed accounts as one buffer."""
    length = np.fromiter((-1 if one is None else len(one) for one in packed), dtype=np.int64, count=len(packed))
    there = np.maximum(length, 0)
    data = np.frombuffer(b"".join([one for one in packed if one is not None]), dtype=np.uint8)
    return PackedRows(data, np.cumsum(there) - there, length)


@compiled
def packed_count(packed: PackedRows, row: int) -> int:
    """Events of a packed account that was packed."""
    start = packed.start[row]
    return int(packed.data[start + 2]) + 256 * int(packed.data[start + 3])


@compiled
def first_unreadable(packed: PackedRows) -> int:
    """The first row that `unpack` refuses; -1 if there is none."""
    for row in range(len(packed.start)):
        length, start = packed.length[row], packed.start[row]
        if length < 0:
            continue
        if length < HEADER_BYTES or packed.data[start] != SCHEMA:
            return row
        count = packed_count(packed, row)
        expected = HEADER_BYTES + count * _EVENT_BYTES + (SUMMARY_BYTES if packed.data[start + 1] else 0)
        if length != expected or count > HISTORY_CAPACITY:
            return row
    return -1


@dataclass(frozen=True, slots=True)
class PackedAccounts:
    """Accounts as they were at one moment, for a store: pairs of id and packed record.

    Attributes:
        names: uint8, their ids as UTF-8, one after the other.
        name_ends: int64[n], where each ends.
        data: uint8, their records, one after the other.
        ends: int64[n], where each ends.
    """

    names: NDArray[np.uint8]
    name_ends: NDArray[np.int64]
    data: NDArray[np.uint8]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        for name, packed in self.pairs(np.arange(len(self))):
            yield name.decode(), packed

    def by_name(self) -> NDArray[np.int64]:
        """Rows in the order of the ids' bytes."""
        return rows_by_name(self.names, self.name_ends)

    def pairs(self, rows: NDArray[np.int64]) -> Iterator[tuple[bytes, bytes]]:
        """Id as UTF-8 and record of each of `rows`."""
        names, data = self.names.data, self.data.data
        name_starts, name_ends = _bounds(self.name_ends, rows)
        starts, ends = _bounds(self.ends, rows)
        for name_start, name_end, start, end in zip(name_starts, name_ends, starts, ends, strict=True):
            yield bytes(names[name_start:name_end]), bytes(data[start:end])


def _bounds(ends: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """Where each of `rows` begins and ends."""
    return np.where(rows > 0, ends[rows - 1], 0).tolist(), ends[rows].tolist()


def hash_text(key: str) -> str:
    """An account id as 16 hex digits, fit for a message."""
    return f"{hash64(key):016x}"
