"""A worker on Kafka and RocksDB: the real ports behind `streams/worker.py`, put together from the settings."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from streams.assignments import Assignments
from streams.beside import InThread
from streams.catch_up import Task
from streams.catch_up_processes import CatchUpProcesses, processes_at_once
from streams.config import Config
from streams.http_server import HttpServer
from streams.kafka_clients import FirstError, check_topics, connection, consumer_settings, producer_settings
from streams.kafka_log import KafkaLog
from streams.model_in_force import ModelInForce
from streams.outbound import targets_of
from streams.partition import OpenModel
from streams.publisher import make_publisher
from streams.state_keeper import DiskStates
from streams.topic_profiles import TopicProfiles
from streams.tracing import tracing_of
from streams.warm_up import warm_up
from streams.watchdog import Watchdog
from streams.worker import Worker

_ANSWER_S = 5.0
"""How much longer than a transaction may last an answer about committed offsets is waited for."""

if TYPE_CHECKING:
    from streams.snapshots import SnapshotStore
    from streams.snapshotter import Snapshotter


@contextmanager
def kafka_worker(
    config: Config, first_model: ModelInForce, open_model: OpenModel
) -> Iterator[tuple[Worker, HttpServer | None]]:
    """A worker that is ready to run, and its HTTP server if one is asked for.

    Raises:
        AssayError: the broker is not there, refuses us, or topics are missing.
    """
    targets = targets_of(config.text("topics.prefix"))
    partitioned = (targets.verdicts, targets.outcomes, targets.dead_letters)
    source = check_topics(
        config,
        targets.source,
        partitioned,
        [targets.links, targets.telemetry, f"{config.text('topics.prefix')}entities"],
    )
    warm_up(first_model)
    transaction_s = config.number("engine.transaction_timeout_ms") / 1000
    watchdog = Watchdog(transaction_s)
    fatal = FirstError()
    assignments = Assignments(source.client, config.text("kafka.group"), targets.source, source.partitions)
    settings = consumer_settings(config, fatal)
    log = KafkaLog(settings, targets.source, fatal, watchdog, assignments, transaction_s + _ANSWER_S)
    publisher = make_publisher(
        producer_settings(config, fatal),
        f"{config.text('kafka.group')}-{config.text('kafka.slot')}",
        log,
        watchdog,
        exactly_once=config.text("engine.delivery") == "exactly_once",
    )
    snapshots, snapshotter = _snapshots(config, targets.source, source.topic_id, first_model)
    states = DiskStates(Path(config.text("state.directory")), targets.source, source.topic_id, snapshots, snapshotter)
    catch_up = _catch_up(config, targets.source, source.topic_id, first_model, states, watchdog)
    profiles = TopicProfiles(connection(config), targets.entities)
    worker = Worker(
        config,
        first_model,
        open_model,
        log,
        publisher,
        states,
        time.monotonic,
        catch_up,
        writer=InThread("assay-checkpoint", in_no_hurry=True),
        profiles=profiles,
    )
    group, slot = config.text("kafka.group"), config.text("kafka.slot")
    worker.tracing = tracing_of(config, group, slot, worker.metrics.spans_dropped)
    if snapshotter is not None:
        worker.metrics.watch_snapshots(snapshotter)
    server: HttpServer | None = None
    try:
        if config.whole("http.port") >= 0:
            address, port = config.text("http.address"), config.whole("http.port")
            server = HttpServer(address, port, worker.metrics.registry, worker.unhealthy, worker.unready)
        yield worker, server
    finally:
        if server is not None:
            server.stop()
        profiles.close()
        worker.tracing.close()
        watchdog.stop()


def _catch_up(
    config: Config, topic: str, topic_id: str, first_model: ModelInForce, states: DiskStates, watchdog: Watchdog
) -> CatchUpProcesses:
    most = processes_at_once(config.whole("engine.catch_up_processes"))
    hot_bytes = (config.whole("state.hot_mebibytes") << 20) // most

    def task(partition: int, start: int, end: int) -> Task:
        return Task(
            settings=dict(config.values),
            first_model=str(first_model.artefact.directory),
            topic=topic,
            topic_id=topic_id,
            partition=partition,
            directory=str(states.directory_of(partition)),
            start=start,
            end=end,
            hot_bytes=hot_bytes,
        )

    return CatchUpProcesses(task, most, watchdog)


def _snapshots(
    config: Config, topic: str, topic_id: str, first_model: ModelInForce
) -> "tuple[SnapshotStore, Snapshotter] | tuple[None, None]":
    url = config.text("snapshots.url")
    if not url:
        return None, None
    from streams.snapshots import SnapshotStore  # fsspec takes a moment, and only this needs it
    from streams.snapshotter import Snapshotter

    store = SnapshotStore(url, topic, topic_id, first_model=first_model.id, feature_set=first_model.feature_set.hash)
    every_s, keep = config.number("snapshots.every_seconds"), config.whole("snapshots.keep")
    # each worker has a spool of its own: at its start it deletes what it finds there
    spool = Path(config.text("state.directory")) / f".snapshots-{config.text('kafka.slot')}"
    return store, Snapshotter(store, every_s, keep, spool)
