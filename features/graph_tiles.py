"""What was paid through an entity lately, in tiles of ten minutes that begin at multiples of ten minutes since 1970.

A row of tiles holds the latest in which anything was paid, from the latest to the oldest. Which tiles remain, and what
is in them, does not depend on the order in which links come: a tile that has to go is older than all that stay, then
and later.

A window whose far edge cuts a tile takes the whole tile: it may count up to ten minutes too much and never too little.
"""

from typing import Any

import numpy as np

from features.compiled import compiled
from features.entities import BENEFICIARY
from features.graph_links import LARGEST_SUM
from features.graph_state import ACCOUNT, LONG, SHORT, TILE_MS, Arrays

_LARGEST_COUNT = 2**31 - 1


@compiled
def has_long_tiles(kind: int) -> bool:
    """Whether a kind of node has rows of `LONG_TILES`: beneficiaries and payers."""
    return kind == BENEFICIARY or kind > ACCOUNT


@compiled
def _add(tiles: Any, link: Any) -> None:
    """Add a link's payments to a row of tiles."""
    number = link["time_ms"] // TILE_MS
    place = 0
    while tiles[place]["payments"] != 0 and tiles[place]["number"] > number:
        place += 1
        if place == len(tiles):
            return
    tile = tiles[place]
    if tile["payments"] == 0 or tile["number"] != number:
        for later in range(len(tiles) - 1, place, -1):
            tiles[later] = tiles[later - 1]
        tile["number"] = number
        tile["payments"] = 0
        tile["declined"] = 0
        tile["small"] = 0
        tile["amount_minor"] = 0
    tile["payments"] = min(np.int64(tile["payments"]) + link["payments"], _LARGEST_COUNT)
    tile["declined"] = min(np.int64(tile["declined"]) + link["declined"], _LARGEST_COUNT)
    tile["small"] = min(np.int64(tile["small"]) + link["small"], _LARGEST_COUNT)
    tile["amount_minor"] = min(tile["amount_minor"] + link["amount_minor"], LARGEST_SUM)


@compiled
def add_to_tiles(arrays: Arrays, node: int, link: Any) -> None:
    """Add a link with payments to the tiles of a node; there is room for a row of tiles."""
    nodes = arrays.nodes
    is_long = has_long_tiles(nodes[node]["kind"])
    if nodes[node]["tiles"] < 0:
        pool = LONG if is_long else SHORT
        nodes[node]["tiles"] = arrays.counts[pool]
        arrays.counts[pool] += 1
    if is_long:
        _add(arrays.long[nodes[node]["tiles"]], link)
    else:
        _add(arrays.short[nodes[node]["tiles"]], link)


@compiled
def first_tile(as_of_ms: int, window_ms: int) -> int:
    """Number of the tile that holds the oldest millisecond of the window (as_of_ms - window_ms, as_of_ms]."""
    return (as_of_ms - window_ms + 1) // TILE_MS


@compiled
def sums(tiles: Any, as_of_ms: int, window_ms: int) -> tuple[int, int, int, int, bool]:
    """Payments, declined, small and amount_minor of a window, and whether older tiles of it may have had to go."""
    first, last = first_tile(as_of_ms, window_ms), as_of_ms // TILE_MS
    payments = declined = small = np.int64(0)
    amount_minor: Any = np.int64(0)
    for place in range(len(tiles)):
        tile = tiles[place]
        if tile["payments"] != 0 and first <= tile["number"] <= last:
            payments += tile["payments"]
            declined += tile["declined"]
            small += tile["small"]
            amount_minor = min(amount_minor + tile["amount_minor"], LARGEST_SUM)
    oldest = tiles[len(tiles) - 1]
    is_cut = bool(oldest["payments"] != 0 and oldest["number"] > first)
    return payments, declined, small, amount_minor, is_cut  # type: ignore[return-value]
