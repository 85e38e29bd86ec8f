"""The watch over labels: how good decisions were on days whose labels are in, and whether labels still come. Pure.

It is told what labels say of verdicts, and what was decided on which day; once a day it judges. Everything it knows is
in rows that change one by one, because a platform has more labels than one value should hold: a row for each labelled
event, one for each day, and one for what was judged. Each of them takes a record that comes again for nothing new, so
after a crash the log may be read again from any place before.

A day of decisions is that of the log, a day of labels that of the event: live events are of the day on which they come.
Where more of a day's events turn out to be fraud than were decided on it, old events were put in later; it is left out.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np

from features.errors import AssayError
from models.arrivals import ArrivalCurve, arrival_curve, day_of, feed_slower_than_curve
from models.cohorts import Cohort, DayTotals, measure, miscalibrated
from models.decision import OUTCOMES
from models.finding import Finding
from models.label_book import DAY_MS, Entry, JudgedLabel, LabelBook
from models.summary import Summary
from models.telemetry_log import LabelSeen
from models.watch_limits import CohortLimits

WAIT_MS: Final = 3_600_000
"""A day is judged so long after its end: labels on their way still count in it."""
_SPARE_DAYS: Final = 7
_JUDGED, _LABEL, _DAY = b"cohorts", b"label/", b"day/"

Row = tuple[bytes, bytes | None]
"""Key and value to store; None: to remove."""


class _Day(msgspec.Struct, forbid_unknown_fields=True):
    """What was decided on one day; `newest` is the number of the newest summary of each partition in it."""

    decisions: list[int]
    score_sum_micro: int
    newest: dict[int, int]


class _Judged(msgspec.Struct, forbid_unknown_fields=True):
    """What the newest judgement left; `share` and `labels` are of the curve in use."""

    schema: Literal[1] = 1
    day: int | None = None
    late: bool = False
    share: list[float] = []
    labels: int = 0
    cohort: Cohort | None = None


_day_of = msgspec.json.Decoder(_Day).decode
_entry_of = msgspec.json.Decoder(Entry).decode
_judged_of = msgspec.json.Decoder(_Judged).decode
_encode = msgspec.json.Encoder().encode


class Looked(NamedTuple):
    """What a judgement brought to light.

    Attributes:
        findings: what is wrong.
        rows: to store, after the findings were told.
    """

    findings: list[Finding]
    rows: list[Row]


NOTHING_LOOKED: Final = Looked([], [])


class LabelWatch:
    """Watches all partitions and models together.

    Args:
        limits: when labels may be believed, and what is a finding.
    """

    def __init__(self, limits: CohortLimits) -> None:
        self._limits = limits
        self._book = LabelBook()
        self._days: dict[int, _Day] = {}
        self._judged = _Judged()

    @property
    def cohort(self) -> Cohort | None:
        """Measures of the newest judgement that labels allowed; None before one."""
        return self._judged.cohort

    def label(self, seen: LabelSeen) -> list[Row]:
        """Take what a label says of a verdict; rows that changed."""
        outcome = OUTCOMES.index(seen.decision)
        label = JudgedLabel(seen.event, seen.time_ms, seen.known_at_ms, seen.label, seen.is_fraud, outcome)
        if not self._book.add(label):
            return []
        return [(_LABEL + seen.event.encode(), _encode(self._book.entry(seen.event)))]

    def summary(self, summary: Summary) -> list[Row]:
        """Count a summary in its day; rows that changed."""
        number = day_of(summary.time_ms)
        day = self._days.setdefault(number, _Day([0] * len(OUTCOMES), 0, {}))
        if summary.number <= day.newest.get(summary.partition, -1):
            return []
        day.newest = dict(sorted({**day.newest, summary.partition: summary.number}.items()))  # equal days, equal bytes
        counts = summary.counts
        day.decisions = [mine + yours for mine, yours in zip(day.decisions, counts.published, strict=True)]
        day.score_sum_micro += counts.score_sum_micro
        return [_row(number, day)]

    def tick(self, time_ms: int) -> Looked | None:
        """Judge, if a day has ended since the newest judgement; None otherwise."""
        today = day_of(time_ms - WAIT_MS)
        if self._judged.day is not None and today <= self._judged.day:
            return None
        removed = self._forget(today)
        entries = self._book.entries()
        curve = self._curve(entries, today)
        findings: list[Finding] = []
        cohort, late = self._judged.cohort, False
        if curve is not None:
            verdicts = {number: sum(day.decisions) for number, day in self._days.items()}
            findings = feed_slower_than_curve(curve, entries, verdicts, today, self._limits)
            late = bool(findings)
            if not late:  # where labels are missing, days only look mature
                cohort = self._measured(entries, curve, today)
                findings = miscalibrated(cohort, self._limits)
        share = [] if curve is None else curve.share.tolist()
        self._judged = _Judged(1, today, late, share, 0 if curve is None else curve.labels, cohort)
        return Looked(findings, [(_JUDGED, _encode(self._judged)), *removed])

    def restore(self, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Go on from stored rows; those of others are passed over.

        Raises:
            AssayError: one of them cannot be read.
        """
        for key, value in rows:
            if value is None:
                continue
            try:
                if key == _JUDGED:
                    self._judged = _judged_of(value)
                elif key.startswith(_DAY):
                    self._days[int(key.removeprefix(_DAY))] = _day_of(value)
                elif key.startswith(_LABEL):
                    self._book.put(_entry_of(value))
            except (msgspec.MsgspecError, ValueError) as error:
                raise AssayError(
                    f"state of the watch over labels: {error}; remove it, the watch begins anew"
                ) from error

    def _curve(self, entries: list[Entry], today: int) -> ArrivalCurve | None:
        """The curve from before the days that are compared with it; while labels are late, the one from before that."""
        if self._judged.late:
            return ArrivalCurve(np.array(self._judged.share), self._judged.labels)
        return arrival_curve(entries, today - self._limits.feed_days, self._limits)

    def _measured(self, entries: list[Entry], curve: ArrivalCurve, today: int) -> Cohort:
        """Measures of the newest mature days, as many as the limits say, without those that cannot be compared."""
        frauds = Counter((day_of(e.newest.time_ms), e.newest.outcome) for e in entries if e.newest.is_fraud)
        mature = curve.mature_after_days(self._limits.mature_share)
        days = [
            number
            for number in range(today - mature - self._limits.cohort_days, today)
            if number in self._days
            and all(frauds[number, place] <= count for place, count in enumerate(self._days[number].decisions))
        ]
        totals = {number: _totals(self._days[number]) for number in days}
        return measure(entries, totals, curve, days, today, self._limits)

    def _forget(self, today: int) -> Sequence[Row]:
        """Drop what no curve and no measure asks for any more; rows to remove."""
        oldest = today - 2 * self._limits.horizon_days - _SPARE_DAYS
        gone = [number for number in self._days if number < oldest]
        for number in gone:
            del self._days[number]
        events = self._book.forget(oldest * DAY_MS)
        return [(_DAY + b"%d" % number, None) for number in gone] + [
            (_LABEL + event.encode(), None) for event in events
        ]


def _row(number: int, day: _Day) -> Row:
    return _DAY + b"%d" % number, _encode(day)


def _totals(day: _Day) -> DayTotals:
    approve, step_up, review, decline = day.decisions
    return DayTotals((approve, step_up, review, decline), day.score_sum_micro)
