"""What the console remembers, against lists that remember everything."""

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.events import LabelIntake
from features.identity import hash64
from features.links import FLUSH, LINK, MARK, VOLUME, Flushes
from features.records import Alert, Coordinates, Verdict, encode
from models.summary import Counts, Summary
from streams.console.alert_shelf import AlertShelf
from streams.console.label_book import LabelBook
from streams.console.link_book import Entity, LinkBook
from streams.console.telemetry_book import KEPT_MS, STEP_MS, TelemetryBook
from streams.console.verdict_book import Search, VerdictBook
from streams.log import LogRecord
from streams.telemetry import summary_json
from tests.streams.console.makers import of, record, verdict

DECISIONS = ("approve", "step_up", "review", "decline")
ids = st.sampled_from(["e1", "e2", "é/x", '"quoted"', "<script>", '"decision":"approve"'])
verdicts = st.builds(
    verdict,
    ids,
    st.sampled_from(["a1", "a2", "<b>"]),
    st.sampled_from(DECISIONS),
    score=st.sampled_from([None, 0.0, 0.25, 0.9]),
    at=st.builds(Coordinates, st.just(0), st.integers(0, 50)),
)
searches = st.builds(
    Search,
    st.sampled_from(["", "e", "e1", "é/", '"', "script", "a2"]),
    st.sampled_from(["", *DECISIONS]),
    st.sampled_from(["", "VEL01", "NONE9"]),
    st.sampled_from([None, 0.2]),
)


def fits(one: Verdict, wanted: Search) -> bool:
    return (
        (wanted.text in one.event_id or wanted.text in one.account_id)
        and wanted.decision in ("", one.decision)
        and (not wanted.code or wanted.code in [reason.code for reason in one.reasons])
        and (wanted.least_score is None or (one.score or 0.0) >= wanted.least_score)
    )


@given(st.lists(verdicts, max_size=12), searches)
def test_a_search_finds_what_a_look_at_every_verdict_finds(published: list[Verdict], wanted: Search) -> None:
    book = VerdictBook(100)
    for each in of(*published):
        book.take(each)
    expected = {(one.event_id, one.account_id): one for one in published if fits(one, wanted)}
    found = book.search(wanted, 100)
    assert {(row.verdict.event_id, row.verdict.account_id) for row in found} == set(expected)
    assert [row.verdict for row in found] == [expected[row.verdict.event_id, row.verdict.account_id] for row in found]


@given(st.lists(verdicts, max_size=12))
def test_what_is_not_approved_is_held_once_an_event_with_its_newest_verdict(published: list[Verdict]) -> None:
    book = VerdictBook(100)
    for each in of(*published):
        book.take(each)
    newest = {(one.event_id, one.account_id): one for one in published if one.decision != "approve"}
    assert {(row.verdict.event_id, row.verdict.account_id): row.verdict for row in book.held()} == newest


def test_memory_is_bounded_and_the_oldest_go_first() -> None:
    book = VerdictBook(3, most_held=3)
    for each in of(*(verdict(f"e{number}", decision="review") for number in range(10))):
        book.take(each)
    assert len(book) == 3
    assert [row.verdict.event_id for row in book.search(Search(), 9)] == ["e9", "e8", "e7"]
    assert [row.verdict.event_id for row in book.held()] == ["e7", "e8", "e9"]


def test_what_is_no_verdict_is_passed_over() -> None:
    book = VerdictBook(10)
    for value in (b"", b"{", b"\xff", b'{"event_id":"e1"}', b"[" * 5_000):
        book.take(record(value))
    book.take(LogRecord(9, None))
    assert book.search(Search(), 10) == []
    assert list(book.held()) == []


def test_a_verdict_is_found_by_the_place_of_its_event_whatever_an_id_says() -> None:
    book = VerdictBook(10)
    place = verdict("e1", at=Coordinates(2, 17))
    liar = verdict('"at":{"partition":2,"offset":17,', at=Coordinates(0, 3))
    for each in of(place, liar):
        book.take(each)
    row = book.at(2, 17)
    assert row is not None
    assert row.verdict == place
    assert book.at(2, 18) is None


def test_hashes_get_their_accounts_names_back() -> None:
    book = VerdictBook(10)
    for each in of(verdict(account_id="a1"), verdict(account_id="a2")):
        book.take(each)
    assert book.account_names({hash64("a2"), 99}) == {hash64("a2"): "a2"}


