"""Everything that the console remembers of the topics it follows: a fold of their records into bounded books. Pure."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from features.events import Marker
from streams.console.alert_shelf import AlertShelf
from streams.console.audit import AuditTrail
from streams.console.label_book import LabelBook
from streams.console.lag import LagHistory
from streams.console.latency import Landed, LatencyBook
from streams.console.link_book import LinkBook
from streams.console.snooze_shelf import SnoozeShelf
from streams.console.telemetry_book import TelemetryBook
from streams.console.verdict_book import VerdictBook
from streams.control import in_force
from streams.log import LogRecord
from streams.topics import WATCH_STATES

HOUR_MS: Final = 3_600_000
_STATES: Final = f"warm.{WATCH_STATES}"


class Followed(NamedTuple):
    """A topic that the console follows.

    Attributes:
        name: without the prefix.
        back_ms: how far back it is read at the start; None: from its beginning.
        most: records of each partition read at the start, at most.
    """

    name: str
    back_ms: int | None
    most: int


def followed(history_ms: int, most_verdicts: int) -> tuple[Followed, ...]:
    """What is followed, and from where."""
    return (
        Followed("telemetry", HOUR_MS, 50_000),
        Followed("alerts", 30 * 24 * HOUR_MS, 10_000),
        Followed(_STATES, None, 500),
        Followed("verdicts", history_ms, most_verdicts),
        Followed("labels", None, 100_000),
        Followed("links", None, 20_000),
        Followed("audit", None, 5_000),
        Followed("control", None, 500),
    )


class Picture:
    """The books, and which topic goes into which.

    Args:
        most_verdicts: verdicts kept.
    """

    def __init__(self, most_verdicts: int) -> None:
        self.telemetry = TelemetryBook()
        self.verdicts = VerdictBook(most_verdicts)
        self.alerts = AlertShelf()
        self.snoozes = SnoozeShelf()
        self.in_force: dict[str, Marker] = {}
        self.labels = LabelBook()
        self.links = LinkBook()
        self.audit = AuditTrail()
        self.latency = LatencyBook()
        self.engine_lag = LagHistory()
        self.warm_lag = LagHistory()
        self.landed: deque[Landed] = deque(maxlen=1_000)
        self.fault: str | None = None
        """Why the picture does not move; None while it does."""

    def take(self, topic: str, partition: int, records: Sequence[LogRecord]) -> None:
        """Records of one partition of a followed topic, in their order; `topic` without the prefix."""
        if topic == "verdicts":
            for record in records:
                self.verdicts.take(record)
            self._remember_landing(partition, records)
            return
        if topic == "control":
            self.in_force |= in_force(records)
            return
        if topic == _STATES:
            for record in records:
                self.snoozes.take(record)
            return
        take: Callable[[bytes], None] = {
            "telemetry": self.telemetry.take,
            "alerts": self.alerts.take,
            "labels": self.labels.take,
            "links": self.links.take,
            "audit": self.audit.take,
        }[topic]
        for record in records:
            take(record.value or b"")

    def _remember_landing(self, partition: int, records: Sequence[LogRecord]) -> None:
        """The last few of a batch: their events are asked for when they were taken."""
        for record in records[-50:]:
            row = self.verdicts.row_of(record)
            if row is not None and row.published_ms is not None:
                self.landed.append(Landed(partition, row.verdict.at.offset, row.published_ms))
