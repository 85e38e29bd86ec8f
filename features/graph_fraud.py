"""Which accounts are in fraud, and how many of them are near an entity.

The newest label of an account counts; of two that were known at the same millisecond, fraud does. So labels may come in
any order and more than once.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.graph_edges import node_of
from features.graph_state import ACCOUNT, Arrays

MOST_PROBES = 256
"""Edges that are looked at for the second hop."""
SEEN_PLACES = 1_024
"""Places to note accounts in: at most 64 of the first hop and 256 of the second, so most stay free."""
_SPREAD = 0x9E3779B1
_SEEN_BITS = 10


@compiled
def add_labels(arrays: Arrays, labels: NDArray[Any], touched: NDArray[np.int32]) -> int:
    """Apply labels; there is room for a node for each.

    Writes to `touched`, int32[n * MOST_PROBES], the entities that tie a labelled account to others, of each account
    at most `MOST_PROBES`, and returns how many were written. A hub learns of a label when it is next looked at.
    """
    nodes, edges = arrays.nodes, arrays.edges
    written = 0
    for row in range(len(labels)):
        account = node_of(arrays, ACCOUNT, labels[row]["account"])
        fraud, known_at_ms = labels[row]["fraud"], labels[row]["known_at_ms"]
        if known_at_ms > nodes[account]["label_ms"] or (known_at_ms == nodes[account]["label_ms"] and fraud):
            component = nodes[account]["component"]
            nodes[component]["frauds"] += np.int32(fraud) - np.int32(nodes[account]["fraud"])
            nodes[account]["fraud"] = fraud
            nodes[account]["label_ms"] = known_at_ms
        edge = nodes[account]["first_edge"]
        for _ in range(MOST_PROBES):
            if edge < 0:
                break
            touched[written] = edges[edge]["entity"]
            written += 1
            edge = edges[edge]["next_of_member"]
    return written


@compiled
def _note(seen: NDArray[np.int32], node: int) -> bool:
    """Note a node; returns whether it was not noted before."""
    place = (node * _SPREAD >> _SEEN_BITS) & (SEEN_PLACES - 1)
    while seen[place] != 0:
        if seen[place] == node + 1:
            return False
        place = (place + 1) & (SEEN_PLACES - 1)
    seen[place] = node + 1
    return True


@compiled
def frauds_of(arrays: Arrays, entity: int, seen: NDArray[np.int32]) -> int:
    """Accounts in fraud among those that an entity remembers; all of these are noted in `seen`, which is emptied."""
    nodes, edges = arrays.nodes, arrays.edges
    seen[:] = 0
    frauds = 0
    edge = nodes[entity]["first_edge"]
    while edge >= 0:
        member = edges[edge]["member"]
        _note(seen, np.int64(member))  # type: ignore[arg-type]
        frauds += nodes[member]["fraud"]
        edge = edges[edge]["next_of_entity"]
    return frauds


@compiled
def two_hops(arrays: Arrays, entity: int, seen: NDArray[np.int32]) -> tuple[int, int, bool]:
    """Accounts that share another entity, not a hub, with an account of this one; `seen` is as `frauds_of` left it.

    Returns how many there are that are not accounts of this entity too, how many of them are in fraud, and whether all
    were found. At most `MOST_PROBES` edges are looked at; where that was not enough both numbers are lower bounds, and
    which accounts were found depends on the order of the links since the last rebuild.
    """
    nodes, edges = arrays.nodes, arrays.edges
    accounts = frauds = probes = 0
    edge = nodes[entity]["first_edge"]
    while edge >= 0:
        step = nodes[edges[edge]["member"]]["first_edge"]
        while step >= 0:
            other = edges[step]["entity"]
            near = nodes[other]["first_edge"] if other != entity else np.int32(-1)
            probes += 1
            if probes > MOST_PROBES:
                return accounts, frauds, False
            while near >= 0:
                probes += 1
                if probes > MOST_PROBES:
                    return accounts, frauds, False
                account = edges[near]["member"]
                if _note(seen, np.int64(account)):  # type: ignore[arg-type]
                    accounts += 1
                    frauds += nodes[account]["fraud"]
                near = edges[near]["next_of_entity"]
            step = edges[step]["next_of_member"]
        edge = edges[edge]["next_of_entity"]
    return accounts, frauds, True
