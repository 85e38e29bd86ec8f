"""What is folded again in the background gives the same state, and what goes wrong there is neither lost nor stored."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import AssayError
from features.store import MemoryStore, StateStore
from streams.careful import UnprocessableError
from streams.config import load_config
from streams.events_log import Member
from streams.history import Bounds
from streams.intake import Decoded, Trust
from streams.log import LogRecord, Output
from streams.partition import Partition
from streams.publisher import Message
from streams.refolding import Refolding
from streams.signature import everybody
from streams.worker import Worker
from tests.background import AsLateAsPossible, AtOnce
from tests.streams.logs import mixed_log, records
from tests.streams.small_model import small_model
from tests.streams.test_careful import breaking_the_state, event_ids, judged_offsets, new_partition, state_of
from tests.streams.test_engine import open_small

LOG = records(mixed_log(180, seed=77, model_ids=(small_model(2).id, small_model(1).id)))
JUDGED = judged_offsets(LOG)
EXECUTORS = (AtOnce, AsLateAsPossible, lambda: ThreadPoolExecutor(1))


@settings(max_examples=20)
@given(st.sets(st.integers(1, len(LOG) - 1), max_size=12), st.sampled_from(EXECUTORS))
def test_the_state_is_that_of_a_fold_in_the_foreground(cuts: set[int], executor: Callable[[], Executor]) -> None:
    expected = new_partition(careful_until=0)
    expected.fold(LOG, everybody)
    partition = new_partition(careful_until=0)
    with executor() as background:
        refolding = Refolding(background, everybody)
        for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(LOG)], strict=True):
            refolding.fold(partition, LOG[max(0, start - 3) : end])  # some records come twice
        refolding.settle()
    assert state_of(partition) == state_of(expected)


class _Watched(Partition):
    """A partition whose first batch is not folded before the second one is decoded."""

    def __init__(self) -> None:
        super().__init__(0, MemoryStore(), small_model(), open_small)
        self.decoded = 0
        self.second_is_decoded = threading.Event()
        self.waited: list[bool] = []

    def decode(self, records: Sequence[LogRecord], trusted: Trust) -> Decoded:
        batch = super().decode(records, trusted)
        self.decoded += 1
        if self.decoded == 2:
            self.second_is_decoded.set()
        return batch

    def fold_decoded(self, batch: Decoded, *, publishing: bool = True) -> Output:
        self.waited.append(self.second_is_decoded.wait(30))
        return super().fold_decoded(batch, publishing=publishing)


def test_a_batch_is_decoded_while_the_one_before_is_folded() -> None:
    partition = _Watched()
    with ThreadPoolExecutor(1) as background:
        refolding = Refolding(background, everybody)
        refolding.fold(partition, LOG[:60])
        refolding.fold(partition, LOG[60:])
        refolding.settle()
    assert partition.waited == [True, True]
    assert partition.next_offset == LOG[-1].offset + 1


def test_what_went_wrong_is_raised_once_and_by_whoever_comes_next(monkeypatch: pytest.MonkeyPatch) -> None:
    breaking_the_state(monkeypatch, event_ids(LOG, JUDGED[:1]))
    partition = new_partition(careful_until=0)
    refolding = Refolding(AsLateAsPossible(), everybody)
    refolding.fold(partition, LOG[:60])
    assert refolding.wait() == 0
    with pytest.raises(UnprocessableError, match="ends before offset 60"):
        refolding.fold(partition, LOG[60:])
    assert partition.next_offset == 0  # and nothing more was folded
    assert refolding.wait() is None
    refolding.settle()


def test_what_needs_care_is_folded_in_the_foreground(monkeypatch: pytest.MonkeyPatch) -> None:
    breaking_the_state(monkeypatch, event_ids(LOG, JUDGED[:1]))
    partition = new_partition(careful_until=60)
    refolding = Refolding(_Never(), everybody)
    refolding.fold(partition, LOG[:60])
    assert partition.next_offset == 60


class _Never(Executor):
    def submit(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("nothing belongs in the background")


class _Log:
    """An `EventsLog` of one partition, all of it committed, in batches of 60 records."""

    def __init__(self) -> None:
        self._batches = iter([LOG[:60], LOG[60:120], LOG[120:]])

    def join(self, member: Member) -> None:
        member.take_over([0])

    def poll(self, limit: int, wait_s: float) -> list[tuple[int, LogRecord]]:
        return [(0, record) for record in next(self._batches, ())]

    def seek(self, partition: int, offset: int) -> None:
        self._batches = iter([LOG[offset:]])

    def committed(self, partition: int) -> int | None:
        return len(LOG)

    def bounds(self, partition: int) -> Bounds:
        return Bounds(0, len(LOG))

    def end(self, partition: int) -> int:
        return len(LOG)

    def leave(self) -> None:
        pass


class _Publisher:
    def publish(self, messages: Sequence[Message], offsets: Mapping[int, int]) -> None:
        raise AssertionError("everything was published before")

    def close(self) -> None:
        pass


class _States:
    """States that are kept in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    def open(self, partition: int, committed: int | None, bounds: Bounds) -> StateStore:
        return self.store

    def describe(self, partition: int) -> str:
        return "the state"

    def checkpointed(self, partition: int, state: StateStore) -> None:
        pass

    def close(self) -> None:
        pass


def recovering(states: _States) -> Worker:
    """A worker that has joined and has everything to fold again."""
    config = load_config(environment={}, overrides={"security.trust_internal": True})
    worker = Worker(config, small_model(), open_small, _Log(), _Publisher(), states, AsLateAsPossible(), lambda: 0.0)
    worker.join()
    return worker


def test_a_partition_is_handed_over_with_what_was_still_being_folded() -> None:
    states = _States()
    worker = recovering(states)
    worker.turn()
    worker.hand_over([0])
    assert Partition(0, states.store, small_model(), open_small).next_offset == 60


def test_a_partition_that_is_half_folded_is_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    breaking_the_state(monkeypatch, event_ids(LOG, JUDGED[:1]))
    states = _States()
    worker = recovering(states)
    worker.turn()
    worker.hand_over([0])
    assert not list(states.store.accounts())


def test_a_record_that_breaks_the_fold_in_the_background_is_found_with_care(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = event_ids(LOG, JUDGED[:1])
    breaking_the_state(monkeypatch, bad)
    expected = new_partition()
    expected.fold(LOG, everybody, publishing=False)
    states = _States()
    worker = recovering(states)
    for _ in range(4):
        worker.turn()
    worker.checkpoint()
    found = Partition(0, states.store, small_model(), open_small)
    assert state_of(found) == state_of(expected)


def test_trouble_outside_in_the_background_ends_the_worker() -> None:
    class Unreadable(MemoryStore):
        def get_accounts(self, keys: Sequence[str]) -> list[bytes | None]:
            raise AssayError("the disk is gone")

    states = _States()
    states.store = Unreadable()
    worker = recovering(states)
    worker.turn()
    with pytest.raises(AssayError, match="the disk is gone"):
        worker.turn()
