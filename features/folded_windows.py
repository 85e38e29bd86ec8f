"""Adds what was folded away to the windows that reach into it: hourly and daily tiles, and sets of entities."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import measures as m
from features.compiled import compiled
from features.folded import ENTITIES, HOURLY_TILES, NEVER_MS, SET_SIZE, TILES, Folded, merge_moments
from features.seen import Seen, place_of
from features.windows import DAY_MS, HOUR_MS, WINDOW_LENGTHS_MS

_LENGTHS_MS = np.array(WINDOW_LENGTHS_MS, dtype=np.int64)


@compiled
def add_folded_windows(
    out: NDArray[np.float64], moments: NDArray[np.float64], seen: Seen, folded: Folded, index: int, time_ms: int
) -> None:
    """Add tiles and entities of summary `index` to every window of an event at `time_ms` that reaches so far back."""
    for window in range(m.N_WINDOWS):
        begin_ms = time_ms - _LENGTHS_MS[window]
        if folded.summaries[index]["until_ms"] > begin_ms:
            _add_tiles(out, moments, folded.tiles[index], window, begin_ms, time_ms)
            _add_entities(out, seen, folded, index, window, begin_ms, time_ms)


@compiled
def _add_tiles(
    out: NDArray[np.float64], moments: NDArray[np.float64], tiles: Any, window: int, begin_ms: int, time_ms: int
) -> None:
    """Tiles that overlap (begin_ms, time_ms], each as a whole."""
    for place in range(TILES):
        tile = tiles[place]
        start_ms = tile["start_ms"]
        length_ms = HOUR_MS if place < HOURLY_TILES else DAY_MS
        if start_ms != NEVER_MS and start_ms <= time_ms and start_ms + length_ms > begin_ms + 1:
            _add_tile(out, moments, tile, window)


@compiled
def _add_tile(out: NDArray[np.float64], moments: NDArray[np.float64], tile: Any, window: int) -> None:
    n = m.N_WINDOWS
    if tile["payments"] > 0:
        count = int(out[m.COUNT * n + window])
        moments[window, 0], moments[window, 1] = merge_moments(
            count, moments[window, 0], moments[window, 1], tile["payments"], tile["mean"], tile["squares"]
        )
        low, high = out[m.MIN * n + window], out[m.MAX * n + window]
        out[m.MIN * n + window] = tile["min_minor"] if count == 0 else min(low, tile["min_minor"])
        out[m.MAX * n + window] = tile["max_minor"] if count == 0 else max(high, tile["max_minor"])
    out[m.COUNT * n + window] += tile["payments"]
    out[m.SUM * n + window] += tile["sum_minor"]
    out[m.DECLINES * n + window] += tile["declines"]
    out[m.LOGINS * n + window] += tile["logins"]
    out[m.FAILED_LOGINS * n + window] += tile["failed_logins"]
    out[m.PROFILE_CHANGES * n + window] += tile["profile_changes"]


@compiled
def _add_entities(
    out: NDArray[np.float64], seen: Seen, folded: Folded, index: int, window: int, begin_ms: int, time_ms: int
) -> None:
    """Entities seen in the window only by folded events; the exact history has counted the others."""
    for entity in range(ENTITIES):
        for place in range(SET_SIZE):
            key = folded.keys[index, entity, place]
            if key == 0:
                break
            if folded.last_ms[index, entity, place] <= begin_ms or folded.first_ms[index, entity, place] > time_ms:
                continue
            met = place_of(seen, entity, key)
            if met < 0 or seen.latest_ms[entity, met] <= begin_ms:
                out[(m.MERCHANTS + entity) * m.N_WINDOWS + window] += 1.0
