"""What becomes of one record of the telemetry log: alerts to publish and states to store. No Faust, no clock."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from features.errors import AssayError
from features.records import Alert, encode
from models.breaker import Transition
from models.label_watch import NOTHING_LOOKED, LabelWatch, Row
from models.skew import skew_findings
from models.summary import Summary
from models.telemetry_log import Compared, LabelSeen, Snooze, decode_telemetry
from models.watch_limits import CohortLimits
from streams.alert_book import AlertBook
from streams.alert_kinds import SKEW
from streams.publisher import Message
from streams.warm.traffic_watch import TrafficWatch

WATCH, ALERTS, MINUTES = b"watch", b"alerts", b"minutes"
"""Rows of the table of states."""


class TelemetryStep(NamedTuple):
    """What one record asks for, in this order: put the breaker in force, publish, then store one row after the other.

    The order makes a crash harmless between any two of them: what was published may be published again, a minute whose
    judgement is stored is not judged again, and what is not stored is counted from the log once more.

    Attributes:
        transition: change of the breaker, to be put in force.
        alerts: what to tell.
        rows: states to store; None where one is to be removed.
    """

    transition: Transition | None
    alerts: list[Alert]
    rows: list[Row]


class TelemetryFold:
    """The watches over traffic and labels and the book of alerts, as far as the log was read.

    Args:
        watch: new.
        repeat_ms: an alert in force is told again after so long.
        labels: new; None: with the limits that stand in `models.watch_limits`.
    """

    def __init__(self, watch: TrafficWatch, repeat_ms: int, labels: LabelWatch | None = None) -> None:
        self.watch = watch
        self.labels = labels or LabelWatch(CohortLimits())
        self._repeat_ms = repeat_ms
        self.book = AlertBook(repeat_ms)

    def restore(self, rows: Mapping[bytes, bytes | None]) -> None:
        """Go on from stored rows; absent or None where there is none.

        Raises:
            AssayError: one of them cannot be read.
        """
        self.watch.restore(rows.get(MINUTES), rows.get(WATCH))
        self.labels.restore(rows.items())
        alerts = rows.get(ALERTS)
        if alerts is not None:
            self.book = AlertBook.restore(alerts, self._repeat_ms)

    def step(self, value: bytes) -> TelemetryStep:
        """Fold one record.

        Raises:
            msgspec.MsgspecError: it is no record of the telemetry topic.
        """
        record = decode_telemetry(value)
        if isinstance(record, Summary):
            self.watch.summary(record)
            return TelemetryStep(None, [], [*self.labels.summary(record), (MINUTES, self.watch.minutes_state())])
        if isinstance(record, LabelSeen):
            return TelemetryStep(None, [], self.labels.label(record))
        if isinstance(record, Snooze):
            return self._snooze(record)
        if isinstance(record, Compared):
            self.book.hear(SKEW, skew_findings(record.features))
            return TelemetryStep(None, [], [(ALERTS, self.book.state())])
        judged = self.watch.tick(record)
        looked = self.labels.tick(record.time_ms)
        if judged.time_ms is None and looked is None and not self.book.has_heard:
            return TelemetryStep(None, [], [])
        of_labels = looked or NOTHING_LOOKED
        alerts = self.book.observe([*judged.findings, *of_labels.findings], record.time_ms)
        rows = [
            (WATCH, self.watch.watch_state()),
            (ALERTS, self.book.state()),
            *of_labels.rows,
            (MINUTES, self.watch.minutes_state()),
        ]
        return TelemetryStep(judged.transition, alerts, rows)

    def _snooze(self, snooze: Snooze) -> TelemetryStep:
        """The last word about a kind and subject holds, so one that is read again after a crash changes nothing."""
        try:
            self.book.snooze(snooze)
        except AssayError as error:  # of a version with other kinds
            raise msgspec.ValidationError(str(error)) from error
        return TelemetryStep(None, [], [(ALERTS, self.book.state())])


def alert_message(topic: str, alert: Alert, headers: list[tuple[str, bytes | None]] | None = None) -> Message:
    """The record of an alert."""
    return Message(topic, 0, alert.alert.encode(), encode(alert), headers)
