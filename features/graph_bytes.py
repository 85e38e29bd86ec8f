"""The entity graph as bytes and back: arrays as they lie in memory (little-endian), behind a header that is checked.

Format, checksum and counts come first. The table of nodes is not kept: it follows from the nodes.
"""

import struct
import zlib

import numpy as np

from features.errors import AssayError
from features.graph_deliveries import Deliveries
from features.graph_nodes import enter_nodes
from features.graph_state import EDGES, LONG, NODES, SHORT, Arrays, empty_arrays, table_size

_MAGIC = b"assay-graph\0"
VERSION = 1
_HEADER = struct.Struct("<12sII5q")  # magic, version, crc32 of the rest, counts, sources


def pack_graph(arrays: Arrays, deliveries: Deliveries) -> bytes:
    """The graph as bytes."""
    counts = arrays.counts
    body = b"".join(
        (
            arrays.nodes[: counts[NODES]].tobytes(),
            arrays.edges[: counts[EDGES]].tobytes(),
            arrays.short[: counts[SHORT]].tobytes(),
            arrays.long[: counts[LONG]].tobytes(),
            deliveries.highest.tobytes(),
            deliveries.bits.tobytes(),
        )
    )
    return _HEADER.pack(_MAGIC, VERSION, zlib.crc32(body), *counts.tolist(), len(deliveries.highest)) + body


def unpack_graph(data: bytes) -> tuple[Arrays, Deliveries]:
    """The graph that `pack_graph` packed.

    Raises:
        AssayError: it is another format, or damaged.
    """
    advice = "restore another snapshot, or rebuild the graph from the log"
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        raise AssayError(f"entity graph: expected {_MAGIC!r} at the start of {len(data)} bytes; {advice}")
    _, version, checksum, *counts, sources = _HEADER.unpack_from(data)
    if version != VERSION:
        raise AssayError(f"entity graph: expected version {VERSION}, got version {version}; {advice}")
    found = zlib.crc32(memoryview(data)[_HEADER.size :])
    if found != checksum:
        raise AssayError(f"entity graph: expected checksum {checksum:08x}, got {found:08x}: it is damaged; {advice}")
    empty, deliveries = empty_arrays(), Deliveries()
    place = _HEADER.size
    loaded = []
    for array, count in (
        *zip((empty.nodes, empty.edges, empty.short, empty.long), counts, strict=True),
        (deliveries.highest, sources),
        (deliveries.bits, sources),
    ):
        shape = (count, *array.shape[1:])
        units = int(np.prod(shape))
        loaded.append(np.frombuffer(data, dtype=array.dtype, count=units, offset=place).reshape(shape).copy())
        place += loaded[-1].nbytes
    nodes, edges, short, long, deliveries.highest, deliveries.bits = loaded
    table = np.zeros(table_size(len(nodes)), dtype=np.int32)
    enter_nodes(table, nodes, len(nodes))
    return Arrays(table, nodes, edges, short, long, np.array(counts, dtype=np.int64)), deliveries
