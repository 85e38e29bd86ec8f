"""The Kafka end against a real broker: one verdict per event, the bytes of the file end, also after kill -9."""

import random
import time
from collections import defaultdict
from pathlib import Path

import msgspec
import orjson
import pytest
from confluent_kafka import Message

from features.links import Flushes, flushes_of, joined
from features.store import MemoryStore
from models.summary import Summary
from streams.broker import RunningBroker
from streams.log import LogRecord
from streams.partition import Partition
from streams.profiles import NoProfiles
from streams.score import ScoreRequest, score
from streams.signature import everybody
from tests.streams.logs import START_MS, TRACE, keyed, mixed_log, model_marker, payment
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small
from tests.streams.workers import environment, produce, read_all, stop, worker

PARTITIONS = 2


def by_partition(messages: list[Message]) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = defaultdict(list)
    for message in messages:
        value = message.value()
        assert value is not None
        found[message.partition()].append(value)
    return found


def of_topic(messages: list[Message], suffix: str) -> list[Message]:
    return [message for message in messages if str(message.topic()).endswith(suffix)]


def scored_from_files(
    records: list[tuple[bytes | None, bytes, int]], partition: int, directory: Path
) -> dict[str, list[bytes]]:
    """What `assay score` makes of one partition's log."""
    directory.mkdir()
    events = directory / "events.jsonl"
    events.write_bytes(b"".join(value + b"\n" for _, value, number in records if number == partition))
    request = ScoreRequest(
        profiles=NoProfiles(),  # no warm path tells any
        events=events,
        out=directory / "verdicts",
        outcomes=directory / "outcomes",
        dead_letters=directory / "dead",
        partition=partition,
        bad_share=1.0,
    )
    score(request, small_model(), open_small)
    return {
        name: (directory / name).read_bytes().splitlines() if (directory / name).exists() else []
        for name in ("verdicts", "outcomes", "dead")
    }


def expected_of(records: list[tuple[bytes | None, bytes, int]], directory: Path) -> dict[int, dict[str, list[bytes]]]:
    return {number: scored_from_files(records, number, directory / str(number)) for number in range(PARTITIONS)}


def links_of(records: list[tuple[bytes | None, bytes, int]], partition: int) -> list[list[object]]:
    """What folding one partition's log in one go says of entities."""
    values = [value for _, value, number in records if number == partition]
    log = [LogRecord(offset, value) for offset, value in enumerate(values)]
    output = Partition(partition, MemoryStore(), small_model(), open_small).fold(log, everybody)
    return [table.tolist() for table in flushes_of(output.links[0])[1]]


def published_links(bootstrap: str, prefix: str) -> dict[int, list[list[object]]]:
    """The same as it stands in the topic, by partition."""
    parts: dict[int, list[Flushes]] = defaultdict(list)
    for message in read_all(bootstrap, [f"{prefix}links"], 1, 1):
        partition, flushes = flushes_of(message.value() or b"")
        parts[partition].append(flushes)
    return {number: [table.tolist() for table in joined(found)] for number, found in parts.items()}


def topics_of(prefix: str) -> list[str]:
    return [f"{prefix}verdicts", f"{prefix}outcomes", f"{prefix}events.dlq"]


def total(expected: dict[int, dict[str, list[bytes]]]) -> int:
    return sum(len(values) for parts in expected.values() for values in parts.values())


