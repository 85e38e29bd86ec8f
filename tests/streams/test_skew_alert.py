"""A comparison that was told becomes the alert, holds until the next one, and ends with a clean one."""

import msgspec
import pytest

from models.finding import Finding
from models.skew import FeatureSkew, skew_findings
from models.telemetry_log import Compared, Snooze, Tick
from streams.alert_book import AlertBook
from streams.alert_kinds import KINDS, SKEW
from tests.streams.test_alert_desk import MINUTE_MS, folded
from tests.streams.warm.test_alerts_on_kafka import summaries

HOUR_MS = 60 * MINUTE_MS
VOLUME = Finding(name="volume", level="act", value=9.0, expected=500.0, text="9 verdicts, usually 500")


def off(*names: str, share: float = 0.25) -> list[FeatureSkew]:
    return [FeatureSkew(name=name, differing=2, share=share, one_sided=0, largest=1.0) for name in names]


def heard(book: AlertBook, *names: str, now_ms: int) -> list[tuple[str, str, list[str]]]:
    """What the look after a word of skew tells."""
    book.hear(SKEW, skew_findings(off(*names)))
    return told(book, now_ms)


def told(book: AlertBook, now_ms: int) -> list[tuple[str, str, list[str]]]:
    return [(one.alert, one.status, one.subjects) for one in book.observe([], now_ms)]


def test_what_was_heard_fires_with_the_next_look_and_a_clean_word_ends_it() -> None:
    book = AlertBook()
    assert heard(book, "a", "b", now_ms=MINUTE_MS) == [(SKEW, "firing", ["a", "b"])]
    assert told(book, HOUR_MS) == []
    book.hear(SKEW, [])
    (over,) = book.observe([], 2 * HOUR_MS)
    assert (over.alert, over.status, over.subjects, over.severity) == (SKEW, "resolved", ["a", "b"], "page")
    assert over.text.startswith("looked for and not found; it was: b was served with another value")
    assert book.in_force() == []


def test_only_what_the_newest_word_names_goes_on() -> None:
    book = AlertBook()
    heard(book, "a", "b", now_ms=0)
    assert heard(book, "b", "c", now_ms=MINUTE_MS) == [(SKEW, "firing", ["c"]), (SKEW, "resolved", ["a"])]
    assert [one.subject for one in book.in_force()] == ["b", "c"]
    book.hear(SKEW, skew_findings(off("a")))
    assert heard(book, "b", "c", now_ms=2 * MINUTE_MS) == [], "the last word before a look holds"


def test_a_word_about_one_kind_ends_nothing_of_another_also_at_the_same_time() -> None:
    book = AlertBook()
    book.observe([VOLUME], 0)
    heard(book, "a", now_ms=0)
    assert heard(book, now_ms=0) == [(SKEW, "resolved", ["a"])]
    assert [one.kind for one in book.in_force()] == ["volume-drop"]


def test_without_another_word_it_is_over_by_time() -> None:
    book = AlertBook()
    heard(book, "a", now_ms=0)
    assert [status for _, status, _ in told(book, 5 * HOUR_MS)] == ["firing"], "told again"
    (over,) = book.observe([], KINDS[SKEW].resolve_ms)
    assert (over.status, over.text[:23]) == ("resolved", "not found for 26 hours;")


def test_a_snooze_keeps_it_back_and_what_ends_meanwhile_was_never_told() -> None:
    book = AlertBook()
    book.snooze(Snooze(kind=SKEW, subject="a", until_ms=2 * HOUR_MS, by="ana", reason="known"))
    assert heard(book, "a", now_ms=0) == []
    assert [(one.subject, one.snooze is not None) for one in book.in_force()] == [("a", True)]
    assert heard(book, now_ms=HOUR_MS) == []
    assert told(book, 3 * HOUR_MS) == []


def test_a_word_waits_for_its_look_over_a_restart_and_one_that_was_heard_leaves_no_trace() -> None:
    book = AlertBook()
    before = book.state()
    assert b"heard" not in before, "a version that knows no such word can read it"
    book.hear(SKEW, skew_findings(off("a")))
    again = AlertBook.restore(book.state())
    assert again.state() == book.state() != before
    assert told(again, 0) == [(SKEW, "firing", ["a"])]
    assert b"heard" not in again.state()


def test_a_look_that_comes_too_late_does_not_swallow_the_word() -> None:
    book = AlertBook()
    book.observe([], HOUR_MS)
    assert heard(book, "a", now_ms=HOUR_MS - 1) == []
    assert told(book, HOUR_MS) == [(SKEW, "firing", ["a"])]


def test_a_finding_of_another_kind_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="expected findings of train-serve-skew alone"):
        AlertBook().hear(SKEW, [VOLUME])


def compared_log() -> list[bytes]:
    """Sound minutes with a comparison that finds something, and one that does not."""
    sound = [msgspec.json.encode(one) for one in summaries(0)][:5]
    ticks = [Tick(minute * MINUTE_MS + 40_000) for minute in range(1, 12)]
    log = [(tick.time_ms, msgspec.json.encode(tick)) for tick in ticks]
    log += [(number * MINUTE_MS, value) for number, value in enumerate(sound)]
    log += [(3 * MINUTE_MS + 1, msgspec.json.encode(Compared(rows=8, features=off("account_age_seconds"))))]
    log += [(8 * MINUTE_MS + 1, msgspec.json.encode(Compared(rows=8, features=[])))]
    return [value for _, value in sorted(log, key=lambda record: record[0])]


def of_skew(alerts: list[tuple[str, str]]) -> list[str]:
    return [status for kind, status in alerts if kind == SKEW]


def test_the_telemetry_log_tells_and_ends_it_wherever_the_watch_is_killed() -> None:
    log = compared_log()
    alerts, book = folded(log)
    assert of_skew(alerts) == ["firing", "resolved"]
    for place in range(len(log)):
        assert folded(log, place) == (alerts, book), f"killed after record {place}"


def test_it_is_told_where_there_is_no_traffic_to_judge() -> None:
    log = [msgspec.json.encode(record) for record in (Compared(rows=1, features=off("a_feature")), Tick(5), Tick(9))]
    assert folded(log)[0] == [(SKEW, "firing")]
    assert folded(log[1:])[0] == []


@pytest.mark.parametrize("again", [1, 4])
def test_records_that_are_read_again_end_in_the_same_state(again: int) -> None:
    log = compared_log()
    for place in range(len(log)):
        alerts, _ = folded(log, place, again)
        assert of_skew(alerts)[-1] == "resolved", f"read again after record {place}"
        assert set(of_skew(alerts)) == {"firing", "resolved"}
