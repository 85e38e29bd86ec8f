"""Recovery after a crash against live work: the same worker, the same log, folded live and then folded again.

Recovery is measured as whoever is on call sees it: from the moment when the worker has its partitions to the moment
when it is ready, the start of the processes that catch up included. That start takes two seconds whatever the gap, so
the log has to be long for the ratio to mean something.
"""

import gc
import os
import shutil
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Producer

from benchmarks.file_to_file import simulate
from benchmarks.report import circumstances
from streams import broker
from streams.admin import apply_topics, connect
from streams.commands.models import open_models
from streams.config import load_config
from streams.kafka_worker import kafka_worker
from streams.worker import Worker

PREFIX = "bench-recovery."
PARTITIONS = 2
EVENTS = 2_000_000
_MOST_QUEUED = 200_000


def recovery(directory: Path, seed: int, events: int = EVENTS) -> dict[str, Any]:
    """Judge a log, crash before any checkpoint, come back: rates of both, and their ratio; and the same in one process.

    Args:
        directory: for data.
        seed: of the simulated traffic.
        events: records of the log.
    """
    path = simulate(directory / f"events-{events}-{seed}", events, seed)
    for leftover in ("recovery-broker", "recovery-state"):
        shutil.rmtree(directory / leftover, ignore_errors=True)
    with broker.start(directory / "recovery-broker") as running:
        client, _ = connect(running.client_settings)
        apply_topics(client, PREFIX, PARTITIONS)
        records = _produce(path, events, running.client_settings)
        live_s, live_cpu_s = _session(running.bootstrap_servers, directory, records, live=True)
        alone_s, alone_cpu_s = _session(running.bootstrap_servers, directory, records, live=False)
        recovery_s, recovery_cpu_s = _session(
            running.bootstrap_servers, directory, records, live=False, least_records=1
        )
    return {
        **circumstances(
            f"{records} simulated records, seed {seed}, {PARTITIONS} partitions of one worker, exactly once; all "
            f"of them are the gap, nothing is stored before the crash (by default {EVENTS}: minutes of live work)",
            "broker, worker and its processes share the machine; live from the first batch to the last, recovery from "
            "the turn that gives the partitions until the worker is ready, the start of its processes included",
        ),
        "seed": seed,
        "events": records,
        "live_events_per_s": records / live_s,
        "alone_events_per_s": records / alone_s,
        "alone_ratio": live_s / alone_s,
        "recovery_s": recovery_s,
        "recovery_events_per_s": records / recovery_s,
        "ratio": live_s / recovery_s,
        "live_cpu_us_per_event": live_cpu_s / records * 1e6,
        "alone_cpu_us_per_event": alone_cpu_s / records * 1e6,
        "recovery_cpu_us_per_event": recovery_cpu_s / records * 1e6,
    }


def _produce(path: Path, events: int, settings: Mapping[str, str]) -> int:
    """Write the first records of a file to the topic; how many."""
    producer = Producer({**settings, "linger.ms": 20, "queue.buffering.max.messages": _MOST_QUEUED})
    records = 0
    with path.open("rb") as file:
        for line in islice(file, events):
            value = line.rstrip(b"\n")
            account_id = (orjson.loads(value).get("account_id") or "").encode()
            if len(producer) >= _MOST_QUEUED - 1:
                producer.flush()
            producer.produce(f"{PREFIX}events", value, account_id, sum(account_id) % PARTITIONS)
            records += 1
    producer.flush()
    return records


def _session(
    bootstrap: str, directory: Path, records: int, *, live: bool, least_records: int = 0
) -> tuple[float, float]:
    """One worker that stores nothing before its end: wall and CPU seconds until all is done, its processes' included.

    The time begins with the turn in which it is given its partitions.
    """
    config = load_config(
        environment={},
        overrides={
            "kafka.bootstrap": bootstrap,
            "topics.prefix": PREFIX,
            "state.directory": str(directory / "recovery-state"),
            "state.checkpoint_seconds": 1e9,
            "state.hot_mebibytes": 4_096,
            "engine.catch_up_records": least_records,
            "http.port": -1,
        },
    )
    first_model, open_model = open_models("", directory)
    with kafka_worker(config, first_model, open_model) as (worker, _):
        worker.join()
        gc.collect()
        gc.freeze()  # as `Worker.run` does
        try:
            started_s, started_cpu_s = _now()
            while worker.unready() == "no partition assigned":
                started_s, started_cpu_s = _now()
                worker.turn()
            while _judged(worker) < records if live else worker.unready() is not None:
                worker.turn()
            ended_s, ended_cpu_s = _now()
            return ended_s - started_s, ended_cpu_s - started_cpu_s
        finally:
            worker.close()


def _now() -> tuple[float, float]:
    """Wall and CPU seconds; those of processes count once they have ended."""
    used = os.times()
    return time.perf_counter(), used.user + used.system + used.children_user + used.children_system


def _judged(worker: Worker) -> float:
    """Records of the log that were judged, passed over or set aside, as the worker's own metrics count them."""
    names = ("assay_events_total", "assay_dead_letters_total")
    return sum(
        sample.value
        for family in worker.metrics.registry.collect()
        for sample in family.samples
        if sample.name in names
    )
