"""One walk over an account's history, newest to oldest, that measures everything about one event.

Windows are nested, so the walk keeps running totals and copies them into a window's measures when the age of the next
event leaves that window: every window is exact and the whole set costs one pass. What was folded away is merged after
the walk. `tests/naive.py` gives the same answers the obvious way.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features import measures as m
from features.columns import APPLICATION, DECLINED, FAILED, LOGIN, PAYMENT, PROFILE_CHANGE
from features.compiled import compiled
from features.folded import (
    ENTITIES,
    HOURLY_TILES,
    NEVER_MS,
    SET_SIZE,
    TILES,
    Folded,
    add_to_moments,
    entity_of,
    merge_moments,
)
from features.utc_offsets import NO_OFFSET, UTC_OFFSET_MINUTES
from features.windows import DAY_MS, HOUR_MS, LONGEST_WINDOW_MS, WINDOW_LENGTHS_MS

EARTH_RADIUS_KM = 6371.0088
_LENGTHS_MS = np.array(WINDOW_LENGTHS_MS, dtype=np.int64)
_N_WINDOWS = m.N_WINDOWS
_TABLE_SIZE = 1024
_TABLE_MASK = np.uint64(_TABLE_SIZE - 1)
_DEVICE = 1


class Scratch(NamedTuple):
    """Working memory of the walk, allocated once per batch: one hash table of seen entities per sort."""

    keys: NDArray[np.uint64]
    """uint64[ENTITIES, 1024]"""
    stamps: NDArray[np.int64]
    """int64[ENTITIES, 1024]: the walk that wrote the place; another number means free."""
    walk: NDArray[np.int64]
    """int64[1]: number of the current walk."""
    latest_ms: NDArray[np.int64]
    """int64[ENTITIES, 1024]: latest time of the entity in the same place of its table."""
    device_ms: NDArray[np.int64]
    """int64[1024]: earliest time of the device in the same place of its table."""
    device_places: NDArray[np.int64]
    """int64[1024]: places of the devices seen in this walk."""
    mean: NDArray[np.float64]
    """float64[windows]: running mean when the window was left."""
    squares: NDArray[np.float64]
    """float64[windows]: the same for the sum of squared distances from the mean."""


@compiled
def new_scratch() -> Scratch:
    """Fresh working memory."""
    return Scratch(
        np.zeros((ENTITIES, _TABLE_SIZE), dtype=np.uint64),
        np.zeros((ENTITIES, _TABLE_SIZE), dtype=np.int64),
        np.zeros(1, dtype=np.int64),
        np.zeros((ENTITIES, _TABLE_SIZE), dtype=np.int64),
        np.zeros(_TABLE_SIZE, dtype=np.int64),
        np.zeros(_TABLE_SIZE, dtype=np.int64),
        np.zeros(_N_WINDOWS, dtype=np.float64),
        np.zeros(_N_WINDOWS, dtype=np.float64),
    )


@compiled
def count_until(history: Any, count: int, time_ms: int) -> int:
    """How many of the first `count` records, sorted by time, have a time <= `time_ms`."""
    low, high = 0, count
    if count > 0 and history[count - 1]["time_ms"] <= time_ms:
        return count
    while low < high:
        middle = (low + high) // 2
        if history[middle]["time_ms"] <= time_ms:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _place(scratch: Scratch, entity: int, key: Any) -> int:
    """Where `key` is in the table of its sort, or -1 - (where it would be put)."""
    keys = scratch.keys[entity]
    stamps = scratch.stamps[entity]
    walk = scratch.walk[0]
    place = int(np.int64(key & _TABLE_MASK))  # unsigned + 1 would become a float
    while stamps[place] == walk:
        if keys[place] == key:
            return place
        place = (place + 1) & (_TABLE_SIZE - 1)
    return -1 - place


@compiled
def _distance_km(from_latitude: float, from_longitude: float, to_latitude: float, to_longitude: float) -> float:
    """Great-circle distance by the haversine formula, degrees in."""
    radians = math.pi / 180.0
    half_latitude = math.sin((to_latitude - from_latitude) * radians / 2.0)
    half_longitude = math.sin((to_longitude - from_longitude) * radians / 2.0)
    chord = half_latitude * half_latitude + (
        math.cos(from_latitude * radians) * math.cos(to_latitude * radians) * half_longitude * half_longitude
    )
    return 2.0 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, chord)))


@compiled
def _measure_event(out: NDArray[np.float64], event: Any) -> None:
    """What the event says by itself."""
    kind = event["kind"]
    amount = event["amount_minor"]
    has_amount = kind == PAYMENT or (kind == APPLICATION and amount > 0)
    out[m.AMOUNT] = float(amount) if has_amount else np.nan
    out[m.IS_PAYMENT] = 1.0 if kind == PAYMENT else 0.0
    out[m.IS_LOGIN] = 1.0 if kind == LOGIN else 0.0
    out[m.IS_APPLICATION] = 1.0 if kind == APPLICATION else 0.0
    method = event["context"] & 15
    channel = event["context"] >> 4
    out[m.METHOD] = float(method) if method > 0 else np.nan
    out[m.CHANNEL] = float(channel) if channel > 0 else np.nan
    minutes = np.int64(UTC_OFFSET_MINUTES[event["country"]])
    if not np.isnan(event["longitude"]):
        minutes = np.int64(np.rint(np.float64(event["longitude"]) / 15.0)) * 60
    if minutes == NO_OFFSET:
        out[m.LOCAL_HOUR] = np.nan
        out[m.LOCAL_WEEKDAY] = np.nan
    else:
        local_ms = event["time_ms"] + minutes * 60_000
        out[m.LOCAL_HOUR] = float(local_ms // HOUR_MS % 24)
        out[m.LOCAL_WEEKDAY] = float((local_ms // DAY_MS + 3) % 7)  # 1970-01-01 was a Thursday


@compiled
def _merge_folded(out: NDArray[np.float64], scratch: Scratch, folded: Folded, index: int, time_ms: int) -> None:
    """Add what was folded away to the measures per window."""
    tiles = folded.tiles[index]
    for window in range(_N_WINDOWS):
        begin_ms = time_ms - _LENGTHS_MS[window]
        if folded.summaries[index]["until_ms"] <= begin_ms:
            continue
        for place in range(TILES):
            tile = tiles[place]
            start_ms = tile["start_ms"]
            length_ms = HOUR_MS if place < HOURLY_TILES else DAY_MS
            if start_ms == NEVER_MS or start_ms > time_ms or start_ms + length_ms <= begin_ms + 1:
                continue
            payments = tile["payments"]
            if payments > 0:
                count = int(out[m.COUNT * _N_WINDOWS + window])
                scratch.mean[window], scratch.squares[window] = merge_moments(
                    count, scratch.mean[window], scratch.squares[window], payments, tile["mean"], tile["squares"]
                )
                low = out[m.MIN * _N_WINDOWS + window]
                high = out[m.MAX * _N_WINDOWS + window]
                out[m.MIN * _N_WINDOWS + window] = tile["min_minor"] if count == 0 else min(low, tile["min_minor"])
                out[m.MAX * _N_WINDOWS + window] = tile["max_minor"] if count == 0 else max(high, tile["max_minor"])
            out[m.COUNT * _N_WINDOWS + window] += payments
            out[m.SUM * _N_WINDOWS + window] += tile["sum_minor"]
            out[m.DECLINES * _N_WINDOWS + window] += tile["declines"]
            out[m.LOGINS * _N_WINDOWS + window] += tile["logins"]
            out[m.FAILED_LOGINS * _N_WINDOWS + window] += tile["failed_logins"]
            out[m.PROFILE_CHANGES * _N_WINDOWS + window] += tile["profile_changes"]
        for entity in range(ENTITIES):
            for place in range(SET_SIZE):
                key = folded.keys[index, entity, place]
                if key == 0:
                    break
                if folded.last_ms[index, entity, place] <= begin_ms or folded.first_ms[index, entity, place] > time_ms:
                    continue
                # the exact history may hold it too: counted already if it was seen inside this window
                seen = _place(scratch, entity, key)
                if seen < 0 or scratch.latest_ms[entity, seen] <= begin_ms:
                    out[(m.MERCHANTS + entity) * _N_WINDOWS + window] += 1.0


@compiled
def measure(
    out: NDArray[np.float64], scratch: Scratch, event: Any, history: Any, count: int, folded: Folded, index: int
) -> bool:
    """Measure `event` against the past of its account.

    Args:
        out: float64[N_MEASURES], overwritten.
        scratch: working memory.
        event: one `EVENT` record; only records of a lower offset and a time <= its own count.
        history: `EVENT` records sorted by time, then arrival.
        count: how many of them are in use.
        folded: summaries; read at `index`.
        index: the account's summary, -1 if nothing was folded.

    Returns:
        True if some window reaches into what was folded away, so that the answer is approximate.
    """
    scratch.walk[0] += 1
    walk = scratch.walk[0]
    time_ms = event["time_ms"]
    before = event["offset"]
    _measure_event(out, event)

    payments = 0
    total_minor = np.int64(0)
    mean = 0.0
    squares = 0.0
    low = np.nan
    high = np.nan
    declines = 0
    logins = 0
    failed_logins = 0
    profile_changes = 0
    distinct = np.zeros(ENTITIES, dtype=np.int64)
    events = 0
    first_ms = np.int64(NEVER_MS)
    payment_ms = np.int64(NEVER_MS)
    login_ms = np.int64(NEVER_MS)
    failed_login_ms = np.int64(NEVER_MS)
    profile_change_ms = np.int64(NEVER_MS)
    position_ms = np.int64(NEVER_MS)
    latitude = np.float32(np.nan)
    longitude = np.float32(np.nan)
    devices = 0

    position = count_until(history, count, time_ms) - 1
    window = 0
    while True:
        # the next event of the past, if any; leaving a window happens before it is counted
        while position >= 0 and history[position]["offset"] >= before:
            position -= 1
        age_ms = time_ms - history[position]["time_ms"] if position >= 0 else np.int64(np.iinfo(np.int64).max)
        while window < _N_WINDOWS and age_ms >= _LENGTHS_MS[window]:
            out[m.COUNT * _N_WINDOWS + window] = payments
            out[m.SUM * _N_WINDOWS + window] = total_minor
            out[m.MIN * _N_WINDOWS + window] = low
            out[m.MAX * _N_WINDOWS + window] = high
            scratch.mean[window] = mean
            scratch.squares[window] = squares
            out[m.DECLINES * _N_WINDOWS + window] = declines
            out[m.LOGINS * _N_WINDOWS + window] = logins
            out[m.FAILED_LOGINS * _N_WINDOWS + window] = failed_logins
            out[m.PROFILE_CHANGES * _N_WINDOWS + window] = profile_changes
            for entity in range(ENTITIES):
                out[(m.MERCHANTS + entity) * _N_WINDOWS + window] = distinct[entity]
            window += 1
        if position < 0:
            break
        past = history[position]
        past_ms = past["time_ms"]
        position -= 1
        events += 1
        first_ms = past_ms
        kind = past["kind"]
        if kind == PAYMENT:
            amount = past["amount_minor"]
            if payments == 0:
                payment_ms = past_ms
                low = float(amount)
                high = float(amount)
            payments += 1
            total_minor += amount
            mean, squares = add_to_moments(payments, mean, squares, float(amount))
            low = min(low, float(amount))
            high = max(high, float(amount))
            if past["marks"] & DECLINED:
                declines += 1
        elif kind == LOGIN:
            if logins == 0:
                login_ms = past_ms
            logins += 1
            if past["marks"] & FAILED:
                if failed_logins == 0:
                    failed_login_ms = past_ms
                failed_logins += 1
        elif kind == PROFILE_CHANGE:
            if profile_changes == 0:
                profile_change_ms = past_ms
            profile_changes += 1
        if position_ms == NEVER_MS and not (np.isnan(past["latitude"]) or np.isnan(past["longitude"])):
            position_ms = past_ms
            latitude = past["latitude"]
            longitude = past["longitude"]
        for entity in range(ENTITIES):
            key = np.uint64(entity_of(past, entity))
            if key == 0:
                continue
            place = _place(scratch, entity, key)
            if place < 0:
                place = -1 - place
                scratch.keys[entity, place] = key
                scratch.stamps[entity, place] = walk
                scratch.latest_ms[entity, place] = past_ms
                distinct[entity] += 1
                if entity == _DEVICE:
                    scratch.device_places[devices] = place
                    devices += 1
            if entity == _DEVICE:
                scratch.device_ms[place] = past_ms  # the walk goes back in time: ends at the earliest

    lifetime_payments = payments
    lifetime_mean = mean
    lifetime_squares = squares
    approximate = False
    new_device_ms = np.int64(NEVER_MS)
    if index >= 0:
        summary = folded.summaries[index]
        approximate = time_ms - LONGEST_WINDOW_MS < summary["until_ms"] or summary["last_offset"] >= before
        _merge_folded(out, scratch, folded, index, time_ms)
        lifetime_mean, lifetime_squares = merge_moments(
            payments, mean, squares, summary["payments"], summary["mean"], summary["squares"]
        )
        lifetime_payments += summary["payments"]
        events += summary["events"]
        if summary["first_ms"] <= time_ms and (first_ms == NEVER_MS or summary["first_ms"] < first_ms):
            first_ms = summary["first_ms"]
        if summary["payment_ms"] <= time_ms:
            payment_ms = max(payment_ms, summary["payment_ms"])
        if summary["login_ms"] <= time_ms:
            login_ms = max(login_ms, summary["login_ms"])
        if summary["failed_login_ms"] <= time_ms:
            failed_login_ms = max(failed_login_ms, summary["failed_login_ms"])
        if summary["profile_change_ms"] <= time_ms:
            profile_change_ms = max(profile_change_ms, summary["profile_change_ms"])
        if position_ms < summary["position_ms"] <= time_ms:
            position_ms = summary["position_ms"]
            latitude = summary["latitude"]
            longitude = summary["longitude"]
        for place in range(SET_SIZE):
            key = folded.keys[index, _DEVICE, place]
            if key == 0:
                break
            introduced_ms = folded.first_ms[index, _DEVICE, place]
            seen = _place(scratch, _DEVICE, key)
            if seen >= 0:
                scratch.device_ms[seen] = min(scratch.device_ms[seen], introduced_ms)
            elif introduced_ms <= time_ms:
                new_device_ms = max(new_device_ms, introduced_ms)
        if folded.evicted[index, _DEVICE]:
            approximate = True  # a device that was forgotten may have been introduced earlier than it seems
    for device in range(devices):
        new_device_ms = max(new_device_ms, scratch.device_ms[scratch.device_places[device]])

    for window in range(_N_WINDOWS):
        in_window = out[m.COUNT * _N_WINDOWS + window]
        out[m.MEAN * _N_WINDOWS + window] = out[m.SUM * _N_WINDOWS + window] / in_window if in_window > 0 else np.nan
        out[m.STD * _N_WINDOWS + window] = (
            math.sqrt(scratch.squares[window] / (in_window - 1)) if in_window > 1 else np.nan
        )
    out[m.LIFETIME_COUNT] = lifetime_payments
    out[m.LIFETIME_MEAN] = lifetime_mean if lifetime_payments > 0 else np.nan
    out[m.LIFETIME_STD] = math.sqrt(lifetime_squares / (lifetime_payments - 1)) if lifetime_payments > 1 else np.nan
    out[m.LIFETIME_EVENTS] = events
    out[m.SINCE_FIRST] = (time_ms - first_ms) / 1000.0 if first_ms != NEVER_MS else np.nan
    out[m.SINCE_PAYMENT] = (time_ms - payment_ms) / 1000.0 if payment_ms != NEVER_MS else np.nan
    out[m.SINCE_LOGIN] = (time_ms - login_ms) / 1000.0 if login_ms != NEVER_MS else np.nan
    out[m.SINCE_FAILED_LOGIN] = (time_ms - failed_login_ms) / 1000.0 if failed_login_ms != NEVER_MS else np.nan
    out[m.SINCE_PROFILE_CHANGE] = (time_ms - profile_change_ms) / 1000.0 if profile_change_ms != NEVER_MS else np.nan
    out[m.SINCE_NEW_DEVICE] = (time_ms - new_device_ms) / 1000.0 if new_device_ms != NEVER_MS else np.nan
    for entity in range(ENTITIES):
        key = np.uint64(entity_of(event, entity))
        novelty = np.nan
        if key != 0:
            novelty = 1.0
            if _place(scratch, entity, key) >= 0:
                novelty = 0.0
            elif index >= 0:
                for place in range(SET_SIZE):
                    if folded.keys[index, entity, place] == key and folded.first_ms[index, entity, place] <= time_ms:
                        novelty = 0.0
                        break
                if novelty == 1.0 and folded.evicted[index, entity]:
                    approximate = True
        out[m.NEW_MERCHANT + entity] = novelty
    out[m.DISTANCE_KM] = np.nan
    out[m.SPEED_KMH] = np.nan
    if position_ms != NEVER_MS and not (np.isnan(event["latitude"]) or np.isnan(event["longitude"])):
        distance_km = _distance_km(
            float(latitude), float(longitude), float(event["latitude"]), float(event["longitude"])
        )
        out[m.DISTANCE_KM] = distance_km
        out[m.SPEED_KMH] = distance_km / max((time_ms - position_ms) / 1000.0, 1.0) * 3600.0
    return approximate
