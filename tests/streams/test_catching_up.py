"""A worker's gaps: which are left to others, and what whoever is on call reads about them."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from features.rocks_store import RocksStore
from streams.catching_up import CatchingUp, Reached
from streams.config import load_config
from streams.outbound import targets_of
from streams.partition import Partition
from streams.publisher import Message
from streams.signature import everybody
from streams.state_keeper import DiskStates
from streams.worker import Worker
from tests.memory_broker import MemoryBroker
from tests.memory_log import MemoryEventsLog, MemoryFlushingPublisher
from tests.streams.logs import START_MS, payment
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small

TARGETS = targets_of("t.")


class Others:
    """A `CatchUp` that does nothing by itself."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, int]] = []
        self.at: dict[int, Reached] = {}
        self.stopped: list[int] = []

    def start(self, partition: int, start: int, end: int) -> None:
        self.asked.append((partition, start, end))
        self.at[partition] = Reached(start, end)

    def reached(self, partition: int) -> Reached | None:
        return self.at.get(partition)

    def stop(self, partitions: Iterable[int]) -> None:
        self.stopped += partitions


@pytest.fixture
def others() -> Others:
    return Others()


def gaps_of(others: Others | None, least_records: int = 100) -> CatchingUp:
    return CatchingUp(others, least_records, lambda: 0.0)


@pytest.mark.parametrize(
    ("least_records", "records", "worth_it"), [(100, 99, False), (100, 100, True), (0, 0, False), (0, 10**9, False)]
)
def test_only_large_gaps_are_left_to_others(others: Others, least_records: int, records: int, worth_it: bool) -> None:
    assert gaps_of(others, least_records).is_worth_it(records) is worth_it


def test_without_others_the_worker_folds_everything() -> None:
    alone = gaps_of(None)
    assert not alone.is_worth_it(10**9)
    assert alone.ended() == []
    alone.stop([0, 1])


def test_a_gap_ends_when_nobody_folds_it_any_more(others: Others) -> None:
    gaps = gaps_of(others)
    gaps.begin(2, 10, 500, 700)
    gaps.begin(1, 20, 600, 600)
    assert others.asked == [(2, 10, 500), (1, 20, 600)]
    assert gaps.partitions == [1, 2]
    assert gaps.ended() == []
    del others.at[2]
    assert gaps.ended() == [2]
    assert gaps.partitions == [1]
    assert gaps.ended() == []


def test_what_is_behind_is_counted_up_to_the_end_of_the_log(others: Others) -> None:
    gaps = gaps_of(others)
    gaps.begin(0, 10, 500, 700)
    assert gaps.behind(0) == 690
    others.at[0] = Reached(450, 900)
    gaps.ended()
    assert gaps.behind(0) == 450


def test_only_what_is_being_folded_is_stopped(others: Others) -> None:
    gaps = gaps_of(others)
    gaps.begin(0, 10, 500, 700)
    gaps.begin(1, 10, 500, 700)
    gaps.stop([1, 5])
    assert others.stopped == [1]
    assert gaps.partitions == [0]


def test_whoever_is_on_call_reads_from_where_to_where_how_far_and_how_fast(
    others: Others, caplog: pytest.LogCaptureFixture
) -> None:
    times_s = iter([0.0, 9.9, 10.0, 12.0, 20.0, 29.0, 40.0, 40.0])
    gaps = CatchingUp(others, 100, lambda: next(times_s))
    with caplog.at_level(logging.INFO, "assay.catching_up"):
        gaps.begin(0, 1_000, 21_000, 30_000)
        for offset in (1_000, 1_000, 3_000, 6_000, 9_000):
            others.at[0] = Reached(offset, 30_000)
            gaps.ended()
        del others.at[0]
        assert gaps.ended() == [0]
        gaps.opened(0, 21_000)
    assert caplog.messages == [
        "partition 0: catching up from 1000 to 21000, 20000 records",
        "partition 0: caught up to 1000 of 21000, waiting for a process or for the first records",
        "partition 0: caught up to 6000 of 21000, about 60 s to go",
        "partition 0: caught up to 21000 of 21000 in 40.0 s, 500 records/s",
    ]


