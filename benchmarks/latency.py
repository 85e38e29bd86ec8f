"""From the moment an event is due at its producer to its verdict at a consumer, under a steady load.

The load is a share of what the worker did just before on the same topic layout when the topic was full. Worker and bare
loop get the same load, one after the other, both with the same delivery: the ratio of their 99th percentiles is what
judging costs, whatever broker and machine cost.
"""

import gc
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import orjson
from confluent_kafka import Consumer, TopicPartition
from numpy.typing import NDArray

from benchmarks.arena import PARTITIONS, Arena, arena
from benchmarks.contestant import Contestant, assay_worker, bare_loop, check, running
from benchmarks.cores import last_core, pinned
from benchmarks.pacer import marked
from benchmarks.passage import fill, passage
from benchmarks.rates import event_id_of
from benchmarks.report import ROOT, announce, circumstances, environment
from benchmarks.workload import Workload, workload
from features.errors import AssayError

EVENTS = 300_000
LOADS = (25, 50, 75)
"""Per cent of capacity."""
SECONDS, WARM_UP_S = 10.0, 1.0
"""As long as the time between two checkpoints, so that one of them falls into each level."""
DELIVERIES = ("exactly_once", "at_least_once")
QUANTILES = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}
_READY_EVENTS, _READY_RATE = 2_000, 1_000.0
_READY_S = 60.0
_HEAD_START_S = 3.0
"""A pacer needs so long to read its events before the first is due."""
_SILENT_S = 15.0


class Level(NamedTuple):
    """One load on one side: latencies in milliseconds without the warm-up, and how late the pacer was at most."""

    latencies_ms: NDArray[np.float64]
    late_ms: float


class _Side(NamedTuple):
    """A running client and the topics around it."""

    contestant: Contestant
    process: "subprocess.Popen[bytes]"
    events: str


def latency(directory: Path, cache: Path, seed: int, repeats: int, events: int = EVENTS) -> dict[str, Any]:
    """Percentiles of worker and bare loop under each load, with both deliveries; medians of several rounds.

    Args:
        directory: for the broker and states.
        cache: for the workload.
        seed: of the workload.
        repeats: rounds.
        events: in the topic from which capacity is measured; no load sends more than these at a time.
    """
    load = workload(cache, events, seed)
    found: dict[str, Any] = {}
    with arena(directory) as kafka:
        for delivery in DELIVERIES:
            found[delivery] = _delivery(kafka, load, directory, delivery, repeats)
    return {
        **circumstances(
            f"{load.described}; {PARTITIONS} partitions; {repeats} rounds of at most {SECONDS:g} s for each load, the "
            f"first {WARM_UP_S:g} s of each not counted",
            "worker and bare loop take turns on the first core; producer, verdict consumer and broker share the last, "
            "so that a high load is late there too; latency counts from the moment an event was due, and includes the "
            "5 ms that a producer waits for more by default; the consumer reads committed records under exactly once; "
            "both sides get the same load, a share of the worker's capacity; one broker, no replicas, no network",
        ),
        "seed": seed,
        **found,
        "ratio": found["exactly_once"]["loads"]["50"]["ratio"],
    }


def percentiles(latencies_ms: NDArray[np.float64]) -> dict[str, float]:
    """p50, p99 and p99.9, each a latency that was seen, and never one below the share it stands for.

    >>> percentiles(np.arange(1.0, 1001.0))
    {'p50_ms': 501.0, 'p99_ms': 991.0, 'p999_ms': 1000.0}
    """
    return {name: float(np.quantile(latencies_ms, q, method="higher")) for name, q in QUANTILES.items()}


def _delivery(kafka: Arena, load: Workload, directory: Path, delivery: str, repeats: int) -> dict[str, Any]:
    """All loads with one delivery."""
    prefix = f"bench-{delivery}."
    log = fill(kafka, load, f"{prefix}full.")
    full = assay_worker(kafka, load, directory, prefix=f"{prefix}full.", delivery=delivery)
    capacity = passage(kafka, full, log).rates.per_s
    levels: dict[tuple[int, str], list[Level]] = {}
    with ExitStack() as stack:
        sides = _sides(stack, kafka, load, directory, prefix, delivery)
        for name, side in sides.items():
            announce(f"{delivery}: waiting for {name}")
            _level(kafka, load, side, f"ready{name[0]}", _READY_RATE, _READY_EVENTS, delivery, _READY_S)
        for number in range(repeats):
            for share in LOADS:
                rate = capacity * share / 100
                count = min(len(load.values), int(rate * SECONDS))
                for name, side in sides.items():
                    announce(f"{delivery}, round {number + 1} of {repeats}: {rate:,.0f} events/s to {name}")
                    one = _level(kafka, load, side, f"r{number}s{share}", rate, count, delivery)
                    levels.setdefault((share, name), []).append(one)
    return {
        "capacity_per_s": capacity,
        "pacer_late_ms": max(level.late_ms for done in levels.values() for level in done),
        "loads": {str(share): _facts(share, capacity, levels) for share in LOADS},
    }


