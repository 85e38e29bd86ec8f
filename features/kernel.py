"""A whole batch in one compiled call: measure each event against its account's past, then add it to that past.

Rows are taken strictly in order of arrival, so how a log is cut into batches cannot be seen in any result.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import measures as m
from features.columns import FRAUD, LABEL, LEGIT
from features.compiled import compiled
from features.feature import DEVIATIONS, RATIO
from features.folded import Folded, fold_event
from features.walk import count_until, measure, new_scratch

HISTORY_CAPACITY = 320
"""Most events an account's exact history holds."""
FOLD_EVENTS = 64
"""How many of the oldest are folded away when it is full; at least 256 always stay exact."""

APPLIED = 0
DUPLICATE = 1
CONFLICT = 2
NOT_IN_HISTORY = 3

COLD_START = 1
LATE = 2
APPROXIMATE = 4


@compiled
def features_of(
    out: NDArray[np.float32], measures: NDArray[np.float64], plan: NDArray[np.int32], scales: NDArray[np.float64]
) -> None:
    """Turn measures into features, following the catalogue's plan; rounds once, to float32."""
    for column in range(len(plan)):
        operation = plan[column, 0]
        value = measures[plan[column, 1]]
        if operation == RATIO:
            divisor = measures[plan[column, 2]]
            value = scales[column] * value / divisor if divisor != 0.0 else np.nan
        elif operation == DEVIATIONS:
            deviation = measures[plan[column, 3]]
            value = (value - measures[plan[column, 2]]) / deviation if deviation != 0.0 else np.nan
        out[column] = np.float32(value)


@compiled
def _find(history: Any, count: int, event_hash: Any) -> int:
    """Place of an event in a history by the hash of its id, newest first; -1 if it is not there."""
    for position in range(count - 1, -1, -1):
        if history[position]["event_hash"] == event_hash:
            return position
    return -1


@compiled
def _insert(history: Any, count: int, event: Any, folded: Folded, index: int) -> int:
    """Put an event in its place by time, after those of equal time; returns the new count."""
    if count == HISTORY_CAPACITY:
        for position in range(FOLD_EVENTS):
            fold_event(folded, index, history[position], event["offset"])
        for position in range(FOLD_EVENTS, count):
            history[position - FOLD_EVENTS] = history[position]
        count -= FOLD_EVENTS
    place = count_until(history, count, event["time_ms"])
    for position in range(count, place, -1):
        history[position] = history[position - 1]
    history[place] = event
    return count + 1


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
) -> None:
    """Apply events and labels in order of arrival.

    Args:
        accounts: `ACCOUNT`[slots], updated.
        pool: `EVENT` records of all histories, updated.
        folded: summaries, updated.
        slots: int64[n], the account of each row.
        events: `EVENT`[n]; of kind LABEL where a row is a label, with FRAUD or LEGIT in its marks.
        judged: uint64[n], for a label the hash of the event that it judges, else 0.
        plan: int32[f, 4], see `FeatureSet.plan`.
        scales: float64[f].
        features: float32[n, f], out: features of the event, or of the event that a label judges, as of its arrival.
        status: uint8[n], out: APPLIED, DUPLICATE, CONFLICT or, for a label, NOT_IN_HISTORY.
        flags: uint8[n], out: bits COLD_START, LATE, APPROXIMATE.
        found: `EVENT`[n], out: for a label the judged event as the history holds it, else left alone.
    """
    scratch = new_scratch()
    measures = np.empty(m.N_MEASURES, dtype=np.float64)
    for row in range(len(slots)):
        account = accounts[slots[row]]
        start = account["start"]
        count = account["count"]
        index = account["folded"]
        history = pool[start : start + account["capacity"]]
        event = events[row]
        account["last_offset"] = event["offset"]
        if event["kind"] == LABEL:
            position = _find(history, count, judged[row])
            if position < 0:
                status[row] = NOT_IN_HISTORY
                continue
            judged_event = history[position]
            judged_event["marks"] = (judged_event["marks"] & ~np.uint8(FRAUD | LEGIT)) | event["marks"]
            found[row] = judged_event
            if measure(measures, scratch, judged_event, history, count, folded, index):
                flags[row] |= APPROXIMATE
            features_of(features[row], measures, plan, scales)
            continue
        position = _find(history, count, event["event_hash"])
        if position >= 0:
            status[row] = DUPLICATE if history[position]["content_hash"] == event["content_hash"] else CONFLICT
            continue
        if count == 0:  # folding leaves 256 events, so an empty history has no past at all
            flags[row] |= COLD_START
        if count > 0 and event["time_ms"] < history[count - 1]["time_ms"]:
            flags[row] |= LATE
        if measure(measures, scratch, event, history, count, folded, index):
            flags[row] |= APPROXIMATE
        features_of(features[row], measures, plan, scales)
        account["count"] = _insert(history, count, event, folded, index)


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
