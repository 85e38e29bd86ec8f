"""`assay dlq` against a real broker: from a refused record to its one verdict, and what happens when a run dies."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Message, Producer
from typer import BadParameter

from features.errors import AssayError, InvalidRecord
from features.money import Rates
from features.records import dead_letter_headers, redacted
from models.model_store import ModelStore
from streams.broker import RunningBroker
from streams.commands.dlq_options import Range, wanted_of
from streams.commands.progress import records_progress
from streams.dead_letter_topic import DeadLetterTopic
from streams.dead_letters import Letter, Redriven, Wanted
from streams.redrive import choose
from streams.redriver import Redriver
from streams.topic_reader import TopicReader
from tests.streams.command_line import Finished, assay, fails_with
from tests.streams.logs import START_MS, model_marker, payment
from tests.streams.small_model import small_model, small_model_directory, write_small_model
from tests.streams.workers import ASSAY, environment, produce, read_all, stop, worker

ERROR = InvalidRecord("rate_missing", "$.currency", "a currency in the model's rates", "USD")
CARD = "4111111111111111"
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def dlq(broker: RunningBroker, topic: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finished]:
    """`assay dlq` with the topics of this test."""
    monkeypatch.setenv("ASSAY_TOPICS_PREFIX", topic)
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", broker.bootstrap_servers)
    return lambda *words: assay("dlq", *words)


def rows(finished: Finished) -> list[dict[str, Any]]:
    assert finished.code == 0, finished
    return [orjson.loads(line) for line in finished.output.splitlines()]


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def write_letters(
    broker: RunningBroker, prefix: str, places: list[tuple[int, int]], value: bytes = b"{}", source: str = "events"
) -> None:
    """Dead letters as an engine writes them, of records that were at these places (partition, offset)."""
    producer = Producer(broker.client_settings)
    for partition, offset in places:
        headers = dead_letter_headers(ERROR, f"{prefix}{source}", partition, offset)
        key = f"a{offset % 3}".encode()
        producer.produce(f"{prefix}{source}.dlq", value, key, partition, headers=[*headers])
    assert producer.flush(30) == 0


def came_back(broker: RunningBroker, prefix: str, expected: int) -> list[Message]:
    return read_all(broker.bootstrap_servers, [f"{prefix}events"], 2, expected)


def ids(messages: list[Message]) -> list[str]:
    return [(dict(message.headers() or [])["assay-redrive-id"] or b"").decode() for message in messages]


def test_from_a_refused_record_to_its_verdict(
    broker: RunningBroker, topic: str, tmp_path: Path, dlq: Callable[..., Finished]
) -> None:
    """Two refusals: one whose cause is put right by another model, and one that fails for ever."""
    narrow = tmp_path / "narrow"
    write_small_model(narrow, 3, Rates("EUR", "2026-01-02", "test", {"EUR": "1"}))
    models = tmp_path / "models"
    ModelStore(models).add(small_model_directory())
    settings = environment(
        broker.bootstrap_servers, topic, tmp_path / "state", ASSAY_MODELS_FIRST=str(narrow),
        ASSAY_MODELS_DIRECTORY=str(models), ASSAY_ENGINE_BAD_SHARE="1",
    )  # fmt: skip
    dollars = payment(1, "a1", START_MS, currency="USD", ip="10.1.2.3")
    produce(broker.bootstrap_servers, f"{topic}events", [(b"a1", dollars, 0)], traceparent=TRACE)
    produce(
        broker.bootstrap_servers,
        f"{topic}events",
        [
            (b"a2", b"poison", 1),
            (b"a3", payment(2, "a3", START_MS, card_id=CARD), 1),
            (b"a1", payment(3, "a1", START_MS + 1), 0),
            (None, model_marker(4, small_model().id, START_MS + 2), 0),
        ],
    )
    with worker(settings, tmp_path / "log") as process:
        wait_for(lambda: len(rows(dlq("list", "--json"))) == 3)
        listed = {row["code"]: row for row in rows(dlq("list", "--json"))}
        assert set(listed) == {"rate_missing", "not_json", "card_number"}
        assert listed["rate_missing"]["source"] == f"{topic}events[0]@0"
        assert listed["rate_missing"]["got"] == "USD"

        shown = dlq("show", listed["rate_missing"]["place"])
        assert shown.code == 0
        assert TRACE in shown.output
        assert b"10.1.2.3" not in shown.output
        assert dlq("show", listed["rate_missing"]["place"], "--raw").output == dollars
        kept = dlq("show", listed["card_number"]["place"], "--raw")
        assert CARD.encode() not in kept.output
        assert "only its length and a keyed hash" in kept.errors

        planned = rows(dlq("redrive", "--dry-run", "--json"))
        assert {row["code"] for row in planned} == {"rate_missing", "not_json"}
        assert [row["sent_back"] for row in rows(dlq("list", "--json"))] == [False] * 3

        for count in (1, 2, 3):  # the first run sends both, then the poison comes back alone
            (summary,) = rows(dlq("redrive", "--yes", "--json"))
            assert summary["sent"] == (2 if count == 1 else 1)
            assert summary["left"]["redacted: the record is not kept"] == 1
            wait_for(lambda: len(rows(dlq("list", "--json"))) == 3 + count)  # noqa: B023
        (summary,) = rows(dlq("redrive", "--yes", "--json"))
        assert summary["sent"] == 0
        assert summary["left"]["sent back too often already"] == 1
        assert stop(process) == 0, (tmp_path / "log").read_text()

    poisoned = rows(dlq("list", "--code", "not_json", "--json"))
    assert [(row["redrives"], row["sent_back"]) for row in poisoned] == [(0, True), (1, True), (2, True), (3, False)]
    (verdicts,) = [read_all(broker.bootstrap_servers, [f"{topic}verdicts"], 2, 2)]
    judged = [orjson.loads(message.value() or b"") for message in verdicts]
    assert sorted(verdict["event_id"] for verdict in judged) == ["p1", "p3"]
    redriven = next(message for message in verdicts if b'"p1"' in (message.value() or b""))
    assert dict(redriven.headers() or []) == {"traceparent": TRACE}
    (sent_back,) = [message for message in came_back(broker, topic, 9) if message.value() == dollars][1:]
    assert (sent_back.key(), sent_back.partition()) == (b"a1", 0)
    assert ids([sent_back]) == [planned[0]["redrive_id"]] == [f"{topic}events[0]@0"]
    assert dict(sent_back.headers() or [])["assay-error-code"] == b"rate_missing"


def test_a_record_that_has_come_back_is_not_judged_twice(
    broker: RunningBroker, topic: str, tmp_path: Path, dlq: Callable[..., Finished]
) -> None:
    """The producer sent it again meanwhile, with the same bytes: the one that is redriven is a duplicate."""
    event = payment(1, "a1", START_MS)
    produce(broker.bootstrap_servers, f"{topic}events", [(b"a1", event, 0)])
    write_letters(broker, topic, [(0, 7)], event)
    with worker(environment(broker.bootstrap_servers, topic, tmp_path / "state"), tmp_path / "log") as process:
        read_all(broker.bootstrap_servers, [f"{topic}verdicts"], 2, 1)
        assert rows(dlq("redrive", "--yes", "--json")) == [{"sent": 1, "left": {}}]
        produce(broker.bootstrap_servers, f"{topic}events", [(b"a1", payment(2, "a1", START_MS + 1), 0)])
        verdicts = read_all(broker.bootstrap_servers, [f"{topic}verdicts"], 2, 2)
        assert stop(process) == 0, (tmp_path / "log").read_text()
    assert [orjson.loads(message.value() or b"")["event_id"] for message in verdicts] == ["p1", "p2"]


def test_a_run_that_is_killed_is_finished_by_the_next_one(
    broker: RunningBroker, topic: str, dlq: Callable[..., Finished], tmp_path: Path
) -> None:
    places = [(partition, offset) for partition in range(2) for offset in range(20)]
    write_letters(broker, topic, places)
    command = [ASSAY, "dlq", "redrive", "--yes", "--rate", "4", "--bootstrap", broker.bootstrap_servers]
    settings = environment(broker.bootstrap_servers, topic, tmp_path)
    process = subprocess.Popen(command, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert came_back(broker, topic, 4)
        assert process.poll() is None, "it was to be killed while it works"
    finally:
        process.kill()
        process.wait()
    (summary,) = rows(dlq("redrive", "--yes", "--json"))
    assert 0 < summary["left"]["sent back before"] < 40
    assert summary["sent"] + summary["left"]["sent back before"] == 40
    found = came_back(broker, topic, 40)
    for partition in range(2):
        in_order = [f"{topic}events[{partition}]@{offset}" for offset in range(20)]
        assert ids([message for message in found if message.partition() == partition]) == in_order
    assert rows(dlq("redrive", "--yes", "--json")) == [{"sent": 0, "left": {"sent back before": 40}}]


def test_what_a_run_left_open_never_counts(broker: RunningBroker, topic: str, dlq: Callable[..., Finished]) -> None:
    """A run that died inside of a transaction, seen from the next one: its records are there, and invisible."""
    write_letters(broker, topic, [(0, 5)])
    dead = Producer(
        {**broker.client_settings, "transactional.id": f"assay-operator-redrive-{topic}events.dlq", "log_level": 0}
    )
    dead.init_transactions(30)
    dead.begin_transaction()
    dead.produce(f"{topic}events", b"half", b"a1", 0, headers=[("assay-redrive-id", b"half")])
    dead.flush()
    assert rows(dlq("redrive", "--yes", "--json")) == [{"sent": 1, "left": {}}]
    assert ids(came_back(broker, topic, 1)) == [f"{topic}events[0]@5"]


def test_a_mark_behind_an_open_transaction_is_waited_for(broker: RunningBroker, topic: str) -> None:
    """A worker's transaction that began before the mark hides it: who does not wait would send the record twice."""
    write_letters(broker, topic, [(0, 5)])
    slow = Producer({**broker.client_settings, "transactional.id": f"{topic}slow"})
    slow.init_transactions(30)
    slow.begin_transaction()
    with TopicReader(broker.client_settings) as reader:
        letters = DeadLetterTopic(reader, f"{topic}events")

        def chosen(ends: dict[int, int]) -> list[Letter]:
            with records_progress("") as progress:
                items = list(letters.read(Wanted(), ends, progress))
            marks = [item for item in items if isinstance(item, Redriven)]
            sent_back = {address for mark in marks for address in mark.addresses()}
            found = [item for item in items if isinstance(item, Letter)]
            return choose(found, sent_back, letters.source, most_redrives=3, limit=10).letters

        with Redriver(broker.client_settings, letters) as redriver:
            ready = chosen(redriver.settled_ends())
            assert len(ready) == 1
            slow.produce(f"{topic}events.dlq", b"{}", partition=0)
            slow.flush()
            redriver.send(ready, None, lambda _: None)
        with Redriver(broker.client_settings, letters) as redriver:
            assert chosen(letters.ends()) == ready, "the check is blind: the mark is visible"
            with pytest.raises(AssayError, match="a transaction is open for more than"):
                redriver.settled_ends(timeout_s=0.2)
            slow.commit_transaction(30)
            assert chosen(redriver.settled_ends()) == []


