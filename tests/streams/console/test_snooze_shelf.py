"""Snoozes on the page of alerts: which are shown, and what a form may ask for."""

import pytest

from features.errors import AssayError
from models.finding import Finding
from models.telemetry_log import Snooze
from streams.alert_book import AlertBook
from streams.console.snooze_shelf import END, SPANS, SnoozeShelf, snooze_of
from streams.log import LogRecord
from streams.log_range import parse_span
from streams.warm.telemetry_step import ALERTS, MINUTES

SALE = Snooze(kind="feature-drift", subject=None, until_ms=1_000, by="ana", reason="the sale")
ONE = Snooze(kind="feature-drift", subject="account_amount_z_30d", until_ms=9_000, by="bo", reason="known")
FORM = {"alert": "feature-drift", "subject": "", "span": "2h", "reason": " the sale "}


def stored(*snoozes: Snooze) -> LogRecord:
    """The book of alerts as the warm path stores it."""
    book = AlertBook()
    for snooze in snoozes:
        book.snooze(snooze)
    book.observe([Finding(name="volume", level="act", value=1.0, expected=9.0, text="few")], now_ms=10)
    return LogRecord(0, book.state(), ALERTS)


def test_the_newest_book_is_shown_and_what_is_over_is_not() -> None:
    shelf = SnoozeShelf()
    shelf.take(stored(SALE, ONE))
    assert shelf.in_force(999) == [SALE, ONE]
    assert shelf.in_force(1_000) == [ONE]
    shelf.take(stored(SALE))
    assert shelf.in_force(0) == [SALE]


def test_what_is_no_book_of_this_version_changes_nothing() -> None:
    shelf = SnoozeShelf()
    shelf.take(stored(SALE))
    for record in (LogRecord(1, b"{", ALERTS), LogRecord(2, stored(ONE).value, MINUTES), LogRecord(3, None, ALERTS)):
        shelf.take(record)
    assert shelf.in_force(0) == [SALE]


def test_what_was_just_said_is_shown_and_can_be_ended() -> None:
    shelf = SnoozeShelf()
    said = snooze_of(FORM, "ana", now_ms=50)
    assert said == Snooze(kind="feature-drift", subject=None, until_ms=7_200_050, by="ana", reason="the sale")
    shelf.said(said)
    assert shelf.in_force(60) == [said]
    shelf.said(snooze_of({**FORM, "span": END, "reason": ""}, "bo", now_ms=70))
    assert shelf.in_force(70) == []


def test_every_span_on_offer_is_one() -> None:
    assert all(parse_span(span) for span in SPANS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"alert": "<b>"}, "kind of alert"),
        ({"span": "3h"}, "expected one of 30m"),
        ({"span": "-2h"}, "expected one of 30m"),
        ({"reason": "  "}, "why"),
        ({"reason": "x" * 201}, "why"),
        ({"subject": "x" * 201}, "snooze"),
    ],
)
def test_what_is_no_snooze_is_refused(change: dict[str, str], said: str) -> None:
    with pytest.raises(AssayError, match=said):
        snooze_of({**FORM, **change}, "ana", 0)
