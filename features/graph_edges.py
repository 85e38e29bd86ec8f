"""Nodes and edges as links come in: an entity remembers its 64 most recent accounts, each once, with its newest time.

Which 64 remain does not depend on the order in which links come: the oldest of those held never gets older, so an
account that is turned away, or has to go, would not have remained in any order. Equal times are told apart by the
account's hash.
"""

from typing import Any

import numpy as np

from features.compiled import compiled
from features.graph_nodes import place_of_node
from features.graph_state import ACCOUNT, EDGES, LINKING_EDGES, MOST_EDGES, NEVER_MS, NODES, Arrays

NOTHING, TIES, BECAME_HUB = range(3)
"""What a link means for components, see `connect`."""


@compiled
def node_of(arrays: Arrays, kind: int, hash64: Any) -> int:
    """Number of a node, new if need be; there is room for it (`graph_state.reserve`)."""
    place = place_of_node(arrays.table, arrays.nodes, kind, hash64)
    node: int = arrays.table[place] - 1
    if node >= 0:
        return node
    number = arrays.counts[NODES]
    arrays.counts[NODES] = number + 1
    arrays.table[place] = number + 1
    new = arrays.nodes[number]
    new["hash"] = hash64
    new["kind"] = kind
    new["joined_ms"] = NEVER_MS
    new["label_ms"] = NEVER_MS
    new["component"] = number
    new["next_member"] = number
    new["accounts"] = 1 if kind == ACCOUNT else 0
    new["frauds"] = 0
    new["first_edge"] = -1
    new["tiles"] = -1
    new["edges"] = 0
    new["overflowed"] = 0
    new["fraud"] = 0
    new["upper_bound"] = 0
    return np.int64(number)  # type: ignore[return-value]


@compiled
def is_hub(nodes: Any, entity: int) -> bool:
    """Whether an entity has more accounts than one of its kind ties together."""
    result: bool = nodes[entity]["edges"] > LINKING_EDGES[nodes[entity]["kind"]]
    return result


@compiled
def add_to_member(nodes: Any, edges: Any, edge: int) -> None:
    """Put an edge first in the list of its account."""
    member = edges[edge]["member"]
    after = nodes[member]["first_edge"]
    edges[edge]["next_of_member"] = after
    edges[edge]["previous_of_member"] = -1
    if after >= 0:
        edges[after]["previous_of_member"] = edge
    nodes[member]["first_edge"] = edge


@compiled
def _take_from_member(nodes: Any, edges: Any, edge: int) -> None:
    after, before = edges[edge]["next_of_member"], edges[edge]["previous_of_member"]
    if after >= 0:
        edges[after]["previous_of_member"] = before
    if before >= 0:
        edges[before]["next_of_member"] = after
    else:
        nodes[edges[edge]["member"]]["first_edge"] = after
    edges[edge]["next_of_member"] = -1
    edges[edge]["previous_of_member"] = -1


@compiled
def _leave_members(nodes: Any, edges: Any, entity: int) -> None:
    """Take the edges of an entity out of the lists of its accounts, but for the newest, which was never in one."""
    edge = edges[nodes[entity]["first_edge"]]["next_of_entity"]
    while edge >= 0:
        _take_from_member(nodes, edges, edge)
        edge = edges[edge]["next_of_entity"]


@compiled
def _is_before(nodes: Any, edges: Any, edge: Any, time_ms: Any, member: Any) -> bool:
    """Whether an edge has to go before a member with this time would."""
    newest_ms = edges[edge]["newest_ms"]
    if newest_ms != time_ms:
        return bool(newest_ms < time_ms)
    return bool(nodes[edges[edge]["member"]]["hash"] < nodes[member]["hash"])


@compiled
def _overflow(nodes: Any, edges: Any, entity: int) -> None:
    """From now on an entity forgets some accounts; when the others were first seen is no longer known.

    An account may go and come back, so that would depend on the order of the links; the newest time does not.
    """
    nodes[entity]["overflowed"] = 1
    edge = nodes[entity]["first_edge"]
    while edge >= 0:
        edges[edge]["first_ms"] = edges[edge]["newest_ms"]
        edge = edges[edge]["next_of_entity"]


@compiled
def connect(arrays: Arrays, entity: int, member: int, time_ms: int) -> int:
    """Remember that a pair was seen at a time; returns what follows for components.

    `TIES` says that the pair is new and ties the two together, `BECAME_HUB` that with it the entity ceases to tie
    anybody, `NOTHING` that all is as before. There is room for an edge.
    """
    nodes, edges = arrays.nodes, arrays.edges
    edge = np.int64(nodes[entity]["first_edge"])
    oldest = edge
    while edge >= 0:
        if edges[edge]["member"] == member:
            edges[edge]["newest_ms"] = max(edges[edge]["newest_ms"], time_ms)
            if nodes[entity]["overflowed"]:
                edges[edge]["first_ms"] = edges[edge]["newest_ms"]
            else:
                edges[edge]["first_ms"] = min(edges[edge]["first_ms"], time_ms)
            return NOTHING
        if _is_before(nodes, edges, edge, edges[oldest]["newest_ms"], edges[oldest]["member"]):
            oldest = edge
        edge = np.int64(edges[edge]["next_of_entity"])
    if nodes[entity]["edges"] == MOST_EDGES:
        if not nodes[entity]["overflowed"]:
            _overflow(nodes, edges, entity)
        if _is_before(nodes, edges, oldest, time_ms, member):
            edges[oldest]["member"] = member
            edges[oldest]["first_ms"] = time_ms
            edges[oldest]["newest_ms"] = time_ms
        return NOTHING
    number = arrays.counts[EDGES]
    arrays.counts[EDGES] = number + 1
    new = edges[number]
    new["first_ms"] = time_ms
    new["newest_ms"] = time_ms
    new["entity"] = entity
    new["member"] = member
    new["next_of_entity"] = nodes[entity]["first_edge"]
    new["next_of_member"] = -1
    new["previous_of_member"] = -1
    nodes[entity]["first_edge"] = number
    nodes[entity]["edges"] += 1
    if is_hub(nodes, entity):
        if nodes[entity]["edges"] == LINKING_EDGES[nodes[entity]["kind"]] + 1 and nodes[entity]["edges"] > 1:
            _leave_members(nodes, edges, entity)
            return BECAME_HUB
        return NOTHING
    add_to_member(nodes, edges, number)
    return TIES
