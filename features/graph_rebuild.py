"""The graph anew from what it remembers: pairs of 90 days, and components through entities that are no hubs.

Nodes come in the order of hash and kind, edges in that of their nodes, and components are united in the order in which
the pairs were first seen. So nothing of the order in which links came remains: the same links give the same bytes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.graph_components import stand_alone, unite
from features.graph_edges import add_to_member, is_hub
from features.graph_nodes import enter_nodes
from features.graph_state import (
    EDGES,
    KEPT_MS,
    LONG,
    LONG_MS,
    NODES,
    SHORT,
    SHORT_MS,
    Arrays,
    table_size,
)
from features.graph_tiles import first_tile, has_long_tiles


@compiled
def _forget(arrays: Arrays, horizon_ms: int, kept: NDArray[np.bool_], edge_kept: NDArray[np.bool_]) -> None:
    """Mark what stays: edges newer than the horizon, nodes with such an edge, accounts with such a label.

    An entity that lost one of 64 edges to age has lost whatever it forgot before to age too, so from now on it
    remembers all.
    """
    nodes, edges = arrays.nodes, arrays.edges
    for edge in range(len(edge_kept)):
        if edges[edge]["newest_ms"] > horizon_ms:
            edge_kept[edge] = True
            kept[edges[edge]["entity"]] = True
            kept[edges[edge]["member"]] = True
        else:
            nodes[edges[edge]["entity"]]["overflowed"] = 0
    for node in range(len(kept)):
        if nodes[node]["label_ms"] > horizon_ms:
            kept[node] = True


@compiled
def _reset(arrays: Arrays) -> None:
    """Nodes without edges, each a component of its own."""
    nodes = arrays.nodes
    for node in range(arrays.counts[NODES]):
        stand_alone(arrays, node)
        nodes[node]["first_edge"] = -1
        nodes[node]["edges"] = 0


@compiled
def _edge_keys(edges: NDArray[Any], renumbered: NDArray[np.int32], keys: NDArray[np.uint64]) -> None:
    """Give edges the new numbers of their nodes, and write what they are sorted by."""
    for edge in range(len(keys)):
        entity, member = renumbered[edges[edge]["entity"]], renumbered[edges[edge]["member"]]
        edges[edge]["entity"] = entity
        edges[edge]["member"] = member
        keys[edge] = np.uint64(entity) << np.uint64(32) | np.uint64(member)


@compiled
def _thread(arrays: Arrays) -> None:
    """Make the lists of entities and of accounts."""
    nodes, edges = arrays.nodes, arrays.edges
    for edge in range(arrays.counts[EDGES] - 1, -1, -1):
        entity = edges[edge]["entity"]
        edges[edge]["next_of_entity"] = nodes[entity]["first_edge"]
        nodes[entity]["first_edge"] = edge
        nodes[entity]["edges"] += 1
        edges[edge]["next_of_member"] = -1
        edges[edge]["previous_of_member"] = -1
    for edge in range(arrays.counts[EDGES] - 1, -1, -1):
        if not is_hub(nodes, edges[edge]["entity"]):
            add_to_member(nodes, edges, edge)


@compiled
def _unite_all(arrays: Arrays, order: NDArray[np.int64]) -> None:
    edges = arrays.edges
    for edge in order:
        if not is_hub(arrays.nodes, edges[edge]["entity"]):
            unite(arrays, edges[edge]["entity"], edges[edge]["member"], edges[edge]["first_ms"])


@compiled
def _move_tiles(arrays: Arrays, first_short: int, first_long: int, short: NDArray[Any], long: NDArray[Any]) -> None:
    """Copy the tiles that may still count, in the order of their nodes, and count them."""
    counts = arrays.counts
    counts[SHORT] = counts[LONG] = 0
    for number in range(counts[NODES]):
        node = arrays.nodes[number]
        row = node["tiles"]
        if row < 0:
            continue
        node["tiles"] = -1
        if has_long_tiles(node["kind"]):
            if arrays.long[row, 0]["number"] >= first_long:
                node["tiles"] = counts[LONG]
                long[counts[LONG]] = arrays.long[row]
                counts[LONG] += 1
        elif arrays.short[row, 0]["number"] >= first_short:
            node["tiles"] = counts[SHORT]
            short[counts[SHORT]] = arrays.short[row]
            counts[SHORT] += 1


def release_tiles(arrays: Arrays, as_of_ms: int) -> Arrays:
    """Give back the tiles of entities that nobody paid through in the windows up to `as_of_ms`; use the result.

    What is known at `as_of_ms` and later stays the same.
    """
    short, long = np.zeros_like(arrays.short), np.zeros_like(arrays.long)
    _move_tiles(arrays, first_tile(as_of_ms, SHORT_MS), first_tile(as_of_ms, LONG_MS), short, long)
    short = short[: arrays.counts[SHORT]].copy()
    long = long[: arrays.counts[LONG]].copy()
    return arrays._replace(short=short, long=long)


def rebuild(arrays: Arrays, as_of_ms: int) -> Arrays:
    """The graph of the pairs that were seen in the 90 days up to `as_of_ms`; the arrays given are used up.

    Forgets older pairs, accounts and entities without any, and old tiles. While it runs it holds the graph twice. An
    account that is in fraud stays so as long as it has an edge or its label is not older than 90 days.
    """
    count, edge_count = int(arrays.counts[NODES]), int(arrays.counts[EDGES])
    kept, edge_kept = np.zeros(count, dtype=np.bool_), np.zeros(edge_count, dtype=np.bool_)
    _forget(arrays, as_of_ms - KEPT_MS, kept, edge_kept)

    numbers = np.flatnonzero(kept)
    order = numbers[np.lexsort((arrays.nodes["kind"][numbers], arrays.nodes["hash"][numbers]))]
    renumbered = np.full(count, -1, dtype=np.int32)
    renumbered[order] = np.arange(len(order), dtype=np.int32)
    nodes = arrays.nodes.take(order)  # many times as fast as an index where the elements are records

    edges = arrays.edges.take(np.flatnonzero(edge_kept))
    keys = np.empty(len(edges), dtype=np.uint64)
    _edge_keys(edges, renumbered, keys)
    edges = edges.take(np.argsort(keys))

    counts = np.array([len(nodes), len(edges), arrays.counts[SHORT], arrays.counts[LONG]], dtype=np.int64)
    table = np.zeros(table_size(len(nodes)), dtype=np.int32)
    enter_nodes(table, nodes, len(nodes))
    rebuilt = Arrays(table, nodes, edges, arrays.short, arrays.long, counts)
    _reset(rebuilt)
    _thread(rebuilt)
    _unite_all(rebuilt, np.argsort(edges["first_ms"], kind="stable"))
    return release_tiles(rebuilt, as_of_ms)
