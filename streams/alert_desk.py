"""What people see and say of alerts: the book as the warm path last stored it, and records that they put into its log.

A snooze, or a comparison, takes its place in the telemetry log, so whoever folds the log knows from where on it holds.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from models.telemetry_log import Compared, Snooze
from streams.alert_book import AlertBook
from streams.alert_kinds import KINDS
from streams.publisher import Message
from streams.topic_reader import TopicReader
from streams.warm.telemetry_step import ALERTS

FIRST_LOOK_RECORDS = 500


def stored_book(reader: TopicReader, states: str, look: int = FIRST_LOOK_RECORDS) -> AlertBook | None:
    """The newest book of alerts; None before the first one was stored.

    It is looked for from the end backwards: the topic of states holds more than it is compacted to.

    Args:
        reader: the way to it; stays open.
        states: topic of the states of the watch, full name.
        look: records that are read first; each further look is four times as long.

    Raises:
        AssayError: reading failed, or another version wrote the book.
    """
    low, end = reader.bounds(states, 0)
    while end > low:
        start = max(low, end - look)
        newest = None
        for records in reader.read(states, 0, start, end):
            newest = next((one.value for one in reversed(records) if one.key == ALERTS and one.value), newest)
        if newest is not None:
            return AlertBook.restore(newest)
        end, look = start, 4 * look
    return None


def message_of(telemetry: str, said: Snooze | Compared) -> Message:
    """The record that puts it into the telemetry log, a topic of that full name.

    >>> message_of("fraud.telemetry", Compared(rows=5, features=[]))[:4]
    ('fraud.telemetry', 0, b'compared', b'{"type":"compared","rows":5,"features":[]}')
    """
    return Message(telemetry, 0, str(type(said).__struct_config__.tag).encode(), msgspec.json.encode(said), None)


def rows_of(book: AlertBook, now_ms: int) -> list[dict[str, Any]]:
    """What is in force or snoozed, by kind and subject, as `assay alerts list` shows it.

    >>> book = AlertBook()
    >>> book.snooze(Snooze(kind="calibration", subject=None, until_ms=60_000, by="ana", reason="new model"))
    >>> [(row["alert"], row["state"], row["snoozed_until"]) for row in rows_of(book, now_ms=0)]
    [('calibration', 'quiet', '1970-01-01T00:01:00Z')]
    """
    rows, shown = [], set()
    for one in book.in_force():
        snooze = one.snooze if one.snooze is not None and one.snooze.until_ms > now_ms else None
        if snooze is not None:
            shown.add((snooze.kind, snooze.subject))
        since, state = time_text(one.since_ms), "firing" if snooze is None else "snoozed"
        rows.append(_row(one.kind, one.subject, state, since, time_text(one.seen_ms), one.text, snooze))
    rows += [
        _row(snooze.kind, snooze.subject or "", "quiet", None, None, "", snooze)
        for snooze in book.snoozes()
        if snooze.until_ms > now_ms and (snooze.kind, snooze.subject) not in shown
    ]
    return sorted(rows, key=lambda row: (row["alert"], row["subject"]))


def time_text(time_ms: int) -> str:
    """A moment in UTC, to the second.

    >>> time_text(1_767_225_600_999)
    '2026-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(time_ms // 1000, UTC).isoformat().replace("+00:00", "Z")


def _row(
    kind: str, subject: str, state: str, since: str | None, seen: str | None, text: str, snooze: Snooze | None
) -> dict[str, Any]:
    return {
        "alert": kind,
        "subject": subject,
        "severity": KINDS[kind].severity,
        "state": state,
        "since": since,
        "seen": seen,
        "snoozed_until": None if snooze is None else time_text(snooze.until_ms),
        "by": None if snooze is None else snooze.by,
        "reason": None if snooze is None else snooze.reason,
        "text": text,
        "runbook": KINDS[kind].runbook,
    }
