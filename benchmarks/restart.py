"""A clean restart on a state of a million accounts: how long until the worker judges again."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.many_accounts import ACCOUNTS, memory, payments
from benchmarks.report import ASSAY, circumstances, environment
from features.errors import AssayError
from features.rocks_store import RocksStore
from streams import broker
from streams.admin import apply_topics, connect, topic_id
from streams.score import TOPIC
from streams.topic_identity import topic_id_value

PREFIX = "fraud."


def restart(directory: Path, seed: int, accounts: int = ACCOUNTS, repeats: int = 3) -> dict[str, Any]:
    """Seconds from the start of `assay run` to its first verdict, on a state that holds every account."""
    events = accounts * 3 // 2
    state = directory / "state-many-accounts"
    memory(directory, seed, accounts)  # the log's state, made from a file
    shutil.rmtree(directory / "restart-broker", ignore_errors=True)
    with broker.start(directory / "restart-broker") as running:
        client, _ = connect(running.client_settings)
        apply_topics(client, PREFIX, 1)
        _produce(running.client_settings, [*payments(accounts, events, seed)])
        store = RocksStore(state / f"{TOPIC}-0")
        store.write([], topic_id_value(topic_id(client, TOPIC)))  # the topic holds the records of the file
        store.close()
        reader = Consumer({**running.client_settings, "group.id": "assay-engine", "enable.auto.commit": False})
        reader.commit(offsets=[TopicPartition(TOPIC, 0, events)], asynchronous=False)
        reader.close()
        seconds = [_start(running.client_settings, state, number) for number in range(repeats)]
    return {
        **circumstances(
            f"{accounts} accounts, {events} payments, seed {seed}", "the files of the state are in the page cache"
        ),
        "seed": seed,
        "accounts": accounts,
        "start_to_first_verdict_s": sorted(seconds)[len(seconds) // 2],
        "slowest_s": max(seconds),
    }


def _produce(settings: dict[str, str], log: list[bytes]) -> None:
    producer = Producer({**settings, "linger.ms": 20, "compression.type": "lz4"})
    for value in log:
        while True:
            try:
                producer.produce(TOPIC, value, orjson.loads(value)["account_id"].encode(), 0)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


def _start(settings: dict[str, str], state: Path, number: int) -> float:
    """Start a worker, send it one payment, wait for the verdict, stop it."""
    payment = {
        "event_id": f"restart-{number}",
        "type": "payment",
        "account_id": "a00000001",
        "time_ms": 1_760_000_000_000 + number,
        "amount_minor": 1_000,
        "currency": "EUR",
        "method": "card",
    }
    consumer = Consumer({**settings, "group.id": "bench", "isolation.level": "read_committed"})
    place = TopicPartition(f"{PREFIX}verdicts", 0)
    place.offset = consumer.get_watermark_offsets(place)[1]
    consumer.assign([place])
    _produce(settings, [orjson.dumps(payment)])
    started_s = time.perf_counter()
    variables = environment(ASSAY_STATE_DIRECTORY=str(state), ASSAY_HTTP_PORT="-1")
    command = [*ASSAY, "run", "--bootstrap", settings["bootstrap.servers"]]
    worker = subprocess.Popen(command, env=variables, stderr=subprocess.DEVNULL)
    try:
        while not [message for message in consumer.consume(1, 0.05) if message.error() is None]:
            if worker.poll() is not None:
                raise AssayError(f"the worker ended with {worker.returncode}: start it by hand to see why")
        return time.perf_counter() - started_s
    finally:
        consumer.close()
        worker.terminate()
        worker.wait(60)
