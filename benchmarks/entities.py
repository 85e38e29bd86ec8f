"""Whether the warm path keeps up with the hot path, and how soon what it works out reaches the engine.

First the work itself, without a broker: CPU time from records of links to records of profiles, for traffic of 60,000
events a second. Then engine and warm path as processes on a real broker, under a steady load.
"""

import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.cores import first_core, pinned
from benchmarks.entities_on_kafka import on_kafka
from benchmarks.entity_links import Told, simulated, told_by
from benchmarks.report import announce, circumstances
from benchmarks.workload import squeezed, workload
from features.errors import AssayError
from features.links import flushes_of
from streams.warm.entity_step import EntityStep

EVENTS = 400_000
RATE = 60_000.0
"""Events per second of event time."""
LEAST_S = 4.0
"""Of event time: half of it is measured."""
SPARSE_EVENTS = 60_000
"""In two months: one in every 86 seconds."""
PARTITIONS = 16
WITHIN_S = 20
"""Of event time. The engine on the broker is sent a log as fast as that, and its models are trained on one."""


class _Pass(NamedTuple):
    """CPU seconds of the measured half, and what it gave."""

    cpu_s: float
    profiles: int


def entities(directory: Path, cache: Path, seed: int, repeats: int, events: int = EVENTS) -> dict[str, Any]:
    """Cost of the fold, dense and sparse; then the time until a profile is visible.

    Args:
        directory: for the broker and states.
        cache: for the workload.
        seed: of all traffic.
        repeats: passes of the fold; the median counts.
        events: of the dense log without a broker, and of the one with it.

    Raises:
        AssayError: too few events, or a process on the broker failed.
    """
    if events < LEAST_S * RATE:
        raise AssayError(f"expected at least {LEAST_S * RATE:.0f} events, {LEAST_S:g} s of traffic, got {events}")
    announce(f"simulating {events} events, and folding them")
    dense = told_by(list(squeezed(simulated(events, seed), RATE)), PARTITIONS, int(RATE), directory)
    few = min(events, SPARSE_EVENTS)
    sparse = told_by(simulated(few, seed), 1, 1_000, directory)
    with pinned(first_core()):
        at_rate, quiet = _facts(dense, repeats), _facts(sparse, repeats)
    load = workload(cache, events, seed, WITHIN_S)
    broker = on_kafka(directory, load)
    return {
        **circumstances(
            f"dense: {events} simulated events and labels, {RATE:,.0f} to a second of event time, {PARTITIONS} "
            f"partitions; sparse: {few} in two months, one partition; of both the second half counts. On the broker: "
            f"{load.described}",
            "squeezed into seconds, a log of two months meets no hour and no day, so that no rates are worked out and "
            "nothing is forgotten; the sparse log has both, of few accounts. Simulated accounts change their address "
            "often: every sixth event is a new pair. On the broker the models were trained on a log that is squeezed "
            "too, so that few events are suspicious, as usual: reasons cost more than an event. There are no labels "
            "there; of several events of a pair within a flush the newest counts, and a record of links arrives before "
            "its transaction is committed; engine on the first core, warm path, producer and broker share the last; "
            "one broker, no replicas, no network",
        ),
        "seed": seed,
        "dense": at_rate,
        "sparse": quiet,
        "ratio": 1 / at_rate["cpu_s_per_s"],
        **broker,
    }


def _facts(told: Told, repeats: int) -> dict[str, float]:
    """What the traffic's second half says, and what it costs."""
    measured = told.records[told.measured_from :]
    tables = [flushes_of(record)[1] for record in measured]
    links = sum(len(flushes.links) for flushes in tables)
    passes = [_fold(told) for _ in range(repeats)]
    cpu_s, profiles = statistics.median(one.cpu_s for one in passes), passes[0].profiles
    flushes = sum(len(flushes.flushes) for flushes in tables)
    return {
        "cpu_s_per_s": cpu_s / told.seconds,
        "microseconds_per_event": cpu_s / told.events * 1e6,
        "microseconds_per_flush": cpu_s / flushes * 1e6,
        "flushes_per_event": flushes / told.events,
        "links_per_event": links / told.events,
        "records_per_event": len(measured) / told.events,
        "profiles_per_event": profiles / told.events,
        "profiles_per_s": profiles / told.seconds,
        "megabytes_of_links_per_s": sum(map(len, measured)) / told.seconds / 1e6,
    }


def _fold(told: Told) -> _Pass:
    step = EntityStep("")
    for offset, record in enumerate(told.records[: told.measured_from]):
        step.take(offset, record)
    started_s = time.process_time()
    profiles = 0
    for offset, record in enumerate(told.records[told.measured_from :], told.measured_from):
        profiles += len(step.take(offset, record))
    return _Pass(time.process_time() - started_s, profiles)
