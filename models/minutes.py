"""Summaries of all partitions, each applied once, gathered into minutes.

A partition's summaries arrive in the order of their numbers, so one number for each partition tells what was applied.
"""

from typing import Literal

import msgspec

from features.errors import AssayError
from models.summary import Counts, Summary

MINUTE_MS = 60_000


class Minute(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all partitions saw and decided in one minute with one model.

    Attributes:
        minute_ms: where it begins, epoch milliseconds.
        model: see `Summary`.
        counts: all summaries together.
    """

    minute_ms: int
    model: str
    counts: Counts


class _State(msgspec.Struct, forbid_unknown_fields=True):
    schema: Literal[1]
    newest: list[tuple[int, int]]
    taken_ms: int
    late: int
    waiting: list[Minute]


class Minutes:
    """Minutes that still fill.

    Attributes:
        late: verdicts in summaries that came after their minute was taken; they count in the oldest minute that
            still fills. A restart of a worker makes some; many mean that a partition lags.

    >>> summary = Summary(partition=0, number=7, time_ms=60_001, model="m", counts=Counts(decisions=(1, 0, 0, 0)))
    >>> minutes = Minutes()
    >>> minutes.add(summary), minutes.add(summary)
    (True, False)
    >>> [minute.counts.verdicts for minute in minutes.take(until_ms=120_000)]
    [1]
    """

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}
        self._taken_ms = -(2**63)
        self._waiting: dict[tuple[int, str], Counts] = {}
        self.late = 0

    def add(self, summary: Summary) -> bool:
        """Apply a summary; False if it, or a later one of its partition, was applied before."""
        if summary.number <= self._newest.get(summary.partition, -1):
            return False
        self._newest[summary.partition] = summary.number
        minute_ms = summary.time_ms // MINUTE_MS * MINUTE_MS
        if minute_ms < self._taken_ms:
            minute_ms = self._taken_ms
            self.late += summary.counts.verdicts
        key = minute_ms, summary.model
        before = self._waiting.get(key)
        self._waiting[key] = summary.counts if before is None else before + summary.counts
        return True

    def take(self, until_ms: int) -> list[Minute]:
        """Take out the minutes that end at or before `until_ms`, oldest first; give it some way behind the present.

        A minute without any summary is not among them.
        """
        end_ms = until_ms // MINUTE_MS * MINUTE_MS
        self._taken_ms = max(self._taken_ms, end_ms)
        keys = sorted(key for key in self._waiting if key[0] < end_ms)
        return [Minute(minute_ms=key[0], model=key[1], counts=self._waiting.pop(key)) for key in keys]

    def state(self) -> bytes:
        """Everything, as JSON: equal states are equal bytes."""
        waiting = [
            Minute(minute_ms=minute_ms, model=model, counts=counts)
            for (minute_ms, model), counts in sorted(self._waiting.items())
        ]
        newest = sorted(self._newest.items())
        return msgspec.json.encode(_State(1, newest, self._taken_ms, self.late, waiting), order="sorted")

    @classmethod
    def restore(cls, data: bytes) -> "Minutes":
        """What `state` gave.

        Raises:
            AssayError: it is not one.
        """
        try:
            state = msgspec.json.decode(data, type=_State)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise AssayError(f"state of the minutes: {error}; remove it, the watch begins anew") from error
        minutes = cls()
        minutes._newest, minutes._taken_ms, minutes.late = dict(state.newest), state.taken_ms, state.late
        minutes._waiting = {(minute.minute_ms, minute.model): minute.counts for minute in state.waiting}
        return minutes
