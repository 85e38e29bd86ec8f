"""Recovery after a crash against live work: the same worker, the same log, folded live and then folded again."""

import gc
import shutil
import time
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


def recovery(directory: Path, events: int, seed: int) -> dict[str, Any]:
    """Judge a log, crash before any checkpoint, come back: rates of both, and their ratio."""
    path = simulate(directory / f"events-{events}-{seed}", events, seed)
    with path.open("rb") as file:
        log = [line.rstrip(b"\n") for line in islice(file, events)]
    for leftover in ("recovery-broker", "recovery-state"):
        shutil.rmtree(directory / leftover, ignore_errors=True)
    with broker.start(directory / "recovery-broker") as running:
        client, _ = connect(running.client_settings)
        apply_topics(client, PREFIX, PARTITIONS)
        producer = Producer({**running.client_settings, "linger.ms": 20, "queue.buffering.max.messages": events + 1})
        for value in log:
            account_id = (orjson.loads(value).get("account_id") or "").encode()
            producer.produce(f"{PREFIX}events", value, account_id, sum(account_id) % PARTITIONS)
        producer.flush()
        live_s, live_cpu_s = _session(running.bootstrap_servers, directory, len(log), live=True)
        recovery_s, recovery_cpu_s = _session(running.bootstrap_servers, directory, len(log), live=False)
    return {
        **circumstances(
            f"{len(log)} simulated records, seed {seed}, {PARTITIONS} partitions of one worker, exactly once",
            "broker and worker share the machine; both rates are from the first batch to the last",
        ),
        "events": len(log),
        "live_events_per_s": len(log) / live_s,
        "recovery_events_per_s": len(log) / recovery_s,
        "ratio": live_s / recovery_s,
        "live_cpu_us_per_event": live_cpu_s / len(log) * 1e6,
        "recovery_cpu_us_per_event": recovery_cpu_s / len(log) * 1e6,
    }


def _session(bootstrap: str, directory: Path, records: int, *, live: bool) -> tuple[float, float]:
    """One worker that never checkpoints: wall and CPU seconds from its first batch until all is done."""
    config = load_config(
        environment={},
        overrides={
            "kafka.bootstrap": bootstrap,
            "topics.prefix": PREFIX,
            "state.directory": str(directory / "recovery-state"),
            "state.checkpoint_seconds": 1e9,
            "state.hot_mebibytes": 4_096,
            "http.port": -1,
        },
    )
    first_model, open_model = open_models("", directory)
    with kafka_worker(config, first_model, open_model) as (worker, _):
        worker.join()
        gc.collect()
        gc.freeze()  # as `Worker.run` does
        try:
            while worker.unready() == "no partition assigned":
                worker.turn()
            started_s, started_cpu_s = time.perf_counter(), time.process_time()
            while _judged(worker) < records if live else worker.unready() is not None:
                worker.turn()
            return time.perf_counter() - started_s, time.process_time() - started_cpu_s
        finally:
            worker.close()


def _judged(worker: Worker) -> float:
    """Records of the log that were judged, passed over or set aside, as the worker's own metrics count them."""
    names = ("assay_events_total", "assay_dead_letters_total")
    return sum(
        sample.value
        for family in worker.metrics.registry.collect()
        for sample in family.samples
        if sample.name in names
    )