def assert_same(found: list[Message], expected: dict[int, dict[str, list[bytes]]]) -> None:
    for suffix, name in (("verdicts", "verdicts"), ("outcomes", "outcomes")):
        published = by_partition(of_topic(found, suffix))
        for number, parts in expected.items():
            assert published[number] == parts[name]
    dead = by_partition(of_topic(found, "dlq"))
    for number, parts in expected.items():
        assert len(dead[number]) == len(parts["dead"])


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_the_topic_gives_the_bytes_of_the_file(
    broker: RunningBroker, topic: str, tmp_path: Path, delivery: str
) -> None:
    records = keyed(mixed_log(6_000, seed=21, accounts=60))
    produce(broker.bootstrap_servers, f"{topic}events", records)
    expected = expected_of(records, tmp_path)
    settings = environment(
        broker.bootstrap_servers, topic, tmp_path / "state", ASSAY_ENGINE_DELIVERY=delivery,
        ASSAY_TELEMETRY_EVERY_SECONDS="0",
    )  # fmt: skip
    with worker(settings, tmp_path / "log") as process:
        found = read_all(broker.bootstrap_servers, topics_of(topic), PARTITIONS, total(expected))
        assert stop(process) == 0, (tmp_path / "log").read_text()
    assert_same(found, expected)
    assert published_links(broker.bootstrap_servers, topic) == {n: links_of(records, n) for n in range(PARTITIONS)}
    ids = [orjson.loads(message.value() or b"")["event_id"] for message in of_topic(found, "verdicts")]
    assert len(ids) == len(set(ids))
    summaries = read_all(broker.bootstrap_servers, [f"{topic}telemetry"], 1, 1)
    counted = [msgspec.json.decode(message.value() or b"", type=Summary).counts.verdicts for message in summaries]
    assert sum(counted) == len(ids)


def test_kill_9_and_a_change_of_model_lose_nothing_and_double_nothing(
    broker: RunningBroker, topic: str, tmp_path: Path
) -> None:
    log = mixed_log(9_000, seed=22, accounts=60)
    records = keyed(log)
    markers = [(None, model_marker(1, small_model(2).id, START_MS), number) for number in range(PARTITIONS)]
    records[4_000:4_000] = markers
    expected = expected_of(records, tmp_path)
    models = tmp_path / "models"
    from models.model_store import ModelStore

    ModelStore(models).add(small_model(2).artefact.directory)
    settings = environment(
        broker.bootstrap_servers, topic, tmp_path / "state", ASSAY_MODELS_DIRECTORY=str(models),
        ASSAY_ENGINE_BATCH_EVENTS="97",
    )  # fmt: skip
    parts = [records[start : start + 1_500] for start in range(0, len(records), 1_500)]
    kills = 0
    for number, part in enumerate(parts):
        produce(broker.bootstrap_servers, f"{topic}events", part)
        with worker(settings, tmp_path / "log") as process:
            if number < len(parts) - 1:
                committed = len(read_all(broker.bootstrap_servers, topics_of(topic), PARTITIONS, 200 + 1_000 * number))
                assert committed > 0, (tmp_path / "log").read_text()
                assert process.poll() is None, (tmp_path / "log").read_text()
                process.kill()  # wherever it is
                kills += 1
            else:
                found = read_all(broker.bootstrap_servers, topics_of(topic), PARTITIONS, total(expected))
                assert stop(process) == 0, (tmp_path / "log").read_text()
    assert kills == len(parts) - 1
    assert_same(found, expected)
    assert published_links(broker.bootstrap_servers, topic) == {n: links_of(records, n) for n in range(PARTITIONS)}
    assert {orjson.loads(message.value() or b"")["model"] for message in of_topic(found, "verdicts")} == {
        small_model(1).id[:16],
        small_model(2).id[:16],
    }


def test_two_workers_share_and_hand_over(broker: RunningBroker, topic: str, tmp_path: Path) -> None:
    """A second worker joins while data flows, the first leaves: still one verdict each, with the same bytes."""
    records = keyed(mixed_log(6_000, seed=23, accounts=60))
    expected = expected_of(records, tmp_path)
    state = tmp_path / "state"
    dynamic = {"ASSAY_KAFKA_STATIC_MEMBERSHIP": "false", "ASSAY_ENGINE_BATCH_EVENTS": "50"}
    first = environment(broker.bootstrap_servers, topic, state, ASSAY_KAFKA_SLOT="0", **dynamic)
    second = environment(broker.bootstrap_servers, topic, state, ASSAY_KAFKA_SLOT="1", **dynamic)
    produce(broker.bootstrap_servers, f"{topic}events", records[:2_000])
    with worker(first, tmp_path / "log-0") as one:
        read_all(broker.bootstrap_servers, topics_of(topic), PARTITIONS, 500)
        with worker(second, tmp_path / "log-1") as two:
            produce(broker.bootstrap_servers, f"{topic}events", records[2_000:4_000])
            read_all(broker.bootstrap_servers, topics_of(topic), PARTITIONS, 3_000)
            deadline = time.monotonic() + 60
            while "partition" not in (tmp_path / "log-1").read_text() and time.monotonic() < deadline:
                time.sleep(0.1)
            assert stop(one) == 0, (tmp_path / "log-0").read_text()
            produce(broker.bootstrap_servers, f"{topic}events", records[4_000:])
            found = read_all(broker.bootstrap_servers, topics_of(topic), PARTITIONS, total(expected))
            assert stop(two) == 0, (tmp_path / "log-1").read_text()
    assert "partition" in (tmp_path / "log-1").read_text(), "the second worker never owned anything"
    assert_same(found, expected)