def test_two_runs_at_once_send_once(broker: RunningBroker, topic: str) -> None:
    write_letters(broker, topic, [(0, 5)])
    with TopicReader(broker.client_settings) as reader:
        letters = DeadLetterTopic(reader, f"{topic}events")
        letter = letters.letter_at(0, 0)
        with (
            Redriver(broker.client_settings, letters) as first,
            Redriver(broker.client_settings, letters) as second,
        ):
            second.send([letter], None, lambda _: None)
            with pytest.raises(AssayError, match="another redrive has begun"):
                first.send([letter], None, lambda _: None)
    assert len(came_back(broker, topic, 1)) == 1


def test_a_limit_takes_the_first_and_another_run_the_rest(
    broker: RunningBroker, topic: str, dlq: Callable[..., Finished]
) -> None:
    write_letters(broker, topic, [(0, 1), (0, 2), (0, 3)])
    assert rows(dlq("redrive", "--yes", "--json", "--limit", 2)) == [{"sent": 2, "left": {"beyond the limit": 1}}]
    second = rows(dlq("redrive", "--yes", "--json", "--limit", 2))
    assert second == [{"sent": 1, "left": {"sent back before": 2}}]
    assert ids(came_back(broker, topic, 3)) == [f"{topic}events[0]@{offset}" for offset in (1, 2, 3)]


