"""An account as one byte string: header, exact history, and the summary of what was folded away, if anything was.

The arrays are stored as they lie in memory (little-endian); RocksDB compresses them. The first byte is the schema.
"""

import struct
from typing import NamedTuple

import numpy as np

from features.columns import EVENT, Events
from features.errors import AssayError
from features.folded import Folded, empty_folded
from features.identity import hash64
from features.kernel import HISTORY_CAPACITY

SCHEMA = 1

_HEADER = struct.Struct("<BBHIq")  # schema, has a summary, number of events, reserved, last offset


class Unpacked(NamedTuple):
    """A packed account, opened."""

    last_offset: int
    events: Events
    folded: Folded | None


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
    shape = empty_folded(1) if has_folded else None
    expected = _HEADER.size + count * EVENT.itemsize
    expected += sum(array.nbytes for array in shape) if shape is not None else 0
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
    if shape is not None:
        arrays = []
        for array in shape:
            loaded = np.frombuffer(packed, dtype=array.dtype, count=array.size, offset=place).reshape(array.shape)
            arrays.append(loaded)
            place += array.nbytes
        folded = Folded(*arrays)
    return Unpacked(last_offset, events, folded)


def hash_text(key: str) -> str:
    """An account id as 16 hex digits, fit for a message."""
    return f"{hash64(key):016x}"
