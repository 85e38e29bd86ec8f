"""Where each node of the entity graph is: from its kind and hash to its number, by open addressing.

The hashes are spread already (xxh3), so their lower bits are the place. Nothing is removed between rebuilds.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""Moves the kinds of one hash apart: an account, a beneficiary and a payer often share it."""


@compiled
def _home(table: NDArray[np.int32], kind: int, hash64: Any) -> Any:
    return np.int64((hash64 + np.uint64(kind) * _SPREAD) & np.uint64(len(table) - 1))


@compiled
def place_of_node(table: NDArray[np.int32], nodes: NDArray[Any], kind: int, hash64: Any) -> int:
    """Place in the table of a node, or the free place where it belongs."""
    place: int = _home(table, kind, hash64)
    while table[place] != 0:
        node = table[place] - 1
        if nodes[node]["hash"] == hash64 and nodes[node]["kind"] == kind:
            break
        place = (place + 1) & (len(table) - 1)
    return place


@compiled
def find_node(table: NDArray[np.int32], nodes: NDArray[Any], kind: int, hash64: Any) -> int:
    """Number of a node, -1 if there is none."""
    node: int = table[place_of_node(table, nodes, kind, hash64)] - 1
    return node


@compiled
def enter_nodes(table: NDArray[np.int32], nodes: NDArray[Any], count: int) -> None:
    """Enter nodes, all different, into an empty table."""
    for node in range(count):
        table[place_of_node(table, nodes, nodes[node]["kind"], nodes[node]["hash"])] = node + 1
