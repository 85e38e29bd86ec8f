"""Which entities a walk has met: one small hash table per sort of entity, as large as the history asks for.

A history of 20 events takes 32 places, 256 bytes a sort. Key 0 means "absent" in an event and "free" in a table, so an
event without an entity is looked up like any other and is never new.
"""

from typing import Any

import numpy as np

from features.compiled import compiled
from features.folded import ENTITIES

DEVICE = 1
"""Devices among the sorts of entities, see `features.folded.entity_of`."""
_MASK_OF_SMALLEST = np.uint64(15)
_ONE = np.uint64(1)


@compiled
def forget(scratch: Any, most: int) -> None:
    """Empty the tables and make them large enough for `most` events; at least a third of the places stays free."""
    mask = np.uint64(most + most // 2)
    for shift in (1, 2, 4, 8):
        mask |= mask >> np.uint64(shift)
    mask |= _MASK_OF_SMALLEST
    scratch["mask"] = mask
    held = scratch["held"]
    for entity in range(ENTITIES):
        for place in range(mask + _ONE):
            held[entity, place] = 0


@compiled
def place_of(held: Any, mask: Any, entity: int, key: Any) -> Any:
    """Where `key` is held among its sort, or else would be put: then the place holds 0."""
    place = key & mask
    while held[entity, place] != key and held[entity, place] != 0:
        place = (place + _ONE) & mask
    return place


@compiled
def meet(held: Any, newest_ms: Any, mask: Any, entity: int, key: Any, time_ms: int) -> Any:
    """Hold `key`, met at a time not later than all before; returns its place, and 1 if it was not held, else 0."""
    place = key & mask
    new = np.uint64(0)
    while held[entity, place] != key:
        if held[entity, place] == 0:
            held[entity, place] = key
            newest_ms[entity, place] = time_ms
            new = _ONE
            break
        place = (place + _ONE) & mask
    return place, new
