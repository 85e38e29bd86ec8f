"""Two patterns that show at an entity and at no single account: card testing, and an account used as a mule.

Sums come from tiles of ten minutes (`graph_tiles`): a window takes tiles whole. Distinct accounts are exact to the
millisecond, of the 64 most recent.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.entities import BENEFICIARY
from features.graph_nodes import find_node
from features.graph_profiles import members_since
from features.graph_state import LONG_MS, PAYER, TILE_MS, Arrays
from features.graph_tiles import first_tile, has_long_tiles, sums
from features.windows import DAY_MS, HOUR_MS, MINUTE_MS

CARD_TESTING = np.dtype(
    [
        ("accounts_10m", np.int32),  # distinct accounts
        ("accounts_1h", np.int32),
        ("attempts_10m", np.int64),  # payments, declined or not
        ("attempts_1h", np.int64),
        ("small_share_10m", np.float64),  # of the attempts; NaN where there was none
        ("small_share_1h", np.float64),
        ("declined_share_10m", np.float64),
        ("declined_share_1h", np.float64),
        ("flags", np.uint8),
    ]
)
"""What a run of stolen cards looks like at a merchant, a bin or an address: many accounts, small amounts, declines."""

ACCOUNTS_10M_IS_LOWER_BOUND = 1
ACCOUNTS_1H_IS_LOWER_BOUND = 2
ATTEMPTS_IS_LOWER_BOUND = 4
"""Tiles of the hour had to make room for later ones: only where `as_of_ms` lies before what came last."""

MULE = np.dtype(
    [
        ("payers_1h", np.int32),  # fan-in: distinct accounts that paid, or tried to
        ("payers_1d", np.int32),
        ("payers_7d", np.int32),
        ("paid_1h", np.int32),  # fan-out: distinct beneficiaries that it paid, or tried to
        ("paid_1d", np.int32),
        ("paid_7d", np.int32),
        ("in_minor_48h", np.int64),  # money in, base currency, without what was declined
        ("out_minor_48h", np.int64),  # money out to beneficiaries
        ("pass_through", np.float64),  # out / in of 48 hours; NaN where nothing came in
        ("dwell_minutes", np.float64),  # how long what went out had been there; NaN where none of it had come in
        ("flags", np.uint8),
    ]
)
"""An account as others pay it and as it pays others; what goes out is 0 unless its id is an account's too."""

FAN_IN_IS_LOWER_BOUND = 1
"""More than 64 accounts paid it in seven days."""
FAN_OUT_IS_LOWER_BOUND = 2
FLOW_IS_LOWER_BOUND = 4
"""Money moved in more than 16 tiles of 48 hours: sums are of the latest sixteen."""


@compiled
def _testing(arrays: Arrays, entity: int, as_of_ms: int, out: Any) -> None:
    members, are_all = members_since(arrays, entity, as_of_ms, 10 * MINUTE_MS)
    out["accounts_10m"] = members
    flags = 0 if are_all else ACCOUNTS_10M_IS_LOWER_BOUND
    members, are_all = members_since(arrays, entity, as_of_ms, HOUR_MS)
    out["accounts_1h"] = members
    flags |= 0 if are_all else ACCOUNTS_1H_IS_LOWER_BOUND
    row = arrays.nodes[entity]["tiles"]
    if row >= 0:
        is_long = has_long_tiles(arrays.nodes[entity]["kind"])
        tiles = arrays.long[row] if is_long else arrays.short[row]
        attempts, declined, small, _, _ = sums(tiles, as_of_ms, 10 * MINUTE_MS)
        out["attempts_10m"] = attempts
        out["small_share_10m"] = small / attempts
        out["declined_share_10m"] = declined / attempts
        attempts, declined, small, _, is_cut = sums(tiles, as_of_ms, HOUR_MS)
        out["attempts_1h"] = attempts
        out["small_share_1h"] = small / attempts
        out["declined_share_1h"] = declined / attempts
        flags |= ATTEMPTS_IS_LOWER_BOUND if is_cut else 0
    out["flags"] = flags


@compiled
def _testing_all(arrays: Arrays, entities: NDArray[np.int64], as_of_ms: int, out: NDArray[Any]) -> None:
    for row in range(len(entities)):
        if entities[row] >= 0:
            _testing(arrays, entities[row], as_of_ms, out[row])


def card_testing(arrays: Arrays, entities: NDArray[np.int64], as_of_ms: int) -> NDArray[Any]:
    """`CARD_TESTING`[n] of nodes int64[n] that are entities, -1 = not in the graph; changes nothing."""
    out = np.zeros(len(entities), dtype=CARD_TESTING)
    for name in ("small_share_10m", "small_share_1h", "declined_share_10m", "declined_share_1h"):
        out[name] = np.nan
    _testing_all(arrays, entities, as_of_ms, out)
    return out


