"""Engine and warm path on a real broker: how soon a profile is visible, under a steady load.

The broker stamps every record when it takes it, so nobody has to watch: the moments of all steps are read from the
topics when all is done.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.arena import PARTITIONS, Arena, arena, produce
from benchmarks.contestant import Contestant, assay_worker, check, cpu_seconds, running, warm_worker
from benchmarks.cores import last_core, pinned
from benchmarks.entity_visibility import Topics, behind, is_what_links_say, steps_of
from benchmarks.passage import fill, passage
from benchmarks.report import ROOT, announce, environment
from benchmarks.workload import Workload, squeezed
from features.errors import AssayError
from streams.log import LogRecord
from streams.topic_reader import TopicReader

LOADS = (10, 25, 50)
"""Per cent of what the engine does with a full topic."""
SECONDS, WARM_UP_S = 10.0, 1.0
_HEAD_START_S = 5.0
"""A pacer needs so long to read its events before the first is due."""
_PATIENCE_S = 120.0
_LOOK_S, _SETTLED_S = 0.5, 3.0


def on_kafka(directory: Path, load: Workload) -> dict[str, Any]:
    """Medians of every step from an event to a verdict that sees the profile of its link, for each load.

    Raises:
        AssayError: a process ended, or does not come to an end of the log.
    """
    with arena(directory) as kafka:
        full = fill(kafka, load, "bench-full.")
        engine = assay_worker(kafka, load, directory, prefix="bench-full.")
        capacity = passage(kafka, engine, full).rates.per_s
        found = {str(share): _level(kafka, load, directory, share, capacity) for share in LOADS}
    return {
        "capacity_per_s": capacity,
        "loads": found,
        "equal": all(level.pop("equal") for level in found.values()),
        "compared": "every profile in the topic and those of an undisturbed fold of the links, bytes and order",
    }


def _level(kafka: Arena, load: Workload, directory: Path, share: int, capacity: float) -> dict[str, Any]:
    """Half of the log at once, so that accounts have a past; then as much as is due at a steady rate."""
    prefix, rate = f"bench-{share}.", capacity * share / 100
    history = len(load.values) // 2
    count = min(len(load.values) - history, int(rate * SECONDS))
    kafka.make_topics(prefix)
    kafka.stamp_arrivals([f"{prefix}{name}" for name in ("events", "verdicts", "links", "entities")])
    engine, warm = assay_worker(kafka, load, directory, prefix=prefix), warm_worker(kafka, directory, prefix=prefix)
    with running(engine) as judging, running(warm, last_core()) as telling, TopicReader(kafka.settings) as reader:
        announce(f"{share} %: {history} events of history")
        begin_ms = int(time.time() * 1000 - history / rate * 1000)
        past = list(squeezed(load.values[:history], rate, begin_ms))
        produce(kafka.settings, f"{prefix}events", past, load.keys[:history])
        sides = ((engine, judging), (warm, telling))
        _wait(reader, sides, prefix, history)
        announce(f"{share} %: {rate:,.0f} events/s")
        used_s, began_s = _used_s(judging, telling), time.monotonic()
        start_ms = _pace(kafka, load.values[history : history + count], directory, prefix, rate)
        wall_s = time.monotonic() - began_s - _HEAD_START_S
        engine_s, warm_s = (_used_s(judging, telling) - used_s).tolist()
        _wait(reader, sides, prefix, history + count)
        topics = Topics(
            [_all(reader, f"{prefix}events", number) for number in range(PARTITIONS)],
            [_all(reader, f"{prefix}verdicts", number) for number in range(PARTITIONS)],
            _all(reader, f"{prefix}links", 0),
            _all(reader, f"{prefix}entities", 0),
        )
    facts = _facts(topics, start_ms, start_ms + count / rate * 1000)
    return {
        "offered_per_s": rate,
        "engine_cpu_s_per_s": engine_s / wall_s,
        "warm_cpu_s_per_s": warm_s / wall_s,
        **facts,
        "equal": is_what_links_say(topics),
    }


def _used_s(*processes: "subprocess.Popen[bytes]") -> NDArray[np.float64]:
    return np.array([cpu_seconds(process.pid) for process in processes])


def _facts(topics: Topics, start_ms: float, end_ms: float) -> dict[str, Any]:
    steps, others = steps_of(topics)
    counted = (steps.due >= start_ms + WARM_UP_S * 1000) & (steps.due < end_ms - WARM_UP_S * 1000)
    if not counted.any():
        raise AssayError("no profile came of the events that were sent: send more, or for longer")
    due, sent, told, published, marked, seen = (moments[counted] for moments in steps)
    if np.isnan(marked).any():
        raise AssayError("profiles are in their topic that no marker makes visible")
    was_seen = ~np.isnan(seen)
    if not was_seen.any():
        raise AssayError("no verdict saw a profile of the events that were sent: send more, or for longer")
    late = np.median((marked - sent)[due >= np.median(due)])
    parts = {
        "flush_ms": told - sent,
        "fold_ms": published - told,
        "marker_ms": marked - published,
        "verdict_ms": (seen - marked)[was_seen],
    }
    return {
        "profiles": int(counted.sum()),
        "producer_late_p50_ms": float(np.median(sent - due)),
        "profiles_of_no_link": others,
        "visible_p50_ms": float(np.median(marked - sent)),
        "visible_p95_ms": float(np.quantile(marked - sent, 0.95)),
        "visible_p50_of_the_second_half_ms": float(late),
        "verdict_p50_ms": float(np.median((seen - sent)[was_seen])),
        "verdict_p95_ms": float(np.quantile((seen - sent)[was_seen], 0.95)),
        "parts_p50_ms": {name: float(np.median(part)) for name, part in parts.items()},
        "parts_p95_ms": {name: float(np.quantile(part, 0.95)) for name, part in parts.items()},
        "links_behind_at_the_end": behind(topics, end_ms),
    }


def _pace(kafka: Arena, values: Sequence[bytes], directory: Path, prefix: str, rate: float) -> float:
    """Send events at a steady rate, each with the moment at which it is due as its time; when the first was due."""
    start_s = time.monotonic() + _HEAD_START_S
    start_ms = (time.time() + start_s - time.monotonic()) * 1000
    file = directory / "entities-paced.jsonl"
    file.write_bytes(b"".join(value + b"\n" for value in squeezed(values, rate, int(start_ms))))
    words = (kafka.bootstrap, f"{prefix}events", file, len(values), "", start_s, rate)
    with pinned(last_core()):
        subprocess.run(
            [sys.executable, "-P", "-m", "benchmarks.pacer", *map(str, words)],
            env=environment(),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
        )
    return start_ms


def _wait(
    reader: TopicReader, sides: Sequence[tuple[Contestant, "subprocess.Popen[bytes]"]], prefix: str, events: int
) -> None:
    """Until there are as many verdicts, and nothing has been written for a while."""
    places = [(f"{prefix}{name}", number) for name in ("verdicts", "events") for number in range(PARTITIONS)]
    places += [(f"{prefix}{name}", 0) for name in ("links", "entities")]
    before, since_s = [0] * len(places), time.monotonic()
    until_s = since_s + _PATIENCE_S
    while sum(before[:PARTITIONS]) < events or time.monotonic() - since_s < _SETTLED_S:
        for contestant, process in sides:
            check(contestant, process)
        ends = [reader.bounds(topic, number).high for topic, number in places]
        if ends != before:
            before, since_s = ends, time.monotonic()
        if time.monotonic() > until_s:
            raise AssayError(f"engine and warm path did not come to the end of the log within {_PATIENCE_S:g} s")
        time.sleep(_LOOK_S)


def _all(reader: TopicReader, topic: str, partition: int) -> list[LogRecord]:
    low, high = reader.bounds(topic, partition)
    return [record for records in reader.read(topic, partition, low, high) for record in records]
