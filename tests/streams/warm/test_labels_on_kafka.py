"""Labels from their topic into the events log, on a real broker: whatever is killed, none is lost or changed."""

import random
import time
from pathlib import Path

import orjson
from confluent_kafka import Producer

from streams.broker import RunningBroker
from streams.signature import SIGNATURE_HEADER, sign
from streams.topic_reader import TopicReader
from tests.streams.logs import START_MS, TRACE, keyed, payment
from tests.streams.warm.workers import KEY, Supervised, label, labels_of, warm_environment, warm_worker
from tests.streams.workers import produce, read_all, stop, worker

PARTITIONS = 2
BAD = [(b"a0", b"{", 0), (b"a1", b'{"judged_event_id":"p1"}', 1)]


def labels(count: int) -> list[tuple[bytes, bytes, int]]:
    return [label(number, f"a{number % 7}", number % 7 % PARTITIONS) for number in range(count)]


def expected_of(records: list[tuple[bytes, bytes, int]]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for _, value, partition in records:
        found.setdefault(partition, []).append(orjson.loads(value)["judged_event_id"])
    return found


def once(values: list[str]) -> list[str]:
    """Without repetitions, in the order in which they came first."""
    return list(dict.fromkeys(values))


def differences(found: dict[int, list[str]], expected: dict[int, list[str]]) -> tuple[list[str], list[str]]:
    """What is missing, and what is too much or in another partition."""
    have = {(number, one) for number, values in found.items() for one in values}
    want = {(number, one) for number, values in expected.items() for one in values}
    return sorted(map(str, want - have)), sorted(map(str, have - want))


def test_labels_are_put_in_once_in_order_signed_and_bad_ones_are_set_aside(
    broker: RunningBroker, topic: str, tmp_path: Path
) -> None:
    sent = labels(300)
    produce(broker.bootstrap_servers, f"{topic}labels", [*sent, *sent[:50], *BAD], traceparent=TRACE[1])
    settings = warm_environment(broker.bootstrap_servers, topic, tmp_path)
    with warm_worker(settings, tmp_path / "log") as process:
        found = read_all(broker.bootstrap_servers, [f"{topic}events"], PARTITIONS, len(sent))
        letters = read_all(broker.bootstrap_servers, [f"{topic}labels.dlq"], PARTITIONS, len(BAD))
        assert stop(process) == 0, (tmp_path / "log").read_text()
    assert labels_of(found) == expected_of(sent)
    for message in found:
        headers = dict(message.headers() or ())
        assert headers[SIGNATURE_HEADER] == sign(KEY.encode(), message.value() or b"")
        assert headers["traceparent"] == TRACE[1]
    assert sorted((message.key(), message.value(), message.partition()) for message in letters) == sorted(BAD)
    assert {dict(message.headers() or ())["assay-error-code"] for message in letters} == {b"not_json", b"missing_field"}


def test_the_engine_joins_each_label_with_its_verdict(broker: RunningBroker, topic: str, tmp_path: Path) -> None:
    count = 60
    events = keyed([payment(number, f"a{number % 7}", START_MS + number) for number in range(count)])
    produce(broker.bootstrap_servers, f"{topic}events", events)
    partition_of = {orjson.loads(value)["account_id"]: partition for _, value, partition in events}
    ids = [(orjson.loads(value)["event_id"], orjson.loads(value)["account_id"]) for _, value, _ in events]
    sent = []
    for number, (event_id, account) in enumerate(ids):
        key, value, _ = label(number, account, 0)
        sent.append((key, orjson.dumps({**orjson.loads(value), "judged_event_id": event_id}), partition_of[account]))
    settings = warm_environment(broker.bootstrap_servers, topic, tmp_path)
    with worker(settings, tmp_path / "engine") as engine, warm_worker(settings, tmp_path / "log") as process:
        verdicts = read_all(broker.bootstrap_servers, [f"{topic}verdicts"], PARTITIONS, count)
        assert len(verdicts) == count
        produce(broker.bootstrap_servers, f"{topic}labels", sent)
        outcomes = read_all(broker.bootstrap_servers, [f"{topic}outcomes"], PARTITIONS, count)
        assert stop(process) == 0, (tmp_path / "log").read_text()
        assert stop(engine) == 0, (tmp_path / "engine").read_text()
    found = [orjson.loads(message.value() or b"") for message in outcomes]
    assert sorted(outcome["judged_event_id"] for outcome in found) == sorted(event_id for event_id, _ in ids)
    assert all(outcome["judged"] is not None for outcome in found)


def put_in(bootstrap: str, events: str) -> int:
    """How many records the log holds; nobody writes it in transactions here."""
    with TopicReader({"bootstrap.servers": bootstrap}) as reader:
        return sum(reader.bounds(events, number).high for number in range(PARTITIONS))


def test_kill_9_at_any_moment_loses_no_label(broker: RunningBroker, topic: str, tmp_path: Path) -> None:
    source = random.Random(5)
    sent, in_work = labels(5_000), 0
    expected = expected_of(sent)
    produce(broker.bootstrap_servers, f"{topic}labels", [*sent, *BAD])
    settings = warm_environment(broker.bootstrap_servers, topic, tmp_path)
    with Supervised(settings, tmp_path / "log") as warm:
        for _ in range(3):
            warm.start()  # which kills the one before
            before = put_in(broker.bootstrap_servers, f"{topic}events")
            moment = min(before + source.randint(1, 1_000), len(sent))
            deadline_s = time.monotonic() + 60
            while put_in(broker.bootstrap_servers, f"{topic}events") < moment and time.monotonic() < deadline_s:
                warm.tend()
                time.sleep(0.05)
            in_work += before < put_in(broker.bootstrap_servers, f"{topic}events") < len(sent)
        warm.start()
        deadline_s = time.monotonic() + 120
        while time.monotonic() < deadline_s:
            warm.tend()
            found = read_all(broker.bootstrap_servers, [f"{topic}events"], PARTITIONS, len(sent), timeout_s=10)
            if {number: once(values) for number, values in labels_of(found).items()} == expected:
                break
        letters = read_all(broker.bootstrap_servers, [f"{topic}labels.dlq"], PARTITIONS, len(BAD))
    assert {number: once(values) for number, values in labels_of(found).items()} == expected
    assert in_work, "no kill struck while labels were put in"
    assert {(message.key(), message.value(), message.partition()) for message in letters} == set(BAD)


def test_what_an_aborted_transaction_left_is_never_put_in(broker: RunningBroker, topic: str, tmp_path: Path) -> None:
    aborted, kept = labels(20)[10:], labels(10)
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "transactional.id": f"{topic}feed"})
    producer.init_transactions()
    for records, end in ((aborted, producer.abort_transaction), (kept, producer.commit_transaction)):
        producer.begin_transaction()
        for key, value, partition in records:
            producer.produce(f"{topic}labels", value, key, partition)
        producer.flush()
        end()
    settings = warm_environment(broker.bootstrap_servers, topic, tmp_path)
    with warm_worker(settings, tmp_path / "log") as process:
        found = read_all(broker.bootstrap_servers, [f"{topic}events"], PARTITIONS, len(kept))
        assert stop(process) == 0, (tmp_path / "log").read_text()
    assert labels_of(found) == expected_of(kept)


