"""A test of the test: mistakes that people make in such engines, one at a time, and the world finds each of them.

`tests/test_world.py` shows that the same worlds find nothing in the code as it is.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

import streams.careful
import streams.engine
import streams.worker
from features.accounts import Accounts
from features.catalogue import FEATURES
from features.entity_table import NOTHING
from features.errors import AssayError, InvalidRecord
from features.link_collector import LinkCollector
from features.store import StateStore
from models.scorer import Scorer
from streams.catching_up import CatchingUp
from streams.engine import Engine
from streams.fold_state import FoldState
from streams.log import LogRecord, Output, SetAside
from streams.outbound import messages_of
from streams.partition import Partition
from streams.publisher import AbortedError, Message, Publisher
from streams.starting_point import starting_point
from streams.worker import Worker
from tests.memory_group import Group
from tests.memory_log import MemoryEventsLog
from tests.world import World, broken_promise

WORLDS = 300
"""The first worlds; each mistake shows in one of them at the latest."""

Mistake = Callable[[pytest.MonkeyPatch], None]
Publish = Callable[[Worker, Publisher, Sequence[Message], Mapping[int, int]], None]


def _publishing(patch: pytest.MonkeyPatch, publish: Publish) -> None:
    """Let every worker publish in another way."""
    create = Worker.__init__

    class Instead:
        def __init__(self, worker: Worker, publisher: Publisher) -> None:
            self.worker, self.publisher, self.close = worker, publisher, publisher.close

        def publish(self, messages: Sequence[Message], offsets: Mapping[int, int]) -> None:
            publish(self.worker, self.publisher, messages, offsets)

    def create_with(worker: Worker, *arguments: Any) -> None:
        create(worker, *arguments)
        worker._publisher = Instead(worker, worker._publisher)

    patch.setattr(Worker, "__init__", create_with)


def offsets_are_committed_before_the_verdicts(patch: pytest.MonkeyPatch) -> None:
    def publish(_: Worker, publisher: Publisher, messages: Sequence[Message], offsets: Mapping[int, int]) -> None:
        publisher.publish([], offsets)
        publisher.publish(messages, {})

    _publishing(patch, publish)


def verdicts_are_published_before_the_offsets(patch: pytest.MonkeyPatch) -> None:
    def publish(_: Worker, publisher: Publisher, messages: Sequence[Message], offsets: Mapping[int, int]) -> None:
        publisher.publish(messages, {})
        publisher.publish([], offsets)

    _publishing(patch, publish)


def the_state_is_written_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    def publish(worker: Worker, publisher: Publisher, messages: Sequence[Message], offsets: Mapping[int, int]) -> None:
        worker.checkpoint()
        publisher.publish(messages, offsets)

    _publishing(patch, publish)


def a_producer_is_used_again_after_no_answer_came(patch: pytest.MonkeyPatch) -> None:
    def publish(_: Worker, publisher: Publisher, messages: Sequence[Message], offsets: Mapping[int, int]) -> None:
        try:
            publisher.publish(messages, offsets)
        except AssayError:
            raise AbortedError from None

    _publishing(patch, publish)


def an_aborted_batch_counts_as_published(patch: pytest.MonkeyPatch) -> None:
    def publish(_: Worker, publisher: Publisher, messages: Sequence[Message], offsets: Mapping[int, int]) -> None:
        with suppress(AbortedError):
            publisher.publish(messages, offsets)

    _publishing(patch, publish)


def offset_and_accounts_are_two_writes(patch: pytest.MonkeyPatch) -> None:
    create = Partition.__init__

    def create_with(partition: Partition, number: int, store: StateStore, *arguments: Any, **named: Any) -> None:
        write = store.write

        def in_two(accounts: Any, values: Mapping[str, bytes]) -> None:
            write(accounts, {})
            write([], values)

        if type(store).__name__ == "OpenState":  # not that of the undisturbed fold
            store.write = in_two  # type: ignore[method-assign]
        create(partition, number, store, *arguments, **named)

    patch.setattr(Partition, "__init__", create_with)


def a_verdict_says_what_time_it_is(patch: pytest.MonkeyPatch) -> None:
    write = streams.engine.verdict_bytes

    def with_time(*arguments: Any) -> list[bytes]:
        *others, numbers = arguments
        now_ns = np.full_like(numbers.expected_loss_minor, time.perf_counter_ns())
        return write(*others, numbers._replace(expected_loss_minor=now_ns))

    patch.setattr(streams.engine, "verdict_bytes", with_time)


def the_size_of_a_batch_shows_in_a_score(patch: pytest.MonkeyPatch) -> None:
    score = Scorer.score

    def with_size(scorer: Scorer, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return cast(NDArray[np.float64], np.round(score(scorer, rows) + 1e-6 * (len(rows) > 8), 6))

    patch.setattr(Scorer, "score", with_size)


def membership_does_not_fence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Group, "check", lambda _group, _identity: None)


def after_an_abort_nobody_seeks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryEventsLog, "seek", lambda _log, _partition, _offset: None)


def after_an_abort_memory_is_kept(patch: pytest.MonkeyPatch) -> None:
    def recover(worker: Worker) -> None:
        for number in worker._owned:
            worker._log.seek(number, worker._log.committed(number) or 0)

    patch.setattr(Worker, "_recover", recover)


def recovery_publishes_again(patch: pytest.MonkeyPatch) -> None:
    def publish_from_the_start(**numbers: Any) -> tuple[int, int]:
        start, _ = starting_point(**numbers)
        return start, start

    patch.setattr(streams.worker, "starting_point", publish_from_the_start)


def a_start_reads_from_what_is_committed(patch: pytest.MonkeyPatch) -> None:
    def start_at_committed(**numbers: Any) -> tuple[int, int]:
        _, publish_from = starting_point(**numbers)
        return publish_from, publish_from

    patch.setattr(streams.worker, "starting_point", start_at_committed)


def dead_letters_of_a_batch_are_dropped(patch: pytest.MonkeyPatch) -> None:
    def without_dead(output: Output, *arguments: Any) -> list[Message]:
        if output.verdicts:
            output.set_aside = []
        return messages_of(output, *arguments)

    patch.setattr(streams.worker, "messages_of", without_dead)


def what_is_lost_is_stored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Worker, "lose", Worker.hand_over)


def offsets_are_committed_when_they_are_read(patch: pytest.MonkeyPatch) -> None:
    poll = MemoryEventsLog.poll

    def poll_and_commit(log: MemoryEventsLog, limit: int, wait_s: float) -> dict[int, list[LogRecord]]:
        received = poll(log, limit, wait_s)
        if log.group.knows(log.identity().member):
            log.group.store({number: records[-1].offset + 1 for number, records in received.items()})
        return received

    patch.setattr(MemoryEventsLog, "poll", poll_and_commit)


def poison_takes_its_batch_along(patch: pytest.MonkeyPatch) -> None:
    def all_of_it(engine: Engine, records: Sequence[LogRecord], decode: Any, fold: Any, publishing: bool) -> Output:
        try:
            return cast(Output, fold(decode(records), publishing))
        except ZeroDivisionError:
            engine.next_offset = records[-1].offset + 1
            refusal = InvalidRecord("poison", "$", "", "")
            return Output(set_aside=[SetAside(place, refusal) for place in range(len(records))])

    patch.setattr("streams.partition.fold_carefully", all_of_it)


def poison_leaves_a_trace(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Engine, "bring_back", lambda _engine, _memory, _keys: None)


def a_gap_is_folded_up_to_the_end_of_the_log(patch: pytest.MonkeyPatch) -> None:
    begin = CatchingUp.begin

    def begin_too_much(gaps: CatchingUp, partition: int, start: int, _end: int, log_end: int) -> None:
        begin(gaps, partition, start, log_end, log_end)

    patch.setattr(CatchingUp, "begin", begin_too_much)


def what_is_lost_is_folded_on(patch: pytest.MonkeyPatch) -> None:
    def forget(gaps: CatchingUp, partitions: Iterable[int]) -> None:
        for partition in partitions:
            gaps._gaps.pop(partition, None)

    patch.setattr(CatchingUp, "stop", forget)


def a_gap_counts_as_folded_however_its_process_ended(patch: pytest.MonkeyPatch) -> None:
    opened = Worker._open

    def opened_at_the_end(worker: Worker, number: int, *, may_wait: bool = False) -> int:
        start = opened(worker, number, may_wait=may_wait)
        gap = worker._catching_up._ended.get(number)
        return start if gap is None else gap.end

    patch.setattr(Worker, "_open", opened_at_the_end)


def a_checkpoint_holds_what_is_folded_while_it_is_written(patch: pytest.MonkeyPatch) -> None:
    cut = Accounts.cut

    class Late:
        def __init__(self, accounts: Accounts) -> None:
            self._accounts, self._names = accounts, [name for name, _ in cut(accounts)]

        def __iter__(self) -> Iterator[tuple[str, bytes]]:
            return iter([(name, packed) for name, (packed, _) in self._accounts.remember(self._names).items()])

    patch.setattr(Accounts, "cut", Late)


def a_checkpoint_says_how_far_the_fold_is_when_it_is_written(patch: pytest.MonkeyPatch) -> None:
    create = Partition.__init__

    def create_with(partition: Partition, number: int, store: StateStore, *arguments: Any, **named: Any) -> None:
        write = store.write

        def write_now(accounts: Any, values: Mapping[str, bytes]) -> None:
            state = msgspec.json.decode(values["fold"], type=FoldState)
            state = msgspec.structs.replace(state, next_offset=partition.next_offset)
            write(accounts, {**values, "fold": msgspec.json.encode(state)})

        if type(store).__name__ == "OpenState":  # not that of the undisturbed fold
            store.write = write_now  # type: ignore[method-assign]
        create(partition, number, store, *arguments, **named)

    patch.setattr(Partition, "__init__", create_with)


def a_state_is_closed_while_it_is_written(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Partition, "close", lambda partition: partition._store.close())


def what_waits_to_be_told_is_not_part_of_the_state(patch: pytest.MonkeyPatch) -> None:
    empty = LinkCollector(FEATURES).state()
    patch.setattr(LinkCollector, "state", lambda _: empty)


def what_a_record_of_trouble_closes_is_not_told(patch: pytest.MonkeyPatch) -> None:
    fold = Engine.fold

    def told_only_if_published(engine: Engine, *arguments: Any, publishing: bool = True) -> Output:
        output = fold(engine, *arguments, publishing=publishing)
        if not publishing:
            output.links = []
        return output

    patch.setattr(Engine, "fold", told_only_if_published)


def an_event_sees_the_newest_profile(patch: pytest.MonkeyPatch) -> None:
    fill = streams.engine.fill_entities

    def fill_with_the_newest(plan: Any, versions: Any, events: Any, visible: Any, features: Any) -> None:
        fill(plan, versions, events, np.where(visible >= 0, np.iinfo(np.int64).max, visible), features)

    patch.setattr(streams.engine, "fill_entities", fill_with_the_newest)


def what_is_visible_is_not_part_of_the_state(patch: pytest.MonkeyPatch) -> None:
    restore = Partition._restore

    def restore_without(partition: Partition, state: FoldState) -> None:
        restore(partition, msgspec.structs.replace(state, entities_offset=NOTHING))

    patch.setattr(Partition, "_restore", restore_without)


MISTAKES: Sequence[Mistake] = (
    an_event_sees_the_newest_profile,
    what_is_visible_is_not_part_of_the_state,
    what_waits_to_be_told_is_not_part_of_the_state,
    what_a_record_of_trouble_closes_is_not_told,
    offsets_are_committed_before_the_verdicts,
    verdicts_are_published_before_the_offsets,
    the_state_is_written_before_the_commit,
    a_producer_is_used_again_after_no_answer_came,
    an_aborted_batch_counts_as_published,
    offset_and_accounts_are_two_writes,
    a_verdict_says_what_time_it_is,
    the_size_of_a_batch_shows_in_a_score,
    membership_does_not_fence,
    after_an_abort_nobody_seeks,
    after_an_abort_memory_is_kept,
    recovery_publishes_again,
    a_start_reads_from_what_is_committed,
    dead_letters_of_a_batch_are_dropped,
    what_is_lost_is_stored,
    offsets_are_committed_when_they_are_read,
    poison_takes_its_batch_along,
    poison_leaves_a_trace,
    a_gap_is_folded_up_to_the_end_of_the_log,
    what_is_lost_is_folded_on,
    a_gap_counts_as_folded_however_its_process_ended,
    a_checkpoint_holds_what_is_folded_while_it_is_written,
    a_checkpoint_says_how_far_the_fold_is_when_it_is_written,
    a_state_is_closed_while_it_is_written,
)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Workers say a lot while they are maltreated."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_the_world_finds(mistake: Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(monkeypatch)
    assert any(broken_promise(World(seed)) for seed in range(WORLDS)), "this mistake stays hidden"
