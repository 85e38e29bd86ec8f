"""Adds what was folded away to the windows that reach into it: hourly and daily tiles, and sets of entities."""

from typing import Any

import numpy as np

from features import measures as m
from features.compiled import compiled
from features.folded import ENTITIES, HOURLY_TILES, NEVER_MS, SET_SIZE, TILES, Folded, merge_moments
from features.packed_counts import COUNT_BITS
from features.scratch import ROOM
from features.seen import place_of
from features.windows import DAY_MS, HOUR_MS, LONGEST_WINDOW_MS, WINDOW_LENGTHS_MS

_LENGTHS_MS = np.array(WINDOW_LENGTHS_MS, dtype=np.int64)
_ONE = np.uint64(1)


@compiled
def forget_folded(scratch: Any) -> None:
    """Nothing was folded away."""
    counts = scratch["folded"]
    for entity in range(ENTITIES):
        counts[entity] = 0


@compiled
def recall_folded(scratch: Any, folded: Folded, index: int, time_ms: int) -> None:
    """Copy the entities of summary `index` that were first seen no later than `time_ms`."""
    keys = scratch["folded_keys"]
    first_ms = scratch["folded_first_ms"]
    last_ms = scratch["folded_last_ms"]
    counts = scratch["folded"]
    for entity in range(ENTITIES):
        count = np.uint64(0)
        for place in range(SET_SIZE):
            if folded.keys[index, entity, place] == 0:
                break
            keys[entity, count] = folded.keys[index, entity, place]
            first_ms[entity, count] = folded.first_ms[index, entity, place]
            last_ms[entity, count] = folded.last_ms[index, entity, place]
            count += np.uint64(folded.first_ms[index, entity, place] <= time_ms)
        counts[entity] = count


@compiled
def add_folded_entities(scratch: Any, time_ms: int) -> None:
    """Count in each window the entities that only folded events brought into it; the walk has counted the others."""
    distinct = scratch["distinct"]
    held = scratch["held"]
    newest_ms = scratch["newest_ms"]
    mask = scratch["mask"]
    keys = scratch["folded_keys"]
    last_ms = scratch["folded_last_ms"]
    for entity in range(ENTITIES):
        one = _ONE << np.uint64(entity * COUNT_BITS)
        for folded in range(scratch["folded"][entity]):
            key = keys[entity, folded]
            place = place_of(held, mask, entity, key)
            met_ms = newest_ms[entity, place] if held[entity, place] == key else NEVER_MS
            for window in range(m.N_WINDOWS - 1, -1, -1):
                begin_ms = time_ms - _LENGTHS_MS[window]
                if last_ms[entity, folded] <= begin_ms:
                    break  # nor is it in any shorter window
                if met_ms <= begin_ms:
                    distinct[window] += one


@compiled
def add_tiles(scratch: Any, folded: Folded, index: int, time_ms: int) -> None:
    """Add the tiles of summary `index` to every window (begin, time_ms] that they overlap, each tile as a whole."""
    tiles = folded.tiles
    places = scratch["tiles"]
    end_ms = scratch["tile_end_ms"]
    overlapping = np.uint64(0)
    for place in range(TILES):
        start_ms = tiles[index, place]["start_ms"]
        places[overlapping] = place
        end_ms[overlapping] = start_ms + (HOUR_MS if place < HOURLY_TILES else DAY_MS)
        is_over = (start_ms != NEVER_MS) & (start_ms <= time_ms)
        overlapping += np.uint64(is_over & (end_ms[overlapping] > time_ms - LONGEST_WINDOW_MS + 1))
    for window in range(m.N_WINDOWS):
        begin_ms = time_ms - _LENGTHS_MS[window]
        if folded.summaries[index]["until_ms"] > begin_ms:
            _add_to_window(scratch, tiles, index, window, overlapping, begin_ms)


@compiled
def _add_to_window(scratch: Any, tiles: Any, index: int, window: int, overlapping: Any, begin_ms: int) -> None:
    """Add those of the noted tiles that end after `begin_ms`, in their order: it decides the last bits of a mean."""
    measures = scratch["measures"]
    places = scratch["tiles"]
    end_ms = scratch["tile_end_ms"]
    payments = int(measures[m.COUNT * ROOM + window])
    total = measures[m.SUM * ROOM + window]
    low = measures[m.MIN * ROOM + window]
    high = measures[m.MAX * ROOM + window]
    mean = scratch["mean"][window]
    squares = scratch["squares"][window]
    declines, logins, failed_logins, profile_changes = 0, 0, 0, 0
    for over in range(overlapping):
        if end_ms[over] <= begin_ms + 1:
            continue
        tile = tiles[index, places[over]]
        if tile["payments"] > 0:
            mean, squares = merge_moments(payments, mean, squares, tile["payments"], tile["mean"], tile["squares"])
            low = tile["min_minor"] if payments == 0 else min(low, tile["min_minor"])
            high = tile["max_minor"] if payments == 0 else max(high, tile["max_minor"])
        payments += tile["payments"]
        total += tile["sum_minor"]
        declines += tile["declines"]
        logins += tile["logins"]
        failed_logins += tile["failed_logins"]
        profile_changes += tile["profile_changes"]
    scratch["mean"][window] = mean
    scratch["squares"][window] = squares
    measures[m.COUNT * ROOM + window] = payments
    measures[m.SUM * ROOM + window] = total
    measures[m.MIN * ROOM + window] = low
    measures[m.MAX * ROOM + window] = high
    measures[m.DECLINES * ROOM + window] += declines
    measures[m.LOGINS * ROOM + window] += logins
    measures[m.FAILED_LOGINS * ROOM + window] += failed_logins
    measures[m.PROFILE_CHANGES * ROOM + window] += profile_changes