def label(event_id: str, text: str, known_at_ms: int, source: str = "analyst") -> LabelIntake:
    return LabelIntake(
        judged_event_id=event_id, account_id="a1", label=text, known_at_ms=known_at_ms, source=source  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_later_label_replaces_an_earlier_one_in_whatever_order_they_come() -> None:
    book = LabelBook()
    for each in (label("e1", "legit", 20), label("e1", "fraud", 10), label("e2", "fraud", 5, "chargeback")):
        book.take(encode(each))
    book.take(b"nonsense")
    known = book.of("e1", "a1")
    assert known is not None
    assert known.label == "legit"
    assert book.of("e1", "a2") is None
    assert (book.by_analysts_since(15), book.by_analysts_since(0), book.by_analysts_since(21)) == (1, 1, 0)


def alert(kind: str, status: str, at_ms: int, *subjects: str, severity: str = "ticket") -> bytes:
    return encode(
        Alert(
            alert=kind, subjects=list(subjects), status=status, severity=severity, text="t", value=1.0, expected=0.0,  # type: ignore[arg-type]
            since_ms=at_ms, at_ms=at_ms, runbook="docs/runbooks/x.md",
        )
    )  # fmt: skip


def test_an_alert_is_in_force_until_each_of_its_subjects_is_told_to_be_over() -> None:
    shelf = AlertShelf()
    shelf.take(alert("feature-drift", "firing", 1, "f1", "f2"))
    shelf.take(alert("volume-drop", "firing", 2, severity="page"))
    shelf.take(alert("feature-drift", "resolved", 3, "f1"))
    shown = [(one.newest.alert, one.subjects) for one in shelf.in_force()]
    assert shown == [("volume-drop", []), ("feature-drift", ["f2"])]
    shelf.take(alert("feature-drift", "resolved", 4, "f2"))
    shelf.take(alert("volume-drop", "resolved", 5, severity="page"))
    assert shelf.in_force() == []
    assert [one.at_ms for one in shelf.told(2)] == [5, 4]


def flushes(*links: tuple[str, str, int], fraud: str = "") -> Flushes:
    rows = np.zeros(len(links), LINK)
    for row, (account, device, time_ms) in zip(rows, links, strict=True):
        row["account"], row["entity"], row["time_ms"], row["payments"] = hash64(account), hash64(device), time_ms, 1
    marks = np.zeros(1 if fraud else 0, MARK)
    if fraud:
        marks[0]["account"], marks[0]["fraud"] = hash64(fraud), True
    return Flushes(np.zeros(0, FLUSH), rows, np.zeros(0, VOLUME), marks)


def test_who_met_a_device_newest_first_and_the_oldest_pairs_make_room() -> None:
    book = LinkBook(most=3)
    book.add(flushes(("a1", "d1", 10), ("a2", "d1", 30), ("a3", "d2", 20), fraud="a2"))
    device = Entity("device", hash64("d1"))
    assert [pair.account for pair in book.accounts_of(device)] == [hash64("a2"), hash64("a1")]
    assert (book.is_fraud(hash64("a2")), book.is_fraud(hash64("a1"))) == (True, False)
    book.add(flushes(("a4", "d1", 40)))
    assert [pair.account for pair in book.accounts_of(device)] == [hash64("a4"), hash64("a2")]
    assert len(book) == 3


summaries = st.builds(
    Summary,
    partition=st.integers(0, 2),
    number=st.integers(0, 30),
    time_ms=st.integers(0, 2 * KEPT_MS),
    model=st.sampled_from(["m1", "m2"]),
    counts=st.builds(
        Counts, decisions=st.tuples(*[st.integers(0, 9)] * 4), score_sum_micro=st.integers(0, 10**6), flags=st.just({})
    ),
)


@given(st.lists(summaries, max_size=20))
def test_every_summary_of_the_last_hour_is_counted_once(told: list[Summary]) -> None:
    book, newest = TelemetryBook(), defaultdict(lambda: -1)
    taken = []
    for summary in told:
        book.take(summary_json(summary))
        if summary.number > newest[summary.partition]:
            newest[summary.partition] = summary.number
            taken.append(summary)
    end = max((summary.time_ms for summary in taken), default=0)
    steps = book.steps(end - KEPT_MS, end + STEP_MS)
    for step in steps:
        inside = [each for each in taken if step.start_ms <= each.time_ms < step.start_ms + STEP_MS]
        # what was in the book while a later summary made it forget is gone, whatever comes after
        assert step.verdicts <= sum(each.counts.verdicts for each in inside)
    if [each.time_ms for each in taken] == sorted(each.time_ms for each in taken):
        kept = [each for each in taken if each.time_ms // STEP_MS * STEP_MS >= end - KEPT_MS]
        assert sum(step.verdicts for step in steps) == sum(each.counts.verdicts for each in kept)


def test_ticks_and_rubbish_are_passed_over() -> None:
    book = TelemetryBook()
    for value in (b'{"type":"tick","time_ms":5}', b"{", b'{"type":"summary"}'):
        book.take(value)
    assert book.newest_ms is None
    assert book.by_model() == {}
