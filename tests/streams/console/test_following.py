"""Following topics on a real broker: from where, on to where, and again after trouble."""

import pytest
from confluent_kafka import Consumer, TopicPartition

from features.errors import AssayError
from features.records import encode
from streams.broker import RunningBroker
from streams.config import load_config
from streams.console.feeder import Feeder
from streams.console.lag import Place, Position
from streams.console.picture import Followed, Picture
from streams.console.positions import Positions
from streams.console.tail import Tail
from streams.publisher import Message
from streams.sender import Sender
from tests.streams.console.makers import verdict
from tests.streams.console.site import wait_for
from tests.streams.workers import produce


def drain(tail: Tail, expected: int) -> list[tuple[int, bytes | None]]:
    """(partition, value) until so many have come."""
    found: list[tuple[int, bytes | None]] = []

    def more() -> bool:
        for batch in tail.poll(0.2):
            found.extend((batch.partition, record.value) for record in batch.records)
        return len(found) >= expected

    wait_for("records", more)
    return found


def numbered(first: int, last: int) -> list[tuple[bytes | None, bytes, int]]:
    return [(None, b"%d" % number, number % 2) for number in range(first, last)]


def test_every_record_comes_once_although_the_connection_is_lost_between(broker: RunningBroker, topic: str) -> None:
    produce(broker.bootstrap_servers, f"{topic}verdicts", numbered(0, 100))
    tail = Tail(broker.client_settings, topic, [Followed("verdicts", None, 1_000)])
    found = drain(tail, 100)
    for first in (100, 150):
        tail.close()
        produce(broker.bootstrap_servers, f"{topic}verdicts", numbered(first, first + 50))
        found += drain(tail, 50)
    assert tail.poll(1.0) == []
    tail.close()
    assert sorted(found) == sorted((number % 2, b"%d" % number) for number in range(200))
    for partition in (0, 1):
        values = [int(value or b"") for place, value in found if place == partition]
        assert values == sorted(values)


def test_the_start_is_bounded_by_number_and_by_age(broker: RunningBroker, topic: str) -> None:
    produce(broker.bootstrap_servers, f"{topic}verdicts", numbered(0, 100))
    few = Tail(broker.client_settings, topic, [Followed("verdicts", None, 10)])
    assert len(drain(few, 20)) == 20
    few.close()
    none = Tail(broker.client_settings, topic, [Followed("verdicts", 0, 1_000)])
    assert none.poll(1.0) == []
    none.close()


def test_a_topic_that_is_missing_is_said(broker: RunningBroker, topic: str) -> None:
    tail = Tail(broker.client_settings, f"{topic}not.", [Followed("verdicts", None, 10)])
    with pytest.raises(AssayError, match="topics apply"):
        tail.poll(0.1)


def test_where_a_group_stands(broker: RunningBroker, topic: str) -> None:
    name, group = f"{topic}events", f"{topic}group"
    produce(broker.bootstrap_servers, name, numbered(0, 20))
    consumer = Consumer({**broker.client_settings, "group.id": group, "enable.auto.commit": False})
    consumer.commit(offsets=[TopicPartition(name, 0, 4)], asynchronous=False)
    consumer.close()
    positions = Positions(broker.client_settings)
    sample = positions.of(group, [name, f"{topic}no-such-topic"])
    positions.close()
    assert sample.positions == {Place(name, 0): Position(4, 0, 10), Place(name, 1): Position(None, 0, 10)}
    assert [position.lag for position in sample.positions.values()] == [6, 10]


def test_a_record_is_sent_when_the_broker_has_it(broker: RunningBroker, topic: str) -> None:
    sender = Sender(broker.client_settings)
    sender.send(Message(f"{topic}audit", 0, b"k", b"v", [("h", b"1")]))
    tail = Tail(broker.client_settings, topic, [Followed("audit", None, 10)])
    assert drain(tail, 1) == [(0, b"v")]
    tail.close()
    with pytest.raises(AssayError, match=r"audit.*Unknown partition"):
        sender.send(Message(f"{topic}audit", 7, b"k", b"v", None))


def test_latencies_are_those_of_the_two_records(broker: RunningBroker, topic: str) -> None:
    produce(broker.bootstrap_servers, f"{topic}events", [(b"a", b"{}", 0)] * 5)
    produce(broker.bootstrap_servers, f"{topic}verdicts", [(b"a", encode(verdict()), 0)])
    picture = Picture(1_000)
    tail = Tail(broker.client_settings, topic, [Followed("verdicts", None, 10)])
    wait_for("the verdict", lambda: [picture.take(*batch) for batch in tail.poll(0.2)])
    tail.close()
    config = load_config(None, {"ASSAY_TOPICS_PREFIX": topic, "ASSAY_KAFKA_BOOTSTRAP": broker.bootstrap_servers})
    feeder = Feeder(config, broker.client_settings, picture)
    ((published_ms, took_ms),) = feeder._latencies(list(picture.landed))
    assert published_ms == picture.landed[0].published_ms
    assert 0 <= took_ms < 600_000
