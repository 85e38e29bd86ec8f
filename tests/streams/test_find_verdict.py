"""Which published verdicts are found: the asked-for ones with every copy, an even sample, the one of a place."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import AssayError
from features.identity import EventName
from streams.claims import Chosen, Everything, Named, Published, Sample, choose
from streams.explain_published import compared
from streams.find_verdict import FEW_RECORDS, in_file, in_topic, position_of, published_at, ranges
from streams.history import Bounds
from streams.log import LogRecord
from streams.log_range import Moment, Offset


def verdict(event_id: str, offset: int = 0) -> bytes:
    return b'{"event_id":"%s","at":{"partition":0,"offset":%d}}' % (event_id.encode(), offset)


def of_accounts(events: Sequence[tuple[str, str]]) -> list[Published]:
    """Verdicts of these events: id and account."""
    return [
        Published(0, number, b"a", b'{"event_id":"%s","account_id":"%s"}' % (event_id.encode(), account.encode()))
        for number, (event_id, account) in enumerate(events)
    ]


def published(ids: Sequence[str]) -> list[Published]:
    return [Published(0, number, b"a", verdict(event_id)) for number, event_id in enumerate(ids)]


class ListTopic:
    """What a `TopicReader` does, over one list of records; counts what was read."""

    def __init__(self, records: Sequence[LogRecord], batch: int = 50) -> None:
        self.records = records
        self.batch = batch
        self.handed_out = 0

    def bounds(self, topic: str, partition: int) -> Bounds:
        return Bounds(self.records[0].offset, self.records[-1].offset + 1) if self.records else Bounds(0, 0)

    def offset_at(self, topic: str, partition: int, time_ms: int) -> int:
        later = [record.offset for record in self.records if (record.timestamp_ms or 0) >= time_ms]
        return later[0] if later else self.bounds(topic, partition).high

    def read(self, topic: str, partition: int, start: int, end: int) -> Iterator[Sequence[LogRecord]]:
        found = [record for record in self.records if start <= record.offset < end]
        for first in range(0, len(found), self.batch):
            part = found[first : first + self.batch]
            self.handed_out += len(part)
            yield part


def test_each_copy_of_a_named_verdict_is_kept_and_a_missing_one_is_told() -> None:
    chosen = Named(["b", "x"])
    scan = choose(published(["a", "b", "c", "b"]), chosen)
    assert scan.verdicts == 4
    assert [(claim.event.event_id, [copy.offset for copy in claim.copies]) for claim in chosen.claims()] == [
        ("b", [1, 3]),
        ("x", []),
    ]


@pytest.mark.parametrize("chosen", [Named(["e1"]), Everything(), Sample(9, seed=1)])
def test_an_id_of_two_accounts_is_two_events(chosen: Chosen) -> None:
    choose(of_accounts([("e1", "a1"), ("e1", "a2"), ("e1", "a1")]), chosen)
    assert [(claim.event, [copy.offset for copy in claim.copies]) for claim in chosen.claims()] == [
        (EventName("e1", "a1"), [0, 2]),
        (EventName("e1", "a2"), [1]),
    ]


def test_what_is_no_verdict_is_reported_and_not_fatal() -> None:
    odd = [
        Published(0, place, None, value)
        for place, value in enumerate((b"", b"[]", b'{"event_id":5}', b'{"event_id":"a","account_id":5}'))
    ]
    chosen = Everything()
    scan = choose([*odd, *published(["a"])], chosen)
    assert scan.unreadable == odd
    assert [claim.event for claim in chosen.claims()] == [EventName("a", "")], "it names no account"


@given(
    events=st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["", "1", "2", "3", "4"])), max_size=80),
    size=st.integers(1, 12),
    seed=st.integers(0, 2**63 - 1),
)
def test_a_sample_is_of_the_asked_size_and_holds_every_copy(
    events: list[tuple[str, str]], size: int, seed: int
) -> None:
    chosen = Sample(size, seed)
    choose(of_accounts(events), chosen)
    claims = chosen.claims()
    assert len(claims) == min(size, len(set(events)))
    counts = Counter(events)
    for claim in claims:
        assert len(claim.copies) == counts[claim.event]
    again = Sample(size, seed)
    choose(reversed(of_accounts(events)), again)
    assert {claim.event for claim in again.claims()} == {claim.event for claim in claims}


def test_a_sample_is_even_over_events_and_not_over_copies_or_ids() -> None:
    different = [("e0", f"a{n}") for n in range(10)] + [(f"e{n}", "a0") for n in range(1, 11)]
    verdicts = of_accounts(different + different[:1] * 200)
    drawn: Counter[tuple[str, str]] = Counter()
    for seed in range(600):
        chosen = Sample(5, seed)
        choose(verdicts, chosen)
        drawn.update(claim.event for claim in chosen.claims())
    assert sum(drawn.values()) == 3_000
    assert all(100 < drawn[event] < 205 for event in different)  # 150 expected, 11 is a standard deviation


def test_names_that_look_alike_when_they_are_put_together_are_drawn_apart() -> None:
    """Id and account are not just joined: else these two would always be in a sample together."""
    verdicts = of_accounts([("e1", "a"), ("e", "1a"), *((f"x{n}", "a") for n in range(20))])
    apart = 0
    for seed in range(40):
        chosen = Sample(11, seed)
        choose(verdicts, chosen)
        found = {claim.event for claim in chosen.claims()}
        apart += (EventName("e1", "a") in found) != (EventName("e", "1a") in found)
    assert apart > 5


def places(judged: Sequence[int], gaps: bool = True) -> list[LogRecord]:
    """Verdicts of these offsets as they follow each other in a topic with gaps."""
    return [
        LogRecord(10 + number * (2 if gaps else 1), verdict("e", offset), None, 1_000 + number)
        for number, offset in enumerate(judged)
    ]


@given(
    log=st.lists(st.booleans(), min_size=1, max_size=120),
    crashes=st.lists(st.tuples(st.integers(0, 119), st.integers(1, 30)), max_size=3),
    few=st.integers(2, 9),
    batch=st.integers(1, 20),
)
def test_the_verdict_of_a_place_is_found_also_where_a_crash_repeated_some(
    log: list[bool], crashes: list[tuple[int, int]], few: int, batch: int
) -> None:
    judged = [offset for offset, is_judged in enumerate(log) if is_judged]
    written: list[int] = []
    at = 0
    rewinds = dict(crashes)
    while at < len(judged):
        written.append(judged[at])
        at = max(0, at + 1 - rewinds.pop(at, 0)) if at in rewinds else at + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.find_verdict.FEW_RECORDS", few)
        topic = ListTopic(places(written), batch)
        for offset in range(len(log)):
            found = published_at(topic, "v", 0, offset)  # type: ignore[arg-type]
            if offset in judged:
                assert found is not None
                assert found.value == verdict("e", offset)
            else:
                assert found is None


def test_a_place_is_found_without_reading_the_topic() -> None:
    topic = ListTopic(places(range(0, 200_000, 2), gaps=False))
    for offset in (0, 77_778, 199_998):
        found = published_at(topic, "v", 0, offset)  # type: ignore[arg-type]
        assert found is not None
        assert found.value == verdict("e", offset)
    assert published_at(topic, "v", 0, 77_777) is None  # type: ignore[arg-type]
    assert topic.handed_out < 5 * (FEW_RECORDS + 1_000)
    assert position_of(topic, "v", 0, 10**9) == topic.bounds("v", 0).high  # type: ignore[arg-type]


def test_what_was_published_for_a_place_is_compared() -> None:
    topic = ListTopic(places([5, 6, 9]))
    same = compared(topic, "v", 0, 6, verdict("e", 6))  # type: ignore[arg-type]
    assert (same.same, same.said, same.differences) == (True, "the same bytes, v[0]@12", [])
    other = compared(topic, "v", 0, 6, verdict("x", 6))  # type: ignore[arg-type]
    assert other.same is False
    assert [(d.path, d.published, d.recomputed) for d in other.differences] == [("$.event_id", "e", "x")]
    assert compared(topic, "v", 0, 7, b"").said == "nothing for this place in v[0]"  # type: ignore[arg-type]

    class Closed:
        def bounds(self, topic: str, partition: int) -> Bounds:
            raise AssayError("no right to read it")

    assert compared(Closed(), "v", 0, 7, b"").said == "not compared: no right to read it"  # type: ignore[arg-type]


def test_ranges_by_time_and_by_offset_of_the_event() -> None:
    topic = ListTopic(places([5, 6, 9, 12]))  # at 10, 12, 14, 16 of the topic, published at 1000 to 1003

    def between(start: Offset | Moment | None, end: Offset | Moment | None) -> Bounds:
        return ranges(topic, "v", [0], start, end)[0]  # type: ignore[arg-type]

    assert between(None, None) == Bounds(10, 17)
    assert between(Moment(1_001), None) == Bounds(12, 17)
    assert between(Moment(1_001), Moment(1_003)) == Bounds(12, 16)
    assert between(Offset(6), Offset(12)) == Bounds(12, 16)
    assert between(Offset(7), Offset(99)) == Bounds(14, 17)
    assert between(Moment(1_003), Moment(1_001)) == Bounds(16, 16)
    told: list[tuple[int, int, int | None]] = []
    found = list(in_topic(topic, "v", {0: Bounds(12, 16)}, lambda *step: told.append(step)))  # type: ignore[arg-type]
    assert [one.offset for one in found] == [12, 14]
    assert told == [(2, 2, 4)]


def test_a_file_of_verdicts(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_bytes(verdict("a") + b"\n\n" + verdict("b") + b"\n")
    assert in_file(path) == [Published(None, 0, None, verdict("a")), Published(None, 2, None, verdict("b"))]
    with pytest.raises(AssayError, match="expected a readable file"):
        in_file(tmp_path / "nothing")
