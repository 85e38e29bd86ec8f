"""Workers as processes, and what they published, for tests against the real broker."""

import atexit
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from tests.faults.fork_server import Forked, ForkServer
from tests.streams.small_model import small_model_directory

ASSAY = str(Path(sys.executable).with_name("assay"))
Running = Forked | subprocess.Popen[bytes]


def environment(bootstrap: str, prefix: str, state: Path, **more: str) -> dict[str, str]:
    """Settings of a worker as environment variables."""
    settings = {
        "ASSAY_KAFKA_BOOTSTRAP": bootstrap,
        "ASSAY_KAFKA_GROUP": f"{prefix}engine",
        "ASSAY_TOPICS_PREFIX": prefix,
        "ASSAY_STATE_DIRECTORY": str(state),
        "ASSAY_MODELS_FIRST": str(small_model_directory()),
        "ASSAY_SECURITY_TRUST_INTERNAL": "true",
        "ASSAY_HTTP_PORT": "-1",
        "ASSAY_STATE_CHECKPOINT_SECONDS": "0.5",
        "ASSAY_KAFKA_SESSION_TIMEOUT_MS": "10000",
        "ASSAY_ENGINE_BATCH_EVENTS": "500",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
    return {**kept, **settings, **more}


@cache
def fork_server() -> ForkServer:
    """Forks workers with the small model's kernels loaded; of this process of tests, and ended with it."""
    server = ForkServer(small_model_directory())
    atexit.register(server.close)
    return server


@contextmanager
def worker(settings: dict[str, str], log: Path, command: str = "run", program: Sequence[str] = ()) -> Iterator[Running]:
    """A running `assay run` or another command, forked unless a program is named; killed at the end if need be."""
    process: Running
    if program:
        with log.open("ab") as file:
            process = subprocess.Popen([*program, command], env=settings, stdout=file, stderr=file)
    else:
        process = fork_server().start(settings, log, command)
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=60)


def stop(process: Running) -> int:
    """SIGTERM, then the exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=60)


def produce(bootstrap: str, topic: str, values: Sequence[tuple[bytes | None, bytes, int]], **headers: bytes) -> None:
    """Write (key, value, partition) records; fails if the broker did not take one."""
    failures: list[KafkaError] = []
    settings = {"linger.ms": 5, "queue.buffering.max.messages": 2_000_000, "message.max.bytes": 2_097_176}
    producer = Producer({"bootstrap.servers": bootstrap, **settings})
    for key, value, partition in values:
        producer.produce(
            topic,
            value,
            key,
            partition,
            headers=list(headers.items()) or None,
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
        producer.poll(0)
    producer.flush()
    assert not failures


def read_all(
    bootstrap: str, topics: Sequence[str], partitions: int, expected: int, timeout_s: float = 120
) -> list[Message]:
    """Every committed record of some topics, up to their ends and a moment more; waits until there are `expected`."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"reader-{time.monotonic_ns()}",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    places = [TopicPartition(topic, number, 0) for topic in topics for number in range(partitions)]
    consumer.assign(places)
    found: list[Message] = []
    ended: set[tuple[str | None, int | None]] = set()
    deadline = time.monotonic() + timeout_s
    try:
        while (len(found) < expected or len(ended) < len(places)) and time.monotonic() < deadline:
            for message in consumer.consume(10_000, 0.2):
                place = message.topic(), message.partition()
                error = message.error()
                if error is None:
                    found.append(message)
                    ended.discard(place)
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended.add(place)
        found += [message for message in consumer.consume(10_000, 0.5) if message.error() is None]
    finally:
        consumer.close()
    return found
