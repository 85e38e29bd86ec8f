"""Batches that are published while the next one is folded: when that happens, what waits, and what goes wrong."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pytest

from features.errors import AssayError
from features.store import MemoryStore, StateStore
from streams.beside import InThread
from streams.config import load_config
from streams.history import Bounds
from streams.outbound import targets_of
from streams.partition import stored_state
from streams.publisher import AbortedError, Message
from streams.worker import Worker
from tests.memory_broker import MemoryBroker
from tests.memory_group import Group
from tests.memory_log import MemoryEventsLog, MemoryFlushingPublisher
from tests.streams.logs import START_MS, payment
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small

TARGETS = targets_of("t.")
BATCH = 4


class Gate:
    """A publisher that waits until it may, and fails as often as it is told to."""

    def __init__(self, publisher: MemoryFlushingPublisher) -> None:
        self._publisher = publisher
        self.may_publish = threading.Event()
        self.failures: list[Exception] = []

    def publish(self, messages: Sequence[Message], offsets: Mapping[int, int]) -> None:
        assert self.may_publish.wait(20)
        if self.failures:
            raise self.failures.pop()
        self._publisher.publish(messages, offsets)

    def close(self) -> None:
        self._publisher.close()


class States:
    """States in memory that outlive their owners."""

    def __init__(self) -> None:
        self.stores: dict[int, MemoryStore] = {}

    def open(self, partition: int, committed: int | None, bounds: Bounds) -> StateStore:
        return self.stores.setdefault(partition, MemoryStore())

    def describe(self, partition: int) -> str:
        return f"state of {partition}"

    def checkpointed(self, partition: int, state: StateStore) -> None: ...

    def close(self) -> None: ...


class Engine(NamedTuple):
    """A worker that owns the one partition of a log of ten payments, takes four at once, and checkpoints every turn."""

    worker: Worker
    broker: MemoryBroker
    group: Group
    gate: Gate
    states: States

    @property
    def folded(self) -> int:
        return self.worker._owned[0].partition.next_offset

    @property
    def stored(self) -> int:
        state = stored_state(self.states.stores[0], 0)
        return state.next_offset if state is not None else 0

    def verdicts(self) -> list[bytes]:
        return [record.value or b"" for record in self.broker.read(TARGETS.verdicts, 0)]


def engine_of(partitions: int, checkpoint_s: float) -> Engine:
    broker = MemoryBroker()
    for topic in TARGETS:
        broker.create(topic, partitions)
    group = broker.group("engine", TARGETS.source, 1e9)
    for number in range(10):
        event = payment(number, "a1", START_MS + number)
        broker.append(Message(TARGETS.source, number % partitions, b"a1", event, None))
    settings = {"topics.prefix": "t.", "engine.batch_events": BATCH, "state.checkpoint_seconds": checkpoint_s}
    log, states = MemoryEventsLog(broker, TARGETS.source, group), States()
    gate = Gate(MemoryFlushingPublisher(broker, log))
    worker = Worker(
        load_config(environment={}, overrides=settings),
        small_model(),
        open_small,
        log,
        gate,
        states,
        lambda: broker.now_s,
        sender=InThread("test"),
    )
    worker.join()
    return Engine(worker, broker, group, gate, states)


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = engine_of(partitions=1, checkpoint_s=0.0)
    yield made
    made.gate.may_publish.set()
    made.worker.close()


def until_drained(engine: Engine) -> None:
    engine.gate.may_publish.set()
    for _ in range(8):
        engine.worker.turn()


def test_the_next_batch_is_folded_while_one_is_published(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.worker, "_checkpoint_s", 1e12)  # none is due
    engine.worker.turn()
    assert (engine.folded, engine.group.committed) == (4, {})
    folding = threading.Thread(target=engine.worker.turn)
    folding.start()
    while engine.folded < 8:
        assert folding.is_alive()
    assert engine.group.committed == {}
    assert folding.is_alive(), "the second batch waits for the end of the first"
    engine.gate.may_publish.set()
    folding.join(20)
    assert engine.group.committed[0] >= 4
    until_drained(engine)
    assert engine.group.committed == {0: 10}
    assert len(engine.verdicts()) == 10


def test_a_checkpoint_waits_until_all_that_is_folded_is_published(engine: Engine) -> None:
    turning = threading.Thread(target=engine.worker.turn)
    turning.start()
    turning.join(0.2)
    assert turning.is_alive()
    assert engine.stored == 0
    engine.gate.may_publish.set()
    turning.join(20)
    assert engine.stored == engine.group.committed[0] == 4


def test_a_batch_that_is_aborted_takes_what_was_folded_since_with_it(engine: Engine) -> None:
    engine.gate.failures.append(AbortedError("a rebalance"))
    until_drained(engine)
    metrics = engine.worker.metrics.registry
    assert metrics.get_sample_value("assay_transactions_aborted_total") == 1
    assert engine.group.committed == {0: 10}
    assert len(set(engine.verdicts())) == len(engine.verdicts()) == 10
    assert metrics.get_sample_value("assay_events_total", {"kind": "payment"}) == 10


def test_what_is_handed_over_after_a_failure_is_not_stored(engine: Engine) -> None:
    engine.gate.failures.append(AbortedError("a rebalance"))
    engine.gate.may_publish.set()
    engine.worker._advance()
    engine.worker.hand_over([0])
    assert engine.stored == 0
    with pytest.raises(AbortedError):
        engine.worker._sending.end()


def test_an_outcome_that_nobody_knows_ends_the_worker(engine: Engine) -> None:
    engine.gate.failures.append(AssayError("no answer to a commit"))
    engine.gate.may_publish.set()
    with pytest.raises(AssayError, match="no answer"):
        for _ in range(3):
            engine.worker.turn()
    engine.worker.checkpoint()
    assert engine.group.committed == {}
    assert engine.stored == 0


def test_checkpoints_of_partitions_are_spread_over_the_time_between_two_of_one() -> None:
    engine = engine_of(partitions=3, checkpoint_s=9.0)
    until_drained(engine)
    assert all(stored_state(store, 0) is None for store in engine.states.stores.values())
    stored = []
    for _ in range(3):
        engine.broker.now_s += 3.0
        engine.worker.turn()
        engine.worker.turn()
        stored.append(sum(stored_state(store, 0) is not None for store in engine.states.stores.values()))
    assert stored == [1, 2, 3]
    engine.worker.close()