def test_what_was_not_folded_is_said_too(others: Others, caplog: pytest.LogCaptureFixture) -> None:
    gaps = gaps_of(others)
    with caplog.at_level(logging.INFO, "assay.catching_up"):
        gaps.begin(0, 1_000, 21_000, 30_000)
        del others.at[0]
        gaps.ended()
        gaps.opened(0, 5_000)
    assert caplog.messages[-1] == (
        "partition 0: caught up to 5000 of 21000 in 0.0 s, 0 records/s; the worker folds the rest itself"
    )


class Engine:
    """A worker on a broker in memory with states on disk; partition 0 has a gap of ten records, partition 1 none."""

    def __init__(self, others: Others, directory: Path) -> None:
        self.broker = MemoryBroker()
        for topic in TARGETS:
            self.broker.create(topic, 2)
        self.group = self.broker.group("engine", TARGETS.source, 1e9)
        for number in range(10):
            self.write(number, 0)
        self.group.store({0: 10})
        config = load_config(
            environment={},
            overrides={"topics.prefix": "t.", "engine.catch_up_records": 10, "security.trust_internal": True},
        )
        log = MemoryEventsLog(self.broker, TARGETS.source, self.group)
        states = DiskStates(directory, TARGETS.source, "id")
        publisher = MemoryFlushingPublisher(self.broker, log)
        self.worker = Worker(config, small_model(), open_small, log, publisher, states, self.clock, others)
        self.worker.join()
        self.worker.turn()

    def clock(self) -> float:
        self.broker.now_s += 2.0
        return self.broker.now_s

    def write(self, number: int, partition: int) -> None:
        event = payment(number, "a1", START_MS + number)
        self.broker.append(Message(TARGETS.source, partition, b"a1", event, None))

    def lag(self, partition: int) -> float | None:
        return self.worker.metrics.registry.get_sample_value("assay_lag_records", {"partition": str(partition)})


@pytest.fixture
def engine(others: Others, tmp_path: Path) -> Iterator[Engine]:
    made = Engine(others, tmp_path)
    yield made
    made.worker.close()


def test_the_worker_says_what_is_caught_up_and_judges_the_rest(engine: Engine, others: Others) -> None:
    assert others.asked == [(0, 0, 10)]
    assert engine.worker.unready() == "catching up partitions [0]"
    engine.write(10, 0)
    engine.write(11, 1)
    others.at[0] = Reached(4, 11)
    engine.worker.turn()
    assert (engine.lag(0), engine.lag(1)) == (7, 0)
    assert engine.group.committed == {0: 10, 1: 1}
    assert len(engine.broker.read(TARGETS.verdicts, 1)) == 1


def test_the_state_is_free_meanwhile_and_the_worker_folds_what_is_left(
    engine: Engine, others: Others, tmp_path: Path
) -> None:
    store = RocksStore(tmp_path / "t.events-0")
    partition = Partition(0, store, small_model(), open_small)
    partition.fold(engine.broker.read(TARGETS.source, 0)[:6], everybody, publishing=False)
    partition.checkpoint()
    partition.close()
    engine.write(10, 0)
    del others.at[0]
    engine.worker.turn()
    assert engine.worker.unready() == "recovering partitions [0]"
    engine.worker.turn()
    assert engine.worker.unready() is None
    assert others.asked == [(0, 0, 10)], "only once"
    assert engine.group.committed[0] == 11
    assert len(engine.broker.read(TARGETS.verdicts, 0)) == 1, "what was published before is not published again"


@pytest.mark.parametrize("how", ["hand_over", "lose"])
def test_a_partition_that_goes_is_not_folded_any_more(engine: Engine, others: Others, tmp_path: Path, how: str) -> None:
    getattr(engine.worker, how)([0, 1])
    assert others.stopped == [0]
    assert engine.worker.unready() == "no partition assigned"
    RocksStore(tmp_path / "t.events-0").close()


def test_whoever_leaves_ends_what_folds_for_it(engine: Engine, others: Others) -> None:
    engine.worker.close()
    assert others.stopped == [0]
