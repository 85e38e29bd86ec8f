"""How long the commits of each partition have stood still although there is something to commit. Pure.

Faust can lose an offset that it has yet to commit: the partition then goes on, and nothing of it is ever committed
again until the worker is started anew. Nothing else shows it, so it is watched.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


@dataclass
class CommitAges:
    """What was worked on, what is committed, and since when the two differ.

    >>> ages = CommitAges()
    >>> place = Place("labels", 0)
    >>> ages.worked(place, 5, now_s=0.0)
    >>> ages.committed({place: 3}, now_s=1.0)
    >>> ages.worked(place, 6, now_s=8.0)
    >>> ages.at(now_s=11.0)
    {Place(topic='labels', partition=0): 10.0}
    >>> ages.committed({place: 6}, now_s=12.0)
    >>> ages.at(now_s=13.0)
    {Place(topic='labels', partition=0): 0.0}
    """

    _next: dict[Place, int] = field(default_factory=dict)
    _committed: dict[Place, int] = field(default_factory=dict)
    _since_s: dict[Place, float] = field(default_factory=dict)

    def worked(self, place: Place, next_offset: int, now_s: float) -> None:
        """Everything before `next_offset` has had its effect."""
        self._next[place] = next_offset
        if self._committed.get(place, -1) < next_offset:
            self._since_s.setdefault(place, now_s)

    def committed(self, offsets: Mapping[Place, int], now_s: float) -> None:
        """What the broker says is committed; -1 for nothing. A commit that moves is a commit that lives."""
        for place, offset in offsets.items():
            moved = offset > self._committed.get(place, -1)
            self._committed[place] = offset
            if offset >= self._next.get(place, -1):
                self._since_s.pop(place, None)
            elif moved:
                self._since_s[place] = now_s

    def unknown(self, now_s: float) -> None:
        """The broker does not say what is committed: whoever waits has waited since now."""
        self._since_s = dict.fromkeys(self._since_s, now_s)

    def keep(self, places: frozenset[Place]) -> None:
        """Forget partitions that somebody else works on now."""
        for table in (self._next, self._committed, self._since_s):
            for place in table.keys() - places:
                del table[place]

    def at(self, now_s: float) -> dict[Place, float]:
        """Seconds for which commits have stood still, by partition; 0 where nothing waits."""
        return {place: now_s - self._since_s.get(place, now_s) for place in sorted(self._next)}
