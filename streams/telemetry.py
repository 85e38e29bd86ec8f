"""Counts of a worker that wait to be published: now and then a summary of a partition goes along with a batch. Pure.

A summary is part of the transaction of the batch that makes it due, so what was aborted is never counted. What waits
when a worker dies, or when a partition moves, is lost: counts of a second, and no verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from models.summary import Summary
from streams.log import Counted

_encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass
class _Waiting:
    """Counts of one partition and one model, since the last summary."""

    counted: Counted
    since_s: float


@dataclass
class Telemetry:
    """What waits, by partition.

    Args:
        every_s: least time between two summaries of a partition.

    >>> from models.summary import Counts
    >>> telemetry = Telemetry(every_s=1.0)
    >>> telemetry.add(3, [Counted("m", 8, Counts(decisions=(2, 0, 0, 0)))], 5_000, now_s=0.0)
    []
    >>> telemetry.published()
    >>> (due,) = telemetry.add(3, [Counted("m", 9, Counts(decisions=(1, 0, 0, 0)))], 6_000, now_s=1.0)
    >>> telemetry.published()
    >>> due.number, due.counts.verdicts
    (9, 3)
    """

    every_s: float
    _waiting: dict[int, _Waiting] = field(default_factory=dict)
    _next: dict[int, _Waiting | None] = field(default_factory=dict)

    def add(self, partition: int, counted: Sequence[Counted], time_ms: int, now_s: float) -> list[Summary]:
        """Summaries that are due with a batch which is about to be published.

        Counts of another model than the one before end a summary: a summary is of one model.

        Args:
            partition: of the batch.
            counted: of the batch, in order; may be empty.
            time_ms: when the newest record of the batch was put into the log.
            now_s: seconds, rising.
        """
        waiting = self._waiting.get(partition)
        due: list[Counted] = []
        for one in counted:
            if waiting is None:
                waiting = _Waiting(one, now_s)
            elif waiting.counted.model == one.model:
                waiting = _Waiting(Counted(one.model, one.end, waiting.counted.counts + one.counts), waiting.since_s)
            else:
                due.append(waiting.counted)
                waiting = _Waiting(one, now_s)
        if waiting is not None and now_s - waiting.since_s >= self.every_s:
            due.append(waiting.counted)
            waiting = None
        self._next[partition] = waiting
        return [
            Summary(partition=partition, number=end, time_ms=time_ms, model=model, counts=counts)
            for model, end, counts in due
        ]

    def published(self) -> None:
        """The batch was published: what waits now is what `add` left."""
        for partition, waiting in self._next.items():
            if waiting is None:
                self._waiting.pop(partition, None)
            else:
                self._waiting[partition] = waiting
        self._next.clear()

    def aborted(self) -> None:
        """The batch was not published and will be folded again: what waits is what waited before."""
        self._next.clear()

    def forget(self, partitions: Sequence[int]) -> None:
        """These partitions are somebody else's now."""
        for partition in partitions:
            self._waiting.pop(partition, None)


def summary_json(summary: Summary) -> bytes:
    """The record of the telemetry topic."""
    return _encode(summary)
