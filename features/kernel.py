"""A whole batch in one compiled call: measure each event against its account's past, then add it to that past.

Rows are taken strictly in order of arrival, so how a log is cut into batches cannot be seen in any result. Arrays are
handed to the steps of one row by this file alone: a step that hands them on would have their references counted.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.columns import FRAUD, LABEL, LEGIT
from features.compiled import compiled
from features.folded import Folded, fold_event
from features.folded_windows import add_folded_entities, add_tiles, forget_folded, recall_folded
from features.novelty import is_doubtful, measure_new_device, measure_novelty
from features.own_measures import measure_itself, measure_travel
from features.prefetch import prefetch_ahead
from features.recipe import computed_places, direct_places, factors_of, serve
from features.running import add_summary, finish, unpack
from features.scratch import HISTORY_CAPACITY as HISTORY_CAPACITY
from features.scratch import ROOM
from features.seen import DEVICE, forget
from features.walk import find_position, place_until, walk
from features.windows import LONGEST_WINDOW_MS

FOLD_EVENTS = 64
"""How many of the oldest are folded away when the history is full; at least 256 always stay exact."""

APPLIED = 0
DUPLICATE = 1
CONFLICT = 2
NOT_IN_HISTORY = 3

COLD_START = 1
LATE = 2
APPROXIMATE = 4


@compiled
def _find(pool: Any, start: int, end: int, event_hash: Any) -> int:
    """Place of an event among the records `start` to `end`, by the hash of its id; -1 if it is not there."""
    for place in range(end - 1, start - 1, -1):
        if pool[place]["event_hash"] == event_hash:
            return place
    return -1


@compiled
def _fold_oldest(pool: Any, start: int, folded: Folded, index: int, offset: int) -> None:
    """Fold away the oldest events of a full history, to make room for the event at `offset`."""
    for place in range(start, start + FOLD_EVENTS):
        fold_event(folded, index, pool[place], offset)
    for place in range(start + FOLD_EVENTS, start + HISTORY_CAPACITY):
        pool[place - FOLD_EVENTS] = pool[place]


@compiled
def _insert(pool: Any, start: int, end: int, event: Any) -> None:
    """Put an event in its place by time among the records `start` to `end`, after those of equal time."""
    place = place_until(pool, start, end, event["time_ms"])
    for later in range(end, place, -1):
        pool[later] = pool[later - 1]
    pool[place] = event


@compiled
def _is_approximate(folded: Folded, index: int, event: Any) -> bool:
    """Whether some window reaches into what was folded away, or a device that was forgotten may be missing."""
    summary = folded.summaries[index]
    return bool(
        event["time_ms"] - LONGEST_WINDOW_MS < summary["until_ms"]
        or summary["last_offset"] >= event["offset"]
        or folded.evicted[index, DEVICE] != 0
    )


@compiled
def apply_batch(
    accounts: Any,
    pool: Any,
    folded: Folded,
    slots: NDArray[np.int64],
    events: Any,
    judged: NDArray[np.uint64],
    plan: NDArray[np.int32],
    scales: NDArray[np.float64],
    features: NDArray[np.float32],
    status: NDArray[np.uint8],
    flags: NDArray[np.uint8],
    found: Any,
    memory: Any,
) -> None:
    """Apply events and labels in order of arrival.

    Args:
        accounts: `ACCOUNT`[slots], updated.
        pool: `EVENT` records of all histories, updated.
        folded: summaries, updated.
        slots: int64[n], the account of each row.
        events: `EVENT`[n]; of kind LABEL where a row is a label, with FRAUD or LEGIT in its marks.
        judged: uint64[n], for a label the hash of the event that it judges, else 0.
        plan: int32[a, 4], see `FeatureSet.plan`.
        scales: float64[a].
        features: float32[n, f >= a], out: features of the event, or of the one that a label judges, as of its arrival.
        status: uint8[n], out: APPLIED, DUPLICATE, CONFLICT or, for a label, NOT_IN_HISTORY.
        flags: uint8[n], out: bits COLD_START, LATE, APPROXIMATE.
        found: `EVENT`[n], out: for a label the judged event as the history holds it, else left alone.
        memory: `SCRATCH`[1], working memory. The caller's, because a record does not keep its array alive.
    """
    scratch = memory[0]
    scratch["room"] = ROOM
    direct = direct_places(plan)
    computed = computed_places(plan)
    factors = factors_of(plan, scales)
    for row in range(len(slots)):
        prefetch_ahead(accounts, pool, slots, row)
        account = accounts[slots[row]]
        start = account["start"]
        count = account["count"]
        index = account["folded"]
        event = events[row]
        account["last_offset"] = event["offset"]
        is_label = event["kind"] == LABEL
        place = _find(pool, start, start + count, judged[row] if is_label else event["event_hash"])
        if is_label:
            if place < 0:
                status[row] = NOT_IN_HISTORY
                continue
            measured = pool[place]
            measured["marks"] = (measured["marks"] & ~np.uint8(FRAUD | LEGIT)) | event["marks"]
            found[row] = measured
        else:
            if place >= 0:
                status[row] = DUPLICATE if pool[place]["content_hash"] == event["content_hash"] else CONFLICT
                continue
            measured = event
            if count == 0:  # folding leaves 256 events, so an empty history has no past at all
                flags[row] |= COLD_START
            elif event["time_ms"] < pool[start + count - 1]["time_ms"]:
                flags[row] |= LATE

        time_ms = measured["time_ms"]
        newest = place_until(pool, start, start + count, time_ms)
        forget(scratch, newest - start)
        walk(scratch, pool, newest, start, measured["offset"], time_ms)
        find_position(scratch, pool, newest, start, measured["offset"])
        if index < 0:
            forget_folded(scratch)
            unpack(scratch)
        else:
            recall_folded(scratch, folded, index, time_ms)
            add_folded_entities(scratch, time_ms)
            unpack(scratch)
            add_tiles(scratch, folded, index, time_ms)
            add_summary(scratch, folded, index, time_ms)
        finish(scratch, time_ms)
        measure_itself(scratch, measured)
        measure_travel(scratch, measured)
        new = measure_novelty(scratch, measured)
        measure_new_device(scratch, time_ms)
        if index >= 0 and (_is_approximate(folded, index, measured) or is_doubtful(folded, index, new)):
            flags[row] |= APPROXIMATE
        serve(features, row, scratch, direct, computed, factors)

        if not is_label:
            if count == HISTORY_CAPACITY:
                _fold_oldest(pool, start, folded, index, event["offset"])
                count -= FOLD_EVENTS
            _insert(pool, start, start + count, event)
            account["count"] = count + 1


@compiled
def record_decisions(
    accounts: Any,
    pool: Any,
    slots: NDArray[np.int64],
    offsets: NDArray[np.int64],
    decisions: NDArray[np.uint8],
    score_micro: NDArray[np.int32],
    anomaly_micro: NDArray[np.int32],
) -> None:
    """Write each verdict beside its event in the history, so that a later label can be joined with it."""
    for row in range(len(slots)):
        account = accounts[slots[row]]
        start = account["start"]
        for position in range(start + account["count"] - 1, start - 1, -1):
            if pool[position]["offset"] == offsets[row]:
                pool[position]["decision"] = decisions[row]
                pool[position]["score_micro"] = score_micro[row]
                pool[position]["anomaly_micro"] = anomaly_micro[row]
                break
