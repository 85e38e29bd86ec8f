"""Verdicts computed again: all of an honest log are equal, and no altered field goes unseen."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import AssayError
from features.identity import EventName
from features.rocks_store import RocksStore
from features.store import MemoryStore
from streams.claims import Claim, Everything, Published, choose
from streams.log import LogRecord
from streams.model_in_force import ModelInForce
from streams.partition import Partition
from streams.signature import everybody
from streams.time_machine import TimeMachine
from streams.verify import Place, cut, recompute
from streams.verify_report import Check, Report, differences, judge, places_of, report_of
from tests.streams.histories import ListHistory, machine_over
from tests.streams.logs import START_MS, mixed_log, model_marker, payment
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small

MODELS = (small_model(2).id, small_model(1).id, "f" * 64)


def with_gaps(log: Sequence[bytes], first: int = 0) -> list[LogRecord]:
    """Records as a topic has them: transactions leave gaps, and the log took each at some time."""
    source = random.Random(len(log))
    records, offset = [], first
    for number, value in enumerate(log):
        records.append(LogRecord(offset, value, None, START_MS + 10**10 + number))
        offset += source.choice((1, 1, 1, 1, 2, 5))
    return records


def published_of(
    number: int, records: Sequence[LogRecord], open_model: Any = open_small, first: ModelInForce | None = None
) -> list[Published]:
    """What a worker publishes of one partition; batches as they come."""
    partition = Partition(number, MemoryStore(), first or small_model(), open_model)
    source = random.Random(3)
    found: list[Published] = []
    place = 0
    while place < len(records):
        size = source.choice((1, 50, 300))
        output = partition.fold(records[place : place + size], everybody)
        for verdict in output.verdicts:
            found.append(Published(number, 2 * len(found), verdict.key, verdict.value))
        place += size
    return found


@pytest.fixture(scope="module")
def logs() -> dict[int, list[LogRecord]]:
    return {
        0: with_gaps(mixed_log(1_500, seed=5, model_ids=MODELS)),
        3: with_gaps(mixed_log(900, seed=6, accounts=3, model_ids=MODELS), first=0),
    }


@pytest.fixture(scope="module")
def verdicts(logs: dict[int, list[LogRecord]]) -> list[Published]:
    return [verdict for number, records in logs.items() for verdict in published_of(number, records)]


def verified(machine: TimeMachine, published: Sequence[Published]) -> Report:
    chosen = Everything()
    scan = choose(published, chosen)
    claims = chosen.claims()
    recomputed = recompute(machine, places_of(claims))
    checks = [judge(claim, recomputed) for claim in claims]
    return report_of(checks, scanned=scan.verdicts, unreadable=len(scan.unreadable), seed=None)


def test_every_verdict_of_an_honest_log_is_equal(logs: dict[int, list[LogRecord]], verdicts: list[Published]) -> None:
    # events of the two logs have the same ids and accounts, so each log is a topic of its own
    for number in logs:
        report = verified(machine_over(logs), [verdict for verdict in verdicts if verdict.partition == number])
        assert [check for check in report.checks if check.status != "equal"] == []
        assert report.is_proof
        assert set(report.models) == {small_model(1).id[:16], small_model(2).id[:16]}
        assert sum(report.models.values()) == report.equal == report.scanned


def test_these_logs_hold_what_they_should(verdicts: list[Published]) -> None:
    """The test above says something only if every case occurs."""
    rows = [orjson.loads(verdict.value) for verdict in verdicts]
    assert {flag for row in rows for flag in row["flags"]} >= {"late", "degraded", "cold_start", "approximate"}
    assert {row["decision"] for row in rows} >= {"approve", "step_up", "review"}
    assert any(row["anomaly"] is not None for row in rows)


def test_a_few_verdicts_here_and_there_take_one_pass_each(
    logs: dict[int, list[LogRecord]], verdicts: list[Published]
) -> None:
    some = random.Random(1).sample([verdict for verdict in verdicts if verdict.partition == 0], 17)
    reads: list[tuple[int, int]] = []

    class Watched(ListHistory):
        def read(self, partition: int, start: int, end: int) -> Any:
            reads.append((start, end))
            return super().read(partition, start, end)

    machine = TimeMachine(Watched(logs), None, small_model(), open_small, everybody)
    assert verified(machine, some).equal == 17
    (_, first), (start, end) = reads
    places = sorted(orjson.loads(verdict.value)["at"]["offset"] for verdict in some)
    assert first == start == places[0]
    assert end == places[-1] + 1


def altered(verdict: Published, path: list[Any], value: Any) -> Published:
    """The verdict with one field replaced."""
    row = orjson.loads(verdict.value)
    inner = row
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return verdict._replace(value=orjson.dumps(row))


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [inner for name in value for inner in paths_of(value[name], (*path, name))]
    if isinstance(value, list):
        return [inner for place in range(len(value)) for inner in paths_of(value[place], (*path, place))] or [path]
    return [path]


def another(value: Any) -> Any:
    if isinstance(value, str):
        return value[:-1] + ("1" if value[-1:] == "0" else "0") if value else "x"
    if isinstance(value, int | float):
        return value + 1 if value <= 1 else value - 1
    return ["late"] if isinstance(value, list) else 0.5


def test_every_altered_field_is_seen(logs: dict[int, list[LogRecord]], verdicts: list[Published]) -> None:
    with_reasons = next(
        verdict
        for verdict in verdicts
        if verdict.partition == 3 and b'"flags":["late"' in verdict.value and b'"code"' in verdict.value
    )
    row = orjson.loads(with_reasons.value)
    paths = paths_of(row)
    assert len(paths) > 18
    claims = []
    for path in paths:
        inner = row
        for name in path:
            inner = inner[name]
        forged = altered(with_reasons, list(path), another(inner))
        assert forged.value != with_reasons.value
        claims.append(Claim(EventName("e", "a"), [forged]))
    recomputed = recompute(machine_over(logs), places_of(claims))
    for path, claim in zip(paths, claims, strict=True):
        check = judge(claim, recomputed)
        assert check.status == "differs", (path, check)
        assert check.why
        assert check.differences or path[0] == "at", path
        names = {difference.path for difference in check.differences}
        shown = "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
        assert not names or shown in names or path[0] == "at", (path, names)


@pytest.mark.parametrize(
    ("change", "path", "why"),
    [
        ({"key": b"somebody"}, "key", "somebody else wrote it"),
        ({"partition": 1}, "topic partition", "somebody else wrote it"),
    ],
)
def test_a_verdict_in_the_wrong_place_is_seen(
    logs: dict[int, list[LogRecord]], verdicts: list[Published], change: dict[str, Any], path: str, why: str
) -> None:
    (check,) = verified(machine_over(logs), [verdicts[0]._replace(**change)]).checks
    assert check.status == "differs"
    assert [difference.path for difference in check.differences] == [path]
    assert why in check.why


def test_the_same_content_in_other_bytes_is_not_equal(
    logs: dict[int, list[LogRecord]], verdicts: list[Published]
) -> None:
    spaced = verdicts[0]._replace(value=verdicts[0].value.replace(b'","', b'", "', 1))
    (check,) = verified(machine_over(logs), [spaced]).checks
    assert check.status == "differs"
    assert [difference.path for difference in check.differences] == ["$"]
    assert "another program" in check.why


def test_a_difference_of_type_is_a_difference() -> None:
    assert [d.path for d in differences(b'{"a":1,"b":1}', b'{"a":1.0,"b":true}')] == ["$.a", "$.b"]
    assert differences(b'{"a":[]}', b'{"a":{}}') != []
    assert differences(b'{"a":null}', b"{}") != []


def test_repetitions_with_the_same_bytes_are_fine_and_counted(
    logs: dict[int, list[LogRecord]], verdicts: list[Published]
) -> None:
    report = verified(machine_over(logs), [verdicts[0], verdicts[1], verdicts[0]._replace(offset=9_999)])
    assert report.is_proof
    assert (report.checked, report.repeated) == (2, 1)
    assert [check.copies for check in report.checks] == [2, 1]


def test_two_verdicts_of_one_event_are_not_fine_even_if_one_is_right(
    logs: dict[int, list[LogRecord]], verdicts: list[Published]
) -> None:
    forged = altered(verdicts[0], ["decision"], "decline")
    for both in ([verdicts[0], forged], [forged, verdicts[0]]):
        (check,) = verified(machine_over(logs), both).checks
        assert check.status == "differs"
        assert "2 different verdicts were published for this event, 1 of them is what the log gives" in check.why
        assert [difference.path for difference in check.differences] == ["$.decision"]


def shared_by_three() -> tuple[dict[int, list[LogRecord]], list[Published]]:
    """One id that producers gave to three accounts, in two partitions, among other events; and what was published."""
    logs = {
        0: [
            payment(1, "a1", START_MS),
            payment(2, "a1", START_MS + 1),
            payment(1, "a2", START_MS + 2, amount_minor=90_000),
            payment(1, "a1", START_MS),  # the same again: a duplicate, not judged
        ],
        3: [payment(1, "a3", START_MS), payment(4, "a3", START_MS + 9)],
    }
    records = {number: with_gaps(log) for number, log in logs.items()}
    return records, [verdict for number, log in records.items() for verdict in published_of(number, log)]


def test_an_id_that_was_given_to_several_accounts_is_an_event_of_each() -> None:
    logs, published = shared_by_three()
    report = verified(machine_over(logs), published)
    assert [(check.event_id, check.account_id, check.status) for check in report.checks] == [
        ("p1", "a1", "equal"), ("p2", "a1", "equal"), ("p1", "a2", "equal"), ("p1", "a3", "equal"),
        ("p4", "a3", "equal"),
    ]  # fmt: skip
    assert report.is_proof
    assert report.shared_ids == {"p1": 3}
    assert report.repeated == 0


def test_two_verdicts_of_one_account_are_not_excused_by_other_accounts_with_the_id() -> None:
    logs, published = shared_by_three()
    forged = altered(published[0], ["decision"], "decline")
    report = verified(machine_over(logs), [*published, published[2], forged])
    assert not report.is_proof
    assert (report.checked, report.equal, report.differs, report.repeated) == (5, 4, 1, 1)
    wrong = report.checks[0]
    assert (wrong.account_id, wrong.status) == ("a1", "differs")
    assert "2 different verdicts were published for this event, 1 of them is what the log gives" in wrong.why
    assert report.shared_ids == {"p1": 3}, "the log gives it to a1 all the same"


def test_an_account_that_only_a_forged_verdict_names_has_no_event() -> None:
    logs, published = shared_by_three()
    for forged in (altered(published[1], ["account_id"], "a9"), altered(published[3], ["event_id"], "p2")):
        report = verified(machine_over(logs), [published[1], forged])
        assert [check.status for check in report.checks] == ["equal", "differs"]
        assert "the log holds another event at that place" in report.checks[1].why
        assert report.shared_ids == {}


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=25))
def test_every_event_of_an_honest_log_is_proved_whoever_shares_its_id(events: list[tuple[int, int]]) -> None:
    """Few ids and few accounts; an account stands in one partition."""
    values: dict[int, list[bytes]] = {0: [], 1: []}
    for number, account in events:
        values[account % 2].append(payment(number, f"a{account}", START_MS))
    logs = {number: [LogRecord(offset, value) for offset, value in enumerate(log)] for number, log in values.items()}
    report = verified(
        machine_over(logs), [verdict for number, log in logs.items() for verdict in published_of(number, log)]
    )
    assert report.is_proof
    assert report.checked == len(set(events))
    accounts = {f"p{number}": {account for other, account in events if other == number} for number, _ in events}
    assert report.shared_ids == {name: len(owners) for name, owners in accounts.items() if len(owners) > 1}


def test_a_place_without_a_verdict_says_what_is_there() -> None:
    log = [
        payment(1, "a1", START_MS),
        payment(1, "a1", START_MS),
        b"rubbish",
        orjson.dumps(
            {
                "event_id": "c1", "type": "profile_change", "account_id": "a1", "time_ms": START_MS,
                "field": "email",
            }
        ),
        model_marker(1, small_model(2).id, START_MS),
        payment(2, "a1", START_MS),
    ]  # fmt: skip
    records = {0: [LogRecord(offset if offset < 5 else 7, value) for offset, value in enumerate(log)]}
    honest = published_of(0, records[0])[0]
    forged = [altered(honest, ["at", "offset"], offset) for offset in (1, 2, 3, 4, 5, 8)]
    forged.append(altered(honest, ["at", "partition"], 4))
    forged.append(altered(honest, ["at"], "somewhere"))
    claims = [Claim(EventName("p1", "a1"), [one._replace(partition=None)]) for one in forged]
    recomputed = recompute(machine_over(records), places_of(claims))
    checks = [judge(claim, recomputed) for claim in claims]
    assert {check.status for check in checks} == {"differs"}
    assert [check.why for check in checks] == [
        "the record there is a duplicate of an earlier one",
        "the record there was set aside (not_json at $)",
        "the record there is a profile_change, which gets no verdict",
        "the record there is a marker, which gets no verdict",
        "the log holds no record at this offset",
        "the log of partition 0 ends at 8",
        "the log has no partition 4",
        "what was published does not say where it was decided (at.partition, at.offset)",
    ]


class OneSnapshot:
    """A stored state of one partition, made by folding."""

    def __init__(self, records: Sequence[LogRecord], offset: int) -> None:
        self._records = [record for record in records if record.offset < offset]
        self.offset = offset
        self.restored = 0

    def restore(self, partition: int, at_most: int, directory: Path) -> int | None:
        if at_most < self.offset:
            return None
        self.restored += 1
        at = Partition(partition, RocksStore(directory), small_model(), open_small)
        at.fold(self._records, everybody, publishing=False)
        at.checkpoint()
        at.close()
        return self.offset


def test_what_the_log_no_longer_reaches_is_named_and_the_rest_verified(
    logs: dict[int, list[LogRecord]], verdicts: list[Published]
) -> None:
    kept_from, stored_at = logs[0][500].offset, logs[0][560].offset
    snapshot = OneSnapshot(logs[0], stored_at)
    machine = TimeMachine(ListHistory({0: logs[0][500:]}), snapshot, small_model(), open_small, everybody)
    report = verified(machine, [verdict for verdict in verdicts if verdict.partition == 0])
    for check in report.checks:
        assert check.offset is not None
        expected = "equal" if check.offset >= stored_at else "not_recomputable"
        assert check.status == expected
        if check.offset < kept_from:
            assert "begins at" in check.why
        elif check.offset < stored_at:
            assert "windows at" in check.why
    assert snapshot.restored == 1
    assert not report.is_proof
    assert report.differs == 0


def test_a_model_that_is_not_here_makes_it_not_recomputable_not_wrong(logs: dict[int, list[LogRecord]]) -> None:
    records = [*logs[0][:300]]
    records[100] = records[100]._replace(value=model_marker(900, small_model(2).id, START_MS))
    published = published_of(0, records)

    def poor(model_id: str) -> ModelInForce:
        if model_id == small_model(2).id:
            raise AssayError("it is not here")
        return open_small(model_id)

    machine = TimeMachine(ListHistory({0: records}), None, small_model(), poor, everybody)
    report = verified(machine, published)
    assert report.equal > 0
    assert report.not_recomputable > 0
    assert report.differs == 0
    judged_by_2 = [check for check in report.checks if check.status == "not_recomputable"]
    assert all("models.directory" in check.why for check in judged_by_2)
    # and the other way round: there, a worker had no such model and said so; here it can be opened
    (first, *_) = verified(machine_over({0: records}), published_of(0, records, poor)[-3:]).checks
    assert first.status == "differs"
    assert "another model judged" in first.why


def test_a_verdict_altered_at_a_degraded_place_is_wrong_and_not_excused(
    logs: dict[int, list[LogRecord]], verdicts: list[Published]
) -> None:
    degraded = next(verdict for verdict in verdicts if verdict.partition == 0 and b'"degraded"' in verdict.value)
    for path, value in ((["model"], "0" * 16), (["score"], 0.9), (["flags"], [])):
        (check,) = verified(machine_over(logs), [altered(degraded, path, value)]).checks
        assert check.status == "differs", (path, check)


def test_the_report_brackets_where_a_partition_begins_to_differ() -> None:
    def check(offset: int, status: Any, partition: int = 0) -> Check:
        return Check(event_id="e", status=status, partition=partition, offset=offset)

    checks = [check(9, "differs"), check(3, "equal"), check(5, "equal"), check(7, "differs"), check(8, "equal")]
    report = report_of([*checks, check(1, "differs", 2), check(4, "equal", 6)], scanned=9, unreadable=0, seed=None)
    assert report.first_different == {0: 7, 2: 1}
    assert report.last_equal == {0: 5, 2: None}


def test_nothing_checked_or_something_unreadable_is_no_proof() -> None:
    assert not report_of([], scanned=0, unreadable=0, seed=1).is_proof
    equal = Check(event_id="e", status="equal", partition=0, offset=1)
    assert report_of([equal], scanned=1, unreadable=0, seed=1).is_proof
    assert not report_of([equal], scanned=2, unreadable=1, seed=1).is_proof


@given(
    offsets=st.lists(st.integers(0, 60), unique=True, max_size=40).map(sorted),
    wanted=st.sets(st.integers(0, 60), max_size=10),
    size=st.integers(1, 7),
)
def test_cutting_keeps_every_record_once_and_the_wanted_apart(offsets: list[int], wanted: set[int], size: int) -> None:
    records = [LogRecord(offset, b"") for offset in offsets]
    batches = list(cut(records, wanted, size))
    assert [record for batch, _ in batches for record in batch] == records
    assert all(0 < len(batch) <= size for batch, _ in batches)
    for batch, is_wanted in batches:
        assert {record.offset in wanted for record in batch} == {is_wanted}


def test_places_are_asked_for_once() -> None:
    log = [payment(number, "a1", START_MS + number) for number in range(5)]
    found = recompute(machine_over({0: [LogRecord(o, v) for o, v in enumerate(log)]}), [Place(0, 2), Place(0, 2)])
    assert list(found) == [Place(0, 2)]
    assert found[Place(0, 2)].model == small_model().id[:16]
    assert found[Place(0, 2)].policy == small_model().artefact.policy_id[:16]
