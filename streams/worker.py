"""A worker: the partitions that its group gives it, one micro-batch after another.

One turn of the loop, in this order, which is what makes a crash harmless:

1. poll one record, then drain what is there (an idle stream has the latency of one event, a full one large batches);
2. fold each partition's records in memory;
3. publish everything and the consumed offsets as one transaction;
4. now and then, checkpoint: accounts, detector and offset of each partition as they are after step 3, in one write.
   A thread carries that out while the loop goes on (`streams/beside.py`).

After a crash a partition opens at its stored offset S, the group says what was committed, C >= S. Records from S to C
are folded again with publishing off, by the same loop; then it goes on. Many records are folded by somebody else, who
ends at C at the latest, while the loop goes on with the other partitions (`streams/catching_up.py`).

The log, the publisher, the state and the clock are given (`streams/kafka_worker.py` gives real ones), so that the tests
can run the same loop in a world where anything may fail at any moment.
"""

import gc
import logging
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

from features.errors import AssayError
from features.store import StateStore
from models.watch_limits import CLOSED
from streams.bad_share import BadShare
from streams.beside import AtOnce, Helper
from streams.careful import UnprocessableError
from streams.catching_up import CatchingUp, CatchUp
from streams.config import Config
from streams.events_log import EventsLog
from streams.log import LogRecord, Output
from streams.metrics import WorkerMetrics
from streams.model_in_force import ModelInForce
from streams.outbound import messages_of, targets_of
from streams.partition import OpenModel, Partition
from streams.publisher import AbortedError, Message, Publisher
from streams.signature import trust
from streams.starting_point import starting_point
from streams.telemetry import Telemetry, summary_json
from streams.tracing import UNTRACED, Span
from streams.worker_ports import ProfilesOnTopic, StateKeeper

_log = logging.getLogger("assay.worker")
_IDLE_POLL_S = 0.25
_LAG_EVERY_S = 1.0
_MOST_ABORTED = 10
_COLLECT_AFTER = 100_000
_offset = attrgetter("offset")


class _Owned(NamedTuple):
    """A partition of this worker; records below `publish_from` were published before and are only folded."""

    partition: Partition
    store: StateStore
    publish_from: int


