"""Rows that wait for the end of their flush, and how they go with it: a walk over the log, one record at a time.

A row is found by its name through a table of places with open addressing. A place counts rows from the first that ever
waited, so the end of a flush empties the table at once: what lies below the first row that waits is nobody's.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.links import FLUSH, LINK, MARK, VOLUME, Flushes

LINKS_STEP_MS: Final = 1_000
VOLUMES_STEP_MS: Final = 3_600_000
BLOCK: Final = 4_096
MOST_VOLUMES: Final = 16_384
"""So many volumes do not wait for the end of their hour: names that somebody makes up cannot make the state large."""

LINKS_OF_EVENT: Final = 3
VOLUMES_OF_EVENT: Final = 3
_PLACE_BITS: Final = 15  # at most half of the places are taken
_SHIFT: Final = np.uint64(64 - _PLACE_BITS)
_LAST_PLACE: Final = (1 << _PLACE_BITS) - 1
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)  # odd numbers without a pattern: the golden ratio, and one of xxHash
_SPREAD_MORE: Final = np.uint64(0xC2B2AE3D27D4EB4F)

POSITION = np.dtype(
    [
        ("clock_ms", np.int64),  # newest event time so far
        ("offset", np.int64),  # of the newest record
        ("number", np.int64),  # of the next flush
        ("links", np.int64),  # how many rows wait
        ("volumes", np.int64),
        ("marks", np.int64),
        ("first_link", np.int64),  # the first that waits, counted from 1 since the beginning
        ("first_volume", np.int64),
    ]
)
"""How far a walk has come."""


class Waiting(NamedTuple):
    """Room for everything that can wait, in order of arrival."""

    links: NDArray[Any]
    volumes: NDArray[Any]
    marks: NDArray[Any]
    link_places: NDArray[np.int64]
    volume_places: NDArray[np.int64]


class Closed(NamedTuple):
    """Room for everything that a segment can close, and how much of it is used."""

    flushes: NDArray[Any]
    links: NDArray[Any]
    volumes: NDArray[Any]
    marks: NDArray[Any]
    used: NDArray[np.int64]


def nothing_waits() -> tuple[NDArray[Any], Waiting]:
    """Where a walk begins: `POSITION`[1], and room."""
    position = np.zeros(1, dtype=POSITION)
    position["offset"] = -1
    position["first_link"] = position["first_volume"] = 1
    links, volumes, marks = (
        np.zeros(LINKS_OF_EVENT * BLOCK, LINK),
        np.zeros(MOST_VOLUMES, VOLUME),
        np.zeros(BLOCK, MARK),
    )
    link_places, volume_places = np.zeros((2, _LAST_PLACE + 1), dtype=np.int64)
    return position, Waiting(links, volumes, marks, link_places, volume_places)


def room_to_close(position: NDArray[Any], records: int) -> Closed:
    """Room for what so many further records can close."""
    links, volumes, marks = (int(position[name][0]) for name in ("links", "volumes", "marks"))
    return Closed(
        np.empty(records, dtype=FLUSH),
        np.empty(links + LINKS_OF_EVENT * records, dtype=LINK),
        np.empty(volumes + VOLUMES_OF_EVENT * records, dtype=VOLUME),
        np.empty(marks + records, dtype=MARK),
        np.zeros(4, dtype=np.int64),
    )


def flushes_in(closed: Closed) -> Flushes | None:
    """What is used of it, if anything."""
    used = closed.used.tolist()
    return Flushes(*(table[:count] for table, count in zip(closed[:4], used, strict=True))) if used[0] else None


@compiled
def advance(positions: NDArray[Any], waiting: Waiting, closed: Closed, time_ms: int, offset: int) -> None:
    """Come to a record, and close what ends before it.

    Args:
        positions: `POSITION`[1], changed.
        waiting: what waits.
        closed: where what is closed goes.
        time_ms: of the record.
        offset: of the record.
    """
    position = positions[0]
    before_ms, before = position["clock_ms"], position["offset"]
    clock_ms = max(before_ms, time_ms)
    position["clock_ms"], position["offset"] = clock_ms, offset
    links, marks, volumes = 0, 0, 0
    if clock_ms // LINKS_STEP_MS != before_ms // LINKS_STEP_MS or offset // BLOCK != before // BLOCK:
        links, marks = position["links"], position["marks"]
    is_full = position["volumes"] > MOST_VOLUMES - VOLUMES_OF_EVENT
    if clock_ms // VOLUMES_STEP_MS != before_ms // VOLUMES_STEP_MS or is_full:
        volumes = position["volumes"]
    if links + marks + volumes == 0:
        return
    number = position["number"]
    position["number"] = number + 1
    used = closed.used
    flush = closed.flushes[used[0]]
    flush["flush"], flush["end"], flush["time_ms"] = number, offset, before_ms
    used[0] += 1
    for row in range(links):
        closed.links[used[1] + row] = waiting.links[row]
        closed.links[used[1] + row]["flush"] = number
    for row in range(volumes):
        closed.volumes[used[2] + row] = waiting.volumes[row]
        closed.volumes[used[2] + row]["flush"] = number
    for row in range(marks):
        closed.marks[used[3] + row] = waiting.marks[row]
        closed.marks[used[3] + row]["flush"] = number
    used[1] += links
    used[2] += volumes
    used[3] += marks
    position["links"] -= links
    position["first_link"] += links
    position["volumes"] -= volumes
    position["first_volume"] += volumes
    position["marks"] -= marks


@compiled
def link_of(position: Any, waiting: Waiting, account: np.uint64, entity: np.uint64, kind: int) -> int:
    """The row of a pair that waits; a new one, with nothing but its name, if none does."""
    first, count = position["first_link"], position["links"]
    place = np.int64(((account * _SPREAD) ^ (entity + np.uint64(kind)) * _SPREAD_MORE) * _SPREAD >> _SHIFT)
    while waiting.link_places[place] >= first:
        row = waiting.link_places[place] - first
        link = waiting.links[row]
        if link["account"] == account and link["entity"] == entity and link["kind"] == kind:
            return int(row)
        place = (place + 1) & _LAST_PLACE
    waiting.link_places[place] = first + count
    position["links"] = count + 1
    link = waiting.links[count]
    link["account"], link["entity"], link["kind"] = account, entity, kind
    link["time_ms"], link["amount_minor"] = 0, 0
    link["payments"], link["declined"], link["small"], link["network"] = 0, 0, 0, 0
    return int(count)


@compiled
def volume_of(position: Any, waiting: Waiting, kind: int, entity: np.uint64, parent: np.uint64, day: int) -> int:
    """The row of an entity, its parent and a day that waits; a new one, with nothing but its name, if none does."""
    first, count = position["first_volume"], position["volumes"]
    name = ((entity + np.uint64(kind)) * _SPREAD) ^ (parent * _SPREAD_MORE + np.uint64(day))
    place = np.int64(name * _SPREAD >> _SHIFT)
    while waiting.volume_places[place] >= first:
        row = waiting.volume_places[place] - first
        volume = waiting.volumes[row]
        is_entity = volume["entity"] == entity and volume["kind"] == kind
        if is_entity and volume["parent"] == parent and volume["day"] == day:
            return int(row)
        place = (place + 1) & _LAST_PLACE
    waiting.volume_places[place] = first + count
    position["volumes"] = count + 1
    volume = waiting.volumes[count]
    volume["entity"], volume["parent"], volume["day"], volume["kind"] = entity, parent, day, kind
    volume["payments"] = 0
    return int(count)


@compiled
def wait_again(
    positions: NDArray[Any], waiting: Waiting, links: NDArray[Any], volumes: NDArray[Any], marks: NDArray[Any]
) -> None:
    """Let rows wait that waited before, where nothing waits."""
    position = positions[0]
    for row in range(len(links)):
        link = links[row]
        waiting.links[link_of(position, waiting, link["account"], link["entity"], link["kind"])] = link
    for row in range(len(volumes)):
        volume = volumes[row]
        entity, parent = volume["entity"], volume["parent"]
        waiting.volumes[volume_of(position, waiting, volume["kind"], entity, parent, volume["day"])] = volume
    for row in range(len(marks)):
        waiting.marks[row] = marks[row]
    position["marks"] = len(marks)
