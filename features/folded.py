"""What remains of events that no longer fit an account's exact history.

An account keeps its most recent events exactly. When there is no room the oldest are folded into this summary: hourly
tiles (the last 72 hours that hold folded events), daily tiles (92 days), lifetime sums, the last time of each kind and
small sets of the entities seen. Everything in it is a mergeable aggregate, so a feature is always
"summary of the folded past" merged with "walk over the exact history".

A window whose far edge cuts a tile takes the whole tile: it may count up to one tile too much and never too little.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.columns import DECLINED, FAILED, LOGIN, PAYMENT, PROFILE_CHANGE
from features.compiled import compiled
from features.windows import DAY_MS, HOUR_MS

HOURLY_TILES = 72
DAILY_TILES = 92
TILES = HOURLY_TILES + DAILY_TILES
ENTITIES = 5
"""Merchant, device, ip, country, beneficiary: in this order in every set."""
SET_SIZE = 32
"""Entities of one sort that a summary remembers; the one seen longest ago makes room and `evicted` says so."""
NEVER_MS = np.iinfo(np.int64).min
LARGEST_SUM = 2**62

TILE = np.dtype(
    [
        ("start_ms", np.int64),  # NEVER_MS = free
        ("sum_minor", np.int64),
        ("min_minor", np.int64),
        ("max_minor", np.int64),
        ("mean", np.float64),
        ("squares", np.float64),  # sum of squared distances from the mean
        ("payments", np.int32),
        ("declines", np.int32),
        ("logins", np.int32),
        ("failed_logins", np.int32),
        ("profile_changes", np.int32),
        ("reserved", np.int32),
    ]
)

SUMMARY = np.dtype(
    [
        ("until_ms", np.int64),  # time of the newest folded event
        ("first_ms", np.int64),
        ("last_offset", np.int64),  # offset of the event whose arrival caused the latest folding
        ("events", np.int64),
        ("payments", np.int64),
        ("mean", np.float64),
        ("squares", np.float64),
        ("payment_ms", np.int64),
        ("login_ms", np.int64),
        ("failed_login_ms", np.int64),
        ("profile_change_ms", np.int64),
        ("position_ms", np.int64),
        ("latitude", np.float32),
        ("longitude", np.float32),
    ]
)


class Folded(NamedTuple):
    """Summaries of many accounts as arrays; the first axis is the summary's index."""

    summaries: NDArray[Any]
    """`SUMMARY`[n]"""
    evicted: NDArray[Any]
    """uint8[n, ENTITIES]: 1 where an entity had to make room."""
    keys: NDArray[Any]
    """uint64[n, ENTITIES, SET_SIZE]: entity hashes, 0 = free."""
    first_ms: NDArray[Any]
    """int64[n, ENTITIES, SET_SIZE]"""
    last_ms: NDArray[Any]
    """int64[n, ENTITIES, SET_SIZE]"""
    tiles: NDArray[Any]
    """`TILE`[n, TILES]: hourly tiles, then daily tiles, each a ring over its period number."""


def empty_folded(length: int) -> Folded:
    """`length` summaries of nothing."""
    summaries = np.zeros(length, dtype=SUMMARY)
    for name in ("until_ms", "payment_ms", "login_ms", "failed_login_ms", "profile_change_ms", "position_ms"):
        summaries[name] = NEVER_MS
    summaries["first_ms"] = np.iinfo(np.int64).max
    summaries["last_offset"] = -1
    tiles = np.zeros((length, TILES), dtype=TILE)
    tiles["start_ms"] = NEVER_MS
    return Folded(
        summaries=summaries,
        evicted=np.zeros((length, ENTITIES), dtype=np.uint8),
        keys=np.zeros((length, ENTITIES, SET_SIZE), dtype=np.uint64),
        first_ms=np.zeros((length, ENTITIES, SET_SIZE), dtype=np.int64),
        last_ms=np.zeros((length, ENTITIES, SET_SIZE), dtype=np.int64),
        tiles=tiles,
    )


@compiled
def add_to_moments(count: int, mean: float, squares: float, value: float) -> tuple[float, float]:
    """Welford's update: mean and squares after `value` became the count-th value."""
    delta = value - mean
    mean += delta / count
    return mean, squares + delta * (value - mean)


@compiled
def merge_moments(
    count: int, mean: float, squares: float, other_count: int, other_mean: float, other_squares: float
) -> tuple[float, float]:
    """Mean and squares of two groups taken together (Chan, Golub, LeVeque 1979)."""
    if other_count == 0:
        return mean, squares
    if count == 0:
        return other_mean, other_squares
    total = count + other_count
    delta = other_mean - mean
    return mean + delta * other_count / total, squares + other_squares + delta * delta * count * other_count / total


@compiled
def _merge_tile(into: Any, tile: Any) -> None:
    into["mean"], into["squares"] = merge_moments(
        into["payments"], into["mean"], into["squares"], tile["payments"], tile["mean"], tile["squares"]
    )
    if tile["payments"] > 0:
        if into["payments"] == 0:
            into["min_minor"] = tile["min_minor"]
            into["max_minor"] = tile["max_minor"]
        else:
            into["min_minor"] = min(into["min_minor"], tile["min_minor"])
            into["max_minor"] = max(into["max_minor"], tile["max_minor"])
    into["sum_minor"] = min(into["sum_minor"] + tile["sum_minor"], LARGEST_SUM)
    into["payments"] += tile["payments"]
    into["declines"] += tile["declines"]
    into["logins"] += tile["logins"]
    into["failed_logins"] += tile["failed_logins"]
    into["profile_changes"] += tile["profile_changes"]


