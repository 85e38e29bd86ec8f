"""Profiles of entities in the simulated world: a topic that is there from the beginning, and processes that have read
some of it.

What an event sees depends on the markers of its log alone: not on how far its process has read, nor on what the process
has let go of.
"""

import random
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.entities import DEVICE, ENTITY_KINDS, IP, MERCHANT
from features.entity_profile import VALUES, no_profiles
from features.entity_table import EntityTable, Versions
from features.identity import hash64
from tests.streams.logs import START_MS, entities_marker

PROFILES = 240
_NAMES = {
    DEVICE: [f"a{number}-d{device}" for number in range(8) for device in (1, 2)],
    MERCHANT: [f"m{number}" for number in range(20)],
    IP: [f"10.0.{net}.{host}" for net in range(3) for host in range(9)],
}


@cache
def topic() -> NDArray[Any]:
    """`PROFILE`[PROFILES], each at the offset that is its place; now and then one that takes an entity away."""
    source = random.Random(1)
    rows = no_profiles(PROFILES)
    for row in rows:
        kind = source.choice(list(_NAMES))
        row["kind"], row["entity"] = kind, hash64(source.choice(_NAMES[kind]))
        row["as_of_ms"] = START_MS + source.randrange(4 * 3_600_000)
        if source.random() < 0.9:
            row["values"] = [source.randrange(30) for _ in VALUES]
    assert rows["kind"].max() < len(ENTITY_KINDS)
    return rows


class WorldProfiles:
    """`streams.worker_ports.ProfilesOnTopic` of one process.

    Args:
        source: of how far it reads on; None: it has read everything, and lets go of nothing.
    """

    def __init__(self, source: random.Random | None = None) -> None:
        self._source = source
        self._table = EntityTable()
        self._read = 0
        if source is None:
            self._take(PROFILES)

    @property
    def versions(self) -> Versions:
        """See `Profiles`."""
        return self._table.versions

    def __len__(self) -> int:
        return len(self._table)

    def read_until(self, offset: int, seen_from: int) -> None:
        """See `Profiles`."""
        if seen_from < self._table.floor:
            self._table, self._read = EntityTable(), 0
        self._take(offset + 1)

    def read_on(self) -> None:
        """See `ProfilesOnTopic`."""
        if self._source is not None and self._read:
            self._take(min(PROFILES, self._read + self._source.choice((0, 0, 1, 7, PROFILES))))

    def let_go(self, seen_from: int) -> None:
        """See `ProfilesOnTopic`; at once, however little it is."""
        if self._source is not None:
            self._table.forget(seen_from)

    def _take(self, end: int) -> None:
        assert end <= PROFILES, "the log speaks of profiles that are there"
        if end > self._read:
            self._table.put(topic()[self._read : end], np.arange(self._read, end))
            self._read = end


def with_entities(values: list[bytes], source: random.Random, time_ms_of: Any) -> list[bytes]:
    """The log with markers that make ever more profiles visible; some say less than one before, or nothing at all."""
    if source.random() < 0.2:
        return values
    result, visible = [], -1
    for number, value in enumerate(values):
        result.append(value)
        if source.random() < 0.12:
            visible = min(PROFILES - 1, visible + source.choice((1, 2, 9, 40)))
            said = visible if source.random() < 0.9 else source.randrange(visible + 1)
            marker = entities_marker(number, said, time_ms_of(values[: number + 1]))
            result.append(marker if source.random() < 0.97 else marker.replace(b'"value":"', b'"value":"x'))
    return result
