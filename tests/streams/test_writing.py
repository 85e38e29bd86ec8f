"""Checkpoints that are written beside the fold: what is in them, what may go meanwhile, and what goes wrong."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from features.errors import AssayError
from features.rocks_store import RocksStore
from features.store import MemoryStore
from streams.beside import AtOnce, Helper, InThread
from streams.fold_state import stored_state
from streams.log import LogRecord
from streams.partition import Partition
from streams.signature import everybody
from tests.streams.logs import START_MS, payment
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small


class Gate(MemoryStore):
    """A store whose writes wait until they may, and fail if they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_write = threading.Event()
        self.fails = False
        self.closed_during_write = False
        self._writing = False

    def write(self, accounts: Iterable[tuple[str, bytes]], values: Mapping[str, bytes]) -> None:
        self._writing = True
        assert self.may_write.wait(20)
        self._writing = False
        if self.fails:
            raise AssayError("state is on a full disk")
        super().write(accounts, values)

    def close(self) -> None:
        self.closed_during_write |= self._writing


def record(offset: int) -> LogRecord:
    return LogRecord(offset, payment(offset, f"a{offset % 3}", START_MS + offset))


@pytest.fixture
def writer() -> Iterator[InThread]:
    beside = InThread("test")
    yield beside
    beside.close()


def partition_on(store: MemoryStore | RocksStore, writer: Helper) -> Partition:
    return Partition(0, store, small_model(), open_small, writer=writer)


def fold(partition: Partition, start: int, end: int) -> list[bytes]:
    return [one.value for one in partition.fold([record(offset) for offset in range(start, end)], everybody).verdicts]


def test_what_is_folded_meanwhile_is_not_in_it(writer: InThread) -> None:
    gate, plain = Gate(), MemoryStore()
    partition, other = partition_on(gate, writer), partition_on(plain, AtOnce())
    fold(partition, 0, 30)
    partition.begin_checkpoint()
    assert partition.is_writing
    assert not partition.end_checkpoint(wait=False)
    fold(partition, 30, 60)
    gate.may_write.set()
    assert partition.end_checkpoint(wait=True)
    fold(other, 0, 30)
    other.checkpoint()
    assert dict(gate.accounts()) == dict(plain.accounts())
    assert gate.get_value("detector") == plain.get_value("detector")
    assert gate.get_value("links") == plain.get_value("links")
    assert (stored_state(gate, 0), gate.get_value("fold")) == (stored_state(plain, 0), plain.get_value("fold"))
    partition.checkpoint()
    fold(other, 30, 60)
    other.checkpoint()
    assert dict(gate.accounts()) == dict(plain.accounts())


def test_an_account_being_written_stays_in_memory_until_it_is(writer: InThread) -> None:
    gate = Gate()
    partition = partition_on(gate, writer)
    partition.hot_bytes = 0
    fold(partition, 0, 9)
    partition.begin_checkpoint()
    partition.fold([record(9)], everybody)
    assert partition.has_to_wait
    assert len(partition.engine.accounts) == 3
    gate.may_write.set()
    assert partition.end_checkpoint(wait=True)
    assert [key for key in ("a0", "a1", "a2") if key in partition.engine.accounts] == ["a0"], "a0 changed meanwhile"


@pytest.mark.parametrize("wait", [True, False])
def test_a_write_that_fails_is_told_later_and_nothing_counts_as_stored(writer: InThread, wait: bool) -> None:
    gate = Gate()
    gate.fails = True
    gate.may_write.set()
    partition = partition_on(gate, writer)
    fold(partition, 0, 9)
    partition.begin_checkpoint()
    assert partition._writing is not None
    partition._writing.exception()
    with pytest.raises(AssayError, match="full disk"):
        partition.end_checkpoint(wait=wait)
    assert not partition.is_writing
    gate.fails = False
    partition.checkpoint()
    assert {name for name, _ in gate.accounts()} == {"a0", "a1", "a2"}


def test_a_state_is_closed_after_its_write(writer: InThread) -> None:
    gate = Gate()
    partition = partition_on(gate, writer)
    fold(partition, 0, 9)
    partition.begin_checkpoint()
    threading.Timer(0.2, gate.may_write.set).start()
    partition.close()
    assert not gate.closed_during_write
    assert len(dict(gate.accounts())) == 3


def test_two_checkpoints_at_once_are_our_mistake(writer: InThread) -> None:
    gate = Gate()
    partition = partition_on(gate, writer)
    partition.begin_checkpoint()
    with pytest.raises(AssertionError, match="one checkpoint at a time"):
        partition.begin_checkpoint()
    gate.may_write.set()
    partition.close()


def test_verdicts_are_the_same_however_and_whenever_states_are_written(writer: InThread, tmp_path: Path) -> None:
    """On disk, with large writes, and with so little memory that accounts come and go all the time."""
    undisturbed = fold(partition_on(MemoryStore(), AtOnce()), 0, 600)
    store = RocksStore(tmp_path)
    partition = partition_on(store, writer)
    partition.hot_bytes = 1
    verdicts = []
    for start in range(0, 600, 20):
        verdicts += fold(partition, start, start + 20)
        partition.end_checkpoint(wait=partition.has_to_wait)
        if not partition.is_writing:
            partition.begin_checkpoint()
    partition.close()
    assert verdicts == undisturbed
