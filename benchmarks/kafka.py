"""The Kafka end, exactly once: events in, verdicts out, compared byte for byte with `assay score` of the same log."""

import shutil
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.file_to_file import simulate
from benchmarks.report import ASSAY, circumstances, environment, run
from streams import broker
from streams.admin import apply_topics, connect

PREFIX = "bench."
EVENTS = 100_000


def end_to_end(directory: Path, seed: int, events: int = EVENTS, partitions: int = 2) -> dict[str, Any]:
    """Produce, judge with one worker, read back, compare."""
    path = simulate(directory / f"events-{events * 11 // 10}-{seed}", events * 11 // 10, seed)
    log = list(islice(_judged(path), events))
    parts: list[list[bytes]] = [[] for _ in range(partitions)]
    for leftover in ("broker", "kafka-state"):
        shutil.rmtree(directory / leftover, ignore_errors=True)
    with broker.start(directory / "broker") as running:
        client, _ = connect(running.client_settings)
        apply_topics(client, PREFIX, partitions)
        producer = Producer({**running.client_settings, "linger.ms": 20, "queue.buffering.max.messages": events + 1})
        for value in log:
            account_id = orjson.loads(value)["account_id"].encode()
            partition = sum(account_id) % partitions
            parts[partition].append(value)
            producer.produce(f"{PREFIX}events", value, account_id, partition)
        producer.flush()
        started = time.perf_counter()
        worker = subprocess.Popen(
            [*ASSAY, "run", "--bootstrap", running.bootstrap_servers, "--http-port", "19109"],
            env=environment(ASSAY_TOPICS_PREFIX=PREFIX, ASSAY_STATE_DIRECTORY=str(directory / "kafka-state")),
            stderr=subprocess.DEVNULL,
        )
        try:
            found, seconds = _read(running.client_settings, partitions, len(log), started)
            metrics = urllib.request.urlopen("http://127.0.0.1:19109/metrics").read().decode()
        finally:
            worker.terminate()
            worker.wait(60)
    different = 0
    for number, part in enumerate(parts):
        events_file, verdicts_file = directory / f"part-{number}.jsonl", directory / f"part-{number}.verdicts.jsonl"
        events_file.write_bytes(b"".join(value + b"\n" for value in part))
        run([*ASSAY, "score", str(events_file), "--out", str(verdicts_file), "--partition", str(number)])
        expected = verdicts_file.read_bytes().splitlines()
        mine = found["verdicts"][number]
        different += sum(a != b for a, b in zip(mine, expected, strict=False)) + abs(len(mine) - len(expected))
    ids = Counter(orjson.loads(value)["event_id"] for values in found["verdicts"].values() for value in values)
    values = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
    return {
        **circumstances(
            f"{len(log)} simulated judged events, every 500th damaged, seed {seed}, {partitions} partitions",
            "broker, worker and reader share the machine; the worker's start is part of seconds",
        ),
        "seed": seed,
        "events": len(log),
        "verdicts": sum(ids.values()),
        "dead_letters": sum(map(len, found["events.dlq"].values())),
        "each_answered_once": len(ids) + sum(map(len, found["events.dlq"].values())) == len(log),
        "duplicate_verdicts": sum(ids.values()) - len(ids),
        "different_from_file": different,
        "seconds": seconds,
        "events_per_s": len(log) / seconds,
        "batches": float(values["assay_batch_seconds_count"]),
        "fold_s": float(values["assay_batch_seconds_sum"]),
        "publish_s": float(values["assay_commit_seconds_sum"]),
    }


def _judged(path: Path) -> Iterator[bytes]:
    """Simulated events that get a verdict, each once; every 500th is damaged and belongs into the dead letters."""
    seen: set[str] = set()
    with path.open("rb") as file:
        for number, line in enumerate(file):
            event = orjson.loads(line)
            if event["type"] != "profile_change" and event["event_id"] not in seen:
                seen.add(event["event_id"])
                yield orjson.dumps(event | {"time_ms": "soon"}) if number % 500 == 0 else line.rstrip(b"\n")


def _read(
    settings: dict[str, str], partitions: int, events: int, started: float, patience_s: float = 8.0
) -> tuple[dict[str, dict[int, list[bytes]]], float]:
    """Committed verdicts and dead letters until nothing has come for a while, and when the last one came."""
    topics = ("verdicts", "events.dlq")
    consumer = Consumer({**settings, "group.id": "bench", "isolation.level": "read_committed"})
    consumer.assign([TopicPartition(PREFIX + topic, number, 0) for topic in topics for number in range(partitions)])
    found: dict[str, dict[int, list[bytes]]] = {topic: {n: [] for n in range(partitions)} for topic in topics}
    last = time.perf_counter()
    count = 0
    while count < events and (count == 0 or time.perf_counter() - last < patience_s):
        for message in consumer.consume(10_000, 0.1):
            if message.error() is None:
                found[str(message.topic()).removeprefix(PREFIX)][message.partition()].append(message.value() or b"")
                last, count = time.perf_counter(), count + 1
    consumer.close()
    return found, last - started