@compiled
def _clear_tile(tile: Any, start_ms: int) -> None:
    tile["start_ms"] = start_ms
    tile["sum_minor"] = 0
    tile["min_minor"] = 0
    tile["max_minor"] = 0
    tile["mean"] = 0.0
    tile["squares"] = 0.0
    tile["payments"] = 0
    tile["declines"] = 0
    tile["logins"] = 0
    tile["failed_logins"] = 0
    tile["profile_changes"] = 0


@compiled
def _daily_place(tiles: Any, start_ms: int) -> int:
    """Index of the daily tile for the day at `start_ms`, freed if it held an older day; -1 if it holds a newer one."""
    place = HOURLY_TILES + (start_ms // DAY_MS) % DAILY_TILES
    held_ms = tiles[place]["start_ms"]
    if held_ms > start_ms:
        return -1
    if held_ms < start_ms:
        _clear_tile(tiles[place], start_ms)
    return place


@compiled
def _tile_place(tiles: Any, time_ms: int) -> int:
    """Index of the tile that takes an event at `time_ms`; an older hour in its place moves to its day first."""
    start_ms = time_ms // HOUR_MS * HOUR_MS
    place = (start_ms // HOUR_MS) % HOURLY_TILES
    held_ms = tiles[place]["start_ms"]
    if held_ms > start_ms:  # this hour has left the hourly ring
        return _daily_place(tiles, time_ms // DAY_MS * DAY_MS)
    if held_ms < start_ms:
        if held_ms != NEVER_MS:
            day = _daily_place(tiles, held_ms // DAY_MS * DAY_MS)
            if day >= 0:
                _merge_tile(tiles[day], tiles[place])
        _clear_tile(tiles[place], start_ms)
    return place


@compiled
def _fold_into_tile(tiles: Any, event: Any) -> None:
    place = _tile_place(tiles, event["time_ms"])
    if place < 0:
        return  # older than every daily tile: beyond the longest window
    tile = tiles[place]
    kind = event["kind"]
    if kind == PAYMENT:
        amount = event["amount_minor"]
        tile["payments"] += 1
        tile["declines"] += 1 if event["marks"] & DECLINED else 0
        tile["sum_minor"] = min(tile["sum_minor"] + amount, LARGEST_SUM)
        tile["mean"], tile["squares"] = add_to_moments(tile["payments"], tile["mean"], tile["squares"], float(amount))
        if tile["payments"] == 1:
            tile["min_minor"] = amount
            tile["max_minor"] = amount
        else:
            tile["min_minor"] = min(tile["min_minor"], amount)
            tile["max_minor"] = max(tile["max_minor"], amount)
    elif kind == LOGIN:
        tile["logins"] += 1
        tile["failed_logins"] += 1 if event["marks"] & FAILED else 0
    elif kind == PROFILE_CHANGE:
        tile["profile_changes"] += 1


@compiled
def entity_of(event: Any, entity: int) -> Any:
    """Hash of the event's merchant (0), device (1), ip (2), country (3) or beneficiary (4); 0 = absent."""
    if entity == 0:
        return event["merchant"]
    if entity == 1:
        return event["device"]
    if entity == 2:
        return event["ip"]
    if entity == 3:
        return np.uint64(event["country"])
    return event["beneficiary"]


@compiled
def _remember(folded: Folded, index: int, entity: int, key: Any, time_ms: int) -> None:
    keys = folded.keys[index, entity]
    first_ms = folded.first_ms[index, entity]
    last_ms = folded.last_ms[index, entity]
    place = 0
    for candidate in range(SET_SIZE):
        if keys[candidate] == key:
            first_ms[candidate] = min(first_ms[candidate], time_ms)
            last_ms[candidate] = max(last_ms[candidate], time_ms)
            return
        if keys[candidate] == 0:
            place = candidate
            break
        if last_ms[candidate] < last_ms[place]:
            place = candidate
    if keys[place] != 0:
        folded.evicted[index, entity] = 1
    keys[place] = key
    first_ms[place] = time_ms
    last_ms[place] = time_ms


@compiled
def fold_event(folded: Folded, index: int, event: Any, cause_offset: int) -> None:
    """Add one event to summary `index`; `cause_offset` is the offset of the event that needed its place."""
    summary = folded.summaries[index]
    time_ms = event["time_ms"]
    summary["until_ms"] = max(summary["until_ms"], time_ms)
    summary["first_ms"] = min(summary["first_ms"], time_ms)
    summary["last_offset"] = cause_offset
    summary["events"] += 1
    kind = event["kind"]
    if kind == PAYMENT:
        summary["payments"] += 1
        summary["mean"], summary["squares"] = add_to_moments(
            summary["payments"], summary["mean"], summary["squares"], float(event["amount_minor"])
        )
        summary["payment_ms"] = max(summary["payment_ms"], time_ms)
    elif kind == LOGIN:
        summary["login_ms"] = max(summary["login_ms"], time_ms)
        if event["marks"] & FAILED:
            summary["failed_login_ms"] = max(summary["failed_login_ms"], time_ms)
    elif kind == PROFILE_CHANGE:
        summary["profile_change_ms"] = max(summary["profile_change_ms"], time_ms)
    has_position = not (np.isnan(event["latitude"]) or np.isnan(event["longitude"]))
    if has_position and time_ms >= summary["position_ms"]:
        summary["position_ms"] = time_ms
        summary["latitude"] = event["latitude"]
        summary["longitude"] = event["longitude"]
    for entity in range(ENTITIES):
        key = entity_of(event, entity)
        if key != 0:
            _remember(folded, index, entity, key, time_ms)
    _fold_into_tile(folded.tiles[index], event)
