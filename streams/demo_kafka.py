"""The demo's log through a real Kafka: the same records in, one worker, the verdicts compared with the file run's."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from features.errors import AssayError
from models.model_store import ModelStore
from streams import broker
from streams.admin import apply_topics, connect
from streams.demo import DemoResult, Step
from streams.demo_report import lines_of

PREFIX = "demo."
PATIENCE_S = 120.0
"""Without a new verdict for so long, something is wrong."""


class _Keyed(msgspec.Struct):
    account_id: str | None = None


def through_kafka(result: DemoResult, step: Step) -> dict[str, Any]:
    """Start a broker, send the demo's log through one partition and a worker, compare every verdict.

    Returns:
        events, verdicts, seconds, events_per_second and the number of verdicts that differ from the file run.

    Raises:
        AssayError: there is no Java or Maven, or the worker failed.
    """
    files = result.files
    log = list(_log(files.first_log, files.second_log))
    expected = [line.rstrip(b"\n") for line in lines_of(files.first_verdicts, files.second_verdicts)]
    ModelStore(files.directory / "artefacts").add(files.model)
    step("starting a real Apache Kafka (the first time, Maven fetches it)")
    with broker.start(files.directory / "broker") as running:
        client, _ = connect(running.client_settings)
        apply_topics(client, PREFIX, 1)
        step(f"producing {len(log):,} records")
        _produce(running.client_settings, log)
        step("judging them with one worker, exactly once")
        started = time.perf_counter()
        worker = _start_worker(running.bootstrap_servers, files.directory)
        try:
            found = _read_verdicts(running.client_settings, len(expected), worker, files.directory / "worker.log")
            seconds = time.perf_counter() - started
        finally:
            worker.terminate()
            worker.wait(30)
    different = sum(mine != theirs for mine, theirs in zip(found, expected, strict=True))
    return {
        "events": len(log),
        "verdicts": len(found),
        "seconds": seconds,
        "events_per_second": len(log) / seconds,
        "different": different,
    }


def _log(*paths: Path) -> Iterator[tuple[bytes | None, bytes]]:
    decode = msgspec.json.Decoder(_Keyed).decode
    for line in lines_of(*paths):
        value = line.rstrip(b"\n")
        account_id = decode(value).account_id
        yield None if account_id is None else account_id.encode(), value


def _produce(settings: dict[str, str], log: list[tuple[bytes | None, bytes]]) -> None:
    producer = Producer({**settings, "linger.ms": 20, "queue.buffering.max.messages": 1_000_000})
    for key, value in log:
        while True:
            try:
                producer.produce(f"{PREFIX}events", value, key, 0)
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(60.0):
        raise AssayError("the demo's broker did not take every record within a minute: look at its log, try again")


def _start_worker(bootstrap: str, directory: Path) -> subprocess.Popen[bytes]:
    settings = {
        "ASSAY_KAFKA_BOOTSTRAP": bootstrap,
        "ASSAY_TOPICS_PREFIX": PREFIX,
        "ASSAY_STATE_DIRECTORY": str(directory / "kafka-state"),
        "ASSAY_MODELS_DIRECTORY": str(directory / "artefacts"),
        "ASSAY_SECURITY_TRUST_INTERNAL": "true",
        "ASSAY_HTTP_PORT": "-1",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_") or name == "ASSAY_CACHE"}
    with (directory / "worker.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "streams.cli", "run"], env={**kept, **settings}, stdout=log, stderr=log
        )


def _read_verdicts(settings: dict[str, str], expected: int, worker: subprocess.Popen[bytes], log: Path) -> list[bytes]:
    consumer = Consumer(
        {**settings, "group.id": "demo", "isolation.level": "read_committed", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(f"{PREFIX}verdicts", 0, 0)])
    found: list[bytes] = []
    last_s = time.monotonic()
    try:
        while len(found) < expected:
            values = [message.value() or b"" for message in consumer.consume(10_000, 0.2) if message.error() is None]
            found += values
            if values:
                last_s = time.monotonic()
            if worker.poll() is not None or time.monotonic() - last_s > PATIENCE_S:
                raise AssayError(f"the demo's worker gave {len(found)} of {expected} verdicts: see {log}")
    finally:
        consumer.close()
    return found
