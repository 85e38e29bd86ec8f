"""Replays in memory, and the undisturbed fold that they are compared with."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import orjson

from features.feature import FeatureSet
from features.money import Rates
from features.records import Verdict
from features.rocks_store import RocksStore
from features.store import MemoryStore
from models.artefact import write_artefact
from models.booster import library_version
from models.manifest import Trained
from models.policy import Policy
from models.training import train
from streams.diff_baselines import Beside
from streams.log import LogRecord, Output
from streams.log_range import PartitionRange
from streams.model_in_force import ModelInForce, open_model
from streams.partition import Partition
from streams.replay import ReplaySummary, replay
from streams.replay_changes import AS_RECORDED, Override
from streams.signature import everybody
from streams.time_machine import TimeMachine
from streams.verdict_diff import Judgement
from tests.streams.logs import mixed_log, records
from tests.streams.small_model import HEIGHT, TREES, WINDOW_ROWS, reference_of_test_period, small_model
from tests.streams.test_engine import open_small


def small_model_over(feature_set: FeatureSet, directory: Path) -> ModelInForce:
    """A small model that was trained on another feature set than the catalogue's."""
    random = np.random.default_rng(4)
    rows = random.gamma(1.0, 3.0, size=(3_000, len(feature_set))).astype(np.float32)
    count = rows[:, feature_set.index["account_payment_count_1h"]] = random.poisson(1.5, size=len(rows))
    labels = (random.random(len(rows)) < 1.0 / (1.0 + np.exp(5.0 - 1.2 * count))).astype(np.uint8)
    time_ms = np.arange(len(rows), dtype=np.int64) * 60_000
    trained = train(rows, labels, time_ms, feature_set=feature_set, seed=4, rounds=20)
    write_artefact(
        directory,
        name="over",
        feature_set=feature_set,
        model_text=trained.model_text,
        calibration=trained.calibration,
        detector=msgspec.structs.replace(trained.detector, window_size=WINDOW_ROWS, n_trees=TREES, height=HEIGHT),
        policy=Policy.default(),
        rates=Rates.default(),
        baselines=trained.baselines.tolist(),
        sample=rows,
        reference=reference_of_test_period(trained, rows, feature_set),
        trained=Trained(
            first_time_ms=0,
            last_time_ms=1,
            event_count=2,
            fraud_count=1,
            seed=4,
            lightgbm=library_version(),
            metrics={},
        ),
    )
    return open_model(directory, feature_set)


class MemoryOut:
    """Takes verdicts."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def write(self, partition: int, records: Sequence[LogRecord], output: Output) -> None:
        self.values += [verdict.value for verdict in output.verdicts]


class StoredAt:
    """`Snapshots` that have one state of one log."""

    def __init__(self, log: Sequence[LogRecord], offset: int) -> None:
        self._log = log
        self._offset = offset

    def restore(self, partition: int, at_most: int, directory: Path) -> int | None:
        if at_most < self._offset:
            return None
        store = RocksStore(directory)
        found = Partition(partition, store, small_model(), open_small)
        found.fold([record for record in self._log if record.offset < self._offset], everybody, publishing=False)
        found.checkpoint()
        store.close()
        return self._offset


class Given(NamedTuple):
    """A `Baseline` out of verdicts."""

    values: Sequence[bytes]

    @contextmanager
    def over(self, part: PartitionRange, progress: object) -> Iterator[Beside]:
        waiting = [Judgement(offset_of(value), value) for value in self.values]

        def beside(records: Sequence[LogRecord]) -> list[Judgement]:
            return [each for each in waiting if records[0].offset <= each.offset <= records[-1].offset]

        yield beside


def offset_of(value: bytes) -> int:
    return int(orjson.loads(value)["at"]["offset"])


def decoded(value: bytes) -> Verdict:
    return msgspec.json.decode(value, type=Verdict)


@cache
def full_log() -> tuple[LogRecord, ...]:
    """Everything that a real log holds, gaps between offsets included."""
    log = mixed_log(1_100, seed=5, model_ids=(small_model(2).id, small_model(1).id, "f" * 64))
    return tuple(
        record._replace(offset=record.offset + record.offset // 97, timestamp_ms=None) for record in records(log)
    )


def folded(log: Sequence[LogRecord], partition: Partition | None = None) -> list[bytes]:
    """The verdicts of an undisturbed fold in one go."""
    partition = partition or Partition(0, MemoryStore(), small_model(), open_small)
    return [verdict.value for verdict in partition.fold(log, everybody).verdicts]


@cache
def undisturbed() -> tuple[bytes, ...]:
    """The verdicts of `full_log`."""
    return tuple(folded(full_log()))


def replayed(
    machine: TimeMachine, start: int = 0, end: int | None = None, override: Override = AS_RECORDED
) -> tuple[list[bytes], ReplaySummary]:
    """Verdicts and summary of a replay of partition 0."""
    out = MemoryOut()
    last = machine.history.bounds(0).high if end is None else end
    return out.values, replay(machine, [PartitionRange(0, start, last)], override, [out])
