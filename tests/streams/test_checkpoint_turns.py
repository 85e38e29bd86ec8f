"""When a worker checkpoints which of its partitions: one at a time, spread over the time between two of one."""

from itertools import pairwise

import pytest

from features.store import MemoryStore, StateStore
from streams.config import load_config
from streams.fold_state import stored_state
from streams.history import Bounds
from streams.outbound import targets_of
from streams.publisher import Message
from streams.worker import Worker
from tests.memory_broker import MemoryBroker
from tests.memory_log import MemoryEventsLog, MemoryFlushingPublisher
from tests.streams.logs import START_MS, payment
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small

TARGETS = targets_of("t.")
PARTITIONS = 3
EVERY_S = 9


class States:
    """States in memory, and in which second which partition was checkpointed."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self.stores: dict[int, MemoryStore] = {}
        self.checkpoints: list[tuple[float, int]] = []

    def open(self, partition: int, committed: int | None, bounds: Bounds) -> StateStore:
        return self.stores.setdefault(partition, MemoryStore())

    def describe(self, partition: int) -> str:
        return f"state of {partition}"

    def checkpointed(self, partition: int, state: StateStore) -> None:
        self.checkpoints.append((self._broker.now_s, partition))

    def close(self) -> None: ...


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker()
    for topic in TARGETS:
        made.create(topic, PARTITIONS)
    return made


def worker_on(broker: MemoryBroker, states: States, every_s: float) -> Worker:
    log = MemoryEventsLog(broker, TARGETS.source, broker.group("engine", TARGETS.source, 1e9))
    settings = {"topics.prefix": "t.", "state.checkpoint_seconds": every_s}
    worker = Worker(
        load_config(environment={}, overrides=settings),
        small_model(),
        open_small,
        log,
        MemoryFlushingPublisher(broker, log),
        states,
        lambda: broker.now_s,
    )
    worker.join()
    return worker


def pay(broker: MemoryBroker, number: int) -> None:
    """One payment in every partition."""
    for partition in range(PARTITIONS):
        value = payment(PARTITIONS * number + partition, f"a{partition}", START_MS + number)
        broker.append(Message(TARGETS.source, partition, f"a{partition}".encode(), value, None))


def work(broker: MemoryBroker, worker: Worker, seconds: int) -> None:
    """A payment in every partition and a turn each second."""
    for number in range(seconds):
        broker.now_s += 1
        pay(broker, number)
        worker.turn()


def test_checkpoints_are_spread_over_the_time_between_two_of_one_partition(broker: MemoryBroker) -> None:
    states = States(broker)
    work(broker, worker_on(broker, states, EVERY_S), seconds=4 * EVERY_S)
    moments = [second for second, _ in states.checkpoints]
    gaps = {later - earlier for earlier, later in pairwise(moments)}
    assert gaps == {EVERY_S / PARTITIONS}
    for partition in range(PARTITIONS):
        own = [second for second, number in states.checkpoints if number == partition]
        assert len(own) == 4
        assert {later - earlier for earlier, later in pairwise(own)} == {EVERY_S}


def test_a_partition_out_of_memory_goes_first(broker: MemoryBroker) -> None:
    states = States(broker)
    worker = worker_on(broker, states, EVERY_S)
    work(broker, worker, seconds=2)
    assert states.checkpoints == []
    worker._owned[1].partition.hot_bytes = 0
    work(broker, worker, seconds=1)
    assert [partition for _, partition in states.checkpoints] == [1]


def test_a_checkpoint_of_the_worker_stores_every_partition(broker: MemoryBroker) -> None:
    states = States(broker)
    worker = worker_on(broker, states, every_s=1_000.0)
    work(broker, worker, seconds=2)
    worker.checkpoint()
    assert sorted(partition for _, partition in states.checkpoints) == list(range(PARTITIONS))
    for store in states.stores.values():
        state = stored_state(store, 0)
        assert state is not None and state.next_offset == 2
