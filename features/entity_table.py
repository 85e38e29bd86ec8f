"""Profiles of entities in memory, each with the versions that somebody may still have to see.

A version is visible from the offset of its record on. Who reads a log names the offset that is visible at each of its
events, and is shown the newest version that is not later: so an event that is folded again sees what it saw the first
time, however far the table has been read meanwhile.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.arena import lengthen
from features.compiled import compiled
from features.entity_profile import NOTHING_KNOWN, PROFILE, says_something

VERSION = np.dtype(
    [*((name, PROFILE[name]) for name in PROFILE.names or ()), ("offset", np.int64), ("older", np.int64)]
)
"""A profile with the offset from which it is visible, and the row of the version before it, -1 = none."""

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""Moves the kinds of one hash apart: what is a beneficiary may be a device's hash too."""
_LEAST_PLACES = 1 << 10
_FORGET_FROM: Final = 100_000
"""With fewer versions nothing is let go of."""
NOTHING: Final = -1
"""As an offset: nothing is visible."""


class Versions(NamedTuple):
    """The table as kernels see it."""

    rows: NDArray[Any]
    """`VERSION`[room]"""
    places: NDArray[np.int64]
    """int64[2^k], row + 1 of the newest version of an entity by open addressing; 0 = free."""


@compiled
def _place(versions: Versions, kind: Any, entity: Any) -> int:
    """Place of an entity, or the free place where it belongs."""
    mask = np.uint64(len(versions.places) - 1)
    place = (entity + np.uint64(kind) * _SPREAD) & mask
    while True:
        row = versions.places[place] - 1
        if row < 0 or (versions.rows[row]["entity"] == entity and versions.rows[row]["kind"] == kind):
            return np.int64(place)  # type: ignore[return-value]
        place = (place + np.uint64(1)) & mask


@compiled
def find_version(versions: Versions, kind: Any, entity: Any, visible: int) -> int:
    """Row of the newest version of an entity at an offset that is visible; -1 if there is none."""
    row: int = versions.places[_place(versions, kind, entity)] - 1
    while row >= 0 and versions.rows[row]["offset"] > visible:
        row = versions.rows[row]["older"]
    return row


@compiled
def _put(versions: Versions, count: int, profiles: NDArray[Any], offsets: NDArray[np.int64]) -> None:
    """Add versions behind the `count` that are there."""
    for number in range(len(profiles)):
        row = count + number
        profile, version = profiles[number], versions.rows[row]
        place = _place(versions, profile["kind"], profile["entity"])
        version["kind"] = profile["kind"]
        version["entity"] = profile["entity"]
        version["as_of_ms"] = profile["as_of_ms"]
        version["values"][:] = profile["values"]
        version["older"] = versions.places[place] - 1
        version["offset"] = offsets[number]
        versions.places[place] = row + 1


@compiled
def _copy_newest(versions: Versions, profiles: NDArray[Any], nothing: NDArray[np.float32]) -> None:
    for number in range(len(profiles)):
        profile = profiles[number]
        row = versions.places[_place(versions, profile["kind"], profile["entity"])] - 1
        profile["as_of_ms"] = versions.rows[row]["as_of_ms"] if row >= 0 else 0
        for value in range(len(nothing)):
            profile["values"][value] = versions.rows[row]["values"][value] if row >= 0 else nothing[value]


@compiled
def _enter(versions: Versions, count: int) -> None:
    """Enter rows, older versions before newer ones, into empty places."""
    for row in range(count):
        place = _place(versions, versions.rows[row]["kind"], versions.rows[row]["entity"])
        versions.rows[row]["older"] = versions.places[place] - 1
        versions.places[place] = row + 1


