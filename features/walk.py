"""One walk over an account's history, newest to oldest, that measures everything about one event.

Windows are nested, so the walk keeps running totals and copies them into a window's measures when the age of the next
event leaves that window: every window is exact and the whole set costs one pass. What was folded away is merged after
the walk. `tests/naive.py` gives the same answers the obvious way.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features import measures as m
from features.compiled import compiled
from features.folded import ENTITIES, Folded, entity_of
from features.folded_windows import add_folded_windows
from features.novelty import measure_new_device, measure_novelty
from features.own_measures import measure_itself, measure_travel
from features.running import RUNNING, add, add_summary, finish, leave_window, reset
from features.seen import Seen, forget, meet, new_seen
from features.windows import LONGEST_WINDOW_MS, WINDOW_LENGTHS_MS

_LENGTHS_MS = np.array(WINDOW_LENGTHS_MS, dtype=np.int64)


class Scratch(NamedTuple):
    """Working memory of the walk, allocated once per batch."""

    seen: Seen
    running: NDArray[np.void]
    """`RUNNING`[1]"""
    moments: NDArray[np.float64]
    """float64[windows, 2]: mean of the payments in a window, and sum of squared distances from it."""


@compiled
def new_scratch() -> Scratch:
    """Fresh working memory."""
    return Scratch(new_seen(), np.zeros(1, dtype=RUNNING), np.zeros((m.N_WINDOWS, 2), dtype=np.float64))


@compiled
def count_until(history: Any, count: int, time_ms: int) -> int:
    """How many of the first `count` records, sorted by time, have a time <= `time_ms`."""
    if count > 0 and history[count - 1]["time_ms"] <= time_ms:
        return count
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if history[middle]["time_ms"] <= time_ms:
            low = middle + 1
        else:
            high = middle
    return low


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
    time_ms = event["time_ms"]
    running = scratch.running[0]
    _walk(out, scratch, event, history, count)
    approximate = False
    if index >= 0:
        summary = folded.summaries[index]
        approximate = time_ms - LONGEST_WINDOW_MS < summary["until_ms"] or summary["last_offset"] >= event["offset"]
        add_folded_windows(out, scratch.moments, scratch.seen, folded, index, time_ms)
        add_summary(running, folded, index, time_ms)
    finish(out, scratch.moments, running, time_ms)
    measure_itself(out, event)
    measure_travel(out, event, running)
    approximate |= measure_novelty(out, event, scratch.seen, folded, index)
    approximate |= measure_new_device(out, scratch.seen, folded, index, time_ms)
    return approximate


@compiled
def _walk(out: NDArray[np.float64], scratch: Scratch, event: Any, history: Any, count: int) -> None:
    """From the newest event that counts back to the oldest; a window is left before the first event outside of it."""
    time_ms = event["time_ms"]
    running = scratch.running[0]
    reset(running)
    forget(scratch.seen)
    window = 0
    for position in range(count_until(history, count, time_ms) - 1, -1, -1):
        past = history[position]
        if past["offset"] >= event["offset"]:
            continue  # it arrived later: an event that a label judges is measured as of its own arrival
        age_ms = time_ms - past["time_ms"]
        while window < m.N_WINDOWS and age_ms >= _LENGTHS_MS[window]:
            leave_window(out, scratch.moments, running, scratch.seen.distinct, window)
            window += 1
        add(running, past)
        for entity in range(ENTITIES):
            key = np.uint64(entity_of(past, entity))
            if key != 0:
                meet(scratch.seen, entity, key, past["time_ms"])
    while window < m.N_WINDOWS:
        leave_window(out, scratch.moments, running, scratch.seen.distinct, window)
        window += 1