def test_labels_have_dead_letters_of_their_own(broker: RunningBroker, topic: str, dlq: Callable[..., Finished]) -> None:
    write_letters(broker, topic, [(1, 4)], source="labels")
    assert rows(dlq("list", "--json")) == []
    assert [row["source"] for row in rows(dlq("list", "--labels", "--json"))] == [f"{topic}labels[1]@4"]
    assert rows(dlq("redrive", "--labels", "--yes", "--json")) == [{"sent": 1, "left": {}}]
    assert ids(read_all(broker.bootstrap_servers, [f"{topic}labels"], 2, 1)) == [f"{topic}labels[1]@4"]


def test_lists_are_filtered_counted_and_cut_at_the_newest(
    broker: RunningBroker, topic: str, dlq: Callable[..., Finished]
) -> None:
    write_letters(broker, topic, [(0, 1), (0, 2), (1, 3)])
    written_ms = [row["set_aside"] for row in rows(dlq("list", "--json"))]
    assert written_ms == sorted(written_ms)

    def sources(*words: object) -> list[str]:
        return [row["source"].partition("events")[2] for row in rows(dlq("list", "--json", *words))]

    assert sources("--source-partition", 0) == ["[0]@1", "[0]@2"]
    assert sources("--source-offset", "2..") == ["[0]@2", "[1]@3"]
    assert sources("--source-offset", "2..2") == ["[0]@2"]
    assert sources("--account", "a1") == ["[0]@1"]
    assert sources("--code", "conflict") == []
    assert sources("--from", "2999-01-01") == []
    assert sources("--to", "2999-01-01", "--limit", 1) == ["[1]@3"]
    assert sources("--from", "-1h", "--to", "now") == ["[0]@1", "[0]@2", "[1]@3"]
    assert sources("--to", "-1h") == []
    assert sources("--from", written_ms[0]) == ["[0]@1", "[0]@2", "[1]@3"], "as it is listed"
    assert sources("--source-partition", 0, "--from", 2) == ["[0]@2"]
    assert sources("--source-partition", 0, "--to", 2) == ["[0]@1"]
    assert len(rows(dlq("redrive", "--dry-run", "--json", "--source-partition", 0, "--from", 2))) == 1
    assert rows(dlq("redrive", "--dry-run", "--json", "--from", "now")) == []
    assert rows(dlq("list", "--count", "--json")) == [{"rate_missing": 3}]
    table = dlq("list").output.decode()
    assert table.count("rate_missing") == 3
    assert len(table.splitlines()) == 4
    assert b"rate_missing" in dlq("list", "--count").output
    assert b"redrive id" in dlq("redrive", "--dry-run").output


