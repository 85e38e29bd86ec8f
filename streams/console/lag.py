"""How far a consumer group is behind, how fast it goes, and when it will have caught up. Pure."""

from collections import deque
from typing import Final, NamedTuple

KEPT_MS: Final = 60_000
"""Speeds are measured over so long."""


class Place(NamedTuple):
    """One partition of a topic."""

    topic: str
    partition: int


class Position(NamedTuple):
    """Where a group stands in a partition.

    Attributes:
        committed: the next offset that it will read; None: it has not committed anything.
        low: first offset that is there.
        end: offset behind the last committed record.
    """

    committed: int | None
    low: int
    end: int

    @property
    def lag(self) -> int:
        """Offsets still to come; markers of transactions take offsets too."""
        return max(0, self.end - (self.low if self.committed is None else max(self.committed, self.low)))


class Sample(NamedTuple):
    """Positions at one moment."""

    at_ms: int
    positions: dict[Place, Position]


class Lag(NamedTuple):
    """One partition, as it is and as it moves.

    Attributes:
        place: which one.
        lag: records still to come.
        arriving_per_s: offsets that are added each second; None: one sample only.
        working_per_s: offsets that are committed each second; likewise.
        has_committed: whether the group has committed anything there.
    """

    place: Place
    lag: int
    arriving_per_s: float | None
    working_per_s: float | None
    has_committed: bool

    @property
    def catch_up_s(self) -> float | None:
        """Seconds until nothing is left at these speeds; None: never, or nobody can tell.

        >>> Lag(Place("t", 0), 100, 10.0, 30.0, True).catch_up_s
        5.0
        >>> Lag(Place("t", 0), 100, 30.0, 10.0, True).catch_up_s is None
        True
        """
        if self.lag == 0:
            return 0.0
        if self.arriving_per_s is None or self.working_per_s is None or self.working_per_s <= self.arriving_per_s:
            return None
        return self.lag / (self.working_per_s - self.arriving_per_s)


class LagHistory:
    """A minute of samples of one group."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def take(self, sample: Sample) -> None:
        """A newer sample; the oldest ones go."""
        self._samples.append(sample)
        while self._samples[0].at_ms < sample.at_ms - KEPT_MS:
            self._samples.popleft()

    def now(self) -> list[Lag]:
        """Every partition, by topic and number."""
        if not self._samples:
            return []
        first, last = self._samples[0], self._samples[-1]
        return [self._lag(place, first, last) for place in sorted(last.positions)]

    def _lag(self, place: Place, first: Sample, last: Sample) -> Lag:
        now, before = last.positions[place], first.positions.get(place)
        elapsed_s = (last.at_ms - first.at_ms) / 1_000
        arriving = working = None
        if before is not None and elapsed_s > 0:
            arriving = max(0, now.end - before.end) / elapsed_s
            if now.committed is not None:
                working = max(0, now.committed - (before.committed or 0)) / elapsed_s
        return Lag(place, now.lag, arriving, working, now.committed is not None)
