"""Which partitions have records that nobody works on, although nothing hinders. Pure, but for who is asked.

Records that Faust has passed over show nowhere if no other follows: nothing waits to be committed. They are behind what
is committed, though, and that does not move.
"""

from collections.abc import Mapping

from streams.warm.commit_age import Place
from streams.warm.continuity import LogView


class Standstill:
    """How long committed offsets have stood still before the end of their partitions.

    >>> standstill, place = Standstill(), Place("labels", 0)
    >>> standstill.seen({place: 5}, {place: 9}, now_s=0.0)
    >>> standstill.seen({place: 5}, {place: 9}, now_s=8.0)
    >>> standstill.since(8.0)
    {Place(topic='labels', partition=0): (8.0, 5, 9)}
    >>> standstill.seen({place: 9}, {place: 9}, now_s=9.0)
    >>> standstill.since(9.0)
    {}
    """

    def __init__(self) -> None:
        self._stands: dict[Place, tuple[int, float]] = {}
        self._ends: dict[Place, int] = {}

    def seen(self, committed: Mapping[Place, int], ends: Mapping[Place, int], now_s: float) -> None:
        """What the broker says of the partitions that this worker has; -1 for nothing committed."""
        self._ends = dict(ends)
        stands = {}
        for place, end in ends.items():
            offset = max(0, committed.get(place, 0))
            if offset < end:
                before = self._stands.get(place)
                stands[place] = before if before is not None and before[0] == offset else (offset, now_s)
        self._stands = stands

    def since(self, now_s: float) -> dict[Place, tuple[float, int, int]]:
        """Seconds of standing still, and the offsets between which records may wait."""
        return {
            place: (now_s - since_s, offset, self._ends[place]) for place, (offset, since_s) in self._stands.items()
        }

    def worst(self, log: LogView, now_s: float, limit_s: float) -> str | None:
        """In words, one that has stood still for longer than `limit_s` although records are there; None if none has.

        Raises:
            AssayError: the broker does not tell.
        """
        for place, (age_s, start, end) in self.since(now_s).items():
            if age_s > limit_s and log.has_records(place, start, end):
                return f"{place.topic}[{place.partition}]: records from {start} on have waited for {age_s:.0f} s"
        return None