class Worker:
    """A worker of the engine; a `Member` of its group.

    Args:
        config: settings in force.
        first_model: model in force at the beginning of the log.
        open_model: opens models that markers name.
        log: events in.
        publisher: verdicts, outcomes and dead letters out.
        states: where partitions' states are.
        clock: seconds, rising.
        catch_up: folds large gaps; None: nobody but this worker folds.
        writer: carries out checkpoints.
        profiles: of entities; None: the log asks for none.
    """

    def __init__(
        self,
        config: Config,
        first_model: ModelInForce,
        open_model: OpenModel,
        log: EventsLog,
        publisher: Publisher,
        states: StateKeeper,
        clock: Callable[[], float] = time.monotonic,
        catch_up: CatchUp | None = None,
        writer: Helper | None = None,
        profiles: ProfilesOnTopic | None = None,
    ) -> None:
        self._config = config
        self._first_model = first_model
        self._open_model = open_model
        self._log = log
        self._publisher = publisher
        self._states = states
        self._writer = writer or AtOnce()
        self._profiles = profiles
        self._clock = clock
        self._targets = targets_of(config.text("topics.prefix"))
        self._trusted = trust(config.secret("security.internal_key"), config.flag("security.trust_internal"))
        self._redaction_key = config.secret("security.redaction_key").encode() or None
        self._bad_share = BadShare(config.number("engine.bad_share"))
        self._owned: dict[int, _Owned] = {}
        self._catching_up = CatchingUp(catch_up, config.whole("engine.catch_up_records"), clock)
        self._careful_until: dict[int, int] = {}
        self._checkpoints_s: dict[int, float] = {}
        self._telemetry = Telemetry(config.number("telemetry.every_seconds"))
        self._aborted_in_a_row = 0
        self._stopping = False
        self.metrics = WorkerMetrics()
        self.tracing = UNTRACED  # whoever sets another one closes it
        self._progress_s = self._checkpoint_s = self._lag_s = clock()

    def stop(self) -> None:
        """Finish the batch, checkpoint, leave; safe to call from a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Work until `stop`.

        Raises:
            AssayError: something outside is not as it must be; nothing is lost, the next start recovers.
        """
        self.join()
        gc.collect()
        gc.freeze()  # models and kernels live as long as the process: not worth walking over and over
        gc.set_threshold(_COLLECT_AFTER, 20, 100)  # nor is a batch, whose objects form no cycles and die with it
        try:
            while not self._stopping:
                self.turn()
            self.checkpoint()
            _log.info("stopped: every batch is committed and checkpointed")
        finally:
            self.close()

    def join(self) -> None:
        """Become a member of the group."""
        self._log.join(self)
        self._progress_s = self._clock()

    def turn(self) -> None:
        """One turn of the loop."""
        received = self._log.poll(self._config.whole("engine.batch_events"), _IDLE_POLL_S)
        self._progress_s = self._clock()
        if received:
            try:
                with self.tracing.batch(self._targets.source, received) as span:
                    self._handle(received, span)
                self._aborted_in_a_row = 0
            except AbortedError as error:
                self.metrics.transactions_aborted.inc()
                self._aborted_in_a_row += 1
                if self._aborted_in_a_row >= _MOST_ABORTED:
                    raise AssayError(
                        f"{_MOST_ABORTED} transactions in a row were aborted, the last one because of: {error}; "
                        "nothing is lost. Put that right, then start the worker again"
                    ) from None
                self._recover()
            except UnprocessableError as error:
                _log.error("%s; reading it again to find the record that is to blame", error)
                self._careful_until[error.partition] = error.end
                self._recover()
        self._go_on_with_caught_up()
        self._end_checkpoints()
        if self._profiles is not None:
            self._profiles.read_on()
        now_s = self._clock()
        self._begin_checkpoint(now_s)
        if now_s - self._lag_s >= _LAG_EVERY_S:
            self._measure()
            self._lag_s = now_s

    def _handle(self, received: Mapping[int, list[LogRecord]], span: Span) -> None:
        """Fold and publish what was received."""
        started_s = time.perf_counter()
        messages: list[Message] = []
        offsets: dict[int, int] = {}
        outputs: list[Output] = []
        self._telemetry.aborted()
        for number, records in received.items():
            partition, _, publish_from = self._owned[number]
            known = records[: bisect_left(records, publish_from, key=_offset)]
            if known:
                partition.fold(known, self._trusted, publishing=False)  # published before: only the state needs it
            fresh = records[bisect_left(records, partition.next_offset, lo=len(known), key=_offset) :]
            if fresh:
                output = partition.fold(fresh, self._trusted)
                bad = len(output.set_aside)
                self._bad_share.add(good=len(fresh) - bad, bad=bad, codes=output.refusals_text())
                messages.extend(messages_of(output, fresh, number, self._targets, self._redaction_key))
                messages.extend(self._summaries(number, output, fresh))
                offsets[number] = partition.next_offset
                outputs.append(output)
        folded_s = time.perf_counter()
        self.metrics.batch_seconds.observe(folded_s - started_s)
        if offsets:
            span.publishing(len(messages))
            self._publisher.publish(messages, offsets)
            self._telemetry.published()
            self.metrics.commit_seconds.observe(time.perf_counter() - folded_s)
        for output in outputs:
            self.metrics.count(output)

    def _summaries(self, number: int, output: Output, records: Sequence[LogRecord]) -> list[Message]:
        """Telemetry that is due with a batch of a partition."""
        due = self._telemetry.add(number, output.counted, records[-1].timestamp_ms or 0, self._clock())
        return [Message(self._targets.telemetry, 0, b"%d" % number, summary_json(one), None) for one in due]

    def take_over(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """See `Member`: open each state, and read on from where it ends."""
        starts = {number: self._open(number, may_wait=True) for number in partitions}
        self._share_memory()
        return starts

    def hand_over(self, partitions: Sequence[int]) -> None:
        """See `Member`: whoever comes next finds a state that is as new as what was committed.

        One that is being caught up is older, and stays what it is.
        """
        self._catching_up.stop(partitions)
        for number in partitions:
            owned = self._owned.pop(number, None)
            if owned is not None:
                owned.partition.checkpoint()
                owned.partition.close()
        self._telemetry.forget(partitions)
        self._share_memory()

    def lose(self, partitions: Sequence[int]) -> None:
        """See `Member`: drop everything, store nothing."""
        self._catching_up.stop(partitions)
        for number in partitions:
            owned = self._owned.pop(number, None)
            if owned is not None:
                owned.partition.close()
        self._share_memory()

    def _open(self, number: int, *, may_wait: bool = False) -> int:
        """Open a partition's state; the offset from which to read.

        With `may_wait` a large gap is left to somebody else, once in each ownership: the partition is paused, and its
        state closed, until that one has ended.
        """
        committed, bounds = self._log.committed(number), self._log.bounds(number)
        store = self._states.open(number, committed, bounds)
        try:
            careful_until = self._careful_until.get(number, 0)
            partition = Partition(
                number,
                store,
                self._first_model,
                self._open_model,
                careful_until=careful_until,
                sample_one_in=self._config.whole("telemetry.sample_one_in"),
                writer=self._writer,
                profiles=self._profiles,
            )
            start, publish_from = starting_point(
                where=f"{self._targets.source}[{number}]",
                state=self._states.describe(number),
                stored=partition.next_offset,
                committed=committed,
                bounds=bounds,
                accept_gap=self._config.flag("engine.accept_gap"),
            )
        except AssayError:
            store.close()
            raise
        _log.info(
            "partition %d: state at %d, committed %s, log %d to %d", number, partition.next_offset, committed, *bounds
        )
        if may_wait and self._catching_up.is_worth_it(publish_from - start):
            partition.close()
            self._log.pause(number)
            self._catching_up.begin(number, start, publish_from, bounds.high)
        else:
            self._owned[number] = _Owned(partition, store, publish_from)
        return start

    def _go_on_with_caught_up(self) -> None:
        """Go on with partitions whose gaps nobody else folds any more; what is left of them is folded by this loop."""
        ended = self._catching_up.ended()
        for number in ended:
            start = self._open(number)
            self._catching_up.opened(number, start)
            self._log.seek(number, start)
        if ended:
            self._share_memory()

    def _recover(self) -> None:
        """A batch is not published and what it left in memory is of no use: go back to the stored states."""
        numbers = list(self._owned)
        self.lose(numbers)
        for number in numbers:
            self._log.seek(number, self._open(number))
        self._share_memory()

    def checkpoint(self) -> None:
        """Store every partition as it is; everything folded so far is committed."""
        for number, owned in self._owned.items():
            owned.partition.checkpoint()
            self._checkpointed(number, owned)

    def _begin_checkpoint(self, now_s: float) -> None:
        """Begin one, of a partition that is full or has waited longest, if it is time.

        They are spread over the time between two checkpoints of a partition: cutting several at once would let a batch
        wait for all of them.
        """
        free = {number: one.partition for number, one in self._owned.items() if not one.partition.is_writing}
        full = [number for number, partition in free.items() if partition.is_full]
        every_s = self._config.number("state.checkpoint_seconds") / max(1, len(self._owned))
        is_time = now_s - self._checkpoint_s >= every_s
        if full or (free and is_time):
            number = min(full or free, key=lambda number: self._checkpoints_s.get(number, 0.0))
            free[number].begin_checkpoint()
            self._checkpoints_s[number] = self._checkpoint_s = now_s
            self._end_checkpoints()

    def _end_checkpoints(self) -> None:
        """See to those that have been written meanwhile; wait only where memory asks for it."""
        for number, owned in self._owned.items():
            if owned.partition.end_checkpoint(wait=owned.partition.has_to_wait):
                self._checkpointed(number, owned)

    def _checkpointed(self, number: int, owned: _Owned) -> None:
        self.metrics.checkpoints.inc()
        self._states.checkpointed(number, owned.store)

    def _share_memory(self) -> None:
        self.metrics.partitions_owned.set(len(self._owned) + len(self._catching_up.partitions))
        hot_bytes = (self._config.whole("state.hot_mebibytes") << 20) // max(1, len(self._owned))
        for owned in self._owned.values():
            owned.partition.hot_bytes = hot_bytes

    def _let_go_of_profiles(self) -> None:
        """Versions of profiles that no partition of this worker sees any more."""
        if self._profiles is None:
            return
        seen_from = [owned.partition.engine.entities_offset for owned in self._owned.values()]
        if seen_from:
            self._profiles.let_go(min(seen_from))
        self.metrics.entity_profiles.set(len(self._profiles))

    def _measure(self) -> None:
        self._let_go_of_profiles()
        degraded = not_compiled = breaker_open = False
        accounts = 0
        for number, owned in self._owned.items():
            behind = self._log.end(number) - owned.partition.next_offset
            self.metrics.lag_records.labels(str(number)).set(max(0, behind))
            accounts += len(owned.partition.engine.accounts)
            degraded |= owned.partition.engine.lacks_model
            breaker_open |= owned.partition.engine.breaker != CLOSED
            model = owned.partition.engine.model
            not_compiled |= not model.scorer.is_compiled
            self.metrics.model_info.info({"model": model.id[:16], "policy": model.artefact.policy_id[:16]})
        for number in self._catching_up.partitions:
            self.metrics.lag_records.labels(str(number)).set(self._catching_up.behind(number))
        self.metrics.hot_accounts.set(accounts)
        self.metrics.degraded.set(degraded)
        self.metrics.breaker_open.set(breaker_open)
        self.metrics.model_not_compiled.set(not_compiled)

    def unhealthy(self) -> str | None:
        """Why this process should be restarted, None if it should not."""
        still_s = self._clock() - self._progress_s
        limit_s = 2 * self._config.number("engine.transaction_timeout_ms") / 1000
        return f"no progress for {still_s:.0f} s" if still_s > limit_s else None

    def unready(self) -> str | None:
        """Why it does not judge at the moment, None if it does."""
        owned, catching_up = dict(self._owned), self._catching_up.partitions
        if not owned and not catching_up:
            return "no partition assigned"
        behind = [number for number, one in owned.items() if one.partition.next_offset < one.publish_from]
        busy = [f"{what} partitions {of}" for what, of in (("catching up", catching_up), ("recovering", behind)) if of]
        return ", ".join(busy) or self.unhealthy()

    def close(self) -> None:
        """Let go of everything; what was not checkpointed is folded again by whoever comes next."""
        self._catching_up.stop(self._catching_up.partitions)
        try:
            self._publisher.close()
        finally:
            self.lose(list(self._owned))
            self._writer.close()
            self._log.leave()
            self._states.close()
