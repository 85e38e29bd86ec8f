"""The Kafka end of the engine: one process, the partitions that its group gives it, one micro-batch after another.

One turn of the loop, in this order, which is what makes a crash harmless:

1. poll one record, then drain what is there (an idle stream has the latency of one event, a full one large batches);
2. fold each partition's records in memory;
3. publish everything and the consumed offsets as one transaction;
4. now and then, checkpoint: accounts, detector and offset of each partition in one write, never ahead of step 3.

After a crash a partition opens at its stored offset S, the group says what was committed, C >= S. Records from S to C
are folded again with publishing off, by the same loop; then it goes on.
"""

import gc
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import (
    OFFSET_INVALID,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka import Message as Received

from features.errors import AssayError
from features.rocks_store import RocksStore
from streams.bad_share import BadShare
from streams.config import Config
from streams.http_server import HttpServer
from streams.kafka_clients import FirstError, check_topics, consumer_settings, producer_settings
from streams.log import LogRecord, Output
from streams.metrics import WorkerMetrics
from streams.model_in_force import ModelInForce
from streams.outbound import messages_of, targets_of
from streams.partition import OpenModel, Partition
from streams.publisher import AbortedError, Message, make_publisher
from streams.signature import trust
from streams.starting_point import starting_point
from streams.warm_up import warm_up
from streams.watchdog import Watchdog

_log = logging.getLogger("assay.worker")
_IDLE_POLL_S = 0.25
_LAG_EVERY_S = 1.0


class _Owned(NamedTuple):
    """A partition of this worker; records below `publish_from` were published before and are only folded."""

    partition: Partition
    publish_from: int


class Worker:
    """A worker of the engine.

    Args:
        config: settings in force.
        first_model: model in force at the beginning of the log.
        open_model: opens models that markers name.

    Raises:
        AssayError: the broker is not there, refuses us, or topics are missing.
    """

    def __init__(self, config: Config, first_model: ModelInForce, open_model: OpenModel) -> None:
        self._config = config
        self._first_model = first_model
        self._open_model = open_model
        self._targets = targets_of(config.text("topics.prefix"))
        self._topic = self._targets.source
        self._owned: dict[int, _Owned] = {}
        self._stopping = False
        self._stopped = False
        self._failure: Exception | None = None
        self._trusted = trust(config.secret("security.internal_key"), config.flag("security.trust_internal"))
        self._redaction_key = config.secret("security.redaction_key").encode() or None
        self._bad_share = BadShare(config.number("engine.bad_share"))
        self.metrics = WorkerMetrics()
        self._progress_s = time.monotonic()
        self._lag_s = 0.0
        self._checkpoint_s = time.monotonic()

        check_topics(config, self._topic, self._targets[:3])
        self._watchdog = Watchdog(config.number("engine.transaction_timeout_ms") / 1000)
        self._fatal = FirstError()
        self._consumer = Consumer(consumer_settings(config, self._fatal))
        self._publisher = make_publisher(
            producer_settings(config, self._fatal),
            f"{config.text('kafka.group')}-{config.text('kafka.slot')}",
            self._consumer,
            self._watchdog,
            exactly_once=config.text("engine.delivery") == "exactly_once",
        )
        self.http: HttpServer | None = None
        if config.whole("http.port") >= 0:
            self.http = HttpServer(
                config.text("http.address"),
                config.whole("http.port"),
                self.metrics.registry,
                self._unhealthy,
                self._unready,
            )

    def stop(self) -> None:
        """Finish the batch, checkpoint, leave; safe to call from a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Work until `stop`.

        Raises:
            AssayError: something outside is not as it must be; nothing is lost, the next start recovers.
        """
        warm_up(self._first_model)
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        self._progress_s = time.monotonic()
        gc.collect()
        gc.freeze()  # models and kernels live as long as the process: not worth walking over and over
        try:
            while not self._stopping:
                self._turn()
            self._checkpoint()
            _log.info("stopped: every batch is committed and checkpointed")
        finally:
            self._close()

    def _turn(self) -> None:
        received = self._poll()
        if self._failure is not None:
            raise self._failure
        self._fatal.raise_if_any()
        self._progress_s = time.monotonic()
        if received:
            try:
                self._handle(received)
            except AbortedError:
                self.metrics.transactions_aborted.inc()
                self._recover()
        now_s = time.monotonic()
        if now_s - self._checkpoint_s >= self._config.number("state.checkpoint_seconds") or any(
            owned.partition.is_full for owned in self._owned.values()
        ):
            self._checkpoint()
            self._checkpoint_s = now_s
        if now_s - self._lag_s >= _LAG_EVERY_S:
            self._measure()
            self._lag_s = now_s

    def _poll(self) -> list[Received]:
        """One record as soon as there is one, then what else is there, up to a batch."""
        first: list[Received] = self._consumer.consume(1, _IDLE_POLL_S)
        if not first:
            return []
        rest: list[Received] = self._consumer.consume(self._config.whole("engine.batch_events") - 1, 0.0)
        return first + rest

    def _handle(self, received: Sequence[Received]) -> None:
        """Fold and publish what was received."""
        started_s = time.perf_counter()
        messages: list[Message] = []
        offsets: list[TopicPartition] = []
        outputs: list[Output] = []
        for number, records in self._by_partition(received).items():
            owned = self._owned[number]
            known = [record for record in records if record.offset < owned.publish_from]
            if known:
                owned.partition.fold(known, self._trusted)  # published before: only the state needs it
            fresh = [record for record in records[len(known) :] if record.offset >= owned.partition.next_offset]
            if fresh:
                output = owned.partition.fold(fresh, self._trusted)
                bad = len(output.set_aside)
                self._bad_share.add(good=len(fresh) - bad, bad=bad, codes=output.refusals_text())
                messages.extend(messages_of(output, fresh, number, self._targets, self._redaction_key))
                offsets.append(TopicPartition(self._topic, number, owned.partition.next_offset))
                outputs.append(output)
        folded_s = time.perf_counter()
        self.metrics.batch_seconds.observe(folded_s - started_s)
        if offsets:
            self._publisher.publish(messages, offsets)
            self.metrics.commit_seconds.observe(time.perf_counter() - folded_s)
        for output in outputs:
            self.metrics.count(output)

    def _by_partition(self, received: Sequence[Received]) -> dict[int, list[LogRecord]]:
        """Records of owned partitions; the client may still hand out some of a partition that was just taken away."""
        result: dict[int, list[LogRecord]] = {}
        for message in received:
            error = message.error()
            if error is not None:
                self._consumer_error(error, message)
                continue
            number = message.partition()
            if number not in self._owned:
                continue
            kind, timestamp_ms = message.timestamp()
            record = LogRecord(
                message.offset(),
                message.value(),
                message.key(),
                None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
                message.headers() or (),
            )
            result.setdefault(number, []).append(record)
        return result

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Open each new partition at its stored offset. An exception in here would be swallowed by the client."""
        try:
            starts = [self._open(partition.partition) for partition in partitions]
            consumer.incremental_assign(starts)
        except (AssayError, KafkaException) as error:
            self._failure = error if isinstance(error, AssayError) else AssayError(f"taking over partitions: {error}")

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Hand partitions over with a state that is as new as what was committed."""
        for partition in partitions:
            owned = self._owned.pop(partition.partition, None)
            if owned is not None:
                owned.partition.checkpoint()
                owned.partition.close()
        consumer.incremental_unassign(partitions)
        self._share_memory()

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Someone else may own them already: drop everything, store nothing."""
        for partition in partitions:
            owned = self._owned.pop(partition.partition, None)
            if owned is not None:
                owned.partition.close()
        self._share_memory()

    def _open(self, number: int) -> TopicPartition:
        """Open a partition's state and say from where to read."""
        place = TopicPartition(self._topic, number)
        with self._watchdog.guard("asking for committed offsets"):
            committed = self._consumer.committed([place], timeout=10.0)[0].offset
            low, high = self._consumer.get_watermark_offsets(place, timeout=10.0)
        directory = Path(self._config.text("state.directory")) / f"{self._topic}-{number}"
        partition = Partition(number, RocksStore(directory), self._first_model, self._open_model)
        try:
            start, publish_from = starting_point(
                where=f"{self._topic}[{number}]",
                directory=directory,
                stored=partition.next_offset,
                committed=None if committed == OFFSET_INVALID else committed,
                low=low,
                high=high,
            )
        except AssayError:
            partition.close()
            raise
        self._owned[number] = _Owned(partition, publish_from)
        self._share_memory()
        _log.info(
            "partition %d: state at %d, committed %d, log %d to %d", number, partition.next_offset, committed, low, high
        )
        return TopicPartition(self._topic, number, start)

    def _recover(self) -> None:
        """After an aborted transaction: drop what is in memory and read again from the stored state."""
        numbers = list(self._owned)
        for owned in self._owned.values():
            owned.partition.close()
        self._owned.clear()
        for number in numbers:
            self._consumer.seek(self._open(number))

    def _checkpoint(self) -> None:
        for owned in self._owned.values():
            owned.partition.checkpoint()
            self.metrics.checkpoints.inc()

    def _share_memory(self) -> None:
        self.metrics.partitions_owned.set(len(self._owned))
        hot_bytes = (self._config.whole("state.hot_mebibytes") << 20) // max(1, len(self._owned))
        for owned in self._owned.values():
            owned.partition.hot_bytes = hot_bytes

    def _measure(self) -> None:
        degraded = False
        accounts = 0
        for number, owned in self._owned.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, number), cached=True)
            self.metrics.lag_records.labels(str(number)).set(max(0, high - owned.partition.next_offset))
            accounts += len(owned.partition.engine.accounts)
            degraded |= owned.partition.engine.degraded
            model = owned.partition.engine.model
            self.metrics.model_info.info({"model": model.id[:16], "policy": model.artefact.policy_id[:16]})
        self.metrics.hot_accounts.set(accounts)
        self.metrics.degraded.set(degraded)

    def _unhealthy(self) -> str | None:
        still_s = time.monotonic() - self._progress_s
        limit_s = 2 * self._config.number("engine.transaction_timeout_ms") / 1000
        return f"no progress for {still_s:.0f} s" if still_s > limit_s else None

    def _unready(self) -> str | None:
        owned = dict(self._owned)
        if not owned:
            return "no partition assigned"
        behind = [number for number, one in owned.items() if one.partition.next_offset < one.publish_from]
        return f"recovering partitions {behind}" if behind else self._unhealthy()

    def _consumer_error(self, error: KafkaError, message: Received) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise AssayError(
                f"{self._topic}[{message.partition()}]: the log does not reach back to the offset that the state needs "
                f"({error.str()}); bring back a newer state directory, or begin anew with another kafka.group"
            )
        if error.fatal() or not error.retriable():
            raise AssayError(f"reading {self._topic}: {error.str()}; start the worker again once that is put right")
        _log.warning("reading %s: %s", self._topic, error.str())

    def _close(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._publisher.close()
        for owned in self._owned.values():
            owned.partition.close()
        self._owned.clear()
        with self._watchdog.guard("leaving the consumer group"):
            self._consumer.close()
        if self.http is not None:
            self.http.stop()
        self._watchdog.stop()
