"""Ranges of a real topic: each record once, whatever was read before and whatever is read meanwhile."""

import random

import pytest
from confluent_kafka import Producer

from features.errors import AssayError
from streams.broker import RunningBroker
from streams.topic_reader import TopicHistory, TopicReader
from tests.streams.workers import produce

COUNT = 3_000


def offsets(reader: TopicReader, topic: str, start: int, end: int) -> list[int]:
    return [record.offset for records in reader.read(topic, 0, start, end) for record in records]


@pytest.fixture
def events(broker: RunningBroker, topic: str) -> str:
    name = f"{topic}events"
    produce(broker.bootstrap_servers, name, [(b"k", b"%d" % number, 0) for number in range(COUNT)])
    return name


def test_any_ranges_one_after_another_and_inside_each_other(broker: RunningBroker, events: str) -> None:
    chance = random.Random(5)
    with TopicReader(broker.client_settings) as reader:
        for _ in range(8):
            start, end = sorted(chance.sample(range(COUNT + 1), 2))
            outer = reader.read(events, 0, start, end)
            begun = [record.offset for record in next(outer)]
            assert offsets(reader, events, 0, COUNT) == list(range(COUNT))  # while the outer one is open
            if chance.random() < 0.5:
                outer.close()  # read in part
            else:
                assert begun + [r.offset for records in outer for r in records] == list(range(start, end))


def test_a_range_ends_behind_transaction_markers_and_before_what_is_not_committed(
    broker: RunningBroker, topic: str
) -> None:
    name = f"{topic}events"
    producer = Producer({**broker.client_settings, "transactional.id": f"{topic}writer"})
    producer.init_transactions()
    for outcome in ("commit", "abort", "commit", "open"):
        producer.begin_transaction()
        for number in range(3):
            producer.produce(name, f"{outcome}-{number}".encode(), b"k", 0)
        producer.flush()
        if outcome == "commit":
            producer.commit_transaction()
        elif outcome == "abort":
            producer.abort_transaction()
    with TopicReader(broker.client_settings) as reader:
        history = TopicHistory(reader, name)
        low, high = history.bounds(0)
        values = [record.value for records in history.read(0, low, high) for record in records]
        assert values == [b"commit-0", b"commit-1", b"commit-2"] * 2
        assert (low, high) == (0, 12)  # three times three records and a marker each
        assert offsets(reader, name, 3, 4) == []  # nothing but a marker
        assert offsets(reader, name, 2, 9) == [2, 8]
    producer.abort_transaction()


def test_times_and_bounds(broker: RunningBroker, events: str) -> None:
    with TopicReader(broker.client_settings) as reader:
        assert reader.partitions(events) == [0, 1]
        assert reader.bounds(events, 0) == (0, COUNT)
        assert reader.bounds(events, 1) == (0, 0)
        (first,) = next(reader.read(events, 0, 0, 1))
        assert first.timestamp_ms is not None
        assert reader.offset_at(events, 0, first.timestamp_ms) == 0
        assert reader.offset_at(events, 0, first.timestamp_ms + 86_400_000) == COUNT
        assert reader.offset_at(events, 0, -5) == 0


def test_what_is_not_there_is_said(broker: RunningBroker, events: str) -> None:
    with TopicReader(broker.client_settings) as reader, pytest.raises(AssayError, match="assay topics apply"):
        reader.partitions("nobody-made.events")
    with pytest.raises(AssayError, match=r"127\.0\.0\.1:9"):
        TopicReader({"bootstrap.servers": "127.0.0.1:9"}, timeout_s=2.0)
