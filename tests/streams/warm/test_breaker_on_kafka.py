"""On a real broker: telemetry of an outage opens the breaker in the engine, telemetry of a sound model closes it."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from confluent_kafka import Message, Producer

from features.store import MemoryStore
from models.minutes import MINUTE_MS
from models.summary import Summary
from streams.broker import RunningBroker
from streams.log import LogRecord
from streams.partition import Partition
from streams.signature import signed_by
from streams.telemetry import summary_json
from streams.topic_reader import records_of
from streams.warm.traffic_watch import WAIT_MS, Tick
from tests.models.watched_traffic import Traffic
from tests.streams.logs import payment
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small
from tests.streams.warm.workers import KEY, warm_environment
from tests.streams.workers import produce, read_all, stop, worker

PARTITIONS = 2
TIMELESS = (sys.executable, "-m", "tests.streams.warm.timeless")
OUTAGE_MINUTES, SOUND_MINUTES = 3, 27
PAYMENTS = 60
TURNED_AWAY = {"review", "decline"}


def telemetry(first_ms: int, minutes: int, *, outage: bool) -> Iterator[bytes]:
    """Summaries of the small model, and after each minute what time it is."""
    model = small_model()
    traffic = Traffic(seed=first_ms % 97)
    traffic.reference = model.artefact.reference
    for number in range(minutes):
        minute_ms = first_ms + number * MINUTE_MS
        counts = traffic.minute(minute_ms).counts
        if outage:
            counts = msgspec.structs.replace(counts, without_model=counts.verdicts)
        summary = Summary(partition=0, number=minute_ms, time_ms=minute_ms, model=model.id[:16], counts=counts)
        yield summary_json(summary)
        yield msgspec.json.encode(Tick(minute_ms + MINUTE_MS + WAIT_MS))


def send(bootstrap: str, topic: str, values: Iterator[bytes]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for value in values:
        producer.produce(topic, value, b"0", 0)
    producer.flush()


def burst(number: int, now_ms: int) -> list[tuple[bytes | None, bytes, int]]:
    """Payments of two accounts, one in each partition, so many of each that the model will have none of it."""
    sent: list[tuple[bytes | None, bytes, int]] = []
    for place in range(PAYMENTS):
        account, partition = f"a{place % PARTITIONS}", place % PARTITIONS
        value = payment(1_000 * number + place, account, now_ms + place, amount_minor=90_000)
        sent.append((account.encode(), value, partition))
    return sent


def by_burst(verdicts: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Those of each burst."""
    number_of = {id(verdict): int(verdict["event_id"].removeprefix("p")) // 1_000 for verdict in verdicts}
    return [[verdict for verdict in verdicts if number_of[id(verdict)] == number] for number in range(3)]


def markers_in(messages: list[Message]) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {number: [] for number in range(PARTITIONS)}
    for message in messages:
        if b'"marker"' in (message.value() or b""):
            found[message.partition()].append(message.value() or b"")
    return found


def wait_for_marker(bootstrap: str, topic: str, after: str) -> None:
    """Until every partition holds the marker of this change."""
    deadline_s = time.monotonic() + 120
    missing = True
    while missing:
        assert time.monotonic() < deadline_s, f"no marker says {after}"
        found = markers_in(read_all(bootstrap, [topic], PARTITIONS, 0))
        missing = any(not any(f'-{after}"'.encode() in value for value in values) for values in found.values())


def folded(messages: list[Message]) -> dict[int, list[bytes]]:
    """What an undisturbed fold of the log as it is now gives."""
    verdicts = {}
    for number in range(PARTITIONS):
        fold = Partition(number, MemoryStore(), small_model(), open_small)
        mine: list[LogRecord] = records_of([one for one in messages if one.partition() == number])
        verdicts[number] = [verdict.value for verdict in fold.fold(mine, signed_by(KEY.encode())).verdicts]
    return verdicts


@pytest.mark.parametrize("action", ["step_up", "rules_only"])
def test_the_breaker_opens_decides_and_closes_again(
    broker: RunningBroker, topic: str, tmp_path: Path, action: str
) -> None:
    bootstrap, events = broker.bootstrap_servers, f"{topic}events"
    own = {"ASSAY_TELEMETRY_SAMPLE_ONE_IN": "0", "ASSAY_WARM_BREAKER_ACTION": action}
    settings = warm_environment(bootstrap, topic, tmp_path, **own)
    first_ms = int(time.time() * 1000) // MINUTE_MS * MINUTE_MS - 60 * MINUTE_MS
    send(bootstrap, f"{topic}telemetry", telemetry(first_ms, OUTAGE_MINUTES, outage=True))
    produce(bootstrap, events, burst(0, first_ms))
    sent = PAYMENTS
    with worker(settings, tmp_path / "engine") as engine:
        assert len(read_all(bootstrap, [f"{topic}verdicts"], PARTITIONS, sent)) == sent
        with worker(settings, tmp_path / "log", "warm", TIMELESS) as warm:
            wait_for_marker(bootstrap, events, "open")
            warm.kill()
        engine.kill()
    produce(bootstrap, events, burst(1, first_ms + MINUTE_MS))
    sent += PAYMENTS
    with worker(settings, tmp_path / "engine") as engine:
        assert len(read_all(bootstrap, [f"{topic}verdicts"], PARTITIONS, sent)) == sent
        sound_ms = first_ms + OUTAGE_MINUTES * MINUTE_MS
        send(bootstrap, f"{topic}telemetry", telemetry(sound_ms, SOUND_MINUTES, outage=False))
        with worker(settings, tmp_path / "log", "warm", TIMELESS) as warm:
            wait_for_marker(bootstrap, events, "closed")
            assert stop(warm) == 0, (tmp_path / "log").read_text()
        produce(bootstrap, events, burst(2, first_ms + 2 * MINUTE_MS))
        sent += PAYMENTS
        verdicts = read_all(bootstrap, [f"{topic}verdicts"], PARTITIONS, sent)
        assert stop(engine) == 0, (tmp_path / "engine").read_text()
    log = read_all(bootstrap, [events], PARTITIONS, sent + 3 * PARTITIONS)
    letters = read_all(bootstrap, [f"{topic}events.dlq"], PARTITIONS, 0)
    assert letters == []
    for values in markers_in(log).values():  # one that was killed may have written the same one twice
        ids = [orjson.loads(value)["event_id"] for value in dict.fromkeys(values)]
        assert [event_id.split("-")[-1] for event_id in ids] == ["open", "probing", "closed"]
    found = {
        number: [message.value() or b"" for message in verdicts if message.partition() == number]
        for number in range(PARTITIONS)
    }
    assert found == folded(log)
    for values in found.values():
        before, under, after = by_burst([orjson.loads(value) for value in values])
        assert {"degraded" in verdict["flags"] for verdict in before + after} == {False}
        assert {verdict["decision"] for verdict in before} & {verdict["decision"] for verdict in after} & TURNED_AWAY
        assert {"degraded" in verdict["flags"] for verdict in under} == {True}
        assert {verdict["score"] is None for verdict in under} == {action == "rules_only"}
        if action == "rules_only":  # the rules of the small model's policy decline ten payments in ten minutes
            assert {verdict["reasons"][0]["code"] for verdict in under if verdict["decision"] == "decline"} == {"RUL01"}
        else:
            assert "step_up" in {verdict["decision"] for verdict in under} <= {"approve", "step_up"}
