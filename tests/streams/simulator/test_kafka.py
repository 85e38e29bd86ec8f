"""The command into a real Kafka: topics have to exist, and each account's order is kept."""

import json
import time
from collections import Counter
from typing import Any

import orjson
from confluent_kafka import Consumer

from streams.broker import RunningBroker
from streams.simulator import Scenario, simulate
from streams.simulator.known import label_records
from streams.simulator.records import event_records
from tests.streams.simulator.command import run


def test_topics_that_are_missing_are_named(broker: RunningBroker) -> None:
    result = run("--events", "100", "--kafka", broker.client_settings["bootstrap.servers"], "--topic", "no.events")
    assert result.exit_code == 1
    assert "no.events, no.labels; create them with `assay topics apply`" in str(result.exception)


def murmur2(key: bytes) -> int:
    """The hash by which Java producers choose partitions (Austin Appleby's MurmurHash2, seed 0x9747b28c)."""
    mixed = 0x9747B28C ^ len(key)
    for start in range(0, len(key) - 3, 4):
        word = int.from_bytes(key[start : start + 4], "little") * 0x5BD1E995 & 0xFFFFFFFF
        word = (word ^ word >> 24) * 0x5BD1E995 & 0xFFFFFFFF
        mixed = mixed * 0x5BD1E995 & 0xFFFFFFFF ^ word
    if rest := key[len(key) // 4 * 4 :]:
        mixed = (mixed ^ int.from_bytes(rest, "little")) * 0x5BD1E995 & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return mixed ^ mixed >> 15


def test_everything_arrives_in_kafka_in_the_order_of_each_account(broker: RunningBroker, topic: str) -> None:
    options = ("--events", "2000", "--seed", "3", "--kafka", broker.client_settings["bootstrap.servers"])
    result = run(*options, "--topic", f"{topic}events", "--rate", "5000", "--json")
    assert result.exit_code == 0, result.output
    timeline = simulate(Scenario(events=2_000, seed=3))
    expected = Counter({f"{topic}events": 2_000, f"{topic}labels": len(timeline.labels)})
    summary = json.loads(result.stdout)["kafka"]
    assert (summary["sent"], summary["delivered"], summary["failed"]) == (expected, expected.total(), 0)
    arrived: dict[str, list[dict[str, Any]]] = {name: [] for name in expected}
    consumer = Consumer({**broker.client_settings, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe(list(expected))
    deadline_s = time.monotonic() + 60.0
    while sum(map(len, arrived.values())) < expected.total():
        assert time.monotonic() < deadline_s, {name: len(records) for name, records in arrived.items()}
        for message in consumer.consume(1_000, timeout=0.1):  # it waits so long for a full thousand
            record = orjson.loads(message.value())
            assert message.key().decode() == record["account_id"]
            assert message.partition() == (murmur2(message.key()) & 0x7FFFFFFF) % 2
            arrived[message.topic()].append(record)
    consumer.close()
    for name, sent in ((f"{topic}events", event_records(timeline)), (f"{topic}labels", label_records(timeline))):
        by_account: dict[str, list[dict[str, Any]]] = {}
        for record in arrived[name]:
            by_account.setdefault(record["account_id"], []).append(record)
        for record in sent:
            assert by_account[record["account_id"]].pop(0) == record