def test_a_redacted_letter_says_so(broker: RunningBroker, topic: str, dlq: Callable[..., Finished]) -> None:
    write_letters(broker, topic, [(0, 1)], redacted(b"x", b"key"))
    assert b"it held a card number" in dlq("show", "0:0").output
    assert rows(dlq("redrive", "--yes", "--json")) == [{"sent": 0, "left": {"redacted: the record is not kept": 1}}]


def test_a_record_goes_into_a_file(
    broker: RunningBroker, topic: str, dlq: Callable[..., Finished], tmp_path: Path
) -> None:
    write_letters(broker, topic, [(0, 1)], b"\xff\x00")
    assert dlq("show", "0:0", "--raw", "--out", tmp_path / "record").code == 0
    assert (tmp_path / "record").read_bytes() == b"\xff\x00"
    fails_with(dlq("show", "0:0", "--raw", "--out", tmp_path / "absent" / "record"), "--out", "can be written")


def test_a_place_without_a_letter_is_one_line(broker: RunningBroker, topic: str, dlq: Callable[..., Finished]) -> None:
    write_letters(broker, topic, [(0, 1)])
    assert rows(dlq("redrive", "--yes", "--json")) == [{"sent": 1, "left": {}}]
    fails_with(dlq("show", "0:99"), "expected an offset from 0 to", "assay dlq list")
    fails_with(dlq("show", "7:0"), "has the partitions [0, 1]")
    fails_with(dlq("show", "0:2"), "no dead letter is there")  # the mark