def test_a_feed_may_compress_as_it_likes(broker: RunningBroker, topic: str, tmp_path: Path) -> None:
    sent = labels(50)
    for number, codec in enumerate(("none", "gzip", "snappy", "lz4", "zstd")):
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "compression.type": codec})
        for key, value, partition in sent[10 * number : 10 * (number + 1)]:
            producer.produce(f"{topic}labels", value, key, partition)
        producer.flush()
    settings = warm_environment(broker.bootstrap_servers, topic, tmp_path)
    with warm_worker(settings, tmp_path / "log") as process:
        found = read_all(broker.bootstrap_servers, [f"{topic}events"], PARTITIONS, len(sent))
        assert stop(process) == 0, (tmp_path / "log").read_text()
    assert labels_of(found) == expected_of(sent)


def test_a_worker_that_cannot_begin_says_why_in_one_line(broker: RunningBroker, topic: str, tmp_path: Path) -> None:
    sound = warm_environment(broker.bootstrap_servers, topic, tmp_path)
    unsigned = {**sound, "ASSAY_SECURITY_INTERNAL_KEY": ""}
    no_topics = {**sound, "ASSAY_TOPICS_PREFIX": "nobody-made-these."}
    for settings, words in ((unsigned, "security.internal_key"), (no_topics, "assay topics apply")):
        with warm_worker(settings, tmp_path / "log") as process:
            assert process.wait(timeout=60) == 1
        (line,) = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("assay: ")]
        assert words in line
        (tmp_path / "log").unlink()


def test_workers_share_and_take_over(broker: RunningBroker, topic: str, tmp_path: Path) -> None:
    """A second worker joins while labels come in, then the first is killed: every label is put in.

    While partitions move, Faust may pass over records that it has read; it then commits nothing more of the partition,
    the worker notices and ends, and its supervisor, here this test, starts it again.
    """
    first = warm_environment(broker.bootstrap_servers, topic, tmp_path / "one")
    second = warm_environment(broker.bootstrap_servers, topic, tmp_path / "two", ASSAY_WARM_STALLED_SECONDS="10")
    sent = labels(900)
    parts = [sent[:300], sent[300:600], sent[600:]]
    events = [f"{topic}events"]
    with Supervised(second, tmp_path / "log2") as two:
        with warm_worker(first, tmp_path / "log1") as one:
            produce(broker.bootstrap_servers, f"{topic}labels", parts[0])
            found = read_all(broker.bootstrap_servers, events, PARTITIONS, 300)
            assert len(found) >= 300, (tmp_path / "log1").read_text()
            two.start()
            produce(broker.bootstrap_servers, f"{topic}labels", parts[1])
            assert len(read_all(broker.bootstrap_servers, events, PARTITIONS, 600)) >= 600
            one.kill()
        produce(broker.bootstrap_servers, f"{topic}labels", parts[2])
        deadline_s = time.monotonic() + 150
        while time.monotonic() < deadline_s:
            two.tend()
            found = read_all(broker.bootstrap_servers, events, PARTITIONS, len(sent), timeout_s=5)
            if differences(labels_of(found), expected_of(sent)) == ([], []):
                break
    assert differences(labels_of(found), expected_of(sent)) == ([], []), (tmp_path / "log2").read_text()
    assert {number: once(values) for number, values in labels_of(found).items()} == expected_of(sent)