@compiled
def _kept(versions: Versions, count: int, floor: int, says_something: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which rows somebody may still have to see who sees at least what is visible at `floor`."""
    kept = np.ones(count, dtype=np.bool_)
    for row in range(count):
        if versions.rows[row]["offset"] > floor:
            older = versions.rows[row]["older"]
            while older >= 0 and versions.rows[older]["offset"] > floor:
                older = versions.rows[older]["older"]
            newest = older
        else:
            newest = row
        if newest < 0:
            continue
        older = versions.rows[newest]["older"]
        while older >= 0 and kept[older]:
            kept[older] = False
            older = versions.rows[older]["older"]
        if not says_something[newest]:
            kept[newest] = False  # nothing there is shown as a profile that says nothing
    return kept


class EntityTable:
    """Versions of profiles.

    Attributes:
        floor: what is visible at offsets below it is not known any more.

    >>> from features.entity_profile import no_profiles
    >>> table = EntityTable()
    >>> profile = no_profiles(2)
    >>> profile["entity"], profile["values"][:, 0] = 5, [2, 3]
    >>> table.put(profile, np.array([10, 20]))
    >>> [table.profile(0, 5, visible)["values"][:, 0].tolist() for visible in (9, 10, 19, 20)]
    [[], [2.0], [2.0], [3.0]]
    """

    def __init__(self) -> None:
        self._count = 0
        self.versions = Versions(np.zeros(0, dtype=VERSION), np.zeros(_LEAST_PLACES, dtype=np.int64))
        self.floor = NOTHING
        self._left = 0

    def __len__(self) -> int:
        """Versions that are held."""
        return self._count

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.versions.rows.nbytes + self.versions.places.nbytes

    def put(self, profiles: NDArray[Any], offsets: NDArray[np.int64]) -> None:
        """Add `PROFILE`[n]; a profile that says nothing takes an entity away.

        Args:
            profiles: new versions.
            offsets: int64[n], of their records, never falling, and above those that are held.
        """
        end = self._count + len(profiles)
        if end > len(self.versions.rows):
            lengthen(self.versions.rows, max(end, len(self.versions.rows) * 5 // 4))
        if 2 * end > len(self.versions.places):
            places = np.zeros(1 << int(4 * end).bit_length(), dtype=np.int64)
            self.versions = Versions(self.versions.rows, places)
            _enter(self.versions, self._count)
        _put(self.versions, self._count, profiles, offsets)
        self._count = end

    def newest_of(self, profiles: NDArray[Any]) -> None:
        """Give each of `PROFILE`[n] time and values of the newest version of its entity; of an unknown one nothing."""
        _copy_newest(self.versions, profiles, NOTHING_KNOWN)

    def profile(self, kind: int, entity: int, visible: int) -> NDArray[Any]:
        """`PROFILE` of an entity as it is visible at an offset: one row, or none."""
        row = find_version(self.versions, np.uint8(kind), np.uint64(entity), visible)
        found = self.versions.rows[row : row + 1] if row >= 0 else self.versions.rows[:0]
        return _profiles_of(found)

    def let_go(self, floor: int) -> None:
        """`forget`, if there is so much more than was left the last time that it is worth the work."""
        if len(self) > max(_FORGET_FROM, 2 * self._left):
            self.forget(floor)
            self._left = len(self)

    def forget(self, floor: int) -> None:
        """Let go of versions that nobody sees any more to whom at least offset `floor` is visible."""
        if floor <= self.floor:
            return
        rows = self.versions.rows[: self._count]
        kept = rows[_kept(self.versions, self._count, floor, says_something(rows))]
        self.versions = Versions(kept.copy(), np.zeros(1 << int(4 * len(kept) + _LEAST_PLACES).bit_length(), np.int64))
        self._count = len(kept)
        self.floor = floor
        _enter(self.versions, self._count)

    def newest(self) -> NDArray[Any]:
        """`PROFILE`[n], the newest version of each entity, by kind and entity."""
        rows = self.versions.rows[self.versions.places[self.versions.places > 0] - 1]
        profiles = _profiles_of(rows[says_something(rows)])
        return profiles[np.lexsort((profiles["entity"], profiles["kind"]))]


def _profiles_of(versions: NDArray[Any]) -> NDArray[Any]:
    profiles = np.empty(len(versions), dtype=PROFILE)
    for name in PROFILE.names or ():
        profiles[name] = versions[name]
    return profiles
