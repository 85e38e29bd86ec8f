"""The arrays that hold the entity graph: nodes, edges and tiles, growing by doubling, without any object per node.

A node is an account, an entity, or a payer: the same id as an account, seen as one that pays beneficiaries (its edges
lead to them). An edge is a pair that was seen: an entity and an account, or a payer and a beneficiary.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.arena import lengthen
from features.entities import BENEFICIARY, DEVICE, ENTITY_KINDS, IP
from features.graph_nodes import enter_nodes
from features.windows import DAY_MS, HOUR_MS

ACCOUNT = len(ENTITY_KINDS)
PAYER = ACCOUNT + 1
NEVER_MS = -1

MOST_EDGES = 64
"""Accounts that an entity remembers, the most recent."""
_LINKING_EDGES = {DEVICE: 20, IP: 20, BENEFICIARY: 20}
LINKING_EDGES = np.array([_LINKING_EDGES.get(kind, 0) for kind in range(PAYER + 1)], dtype=np.int64)
"""int64[kinds], accounts that an entity of a kind ties together at most; one with more is a hub and ties nobody.

Without such a limit a few shared addresses make one component of everybody. That two accounts bought at one merchant,
have cards of one bin or mail of one provider, never means that they belong together.
"""
KEPT_MS = 90 * DAY_MS
"""A rebuild forgets pairs that were not seen for so long."""

TILE_MS = 600_000
SHORT_TILES = 8
"""Tiles of an entity: an hour that begins inside a tile takes seven."""
LONG_TILES = 16
"""Tiles of a beneficiary or a payer: the sixteen latest in which anything was paid."""
SHORT_MS = HOUR_MS
LONG_MS = 48 * HOUR_MS

NODE = np.dtype(
    [
        ("hash", np.uint64),
        ("joined_ms", np.int64),  # of an account: when it came into its component, NEVER_MS before it has a link
        ("label_ms", np.int64),  # of an account: when its newest label was known, or NEVER_MS
        ("component", np.int32),  # the node that stands for the component
        ("next_member", np.int32),  # the members of a component in a circle
        ("accounts", np.int32),  # of the node that stands for a component: its accounts
        ("frauds", np.int32),  # of the node that stands for a component: its accounts in fraud
        ("first_edge", np.int32),  # of an entity: its edges; of an account: its edges to entities that are no hubs
        ("tiles", np.int32),  # row of its tiles, -1 = none
        ("kind", np.uint8),  # index into ENTITY_KINDS, ACCOUNT or PAYER
        ("edges", np.uint8),  # of an entity or payer: how many it remembers
        ("overflowed", np.uint8),  # 1 = there were more than it remembers
        ("fraud", np.uint8),  # of an account: 1 = in fraud
        ("upper_bound", np.uint8),  # of the node that stands for a component: 1 = some may be tied by a hub alone
    ]
)

EDGE = np.dtype(
    [
        ("first_ms", np.int64),  # time of the oldest link of the pair; the newest where the entity overflowed
        ("newest_ms", np.int64),
        ("entity", np.int32),  # or the payer
        ("member", np.int32),  # the account, or the payer's beneficiary
        ("next_of_entity", np.int32),
        ("next_of_member", np.int32),  # both -1 where the edge is not in its account's list, as those of hubs are not
        ("previous_of_member", np.int32),
    ]
)

TILE = np.dtype(
    [
        ("amount_minor", np.int64),
        ("number", np.int32),  # TILE_MS since 1970
        ("payments", np.int32),  # 0 = free
        ("declined", np.int32),
        ("small", np.int32),
    ]
)

NODES, EDGES, SHORT, LONG = range(4)
"""Places in `Arrays.counts`."""


class Arrays(NamedTuple):
    """The graph as kernels see it; beyond `counts` every array is 0."""

    table: NDArray[np.int32]
    """int32[2^k], number of a node + 1 where its hash leads; 0 = free."""
    nodes: NDArray[Any]
    """`NODE`[capacity]"""
    edges: NDArray[Any]
    """`EDGE`[capacity]"""
    short: NDArray[Any]
    """`TILE`[capacity, SHORT_TILES], each row from the latest to the oldest."""
    long: NDArray[Any]
    """`TILE`[capacity, LONG_TILES], of beneficiaries and payers."""
    counts: NDArray[np.int64]
    """int64[4], how many nodes, edges, short and long rows of tiles are in use."""


def table_size(nodes: int) -> int:
    """Places of a table for so many nodes, a power of 2: at most two thirds are full.

    >>> table_size(10), table_size(11)
    (16, 32)
    """
    size = 16
    while 2 * size < 3 * nodes:
        size *= 2
    return size


def empty_arrays() -> Arrays:
    """A graph without any node."""
    return Arrays(
        table=np.zeros(table_size(0), dtype=np.int32),
        nodes=np.zeros(0, dtype=NODE),
        edges=np.zeros(0, dtype=EDGE),
        short=np.zeros((0, SHORT_TILES), dtype=TILE),
        long=np.zeros((0, LONG_TILES), dtype=TILE),
        counts=np.zeros(4, dtype=np.int64),
    )


def reserve(arrays: Arrays, nodes: int, edges: int, tiles: int) -> Arrays:
    """Make room for so many more of each, at least doubling what is full; use the result instead of `arrays`.

    Raises:
        AssertionError: more than 2^31 - 1 of one sort.
    """
    counts = arrays.counts
    for array, used, more in (
        (arrays.nodes, counts[NODES], nodes),
        (arrays.edges, counts[EDGES], edges),
        (arrays.short, counts[SHORT], tiles),
        (arrays.long, counts[LONG], tiles),
    ):
        needed = int(used) + more
        assert needed < 2**31, "a graph holds at most 2^31 - 1 nodes, edges or rows of tiles"
        if needed > len(array):
            lengthen(array, max(needed, min(2 * len(array), 2**31 - 1)))
    size = table_size(int(counts[NODES]) + nodes)
    if size <= len(arrays.table):
        return arrays
    table = np.zeros(size, dtype=np.int32)
    enter_nodes(table, arrays.nodes, int(counts[NODES]))
    return arrays._replace(table=table)
