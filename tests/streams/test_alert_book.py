"""The book of alerts against a slow answer that keeps every look, and its promises one by one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import AssayError
from features.records import Alert
from models.finding import Finding, Level
from models.telemetry_log import Snooze
from streams.alert_book import REPEAT_MS, AlertBook
from streams.alert_kinds import KINDS

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


def found(name: str, level: Level = "act", value: float = 1.0, text: str = "") -> Finding:
    return Finding(name=name, level=level, value=value, expected=0.0, text=text or f"{name} is off by {value:g}")


def nap(kind: str, subject: str | None, until_ms: int, by: str) -> Snooze:
    return Snooze(kind=kind, subject=subject, until_ms=until_ms, by=by, reason="known")


# Two kinds with subjects, a ticket and a page; two kinds with none, of which the breaker's is over soonest.
NAMES = {
    "psi:a": ("feature-drift", "a"),
    "psi:b": ("feature-drift", "b"),
    "share:review": ("decision-mix", "review"),
    "share:decline": ("decision-mix", "decline"),
    "volume": ("volume-drop", ""),
    "breaker": ("breaker-open", ""),
}
OVER_AFTER = {"feature-drift": 90, "decision-mix": 90, "volume-drop": 90, "breaker-open": 10}
PAGES = {"decision-mix", "volume-drop", "breaker-open"}
REPEAT = 240


@dataclass(frozen=True)
class Look:
    """So many minutes after the last step, with these findings."""

    after: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Quiet:
    """A snooze of a kind or of one subject, for so many minutes."""

    kind: str
    subject: str | None
    minutes: int


Step = Look | Quiet
some_names = st.lists(st.sampled_from(sorted(NAMES)), max_size=4, unique=True).map(tuple)
looks = st.builds(Look, st.sampled_from([0, 1, 5, 9, 10, 30, 60, 89, 90, 120, 239, 240]), some_names)
quiets = st.builds(
    lambda concern, whole, minutes: Quiet(concern[0], None if whole else concern[1], minutes),
    st.sampled_from(sorted(NAMES.values())),
    st.booleans(),
    st.sampled_from([0, 10, 60, 100, 600]),
)
stories = st.lists(looks | looks | looks | quiets, min_size=1, max_size=30)


def told_by(book: AlertBook, story: Sequence[Step], restart: bool = False) -> list[Alert]:
    """Every record, in order; with `restart` the book is written and read again before each step."""
    records, minute = [], 0
    for step in story:
        if restart:
            book = AlertBook.restore(book.state())
        if isinstance(step, Look):
            minute += step.after
            records += book.observe([found(name) for name in step.names], minute * MINUTE_MS)
        else:
            book.snooze(nap(step.kind, step.subject, (minute + step.minutes) * MINUTE_MS, "ana"))
    return records


def told_slowly(story: Sequence[Step]) -> list[tuple[int, str, str, str]]:
    """Minute, status, kind and subject of all that has to be told, alert by alert, each time from the whole past."""
    told = []
    for name, (kind, subject) in NAMES.items():
        mine: list[tuple[int, str]] = []
        seen_at: list[tuple[int, bool]] = []  # of each look: minute, found
        hidden_at: list[bool] = []  # likewise: snoozed
        told_at_look: list[int] = []
        naps: dict[str | None, int] = {}
        minute = 0
        for step in story:
            if isinstance(step, Quiet):
                if step.kind == kind and step.subject in (None, subject):
                    naps[step.subject] = minute + step.minutes
                continue
            minute += step.after
            seen_at.append((minute, name in step.names))
            hidden_at.append(any(until > minute for until in naps.values()))
            run = _episode(seen_at, OVER_AFTER[kind])
            fired = [at for at, status in mine if status == "firing"]
            open_ = bool(mine) and mine[-1][1] == "firing"
            if hidden_at[-1]:
                continue
            if run is not None:
                since = max([run, *(look + 1 for look in told_at_look)])
                slept = any(hidden_at[since:])
                if not fired or minute - fired[-1] >= REPEAT or slept or (kind in PAGES and not open_):
                    mine.append((minute, "firing"))
                    told_at_look.append(len(seen_at) - 1)
            elif open_:
                mine.append((minute, "resolved"))
        told += [(at, status, kind, subject) for at, status in mine]
    return sorted(told)


def _episode(seen_at: Sequence[tuple[int, bool]], over_after: int) -> int | None:
    """Number of the look with which what is in force at the last look began; None: nothing is."""
    began: int | None = None
    for number, (minute, is_found) in enumerate(seen_at):
        if is_found:
            began = number if began is None else began
        else:
            last = max((at for at, was in seen_at[:number] if was), default=None)
            if last is None or minute - last >= over_after:
                began = None
    return began


def taken_apart(records: Sequence[Alert]) -> list[tuple[int, str, str, str]]:
    """Minute, status, kind and subject of each subject of each record, in order."""
    return [
        (record.at_ms // MINUTE_MS, record.status, record.alert, subject)
        for record in records
        for subject in record.subjects or [""]
    ]


def each(records: Sequence[Alert]) -> list[tuple[int, str, str, str]]:
    """Likewise, as `told_slowly` sorts them."""
    return sorted(taken_apart(records))


@given(stories)
def test_the_book_tells_what_the_slow_answer_tells(story: list[Step]) -> None:
    assert each(told_by(AlertBook(), story)) == told_slowly(story)


STORY = [Look(0, ("psi:a", "volume")), Look(239, ("psi:a",)), Look(1, ("psi:a",)), Quiet("feature-drift", None, 60)]
STORY += [Look(10, ("psi:a", "breaker")), Look(60, ("psi:a",)), Look(10, ()), Look(200, ())]

LATE_BREAKER = replace(KINDS["breaker-open"], resolve_ms=90 * MINUTE_MS)
FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "forgets snoozes": lambda patch: patch.setattr(AlertBook, "snooze", lambda *_: None),
    "is over too late": lambda patch: patch.setitem(KINDS, "breaker-open", LATE_BREAKER),
    "tells everything each time": lambda patch: patch.setattr(AlertBook, "_is_due", lambda *_: True),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_slow_answer_finds_planted_faults(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert each(told_by(AlertBook(), STORY)) == told_slowly(STORY)
    assert each(told_by(AlertBook(REPEAT_MS + 1), STORY)) != told_slowly(STORY)
    FAULTS[fault](monkeypatch)
    assert each(told_by(AlertBook(), STORY)) != told_slowly(STORY)


@given(stories)
def test_a_restart_anywhere_changes_nothing(story: list[Step]) -> None:
    assert told_by(AlertBook(), story, restart=True) == told_by(AlertBook(), story)


@given(stories, st.randoms(use_true_random=False))
def test_the_order_of_findings_does_not_matter(story: list[Step], random: Random) -> None:
    shuffled = [
        Look(step.after, tuple(random.sample(step.names, len(step.names)))) if isinstance(step, Look) else step
        for step in story
    ]
    one, other = AlertBook(), AlertBook()
    assert told_by(one, story) == told_by(other, shuffled)
    assert one.state() == other.state()


@given(stories)
def test_the_same_look_twice_changes_nothing(story: list[Step]) -> None:
    book, minute = AlertBook(), 0
    for step in story:
        if isinstance(step, Quiet):
            book.snooze(nap(step.kind, step.subject, (minute + step.minutes) * MINUTE_MS, "ana"))
            continue
        minute += step.after
        findings = [found(name) for name in step.names]
        book.observe(findings, minute * MINUTE_MS)
        state = book.state()
        assert book.observe(findings, minute * MINUTE_MS) == []
        assert book.observe(findings, minute * MINUTE_MS - 1) == [], "an older look comes too late"
        assert book.state() == state


@given(stories)
def test_what_fires_again_was_quiet_for_long_or_was_over_or_was_snoozed(story: list[Step]) -> None:
    snoozed = {step.kind for step in story if isinstance(step, Quiet)}
    by_alert: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for at, status, kind, subject in taken_apart(told_by(AlertBook(), story)):
        by_alert.setdefault((kind, subject), []).append((at, status))
    for (kind, _), told in by_alert.items():
        assert told[0][1] == "firing"
        for (_, was), (_, now) in pairwise(told):
            assert (was, now) != ("resolved", "resolved"), "one firing is taken back once"
        firings = [at for at, status in told if status == "firing"]
        for before, after in pairwise(firings):
            over_between = any(before <= at <= after for at, status in told if status == "resolved")
            assert after - before >= REPEAT or kind in snoozed or (kind in PAGES and over_between)


@given(stories)
def test_one_look_gives_one_record_of_a_kind_and_status(story: list[Step]) -> None:
    records = told_by(AlertBook(), [Look(max(step.after, 1), step.names) for step in story if isinstance(step, Look)])
    places = [(record.at_ms, record.alert, record.status) for record in records]
    assert len(places) == len(set(places))
    assert all(record.subjects == sorted(set(record.subjects)) for record in records)


def test_forty_features_at_once_are_one_record() -> None:
    findings = [found(f"psi:feature_{number:02d}", "warn", 0.1 + number / 1000) for number in range(40)]
    (record,) = AlertBook().observe(findings, 0)
    assert (record.alert, record.status, record.severity) == ("feature-drift", "firing", "ticket")
    assert record.subjects == [f"feature_{number:02d}" for number in range(40)]
    assert record.text == "psi:feature_39 is off by 0.139; and 39 more"
    assert (record.value, record.expected) == (0.139, 0.0)
    assert record.runbook == KINDS["feature-drift"].runbook


def test_the_worst_speaks_and_urgency_goes_before_distance() -> None:
    findings = [found("psi:far", "warn", 9.0), found("psi:urgent", "act", 0.3), found("psi:mild", "act", -0.2)]
    (record,) = AlertBook().observe(findings, 0)
    assert record.text.startswith("psi:urgent is off by 0.3;")


def test_of_several_findings_about_one_the_worst_counts() -> None:
    (record,) = AlertBook().observe(
        [found("psi:a", value=0.3), found("psi:a", value=-0.5), found("psi:a", value=0.4)], 0
    )
    assert (record.subjects, record.value) == (["a"], -0.5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_null_and_survives_a_restart(value: float) -> None:
    book = AlertBook()
    (record,) = book.observe([found("volume", value=value)], 0)
    assert record.value is None
    assert AlertBook.restore(book.state()).state() == book.state()


def test_a_feature_that_joins_later_is_told_alone_and_both_are_over_together() -> None:
    book = AlertBook()
    assert book.observe([found("psi:a")], 0)[0].subjects == ["a"]
    assert book.observe([found("psi:a"), found("psi:b")], HOUR_MS)[0].subjects == ["b"]
    (over,) = book.observe([], 3 * HOUR_MS)
    assert (over.status, over.subjects, over.since_ms) == ("resolved", ["a", "b"], 0)


def test_a_page_that_comes_back_is_told_at_once_and_a_ticket_waits() -> None:
    story = [Look(0, ("volume", "psi:a")), Look(90, ()), Look(1, ("volume", "psi:a")), Look(149, ("volume", "psi:a"))]
    assert each(told_by(AlertBook(), story)) == [
        (0, "firing", "feature-drift", "a"),
        (0, "firing", "volume-drop", ""),
        (90, "resolved", "feature-drift", "a"),
        (90, "resolved", "volume-drop", ""),
        (91, "firing", "volume-drop", ""),
        (240, "firing", "feature-drift", "a"),
    ]


def test_a_snoozed_alert_is_shown_and_counted_and_told_when_the_snooze_ends() -> None:
    book = AlertBook()
    book.snooze(nap("feature-drift", None, 2 * HOUR_MS, "ana"))
    assert book.observe([found("psi:a")], 0) == []
    (standing,) = book.in_force()
    assert (standing.kind, standing.subject, standing.since_ms, standing.seen_ms) == ("feature-drift", "a", 0, 0)
    assert standing.snooze is not None
    assert standing.snooze.by == "ana"
    assert book.count_by_kind()["feature-drift"] == 1
    assert book.observe([found("psi:a")], HOUR_MS) == []
    (record,) = book.observe([found("psi:a")], 2 * HOUR_MS)
    assert (record.status, record.since_ms) == ("firing", 0)
    assert book.in_force()[0].snooze is None


def test_a_snooze_of_one_subject_leaves_the_others() -> None:
    book = AlertBook()
    book.snooze(nap("feature-drift", "a", HOUR_MS, "ana"))
    (record,) = book.observe([found("psi:a"), found("psi:b")], 0)
    assert record.subjects == ["b"]


def test_a_reminder_comes_when_the_snooze_ends_even_if_it_was_told_before() -> None:
    story = [Look(0, ("psi:a",)), Quiet("feature-drift", "a", 60), Look(30, ("psi:a",)), Look(30, ("psi:a",))]
    assert [at for at, *_ in each(told_by(AlertBook(), story))] == [0, 60]


def test_what_is_over_during_a_snooze_is_told_to_be_over_when_it_ends_and_only_if_it_was_told() -> None:
    told_before = [Look(0, ("volume",)), Quiet("volume-drop", None, 600), Look(90, ()), Look(510, ())]
    assert each(told_by(AlertBook(), told_before))[1:] == [(600, "resolved", "volume-drop", "")]
    never_told = [Quiet("volume-drop", None, 600), Look(0, ("volume",)), Look(90, ()), Look(510, ())]
    assert told_by(AlertBook(), never_told) == []


@pytest.mark.parametrize(
    ("snoozed_for", "resolved_at", "back_at"),
    [(60, [100], 101), (150, [150], 151), (150, [], 150)],
    ids=["it ends after the snooze", "it ends during the snooze", "it is back as the snooze ends"],
)
def test_what_ended_and_comes_back_is_no_reminder(snoozed_for: int, resolved_at: list[int], back_at: int) -> None:
    """It is over at minute 100; back again it waits, as a ticket, until minute 240."""
    story = [Look(0, ("psi:a",)), Quiet("feature-drift", None, snoozed_for), Look(10, ("psi:a",)), Look(90, ())]
    story += [Look(50, ())] if back_at > 150 else []
    story += [Look(back_at - (150 if back_at > 150 else 100), ("psi:a",)), Look(239 - back_at, ("psi:a",))]
    told = [(at, status) for at, status, *_ in taken_apart(told_by(AlertBook(), [*story, Look(1, ("psi:a",))]))]
    assert told == [(0, "firing"), *((at, "resolved") for at in resolved_at), (240, "firing")]


def test_a_later_snooze_takes_the_place_of_the_former_and_can_end_it() -> None:
    book = AlertBook()
    book.snooze(nap("volume-drop", None, 9 * HOUR_MS, "ana"))
    assert book.observe([found("volume")], 0) == []
    book.snooze(nap("volume-drop", None, 0, "bo"))
    assert [record.status for record in book.observe([found("volume")], 1)] == ["firing"]


@pytest.mark.parametrize("kind", ["volume", ""])
def test_a_snooze_of_what_is_no_kind_is_refused(kind: str) -> None:
    with pytest.raises(AssayError, match="^snooze: expected"):
        AlertBook().snooze(nap(kind, None, 1, "ana"))


def test_every_kind_is_counted_also_when_there_is_none() -> None:
    book = AlertBook()
    assert book.count_by_kind() == dict.fromkeys(KINDS, 0)
    book.observe([found("psi:a"), found("psi:b"), found("breaker")], 0)
    assert {kind: count for kind, count in book.count_by_kind().items() if count} == {
        "feature-drift": 2,
        "breaker-open": 1,
    }
    book.observe([], 10 * MINUTE_MS)
    assert book.count_by_kind()["breaker-open"] == 0


def test_what_is_over_and_told_is_forgotten() -> None:
    book = AlertBook()
    empty = AlertBook()
    book.observe([found(name) for name in NAMES], 0)
    book.observe([], 2 * HOUR_MS)
    book.observe([], 4 * HOUR_MS)
    empty.observe([], 4 * HOUR_MS)
    assert book.state() == empty.state()


def test_the_bytes_of_a_state_are_those_of_its_restored_self() -> None:
    book = AlertBook()
    book.snooze(nap("feature-drift", "b", 5 * HOUR_MS, "ana"))
    book.snooze(nap("feature-drift", None, HOUR_MS, "bo"))
    book.observe([found(name) for name in NAMES], 0)
    assert AlertBook.restore(book.state()).state() == book.state()


def changed(**fields: object) -> bytes:
    book = AlertBook()
    book.observe([found("volume")], 0)
    return msgspec.json.encode(msgspec.json.decode(book.state()) | fields)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"\xff", changed(schema=2), changed(more=1), changed(entries=[{}])],
    ids=["nothing", "empty", "no text", "another schema", "more fields", "a broken entry"],
)
def test_what_is_no_state_is_refused_and_says_what_to_do(data: bytes) -> None:
    with pytest.raises(AssayError, match="^state of the alerts: .*remove it"):
        AlertBook.restore(data)


def test_a_state_with_a_kind_that_is_gone_is_refused() -> None:
    with pytest.raises(AssayError, match="expected kinds of alerts of this version, got former-kind; remove it"):
        AlertBook.restore(
            changed(snoozes=[{"kind": "former-kind", "subject": None, "until_ms": 1, "by": "ana", "reason": "known"}])
        )