@compiled
def dwell_minutes(money_in: Any, money_out: Any, as_of_ms: int, window_ms: int) -> float:
    """How long money stayed, in minutes, weighted by amount: what goes out is what came in first.

    Args:
        money_in: a row of `TILE`, from the latest to the oldest.
        money_out: the same of what went out.
        as_of_ms: end of the window, which takes tiles whole.
        window_ms: its length.

    Money that goes out in the tile in which it came in stayed 0 minutes; what goes out and had not come in within the
    window is left out. NaN if that is everything.
    """
    first, last = first_tile(as_of_ms, window_ms), as_of_ms // TILE_MS
    source = len(money_in) - 1
    left = np.int64(-1)  # of the tile `source`; -1 = not looked at yet
    matched = 0.0
    weighted = 0.0
    for place in range(len(money_out) - 1, -1, -1):
        going = money_out[place]["amount_minor"]
        number = np.int64(money_out[place]["number"])
        if money_out[place]["payments"] == 0 or number < first or number > last:
            continue
        while going > 0 and source >= 0:
            came = np.int64(money_in[source]["number"])
            if money_in[source]["payments"] == 0 or came < first or left == 0:
                source -= 1
                left = np.int64(-1)
                continue
            if came > number:
                break
            if left < 0:
                left = money_in[source]["amount_minor"]
            taken = min(going, left)
            matched += taken
            weighted += taken * ((number - came) * (TILE_MS / MINUTE_MS))
            going -= taken
            left -= taken
    return weighted / matched


@compiled
def describe_flow(arrays: Arrays, beneficiary: int, as_of_ms: int, out: Any) -> None:
    """Write one `MULE` over a blank one."""
    nodes = arrays.nodes
    payer = find_node(arrays.table, nodes, PAYER, nodes[beneficiary]["hash"])
    flags = 0
    out["payers_1h"] = members_since(arrays, beneficiary, as_of_ms, HOUR_MS)[0]
    out["payers_1d"] = members_since(arrays, beneficiary, as_of_ms, DAY_MS)[0]
    out["payers_7d"], are_all = members_since(arrays, beneficiary, as_of_ms, 7 * DAY_MS)
    flags |= 0 if are_all else FAN_IN_IS_LOWER_BOUND
    came = nodes[beneficiary]["tiles"]
    if came >= 0:
        _, _, _, amount_minor, is_cut = sums(arrays.long[came], as_of_ms, LONG_MS)
        out["in_minor_48h"] = amount_minor
        flags |= FLOW_IS_LOWER_BOUND if is_cut else 0
    if payer >= 0:
        out["paid_1h"] = members_since(arrays, payer, as_of_ms, HOUR_MS)[0]
        out["paid_1d"] = members_since(arrays, payer, as_of_ms, DAY_MS)[0]
        out["paid_7d"], are_all = members_since(arrays, payer, as_of_ms, 7 * DAY_MS)
        flags |= 0 if are_all else FAN_OUT_IS_LOWER_BOUND
        went = nodes[payer]["tiles"]
        if went >= 0:
            _, _, _, amount_minor, is_cut = sums(arrays.long[went], as_of_ms, LONG_MS)
            out["out_minor_48h"] = amount_minor
            flags |= FLOW_IS_LOWER_BOUND if is_cut else 0
            if came >= 0:
                out["dwell_minutes"] = dwell_minutes(arrays.long[came], arrays.long[went], as_of_ms, LONG_MS)
    if out["in_minor_48h"] > 0:
        out["pass_through"] = out["out_minor_48h"] / out["in_minor_48h"]
    out["flags"] = flags


@compiled
def _flow_all(arrays: Arrays, entities: NDArray[np.int64], as_of_ms: int, out: NDArray[Any]) -> None:
    for row in range(len(entities)):
        if entities[row] >= 0 and arrays.nodes[entities[row]]["kind"] == BENEFICIARY:
            describe_flow(arrays, entities[row], as_of_ms, out[row])


def no_flow(length: int) -> NDArray[Any]:
    """`MULE`[length] of what is no beneficiary."""
    out = np.zeros(length, dtype=MULE)
    out["pass_through"] = np.nan
    out["dwell_minutes"] = np.nan
    return out


def mules(arrays: Arrays, entities: NDArray[np.int64], as_of_ms: int) -> NDArray[Any]:
    """`MULE`[n] of nodes int64[n], -1 = not in the graph; of what is no beneficiary 0 and NaN. Changes nothing.

    Source of the ratio and of 48 hours: red flags for mule accounts published by FinCEN.
    """
    out = no_flow(len(entities))
    _flow_all(arrays, entities, as_of_ms, out)
    return out