@pytest.mark.parametrize(
    "words",
    [
        ["show", "0"],
        ["show", "a:b"],
        ["show", "0:1", "--out", "file"],
        ["list", "--source-offset", ".."],
        ["list", "--from", "yesterday"],
        ["list", "--from", "17"],
        ["redrive", "--yes", "--to", "17"],
        ["list", "--limit", "0"],
        ["redrive", "--rate", "0"],
        ["redrive"],
    ],
)
def test_wrong_usage_is_2(words: list[str]) -> None:
    assert assay("dlq", *words).code == 2


NOON_MS = 1_767_268_800_000  # 2026-01-01T12:00:00Z


@pytest.mark.parametrize("text", ["2026-01-01T12:00:00Z", "2026-01-01T13:00+01:00", "2026-01-01T12:00", str(NOON_MS)])
def test_a_time_is_when_a_letter_was_set_aside(text: str) -> None:
    assert wanted_of(None, None, text, text, None, None) == Wanted(from_ms=NOON_MS, to_ms=NOON_MS)


def test_a_time_ago_is_counted_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: NOON_MS * 1_000_000)
    found = wanted_of(None, None, "-6h", "now", None, None)
    assert found == Wanted(from_ms=NOON_MS - 6 * 3_600_000, to_ms=NOON_MS)


@pytest.mark.parametrize(
    ("start", "end", "offsets", "first", "last"),
    [
        ("17", None, None, 17, None),
        (None, "17", None, None, 16),
        ("17", "20", Range(None, None), 17, 19),
        ("17", "20", Range(18, 18), 18, 18),
        ("17", "20", Range(3, 99), 17, 19),
        ("0", "0", None, 0, -1),
    ],
)
def test_an_offset_is_that_of_the_refused_record_in_its_partition(
    start: str | None, end: str | None, offsets: Range | None, first: int | None, last: int | None
) -> None:
    found = wanted_of(None, None, start, end, 3, offsets)
    assert found == Wanted(source_partition=3, first_offset=first, last_offset=last)


@pytest.mark.parametrize("ends", [("17", None), (None, "17"), ("-1h", "17")])
def test_an_offset_without_its_partition_asks_for_it(ends: tuple[str | None, str | None]) -> None:
    with pytest.raises(BadParameter, match="--source-partition"):
        wanted_of(None, None, *ends, None, Range(1, 2))


def test_topics_that_are_not_there_are_one_line(broker: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_TOPICS_PREFIX", "nobody-made.")
    fails_with(assay("dlq", "list", "--bootstrap", broker.bootstrap_servers), "assay topics apply")
