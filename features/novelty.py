"""What is new: entities that the account's past does not hold, and when its latest device was introduced."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import measures as m
from features.compiled import compiled
from features.folded import ENTITIES, NEVER_MS, SET_SIZE, Folded, entity_of
from features.seen import DEVICE, Seen, place_of


@compiled
def measure_novelty(out: NDArray[np.float64], event: Any, seen: Seen, folded: Folded, index: int) -> bool:
    """Fill the is-new flags; True if one of them may be wrong because the summary had to forget an entity."""
    doubtful = False
    for entity in range(ENTITIES):
        key = np.uint64(entity_of(event, entity))
        novelty = np.nan
        if key != 0:
            is_known = place_of(seen, entity, key) >= 0
            if index >= 0 and not is_known:
                is_known = _holds(folded, index, entity, key, event["time_ms"])
                doubtful |= not is_known and folded.evicted[index, entity] != 0
            novelty = 0.0 if is_known else 1.0
        out[m.NEW_MERCHANT + entity] = novelty
    return doubtful


@compiled
def _holds(folded: Folded, index: int, entity: int, key: Any, time_ms: int) -> bool:
    for place in range(SET_SIZE):
        if folded.keys[index, entity, place] == key:
            return bool(folded.first_ms[index, entity, place] <= time_ms)
    return False


@compiled
def measure_new_device(out: NDArray[np.float64], seen: Seen, folded: Folded, index: int, time_ms: int) -> bool:
    """Fill the time since the latest introduction of a device.

    True if it may be wrong: a device that the summary had to forget may have been introduced earlier than it seems.
    """
    introduced_ms = np.int64(NEVER_MS)
    if index >= 0:
        for place in range(SET_SIZE):
            key = folded.keys[index, DEVICE, place]
            if key == 0:
                break
            first_ms = folded.first_ms[index, DEVICE, place]
            met = place_of(seen, DEVICE, key)
            if met >= 0:
                seen.earliest_ms[DEVICE, met] = min(seen.earliest_ms[DEVICE, met], first_ms)
            elif first_ms <= time_ms:
                introduced_ms = max(introduced_ms, first_ms)
    for device in range(seen.distinct[DEVICE]):
        introduced_ms = max(introduced_ms, seen.earliest_ms[DEVICE, seen.devices[device]])
    out[m.SINCE_NEW_DEVICE] = (time_ms - introduced_ms) / 1000.0 if introduced_ms != NEVER_MS else np.nan
    return index >= 0 and folded.evicted[index, DEVICE] != 0