def test_a_dead_letter_is_the_record_with_address_and_reason(broker: RunningBroker, topic: str, tmp_path: Path) -> None:
    fine = payment(1, "a1", START_MS)
    wrong = payment(2, "a1", START_MS, currency="XXX")
    produce(broker.bootstrap_servers, f"{topic}events", [(b"a1", fine, 0), (b"a1", wrong, 0)], traceparent=TRACE[1])
    settings = environment(broker.bootstrap_servers, topic, tmp_path / "state", ASSAY_ENGINE_BAD_SHARE="1")
    with worker(settings, tmp_path / "log") as process:
        found = read_all(broker.bootstrap_servers, topics_of(topic), PARTITIONS, 2)
        assert stop(process) == 0, (tmp_path / "log").read_text()
    (dead,) = of_topic(found, "dlq")
    headers = dict(dead.headers() or [])
    assert dead.value() == wrong
    assert dead.key() == b"a1"
    assert headers["traceparent"] == TRACE[1]
    assert headers["__connect.errors.topic"] == f"{topic}events".encode()
    assert headers["__connect.errors.offset"] == b"1"
    assert headers["assay-error-code"] == b"currency"
    (verdict,) = of_topic(found, "verdicts")
    assert dict(verdict.headers() or []) == {"traceparent": TRACE[1]}


def test_too_many_refused_records_stop_the_worker_loudly(broker: RunningBroker, topic: str, tmp_path: Path) -> None:
    produce(broker.bootstrap_servers, f"{topic}events", [(b"a1", b"rubbish", 0)] * 300)
    with worker(environment(broker.bootstrap_servers, topic, tmp_path / "state"), tmp_path / "log") as process:
        assert process.wait(timeout=60) == 1
    assert "engine.bad_share" in (tmp_path / "log").read_text()
    assert read_all(broker.bootstrap_servers, topics_of(topic), PARTITIONS, 0) == []


def test_a_broker_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with worker(environment("127.0.0.1:9", "x.", tmp_path), tmp_path / "log") as process:
        assert process.wait(timeout=60) == 1
    lines = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("assay:")]
    assert len(lines) == 1
    assert "127.0.0.1:9" in lines[0]


def test_missing_topics_are_one_line(broker: RunningBroker, tmp_path: Path) -> None:
    settings = environment(broker.bootstrap_servers, "nobody-made.", tmp_path)
    with worker(settings, tmp_path / "log") as process:
        assert process.wait(timeout=60) == 1
    assert "assay topics apply" in (tmp_path / "log").read_text()


def test_a_header_as_large_as_a_record_makes_no_verdict_too_large(
    broker: RunningBroker, topic: str, tmp_path: Path
) -> None:
    # no compression helps; the event is just within what its topic takes, and its verdict is longer than the event
    large = random.Random(1).randbytes(1_048_588 - 300)
    produce(broker.bootstrap_servers, f"{topic}events", [(b"a1", payment(1, "a1", START_MS), 0)], traceparent=large)
    settings = environment(broker.bootstrap_servers, topic, tmp_path / "state")
    with worker(settings, tmp_path / "log") as process:
        (verdict,) = read_all(broker.bootstrap_servers, [f"{topic}verdicts"], PARTITIONS, 1)
        assert stop(process) == 0, (tmp_path / "log").read_text()
    assert verdict.headers() is None
