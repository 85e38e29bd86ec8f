"""Alerts as their topic tells them: what is in force now, and what was told before. Pure."""

from collections import deque
from typing import Final, NamedTuple

import msgspec

from features.records import Alert
from streams.claims import NOT_JSON

MOST_ALERTS: Final = 10_000
_decode = msgspec.json.Decoder(Alert).decode


class InForce(NamedTuple):
    """One kind of alert that was told to fire and not to be over.

    Attributes:
        newest: the newest record that told it to fire.
        subjects: what it is about by now; empty for a kind that has no more than one.
        since_ms: when the first of them began.
    """

    newest: Alert
    subjects: list[str]
    since_ms: int


class AlertShelf:
    """Remembers the newest records, and for each kind and subject whether it is over."""

    def __init__(self, most: int = MOST_ALERTS) -> None:
        self._told: deque[Alert] = deque(maxlen=most)
        self._firing: dict[tuple[str, str], Alert] = {}

    def take(self, value: bytes) -> None:
        """A record of the topic; one that is no alert is passed over."""
        try:
            alert = _decode(value)
        except NOT_JSON:
            return
        self._told.append(alert)
        for subject in alert.subjects or [""]:
            if alert.status == "firing":
                self._firing[alert.alert, subject] = alert
            else:
                self._firing.pop((alert.alert, subject), None)

    def in_force(self) -> list[InForce]:
        """What is in force by kind, those that wake somebody first, then the newest first."""
        by_kind: dict[str, list[tuple[str, Alert]]] = {}
        for (kind, subject), alert in self._firing.items():
            by_kind.setdefault(kind, []).append((subject, alert))
        found = [
            InForce(
                newest=max((alert for _, alert in alike), key=lambda alert: alert.at_ms),
                subjects=sorted(subject for subject, _ in alike if subject),
                since_ms=min(alert.since_ms for _, alert in alike),
            )
            for alike in by_kind.values()
        ]
        return sorted(found, key=lambda one: (one.newest.severity != "page", -one.since_ms, one.newest.alert))

    def told(self, most: int) -> list[Alert]:
        """The newest records, newest first."""
        return list(self._told)[: -most - 1 : -1]
