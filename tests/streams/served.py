"""Outcomes as a worker publishes them, altered ones, and what a comparison of them finds."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson

from features.catalogue import FEATURES
from features.store import MemoryStore
from streams.history import Bounds
from streams.log import LogRecord
from streams.log_range import PartitionRange
from streams.partition import Partition
from streams.signature import everybody
from streams.skew import SkewFound, compare
from streams.skew_outcomes import ServedOutcomes
from streams.time_machine import TimeMachine
from tests.streams.histories import ListHistory, machine_over
from tests.streams.logs import mixed_log
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small
from tests.streams.test_verify import with_gaps

Logs = Mapping[int, Sequence[LogRecord]]
Published = dict[int, list[bytes]]


@cache
def busy_log() -> tuple[LogRecord, ...]:
    """A log of two accounts, much of whose past is folded into tiles when its labels come."""
    return tuple(with_gaps(mixed_log(2_000, seed=2, accounts=2)))


def published_outcomes(logs: Logs) -> Published:
    """What workers publish, partition by partition."""
    found: Published = {}
    for number, log in logs.items():
        partition = Partition(number, MemoryStore(), small_model(), open_small)
        batches = (log[start : start + 300] for start in range(0, len(log), 300))
        found[number] = [one.value for batch in batches for one in partition.fold(batch, everybody).outcomes]
    return found


def altered(value: bytes, **features: float | None) -> bytes:
    """An outcome with other values of some features."""
    outcome = orjson.loads(value)
    return orjson.dumps({**outcome, "features": {**outcome["features"], **features}})


def next_float(value: float) -> float:
    """One unit in the last place of single precision away."""
    return float(np.nextafter(np.float32(value), np.float32(np.inf)))


def place_of(value: bytes) -> int:
    """Offset of the judged event."""
    return int(orjson.loads(value)["judged"]["offset"])


def with_feature(values: Sequence[bytes], name: str) -> int:
    """Place of an outcome in the middle in which the feature is known."""
    known = [n for n, value in enumerate(values) if orjson.loads(value)["features"].get(name) is not None]
    return known[len(known) // 2]


def compared_outcomes(
    logs: Logs, published: Published, start: int = 0, machine: TimeMachine | None = None
) -> tuple[SkewFound, ServedOutcomes]:
    """Published outcomes of labels from `start` on against the log."""
    records = {
        number: [LogRecord(3 * place, value) for place, value in enumerate(values)]
        for number, values in published.items()
    }
    ranges = [PartitionRange(number, start, log[-1].offset + 1) for number, log in logs.items()]
    bounds = {number: Bounds(0, 3 * len(values)) for number, values in records.items()}
    with TemporaryDirectory() as name:
        claims = ServedOutcomes(FEATURES, Path(name) / "served")
        claims.read(ListHistory(records, batch=37), bounds, ranges)
        return compare(machine or machine_over(logs), ranges, claims, Path(name)), claims


def facts(value: bytes) -> dict[str, Any]:
    """An outcome as an object."""
    outcome: dict[str, Any] = orjson.loads(value)
    return outcome
