"""What a snapshot of a large state costs the verdicts that are made meanwhile: gaps between them, as histograms."""

import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.report import ASSAY, circumstances, environment
from features.errors import AssayError
from features.rocks_store import RocksStore
from streams import broker
from streams.admin import apply_topics, connect
from streams.score import TOPIC

PREFIX = "fraud."
_EDGES_MS = (0, 10, 20, 50, 100, 150, 200, 500, 1_000, 100_000)
_FILL_BYTES = 900


def snapshot(
    directory: Path, seed: int, mebibytes: int = 1_024, seconds: float = 30.0, rate: int = 300
) -> dict[str, Any]:
    """Payments at a steady rate through a worker: `seconds` without snapshots, then as long with one every 5 s."""
    state, copies = directory / "snapshot-state", directory / "snapshot-copies"
    for leftover in (state, copies, directory / "snapshot-broker"):
        shutil.rmtree(leftover, ignore_errors=True)
    with broker.start(directory / "snapshot-broker") as running:
        client, _ = connect(running.client_settings)
        apply_topics(client, PREFIX, 1)
        settings = running.client_settings
        number = 0
        gaps: dict[str, list[float]] = {}
        for name, url in (("without", ""), ("with", str(copies))):
            with _Worker(settings, state, url) as worker:
                _judge(settings, rate * 2, rate, number)  # warm-up
                worker.check()
                gaps[name] = _judge(settings, int(rate * seconds), rate, number + rate * 2)
                number += rate * 2 + int(rate * seconds)
                worker.check()
            if name == "without":
                _fill(state / f"{TOPIC}-0", mebibytes, seed)
    stored = sum(file.stat().st_size for file in copies.rglob("*") if file.is_file())
    manifests = len(list(copies.rglob("manifests/*")))
    return {
        **circumstances(
            f"{rate} payments/s for {seconds:g} s each, {mebibytes} MiB of further accounts, seed {seed}",
            "broker, worker, producer and reader share two cores; store and state are on one disk",
        ),
        "seed": seed,
        "snapshots": manifests,
        "stored_mebibytes": stored / 2**20,
        "ratio": float(np.quantile(gaps["with"], 0.99) / np.quantile(gaps["without"], 0.99)),
        "longest_gap_without_ms": max(gaps["without"]),
        "longest_gap_with_ms": max(gaps["with"]),
        "p99_gap_without_ms": float(np.quantile(gaps["without"], 0.99)),
        "p99_gap_with_ms": float(np.quantile(gaps["with"], 0.99)),
        "histogram_without": _histogram(gaps["without"]),
        "histogram_with": _histogram(gaps["with"]),
    }


class _Worker:
    """`assay run` as a process."""

    def __init__(self, settings: dict[str, str], state: Path, snapshots: str) -> None:
        variables = environment(
            ASSAY_STATE_DIRECTORY=str(state),
            ASSAY_STATE_CHECKPOINT_SECONDS="2",
            ASSAY_SNAPSHOTS_URL=snapshots,
            ASSAY_SNAPSHOTS_EVERY_SECONDS="5",
            ASSAY_HTTP_PORT="-1",
        )
        command = [*ASSAY, "run", "--bootstrap", settings["bootstrap.servers"]]
        self._process = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)

    def check(self) -> None:
        if self._process.poll() is not None:
            raise AssayError(f"the worker ended: {self._process.communicate()[1]}")

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=120)


def _fill(directory: Path, mebibytes: int, seed: int) -> None:
    """Add accounts that nobody asks for, until the state is as large as asked."""
    random = np.random.default_rng(seed)
    store = RocksStore(directory)
    count, block = mebibytes * 2**20 // _FILL_BYTES, 10_000
    for start in range(0, count, block):
        values = random.bytes(_FILL_BYTES * block)
        store.write(
            [(f"filler-{start + n:09d}", values[n * _FILL_BYTES : (n + 1) * _FILL_BYTES]) for n in range(block)], {}
        )
    store.flush()
    store.close()


def _judge(settings: dict[str, str], count: int, rate: int, first: int) -> list[float]:
    """Send payments at a steady rate; milliseconds between the verdicts that came of them."""
    consumer = Consumer({**settings, "group.id": "bench", "isolation.level": "read_committed", "fetch.wait.max.ms": 5})
    place = TopicPartition(f"{PREFIX}verdicts", 0)
    place.offset = consumer.get_watermark_offsets(place)[1]
    consumer.assign([place])
    sender = threading.Thread(target=_send, args=(settings, count, rate, first))
    sender.start()
    times: list[float] = []
    while len(times) < count:
        times += [time.perf_counter()] * sum(message.error() is None for message in consumer.consume(1_000, 0.05))
        if times and time.perf_counter() - times[-1] > 60:
            raise AssayError(f"{len(times)} of {count} verdicts came within 60 s of the one before")
    sender.join()
    consumer.close()
    arrivals = np.unique(np.array(times))
    return (np.diff(arrivals) * 1000).tolist()


def _send(settings: dict[str, str], count: int, rate: int, first: int) -> None:
    producer = Producer({**settings, "linger.ms": 1})
    started_s = time.perf_counter()
    for number in range(first, first + count):
        account = f"a{number % 5_000}"
        payment = {
            "event_id": f"e{number}",
            "type": "payment",
            "account_id": account,
            "time_ms": 1_750_000_000_000 + number * 1_000,
            "amount_minor": 1_000 + number % 977,
            "currency": "EUR",
            "method": "card",
        }
        producer.produce(TOPIC, orjson.dumps(payment), account.encode(), 0)
        producer.poll(0)
        ahead_s = started_s + (number - first + 1) / rate - time.perf_counter()
        if ahead_s > 0:
            time.sleep(ahead_s)
    producer.flush()


def _histogram(gaps_ms: Sequence[float]) -> str:
    counts, _ = np.histogram(gaps_ms, _EDGES_MS)
    return " ".join(f"<{edge}ms:{count}" for edge, count in zip(_EDGES_MS[1:], counts.tolist(), strict=True))
