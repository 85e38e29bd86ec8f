"""What a client of this broker can do at most: the same bytes in and out, exactly once and at least once."""

from pathlib import Path
from typing import Any

from benchmarks.arena import PREFIX, arena
from benchmarks.contestant import bare_loop
from benchmarks.kafka import BIAS, EVENTS
from benchmarks.passage import Passage, fill, medians, passage
from benchmarks.report import circumstances
from benchmarks.workload import workload

DELIVERIES = ("exactly_once", "at_least_once")


def ceiling(directory: Path, cache: Path, seed: int, repeats: int, events: int = EVENTS) -> dict[str, Any]:
    """Passes of the bare loop with both deliveries in turn.

    Args:
        directory: for the broker.
        cache: for the workload.
        seed: of the workload.
        repeats: passes of each.
        events: in the topic.
    """
    load = workload(cache, events, seed)
    passages: dict[str, list[Passage]] = {delivery: [] for delivery in DELIVERIES}
    with arena(directory) as kafka:
        log = fill(kafka, load)
        for delivery in DELIVERIES:
            kafka.make_topic(f"{PREFIX}{delivery}")
        for _ in range(repeats):
            for delivery, done in passages.items():
                loop = bare_loop(kafka, f"{PREFIX}{delivery}", directory, delivery=delivery)
                done.append(passage(kafka, loop, log))
    once, least = (medians(done) for done in passages.values())
    return {
        **circumstances(
            f"{load.described}; {len(log.values)} partitions",
            f"{BIAS}; it decodes nothing, keeps nothing and has the worker's client settings",
        ),
        "seed": seed,
        "events_per_s": once.per_s,
        "events_per_cpu_second": once.per_cpu_s,
        "at_least_once_events_per_s": least.per_s,
        "at_least_once_events_per_cpu_second": least.per_cpu_s,
        "equal": all(one.published == log.values for done in passages.values() for one in done),
        "compared": "what came out with what went in, in order, byte for byte",
        "ratio": once.per_s / least.per_s,
    }
