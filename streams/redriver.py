"""Carries a redrive out: records and the marks that they were sent are one Kafka transaction.

So a record counts as sent exactly when it is, however a run ends. The transactional id is one per dead-letter topic:
whoever redrives next puts an end to what a run before it left open, and only then reads the marks.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import Message as Delivered
from confluent_kafka.admin import AdminClient, OffsetSpec

from features.errors import AssayError
from streams.admin import connect
from streams.dead_letter_topic import DeadLetterTopic
from streams.dead_letters import Letter
from streams.kafka_clients import NO_RIGHT, advice, is_replaced
from streams.publisher import Message
from streams.redrive import marks_of, message_of
from streams.watchdog import Watchdog

TRANSACTION_LETTERS = 500
TRANSACTION_S = 15.0
"""Readers of committed records wait for an open transaction: so long at most, if this process is killed in one."""
SETTLE_S = 90.0
"""A transaction of somebody else that is open for longer than this is not waited for; a worker's ends in 15 s."""
_LARGEST_MESSAGE_BYTES = 2_097_176  # what the dead-letter topics take


class Redriver:
    """Sends letters of one dead-letter topic back. Use it in a `with` block, once.

    Args:
        settings: connection settings of a client.
        letters: the topic.

    Raises:
        AssayError: the broker refuses.
    """

    def __init__(self, settings: Mapping[str, Any], letters: DeadLetterTopic) -> None:
        self._letters = letters
        self._admin, _ = connect(settings)
        self._failures: list[tuple[str, KafkaError]] = []
        self._watchdog = Watchdog(4 * TRANSACTION_S)
        self._producer = Producer(
            {
                **settings,
                "transactional.id": f"assay-operator-redrive-{letters.topic}",
                "transaction.timeout.ms": int(TRANSACTION_S * 1000),
                "message.max.bytes": _LARGEST_MESSAGE_BYTES,
                "log_level": 0,
            }
        )

    def __enter__(self) -> Self:
        with self._watchdog.guard("starting transactions"):
            try:
                self._producer.init_transactions(2 * TRANSACTION_S)
            except KafkaException as error:
                self._watchdog.stop()
                raise _explained(error.args[0], "starting transactions") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watchdog.stop()

    def settled_ends(self, timeout_s: float = SETTLE_S) -> dict[int, int]:
        """Ends of the dead-letter partitions, up to which every transaction is over.

        A mark behind somebody else's open transaction is not yet visible to a reader of committed records: reading
        sooner could miss it, and its record would be sent twice.

        Raises:
            AssayError: some transaction stays open, or the broker does not tell.
        """
        ends = _written_ends(self._admin, self._letters.topic, list(self._letters.ends()))
        deadline = time.monotonic() + timeout_s
        while open_partitions := [number for number, end in self._letters.ends().items() if end < ends.get(number, 0)]:
            if time.monotonic() > deadline:
                raise AssayError(
                    f"{self._letters.topic}{open_partitions}: a transaction is open for more than {timeout_s:g} s; "
                    "wait until its writer has ended it or Kafka has, then run this again"
                )
            time.sleep(0.05)
        return ends

    def send(self, letters: Sequence[Letter], rate: float | None, sent: Callable[[int], None]) -> None:
        """Send letters in their order, some per transaction.

        Args:
            letters: chosen by `streams.redrive.choose`, with marks read up to `settled_ends`.
            rate: records per second at most; None for no limit.
            sent: told how many were sent, after each commit.

        Raises:
            AssayError: Kafka refused; what was committed before is marked, so a second run goes on behind it.
        """
        size = TRANSACTION_LETTERS if rate is None else max(1, min(TRANSACTION_LETTERS, int(rate)))
        started_s = time.monotonic()
        for start in range(0, len(letters), size):
            part = letters[start : start + size]
            self._transact([*map(message_of, part), *marks_of(part, self._letters.topic)])
            sent(start + len(part))
            if rate is not None and start + size < len(letters):
                time.sleep(max(0.0, started_s + (start + len(part)) / rate - time.monotonic()))

    def _transact(self, messages: Sequence[Message]) -> None:
        with self._watchdog.guard("the transaction of a redrive"):
            try:
                self._producer.begin_transaction()
                for message in messages:
                    self._produce(message)
                self._producer.commit_transaction(TRANSACTION_S)  # fails if one delivery did
            except BaseException as error:
                with suppress(KafkaException):  # nothing to abort, or Kafka does it after TRANSACTION_S
                    self._producer.abort_transaction(TRANSACTION_S)
                if isinstance(error, KafkaException):
                    where, cause = (self._failures or [("the transaction", error.args[0])])[0]
                    raise _explained(cause, f"sending dead letters back, {where}") from None
                raise

    def _produce(self, message: Message) -> None:
        where = f"{message.topic}[{message.partition}]"

        def delivered(error: KafkaError | None, _: Delivered) -> None:
            if error is not None:
                self._failures.append((where, error))

        self._producer.produce(
            message.topic,
            message.value,
            message.key,
            message.partition,
            headers=message.headers or [],
            on_delivery=delivered,
        )


def _written_ends(admin: AdminClient, topic: str, partitions: Sequence[int]) -> dict[int, int]:
    """Ends of partitions, with what is not committed yet."""
    places = {TopicPartition(topic, number): OffsetSpec.latest() for number in partitions}
    answers = admin.list_offsets(places, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=TRANSACTION_S)
    try:
        return {place.partition: answer.result().offset for place, answer in answers.items()}
    except KafkaException as error:
        raise _explained(error.args[0], f"asking for the ends of {topic}") from None


def _explained(cause: KafkaError, doing: str) -> AssayError:
    if is_replaced(cause):
        what = "another redrive has begun and goes on from here; wait for it"
    elif cause.code() in NO_RIGHT:
        what = f"the broker refuses it ({cause.str()}); {advice(cause)}"
    else:
        what = f"{cause.str()} ({cause.name()}); run this again: what was sent is marked and is not sent twice"
    return AssayError(f"{doing}: {what}")
