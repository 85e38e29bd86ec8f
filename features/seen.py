"""Which entities a walk has met: one small hash table per sort of entity, emptied by counting walks."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.folded import ENTITIES

TABLE_SIZE = 1024
"""A power of two, well above the longest history, so that probes stay short."""
DEVICE = 1
"""Place of devices among the sorts of entities, see `features.folded.entity_of`."""
_MASK = np.uint64(TABLE_SIZE - 1)


class Seen(NamedTuple):
    """Working memory of a walk, allocated once per batch."""

    walk: NDArray[np.int64]
    """int64[1]: number of the current walk."""
    stamps: NDArray[np.int64]
    """int64[ENTITIES, TABLE_SIZE]: the walk that wrote the place; any other number means free."""
    keys: NDArray[np.uint64]
    """uint64[ENTITIES, TABLE_SIZE]"""
    latest_ms: NDArray[np.int64]
    """int64[ENTITIES, TABLE_SIZE]: latest time of the entity."""
    earliest_ms: NDArray[np.int64]
    """int64[ENTITIES, TABLE_SIZE]: earliest time of the entity."""
    distinct: NDArray[np.int64]
    """int64[ENTITIES]: entities met so far."""
    devices: NDArray[np.int64]
    """int64[TABLE_SIZE]: places of the devices met so far; the first `distinct[DEVICE]` are in use."""


@compiled
def new_seen() -> Seen:
    """Fresh working memory."""
    return Seen(
        np.zeros(1, dtype=np.int64),
        np.zeros((ENTITIES, TABLE_SIZE), dtype=np.int64),
        np.zeros((ENTITIES, TABLE_SIZE), dtype=np.uint64),
        np.zeros((ENTITIES, TABLE_SIZE), dtype=np.int64),
        np.zeros((ENTITIES, TABLE_SIZE), dtype=np.int64),
        np.zeros(ENTITIES, dtype=np.int64),
        np.zeros(TABLE_SIZE, dtype=np.int64),
    )


@compiled
def forget(seen: Seen) -> None:
    """Begin a walk that has met nobody."""
    seen.walk[0] += 1
    seen.distinct[:] = 0


@compiled
def place_of(seen: Seen, entity: int, key: Any) -> int:
    """Where `key` is in the table of its sort, or -1 - (where it would be put)."""
    keys = seen.keys[entity]
    stamps = seen.stamps[entity]
    walk = seen.walk[0]
    place = int(np.int64(key & _MASK))  # unsigned + 1 would become a float
    while stamps[place] == walk:
        if keys[place] == key:
            return place
        place = (place + 1) & (TABLE_SIZE - 1)
    return -1 - place


@compiled
def meet(seen: Seen, entity: int, key: Any, time_ms: int) -> None:
    """Note an entity at a time not later than all before: a walk goes back in time."""
    place = place_of(seen, entity, key)
    if place < 0:
        place = -1 - place
        seen.stamps[entity, place] = seen.walk[0]
        seen.keys[entity, place] = key
        seen.latest_ms[entity, place] = time_ms
        if entity == DEVICE:
            seen.devices[seen.distinct[DEVICE]] = place
        seen.distinct[entity] += 1
    seen.earliest_ms[entity, place] = time_ms
