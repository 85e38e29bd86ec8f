"""Components: accounts that are tied together by entities with few accounts.

Disjoint sets with every member's set written beside it. The side with fewer accounts joins the other and its members
are told, so a look-up is one read and an account is told at most log2(accounts) times (weighted quick-find: Cormen,
Leiserson, Rivest, Stein, "Introduction to Algorithms", 21.2). The members form a circle, and two circles become one by
exchanging one step of each.

Where an entity becomes a hub, its component is made anew from the edges that are left. That is done up to a size; a
larger component is marked as an upper bound until the next rebuild. So an unmarked component does not depend on the
order in which links came. When an account joined it does, until the next rebuild: a link that comes late finds the two
sides as they are, not as they were.
"""

import numpy as np

from features.compiled import compiled
from features.graph_edges import is_hub
from features.graph_state import ACCOUNT, NEVER_MS, Arrays
from features.windows import DAY_MS

MOST_STEPS = 1_024
"""Members that are looked at for the growth of a component."""
MOST_MEMBERS = 4_096
"""Accounts and entities of the largest component that is made anew when one of them becomes a hub."""


@compiled
def unite(arrays: Arrays, entity: int, account: int, time_ms: int) -> None:
    """Make one component of those of an entity and an account.

    The accounts of the side that has fewer join at `time_ms`; at a draw, those of the account's side do. The first
    account of a component joins it with its first link.
    """
    nodes = arrays.nodes
    if nodes[account]["joined_ms"] == NEVER_MS:
        nodes[account]["joined_ms"] = time_ms
    stays, joins = nodes[entity]["component"], nodes[account]["component"]
    if stays == joins:
        return
    if nodes[joins]["accounts"] > nodes[stays]["accounts"]:
        stays, joins = joins, stays
    node = joins
    while True:
        nodes[node]["component"] = stays
        if nodes[node]["kind"] == ACCOUNT:
            nodes[node]["joined_ms"] = max(nodes[node]["joined_ms"], time_ms)
        node = nodes[node]["next_member"]
        if node == joins:
            break
    after = nodes[stays]["next_member"]
    nodes[stays]["next_member"] = nodes[joins]["next_member"]
    nodes[joins]["next_member"] = after
    nodes[stays]["accounts"] += nodes[joins]["accounts"]
    nodes[stays]["frauds"] += nodes[joins]["frauds"]
    nodes[stays]["upper_bound"] |= nodes[joins]["upper_bound"]
    nodes[joins]["accounts"] = 0
    nodes[joins]["frauds"] = 0
    nodes[joins]["upper_bound"] = 0


@compiled
def stand_alone(arrays: Arrays, node: int) -> None:
    """Make a node a component of its own, which it has not joined."""
    nodes = arrays.nodes
    nodes[node]["joined_ms"] = NEVER_MS
    nodes[node]["component"] = node
    nodes[node]["next_member"] = node
    nodes[node]["accounts"] = 1 if nodes[node]["kind"] == ACCOUNT else 0
    nodes[node]["frauds"] = nodes[node]["fraud"]
    nodes[node]["upper_bound"] = 0


@compiled
def make_anew(arrays: Arrays, component: int) -> None:
    """Unite the members of a component again, without those of its entities that are hubs by now."""
    nodes, edges = arrays.nodes, arrays.edges
    members = np.empty(MOST_MEMBERS, dtype=np.int64)
    count = edge_count = 0
    node = component
    while True:
        if count == MOST_MEMBERS:
            nodes[component]["upper_bound"] = 1
            return
        members[count] = node
        count += 1
        edge_count += nodes[node]["edges"]
        node = np.int64(nodes[node]["next_member"])  # type: ignore[assignment]
        if node == component:
            break
    ties = np.empty(edge_count, dtype=np.int64)
    first_ms = np.empty(edge_count, dtype=np.int64)
    found = 0
    for node in members[:count]:
        stand_alone(arrays, node)
        if nodes[node]["kind"] != ACCOUNT and not is_hub(nodes, node):
            edge = nodes[node]["first_edge"]
            while edge >= 0:
                ties[found] = edge
                first_ms[found] = edges[edge]["first_ms"]
                found += 1
                edge = edges[edge]["next_of_entity"]
    for place in np.argsort(first_ms[:found], kind="mergesort"):
        edge = ties[place]
        unite(arrays, edges[edge]["entity"], edges[edge]["member"], edges[edge]["first_ms"])


@compiled
def growth(arrays: Arrays, component: int, as_of_ms: int) -> tuple[int, bool]:
    """Accounts that joined a component in the day up to `as_of_ms`, and whether every member was looked at."""
    nodes = arrays.nodes
    joined = 0
    node = component
    for _ in range(MOST_STEPS):
        if nodes[node]["kind"] == ACCOUNT and as_of_ms - DAY_MS < nodes[node]["joined_ms"] <= as_of_ms:
            joined += 1
        node = nodes[node]["next_member"]
        if node == component:
            return joined, True
    return joined, False
