"""What is known of an entity: how many accounts use it, what they are tied to, and how near fraud is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.graph_components import growth
from features.graph_edges import is_hub
from features.graph_fraud import SEEN_PLACES, frauds_of, two_hops
from features.graph_state import Arrays
from features.windows import DAY_MS, HOUR_MS

PROFILE = np.dtype(
    [
        ("degree", np.int32),  # distinct accounts that are remembered: of 90 days, and older ones until a rebuild
        ("accounts_1h", np.int32),  # of these, whose newest time lies in the window up to as_of_ms
        ("accounts_1d", np.int32),
        ("accounts_7d", np.int32),
        ("component_accounts", np.int32),  # 0 of a hub: it is in no component
        ("component_joined_1d", np.int32),  # of these, that joined in the day up to as_of_ms
        ("component_frauds", np.int32),  # of these, in fraud
        ("frauds", np.int32),  # accounts of the entity in fraud
        ("fraud_share", np.float64),  # frauds / degree
        ("two_hop_accounts", np.int32),  # accounts that share another entity, not a hub, with an account of this one
        ("two_hop_frauds", np.int32),
        ("two_hop_fraud_share", np.float64),  # NaN where there is no such account
        ("flags", np.uint8),
    ]
)
"""Numbers of an entity; of one that the graph does not know, all 0 and the shares NaN."""

DEGREE_IS_LOWER_BOUND = 1
"""There were more than 64 accounts: degree and frauds are of the 64 most recent."""
ACCOUNTS_1H_IS_LOWER_BOUND = 2
ACCOUNTS_1D_IS_LOWER_BOUND = 4
ACCOUNTS_7D_IS_LOWER_BOUND = 8
HUB = 16
"""The entity ties nobody together: more than 20 accounts, or a merchant or a bin."""
JOINED_IS_LOWER_BOUND = 32
"""The component has more members than were looked at."""
TWO_HOPS_IS_LOWER_BOUND = 64
"""There were more edges within two hops than were looked at; see `graph_fraud.two_hops`."""
COMPONENT_IS_UPPER_BOUND = 128
"""The component was too large to be made anew when one of its entities became a hub; the next rebuild does it."""


@compiled
def members_since(arrays: Arrays, entity: int, as_of_ms: int, window_ms: int) -> tuple[int, bool]:
    """Members whose newest time lies in (as_of_ms - window_ms, as_of_ms], and whether these are all there were.

    An account that was forgotten is not newer than any that is remembered; so they are all, if at least one that is
    remembered lies before the window.
    """
    nodes, edges = arrays.nodes, arrays.edges
    members = 0
    are_all = nodes[entity]["overflowed"] == 0
    edge = nodes[entity]["first_edge"]
    while edge >= 0:
        newest_ms = edges[edge]["newest_ms"]
        if newest_ms <= as_of_ms - window_ms:
            are_all = True
        elif newest_ms <= as_of_ms:
            members += 1
        edge = edges[edge]["next_of_entity"]
    return members, are_all


@compiled
def describe(arrays: Arrays, entity: int, as_of_ms: int, seen: NDArray[np.int32], out: Any) -> None:
    """Write one `PROFILE` over a blank one; `seen` is working memory, int32[SEEN_PLACES]."""
    nodes = arrays.nodes
    out["degree"] = nodes[entity]["edges"]
    flags = DEGREE_IS_LOWER_BOUND if nodes[entity]["overflowed"] else 0
    members, are_all = members_since(arrays, entity, as_of_ms, HOUR_MS)
    out["accounts_1h"] = members
    flags |= 0 if are_all else ACCOUNTS_1H_IS_LOWER_BOUND
    members, are_all = members_since(arrays, entity, as_of_ms, DAY_MS)
    out["accounts_1d"] = members
    flags |= 0 if are_all else ACCOUNTS_1D_IS_LOWER_BOUND
    members, are_all = members_since(arrays, entity, as_of_ms, 7 * DAY_MS)
    out["accounts_7d"] = members
    flags |= 0 if are_all else ACCOUNTS_7D_IS_LOWER_BOUND
    if is_hub(nodes, entity):
        flags |= HUB
    else:
        component = np.int64(nodes[entity]["component"])
        out["component_accounts"] = nodes[component]["accounts"]
        out["component_frauds"] = nodes[component]["frauds"]
        joined, are_all = growth(arrays, component, as_of_ms)  # type: ignore[arg-type]
        out["component_joined_1d"] = joined
        flags |= 0 if are_all else JOINED_IS_LOWER_BOUND
        flags |= COMPONENT_IS_UPPER_BOUND if nodes[component]["upper_bound"] else 0
    frauds = frauds_of(arrays, entity, seen)
    out["frauds"] = frauds
    out["fraud_share"] = frauds / out["degree"]
    accounts, near_frauds, are_all = two_hops(arrays, entity, seen)
    out["two_hop_accounts"] = accounts
    out["two_hop_frauds"] = near_frauds
    out["two_hop_fraud_share"] = near_frauds / accounts
    flags |= 0 if are_all else TWO_HOPS_IS_LOWER_BOUND
    out["flags"] = flags


@compiled
def _describe_all(
    arrays: Arrays, entities: NDArray[np.int64], as_of_ms: int, seen: NDArray[np.int32], out: NDArray[Any]
) -> None:
    for row in range(len(entities)):
        if entities[row] >= 0:
            describe(arrays, entities[row], as_of_ms, seen, out[row])


def blank(length: int) -> NDArray[Any]:
    """`PROFILE`[length] of entities that the graph does not know."""
    out = np.zeros(length, dtype=PROFILE)
    out["fraud_share"] = np.nan
    out["two_hop_fraud_share"] = np.nan
    return out


def profiles(arrays: Arrays, entities: NDArray[np.int64], as_of_ms: int) -> NDArray[Any]:
    """`PROFILE`[n] of nodes int64[n] that are entities, -1 = not in the graph; changes nothing.

    Times after `as_of_ms` are outside every window. What a flag does not mark as a bound does not depend on the order
    in which links came, but for `component_joined_1d`, which does until the next rebuild (`graph_components`).
    """
    out = blank(len(entities))
    _describe_all(arrays, entities, as_of_ms, np.empty(SEEN_PLACES, dtype=np.int32), out)
    return out