def _sides(
    stack: ExitStack, kafka: Arena, load: Workload, directory: Path, prefix: str, delivery: str
) -> dict[str, _Side]:
    """Worker and bare loop, both running; whoever has nothing to read waits."""
    sides = {}
    for name in ("assay", "bare"):
        own = f"{prefix}{name}."
        kafka.make_topics(own)
        contestant = (
            assay_worker(kafka, load, directory, prefix=own, delivery=delivery)
            if name == "assay"
            else bare_loop(kafka, f"{own}verdicts", directory, prefix=own, delivery=delivery)
        )
        sides[name] = _Side(contestant, stack.enter_context(running(contestant)), f"{own}events")
    return sides


def _facts(share: int, capacity: float, levels: dict[tuple[int, str], list[Level]]) -> dict[str, Any]:
    """Medians over the rounds of one load."""
    sides = {}
    for name in ("assay", "bare"):
        rounds = [percentiles(level.latencies_ms) for level in levels[share, name]]
        sides[name] = {quantile: median(one[quantile] for one in rounds) for quantile in QUANTILES}
    return {
        "offered_per_s": capacity * share / 100,
        **sides,
        "ratio": sides["assay"]["p99_ms"] / sides["bare"]["p99_ms"],
    }


def _level(
    kafka: Arena,
    load: Workload,
    side: _Side,
    mark: str,
    rate: float,
    count: int,
    delivery: str,
    patience_s: float = _SILENT_S,
) -> Level:
    """Send events at a steady rate and wait for a verdict on each.

    Raises:
        AssayError: verdicts are missing, or the client ended.
    """
    consumer = _consumer(kafka, side.contestant.target, delivery)
    start_s = time.monotonic() + _HEAD_START_S
    words = (kafka.bootstrap, side.events, load.events_file, count, mark, start_s, rate)
    with pinned(last_core()):
        pacer = subprocess.Popen(
            [sys.executable, "-P", "-m", "benchmarks.pacer", *map(str, words)],
            env=environment(),
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        gc.collect()
        gc.disable()  # walking over a million arrivals takes longer than what is measured
        try:
            arrivals = _arrivals(consumer, side, count, start_s + patience_s)
        finally:
            gc.enable()
            said, _ = pacer.communicate()
            consumer.close()
    late_ms = orjson.loads(said)["late_ms"]
    places = {event_id_of(marked(value, mark)): place for place, value in enumerate(load.values[:count])}
    return Level(latencies_ms(arrivals, places, start_s, rate, WARM_UP_S), late_ms)


def _consumer(kafka: Arena, topic: str, delivery: str) -> Consumer:
    """A consumer at the end of a topic, with the client's own settings."""
    isolation = "read_committed" if delivery == "exactly_once" else "read_uncommitted"
    settings = {"group.id": "bench-latency", "isolation.level": isolation, "enable.auto.commit": False}
    consumer = Consumer({**kafka.settings, **settings, "log_level": 0})
    consumer.assign([TopicPartition(topic, number, end) for number, end in enumerate(kafka.ends(topic))])
    return consumer


def _arrivals(consumer: Consumer, side: _Side, count: int, until_s: float) -> list[tuple[float, bytes]]:
    """When each verdict came; gives up when none has come for a while."""
    found: list[tuple[float, bytes]] = []
    while len(found) < count:
        messages = consumer.consume(1, 0.1)
        if messages:
            messages += consumer.consume(10_000, 0.0)
        now_s = time.monotonic()
        fresh = [(now_s, message.value()) for message in messages if message.error() is None]
        found += fresh
        if fresh:
            until_s = now_s + _SILENT_S
        elif now_s > until_s:
            check(side.contestant, side.process)
            raise AssayError(f"{side.contestant.name}: {len(found)} of {count} verdicts came, then none any more")
    return found


def latencies_ms(
    arrivals: Sequence[tuple[float, bytes]], places: dict[bytes, int], start_s: float, rate: float, warm_up_s: float
) -> NDArray[np.float64]:
    """Milliseconds from the moment each event was due to its verdict; float64, in order of arrival.

    Args:
        arrivals: moment and bytes of each verdict, which begin with the id of its event.
        places: number of each event in the schedule.
        start_s: when the first was due.
        rate: events per second.
        warm_up_s: events due in these first seconds are left out.

    Raises:
        AssayError: a verdict belongs to no event, or came twice.

    >>> verdicts = [(10.25, b'{"event_id":"a"'), (10.75, b'{"event_id":"b"'), (11.5, b'{"event_id":"c"')]
    >>> latencies_ms(verdicts, {b"a": 0, b"b": 1, b"c": 2}, 10.0, 2.0, 0.5).tolist()
    [250.0, 500.0]
    """
    numbers = [places.pop(event_id_of(value), -1) for _, value in arrivals]
    if -1 in numbers:
        raise AssayError("a verdict came twice or belongs to no event that was sent: the latencies mean nothing")
    due_s = np.array(numbers) / rate
    latencies = (np.array([moment_s for moment_s, _ in arrivals]) - start_s - due_s) * 1000
    measured: NDArray[np.float64] = latencies[due_s >= warm_up_s]
    return measured
