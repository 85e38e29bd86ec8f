"""The newest label of each event: which one counts when labels come in any order and more than once.

Open addressing with linear probing, one record for each judged event. The rows of a label come one for each kind of
entity and not always together, so a record says by kind what was seen of its newest label and what counts as fraud now.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.risk_rows import rows_in_order
from features.windows import DAY_MS

VERSION = np.dtype(
    [
        ("event", np.uint64),  # 0: a free place
        ("known_at_ms", np.int64),
        ("label", np.uint64),
        ("day", np.int32),  # of the event
        ("seen", np.uint8),  # a bit for each kind: its row of this label came
        ("fraud", np.uint8),  # a bit for each kind: the event counts as fraud of its entity
    ],
    align=True,
)
NOTHING_NEW = 2
_FACTOR = np.uint64(0x9E3779B185EBCA87)
_UPPER = np.uint64(32)


class Versions(NamedTuple):
    """The table as kernels see it."""

    table: NDArray[np.void]
    """`VERSION` records [2^k]."""
    counts: NDArray[np.int64]
    """int64[1], how many events are in it."""


@compiled
def _place_of(table: NDArray[np.void], event: Any) -> int:
    mask = len(table) - 1
    place: Any = np.int64((np.uint64(event) * _FACTOR) >> _UPPER) & mask
    while table[place]["event"] != 0 and table[place]["event"] != event:
        place = (place + 1) & mask
    found: int = place
    return found


@compiled
def learn(versions: Versions, outcomes: NDArray[np.void], row: int) -> int:
    """Take in one row; returns by how much frauds of its entity change (-1, 0, 1), or `NOTHING_NEW`.

    There has to be room for one more event (see `NewestLabels.make_room`).
    """
    table = versions.table
    place = _place_of(table, outcomes[row]["event"])
    known_at_ms, label = outcomes[row]["known_at_ms"], outcomes[row]["label"]
    is_first = table[place]["event"] == 0
    if is_first:
        versions.counts[0] += 1
        table[place]["event"] = outcomes[row]["event"]
        table[place]["day"] = outcomes[row]["event_time_ms"] // DAY_MS
    held_ms, held_label = table[place]["known_at_ms"], table[place]["label"]
    if is_first or known_at_ms > held_ms or (known_at_ms == held_ms and label > held_label):
        table[place]["known_at_ms"] = known_at_ms
        table[place]["label"] = label
        table[place]["seen"] = 0
    elif known_at_ms < held_ms or label < held_label:
        return NOTHING_NEW
    bit = 1 << outcomes[row]["kind"]
    if table[place]["seen"] & bit:
        return NOTHING_NEW
    table[place]["seen"] |= bit
    before = 1 if table[place]["fraud"] & bit else 0
    if outcomes[row]["fraud"]:
        table[place]["fraud"] |= bit
        return 1 - before
    table[place]["fraud"] &= 255 ^ bit
    return -before


@compiled
def _copy_kept(old: NDArray[np.void], first_day: int, new: Versions) -> None:
    for place in range(len(old)):
        if old[place]["event"] != 0 and old[place]["day"] >= first_day:
            new.table[_place_of(new.table, old[place]["event"])] = old[place]
            new.counts[0] += 1


class NewestLabels:
    """Owns the table and the room in it."""

    def __init__(self) -> None:
        self.versions = Versions(np.zeros(16, dtype=VERSION), np.zeros(1, dtype=np.int64))

    def __len__(self) -> int:
        return int(self.versions.counts[0])

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.versions.table.nbytes

    def make_room(self, rows: int) -> None:
        """Be ready for so many calls of `learn`."""
        if (len(self) + rows) * 3 > len(self.versions.table) * 2:
            self._copy(self.versions.table, -(2**62), len(self) + rows)

    def drop(self, first_day: int) -> None:
        """Forget events of days before `first_day`."""
        self._copy(self.versions.table, first_day, len(self))

    def in_order(self) -> NDArray[np.void]:
        """The records, by event."""
        held: NDArray[np.void] = self.versions.table[self.versions.table["event"] != 0]
        return held.take(rows_in_order(held, "event"))

    def restore(self, held: NDArray[np.void]) -> None:
        """Become what `in_order` gave."""
        self._copy(held, -(2**62), len(held))

    def _copy(self, old: NDArray[np.void], first_day: int, events: int) -> None:
        size = 16
        while size * 2 < events * 3:  # at most two thirds full
            size *= 2
        new = Versions(np.zeros(size, dtype=VERSION), np.zeros(1, dtype=np.int64))
        _copy_kept(old, first_day, new)
        self.versions = new
