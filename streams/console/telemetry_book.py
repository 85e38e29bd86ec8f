"""The last hour of telemetry: counts by ten seconds for rates and mix, by minute and model for distributions. Pure."""

from dataclasses import dataclass, field

import msgspec

from models.summary import Counts, Summary

STEP_MS = 10_000
"""Width of a step of the charts."""
KEPT_MS = 3_600_000
_MINUTE_MS = 60_000
_MOST_MODELS = 6


class _Tagged(msgspec.Struct):
    type: str = "summary"


_kind = msgspec.json.Decoder(_Tagged).decode
_summary = msgspec.json.Decoder(Summary).decode


@dataclass(slots=True)
class Step:
    """What ten seconds saw, over all partitions and models.

    Attributes:
        start_ms: a multiple of `STEP_MS`.
        decisions: verdicts by decision, mildest first.
        scored: verdicts with a score.
        score_sum_micro: sum of these scores, in millionths.
    """

    start_ms: int
    decisions: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    scored: int = 0
    score_sum_micro: int = 0

    @property
    def verdicts(self) -> int:
        """Verdicts of every decision."""
        return sum(self.decisions)


class TelemetryBook:
    """Remembers an hour of summaries; each is counted once, also when the topic is read again.

    >>> book = TelemetryBook()
    >>> one = Summary(partition=0, number=5, time_ms=10_500, model="m", counts=Counts(decisions=(3, 0, 0, 1)))
    >>> book.add(one), book.add(one)
    (True, False)
    >>> [(step.start_ms, step.verdicts) for step in book.steps(10_000, 29_999)]
    [(10000, 4), (20000, 0)]
    """

    def __init__(self) -> None:
        self._steps: dict[int, Step] = {}
        self._minutes: dict[tuple[int, str], Counts] = {}
        self._newest: dict[int, int] = {}
        self.newest_ms: int | None = None

    def take(self, value: bytes) -> None:
        """A record of the topic; ticks of the warm path and what is neither are passed over."""
        try:
            if _kind(value).type == "summary":
                self.add(_summary(value))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return

    def add(self, summary: Summary) -> bool:
        """Count a summary; False if it was counted before."""
        if summary.number <= self._newest.get(summary.partition, -1):
            return False
        self._newest[summary.partition] = summary.number
        counts, start_ms = summary.counts, summary.time_ms // STEP_MS * STEP_MS
        step = self._steps.setdefault(start_ms, Step(start_ms))
        step.decisions = [mine + theirs for mine, theirs in zip(step.decisions, counts.decisions, strict=True)]
        step.scored += counts.scored
        step.score_sum_micro += counts.score_sum_micro
        minute = (summary.time_ms // _MINUTE_MS * _MINUTE_MS, summary.model)
        self._minutes[minute] = self._minutes.get(minute, Counts()) + counts
        self.newest_ms = max(self.newest_ms or 0, summary.time_ms)
        self._forget(self.newest_ms - KEPT_MS)
        return True

    def steps(self, from_ms: int, to_ms: int) -> list[Step]:
        """Every step that begins from `from_ms` to before `to_ms`, also those that saw nothing."""
        first = -(-from_ms // STEP_MS) * STEP_MS
        return [self._steps.get(start, Step(start)) for start in range(first, to_ms, STEP_MS)]

    def by_model(self, since_ms: int = 0) -> dict[str, Counts]:
        """Sums by model over the minutes from `since_ms` on; the model with most verdicts first."""
        sums: dict[str, Counts] = {}
        for (minute_ms, model), counts in self._minutes.items():
            if minute_ms >= since_ms:
                sums[model] = sums.get(model, Counts()) + counts
        ordered = sorted(sums.items(), key=lambda item: (-item[1].verdicts, item[0]))
        return dict(ordered[:_MOST_MODELS])

    def _forget(self, before_ms: int) -> None:
        for start_ms in [start for start in self._steps if start < before_ms]:
            del self._steps[start_ms]
        for key in [key for key in self._minutes if key[0] < before_ms]:
            del self._minutes[key]
