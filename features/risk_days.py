"""Payments and frauds of each entity, day by day: a hash table of entities, and a list of days for each.

Most entities are seen on few days, so days are records in one array, linked from an entity's newest to its oldest. The
newest day is found at once, and a window is read in one walk that ends where the window ends. Nothing is ever taken out
of a table: what is kept is copied into a new one, and that one operation makes a table larger, drops old days, and puts
a table in the order in which it is stored.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.risk_rows import rows_in_order

SLOT = np.dtype(
    [
        ("entity", np.uint64),
        # what was published last, if anything was
        ("as_of_ms", np.int64),
        ("payments_30d", np.int64),
        ("frauds_30d", np.int64),
        ("rate_7d", np.float32),
        ("rate_30d", np.float32),
        ("rate_90d", np.float32),
        ("newest", np.int32),  # its newest day, a place among the tiles; -1: no day is left
        ("kind", np.uint8),
        ("is_touched", np.bool_),  # counts changed since profiles were compared
        ("is_published", np.bool_),
    ],
    align=True,
)
TILE = np.dtype(
    [
        ("parent", np.uint64),  # the largest that a row of this day named: whatever the order of rows, the same one
        ("payments", np.int64),
        ("frauds", np.int32),
        ("day", np.int32),
        ("older", np.int32),  # the next older day of the entity, a place among the tiles; -1: none
    ],
    align=True,
)
SLOTS, TILES = range(2)
"""What `Days.counts` counts."""
_BEFORE_ALL = -(2**62)
_KIND_FACTOR = np.uint64(0xC2B2AE3D27D4EB4F)
_FACTOR = np.uint64(0x9E3779B185EBCA87)
_UPPER = np.uint64(32)


class Days(NamedTuple):
    """The table as kernels see it."""

    places: NDArray[np.int32]
    """int32[2^k], slot + 1; 0 = free."""
    slots: NDArray[np.void]
    """`SLOT` records."""
    tiles: NDArray[np.void]
    """`TILE` records."""
    counts: NDArray[np.int64]
    """int64[2], how many slots and tiles are used."""


@compiled
def _place_of(days: Days, kind: Any, entity: Any) -> int:
    """Where an entity stands among the places, or the free place where it belongs."""
    mask = len(days.places) - 1
    place: Any = np.int64(((entity + np.uint64(kind) * _KIND_FACTOR) * _FACTOR) >> _UPPER) & mask
    while days.places[place] != 0:
        slot = days.places[place] - 1
        if days.slots[slot]["entity"] == entity and days.slots[slot]["kind"] == kind:
            break
        place = (place + 1) & mask
    found: int = place
    return found


@compiled
def find(days: Days, kind: Any, entity: Any) -> int:
    """Slot of an entity, -1 if there is none."""
    slot: int = days.places[_place_of(days, kind, entity)] - 1
    return slot


@compiled
def add(days: Days, kind: Any, entity: Any, parent: Any, day: int, payments: int, frauds: int) -> None:
    """Add to a day of an entity; there has to be room for one more of each (see `DayCounts.make_room`)."""
    place = _place_of(days, kind, entity)
    slot = days.places[place] - 1
    if slot < 0:
        slot = days.counts[SLOTS]
        days.counts[SLOTS] += 1
        days.places[place] = slot + 1
        days.slots[slot]["entity"] = entity
        days.slots[slot]["kind"] = kind
        days.slots[slot]["newest"] = -1
    days.slots[slot]["is_touched"] = True
    newer, tile = -1, days.slots[slot]["newest"]
    while tile >= 0 and days.tiles[tile]["day"] > day:
        newer, tile = tile, days.tiles[tile]["older"]
    if tile < 0 or days.tiles[tile]["day"] != day:
        older, tile = tile, days.counts[TILES]
        days.counts[TILES] += 1
        days.tiles[tile]["day"] = day
        days.tiles[tile]["older"] = older
        if newer < 0:
            days.slots[slot]["newest"] = tile
        else:
            days.tiles[newer]["older"] = tile
    days.tiles[tile]["payments"] += payments
    days.tiles[tile]["frauds"] += frauds
    if parent > days.tiles[tile]["parent"]:
        days.tiles[tile]["parent"] = parent


@compiled
def _copy_kept(old: Days, order: NDArray[np.int64], first_day: int, new: Days) -> None:
    """Copy slots in this order into an empty table, without days before `first_day`.

    A slot without days goes, unless it is published: somebody has to be told first.
    """
    for slot in order:
        tile = old.slots[slot]["newest"]
        if (tile < 0 or old.tiles[tile]["day"] < first_day) and not old.slots[slot]["is_published"]:
            continue
        to = new.counts[SLOTS]
        new.counts[SLOTS] += 1
        new.slots[to] = old.slots[slot]
        new.slots[to]["newest"] = -1
        new.places[_place_of(new, old.slots[slot]["kind"], old.slots[slot]["entity"])] = to + 1
        newer = -1
        while tile >= 0 and old.tiles[tile]["day"] >= first_day:
            copy = new.counts[TILES]
            new.counts[TILES] += 1
            new.tiles[copy] = old.tiles[tile]
            new.tiles[copy]["older"] = -1
            if newer < 0:
                new.slots[to]["newest"] = copy
            else:
                new.tiles[newer]["older"] = copy
            newer, tile = copy, old.tiles[tile]["older"]


def _empty(slots: int, tiles: int) -> Days:
    """A table with room for so many, and half as many more."""
    slots, tiles = max(8, slots + slots // 2), max(8, tiles + tiles // 2)
    size = 16
    while size * 2 < slots * 3:  # at most two thirds full
        size *= 2
    return Days(
        places=np.zeros(size, dtype=np.int32),
        slots=np.zeros(slots, dtype=SLOT),
        tiles=np.zeros(tiles, dtype=TILE),
        counts=np.zeros(2, dtype=np.int64),
    )


class DayCounts:
    """Owns a table and the room in it."""

    def __init__(self) -> None:
        self.days = _empty(0, 0)

    def __len__(self) -> int:
        return int(self.days.counts[SLOTS])

    @property
    def slots(self) -> NDArray[np.void]:
        """The slots in use, a view."""
        return self.days.slots[: len(self)]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.days.places.nbytes + self.days.slots.nbytes + self.days.tiles.nbytes

    def make_room(self, rows: int) -> None:
        """Be ready for so many calls of `add`."""
        slots, tiles = (int(used) + rows for used in self.days.counts)
        if slots > len(self.days.slots) or tiles > len(self.days.tiles):
            self._copy(np.arange(len(self)), _BEFORE_ALL, rows)

    def drop(self, first_day: int) -> None:
        """Forget the days before `first_day`, and entities that have no day left and are not published."""
        self._copy(np.arange(len(self)), first_day)

    def put_in_order(self) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """Slots by kind and entity and their tiles, newest first: the same for the same counts, however they came."""
        self._copy(rows_in_order(self.slots, "kind", "entity"), _BEFORE_ALL)
        return self.slots, self.days.tiles[: int(self.days.counts[TILES])]

    def restore(self, slots: NDArray[np.void], tiles: NDArray[np.void]) -> None:
        """Become what `put_in_order` gave."""
        self.days = Days(np.zeros(0, np.int32), slots, tiles, np.array([len(slots), len(tiles)], dtype=np.int64))
        self._copy(np.arange(len(slots)), _BEFORE_ALL)

    def _copy(self, order: NDArray[np.int64], first_day: int, rows: int = 0) -> None:
        new = _empty(*(int(used) + rows for used in self.days.counts))
        _copy_kept(self.days, order, first_day, new)
        self.days = new
