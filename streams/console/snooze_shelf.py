"""Which alerts somebody does not want to hear of for a while: as the warm path stored them, and as said here. Pure."""

from collections.abc import Mapping
from typing import Final

import msgspec

from features.errors import AssayError
from models.telemetry_log import Snooze
from streams.alert_book import AlertBook
from streams.alert_kinds import KINDS
from streams.log import LogRecord
from streams.log_range import parse_span
from streams.warm.telemetry_step import ALERTS

SPANS: Final = ("30m", "2h", "8h", "1d", "7d")
"""What the form offers."""
END: Final = "end"
"""In place of a span: the snooze is over."""


class SnoozeShelf:
    """The snoozes of the newest book of alerts, and those that the warm path has not taken up yet."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None], Snooze] = {}

    def take(self, record: LogRecord) -> None:
        """A record of the states of the watch; only the book of alerts matters."""
        if record.key != ALERTS or record.value is None:
            return
        try:
            book = AlertBook.restore(record.value)
        except AssayError:  # the warm path's version is another one: what was known stands
            return
        self._known = {(one.kind, one.subject): one for one in book.snoozes()}

    def said(self, snooze: Snooze) -> None:
        """One that was just put into the log."""
        self._known[snooze.kind, snooze.subject] = snooze

    def in_force(self, now_ms: int) -> list[Snooze]:
        """Those that are not over, by kind and subject."""
        found = [one for one in self._known.values() if one.until_ms > now_ms]
        return sorted(found, key=lambda one: (one.kind, one.subject or ""))


def snooze_of(fields: Mapping[str, str], by: str, now_ms: int) -> Snooze:
    """The snooze that a form asks for.

    Args:
        fields: `alert`, `subject` (empty: all of the kind), `span` (of `SPANS`, or `END`) and `reason`.
        by: who asks.
        now_ms: epoch milliseconds.

    Raises:
        AssayError: there is no such alert or span, or no reason was given.

    >>> form = {"alert": "calibration", "subject": "", "span": "2h", "reason": "a new model is on its way"}
    >>> snooze_of(form, "ana", 0).until_ms
    7200000
    """
    kind, span, reason = fields.get("alert", ""), fields.get("span", ""), fields.get("reason", "").strip()
    if kind not in KINDS:
        raise AssayError("alert: expected a kind of alert, as the page of alerts shows them")
    span_ms = 0 if span == END else parse_span(span) if span in SPANS else None
    if span_ms is None:
        raise AssayError(f"for how long: expected one of {', '.join(SPANS)}")
    if span == END:
        reason = "ended"
    said = {
        "kind": kind,
        "subject": fields.get("subject") or None,
        "until_ms": now_ms + span_ms,
        "by": by,
        "reason": reason,
    }
    try:
        return msgspec.convert({"type": "snooze", **said}, Snooze)
    except msgspec.ValidationError as error:
        raise AssayError(f"snooze: {error}; say in a few words why") from None
