"""Sees to it that no record of a partition is passed over between the broker and an agent.

While partitions move between workers Faust may drop records that it has fetched. It takes the hole for one that
transactions leave, and commits beyond it: the records would be lost. So before a record is worked on, its offset is
compared with the one that should come next; a hole is read again, and if there is a record in it, the worker ends
before anything behind it can be committed. Its next start reads on from what is committed, which is before the hole.
"""

from typing import Protocol

from streams.warm.commit_age import Place


class LogView(Protocol):
    """What the broker knows of partitions and of the group."""

    def begin_of(self, place: Place) -> int:
        """What the group has committed of a partition, else where its log begins.

        Raises:
            AssayError: the broker does not tell.
        """
        ...

    def has_records(self, place: Place, start: int, end: int) -> bool:
        """Whether there are committed records from `start` until before `end`; raises as `begin_of` does."""
        ...


class Continuity:
    """Which offset has to come next, by partition.

    Args:
        log: is asked where a partition begins, and what is in a hole.
    """

    def __init__(self, log: LogView) -> None:
        self._log = log
        self._next: dict[Place, int] = {}

    def hole_before(self, place: Place, offset: int) -> tuple[int, int] | None:
        """The offsets that were passed over before this one, from the first to behind the last; None if none was.

        Raises:
            AssayError: the broker does not tell.
        """
        expected = self._next.get(place)
        if expected is None:
            expected = self._log.begin_of(place)
        if offset <= expected or not self._log.has_records(place, expected, offset):
            return None
        return expected, offset

    def worked(self, place: Place, next_offset: int) -> None:
        """Everything before `next_offset` has had its effect."""
        self._next[place] = next_offset

    def forget(self) -> None:
        """Partitions move: others may go on with them, and what is committed says where they begin."""
        self._next.clear()
