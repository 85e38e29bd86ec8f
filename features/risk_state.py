"""Structured arrays as one sealed byte string, column by column: what pads the fields of a record is left out."""

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.errors import AssayError

_MAGIC = b"ARSK"
_SCHEMA = 1
_HEADER = struct.Struct("<4sHxxI32s")  # magic, schema, checksum of the rest, digest of the settings
_COUNT = struct.Struct("<q")


def seal_state(digest: bytes, sections: Sequence[NDArray[np.void]]) -> bytes:
    """The sections as bytes, little-endian; equal sections give equal bytes."""
    parts = []
    for rows in sections:
        parts.append(_COUNT.pack(len(rows)))
        for name in rows.dtype.names or ():
            column = rows[name]
            parts.append(column.astype(column.dtype.newbyteorder("<")).tobytes())
    payload = b"".join(parts)
    return _HEADER.pack(_MAGIC, _SCHEMA, zlib.crc32(payload), digest) + payload


def open_state(digest: bytes, data: bytes, dtypes: Sequence[np.dtype[np.void]]) -> list[NDArray[np.void]]:
    """The sections that `seal_state` sealed.

    Raises:
        AssayError: other settings, another format, or damage.
    """
    advice = "use the settings and the version that wrote it, or build it again from the log"
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        raise AssayError(f"entity risk state: expected {_MAGIC!r} at the start, got {len(data)} other bytes; {advice}")
    _, schema, checksum, written_by = _HEADER.unpack_from(data)
    if schema != _SCHEMA:
        raise AssayError(f"entity risk state: expected schema {_SCHEMA}, got {schema}; {advice}")
    if written_by != digest:
        expected, got = digest.hex()[:16], written_by.hex()[:16]
        raise AssayError(f"entity risk state: expected settings {expected}, got {got}; {advice}")
    found = zlib.crc32(memoryview(data)[_HEADER.size :])
    if found != checksum:
        raise AssayError(f"entity risk state: expected checksum {checksum:08x}, got {found:08x}: damaged; {advice}")
    place, sections = _HEADER.size, []
    for dtype in dtypes:
        (count,) = _COUNT.unpack_from(data, place)
        place += _COUNT.size
        rows = np.zeros(count, dtype=dtype)
        for name in dtype.names or ():
            column = np.frombuffer(data, dtype[name].newbyteorder("<"), count, offset=place)
            rows[name] = column
            place += column.nbytes
        sections.append(rows)
    assert place == len(data), "the checksum holds, so the sections are those that were written"
    return sections
