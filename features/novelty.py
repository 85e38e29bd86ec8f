"""What is new: entities that the account's past does not hold, and when its latest device was introduced."""

from typing import Any

import numpy as np

from features import measures as m
from features.branchless import nan_unless
from features.compiled import compiled
from features.folded import ENTITIES, NEVER_MS, Folded, entity_of
from features.packed_counts import COUNT_BITS, COUNT_MASK
from features.scratch import ONCE, WHOLE_PAST
from features.seen import DEVICE, place_of


@compiled
def measure_novelty(scratch: Any, event: Any) -> Any:
    """Fill the is-new flags from the tables of the walk and the sets of the folded past.

    Returns:
        One bit for each sort of entity of which the past does not hold the event's, from the lowest bit up.
    """
    measures = scratch["measures"]
    held = scratch["held"]
    mask = scratch["mask"]
    keys = scratch["folded_keys"]
    new = np.int64(0)
    for entity in range(ENTITIES):
        key = np.uint64(entity_of(event, entity))
        is_known = held[entity, place_of(held, mask, entity, key)] == key
        for place in range(scratch["folded"][entity]):
            is_known |= keys[entity, place] == key
        measures[ONCE + m.NEW_MERCHANT + entity] = np.float64(not is_known) + nan_unless(key != 0)
        new |= np.int64(not is_known) << entity
    return new


@compiled
def is_doubtful(folded: Folded, index: int, new: int) -> bool:
    """Whether one of the `new` entities may be one that summary `index` had to forget."""
    doubtful = False
    for entity in range(ENTITIES):
        doubtful |= (new >> entity) & 1 == 1 and folded.evicted[index, entity] != 0
    return doubtful


@compiled
def measure_new_device(scratch: Any, time_ms: int) -> None:
    """Fill the time since the latest introduction of a device."""
    held = scratch["held"]
    mask = scratch["mask"]
    earliest_ms = scratch["earliest_ms"]
    devices = scratch["devices"]
    keys = scratch["folded_keys"]
    first_ms = scratch["folded_first_ms"]
    introduced_ms = np.int64(NEVER_MS)
    for folded in range(scratch["folded"][DEVICE]):
        place = place_of(held, mask, DEVICE, keys[DEVICE, folded])
        if held[DEVICE, place] != 0:
            earliest_ms[place] = min(earliest_ms[place], first_ms[DEVICE, folded])
        else:
            introduced_ms = max(introduced_ms, first_ms[DEVICE, folded])
    for device in range((scratch["distinct"][WHOLE_PAST] >> np.uint64(COUNT_BITS)) & COUNT_MASK):
        introduced_ms = max(introduced_ms, earliest_ms[devices[device]])
    measures = scratch["measures"]
    measures[ONCE + m.SINCE_NEW_DEVICE] = (time_ms - introduced_ms) / 1000.0 + nan_unless(introduced_ms != NEVER_MS)
