"""A replay into a topic of its own, ``<prefix>verdicts.replay.<run>``; never into a topic that anybody lives on.

Every record carries the identity of its run in a header. The same replay, run again, adds what is not there yet: the
bytes are the same, so nothing has to be written twice. A topic that holds another run is refused.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import msgspec
from confluent_kafka import KafkaError, KafkaException, Producer

from features.errors import AssayError
from features.records import Coordinates
from streams.admin import connect, create_topic
from streams.config import Config
from streams.kafka_clients import FirstError, connection, producer_settings
from streams.log import LogRecord, Output
from streams.log_range import PartitionRange
from streams.replay_changes import Override
from streams.topic_reader import TopicReader
from streams.topics import DAY_MS, DELETE, LONGEST_NAME, topic_names
from streams.trace_context import traces_of

RUN_HEADER = "assay-replay-run"
KEPT_DAYS = 30
_NAME = re.compile(r"[A-Za-z0-9_-]+")


class _Addressed(msgspec.Struct):
    at: Coordinates


def run_identity(topic: str, ranges: Sequence[PartitionRange], first_model: str, override: Override) -> str:
    """16 hex digits that name a replay by everything that decides about its verdicts.

    Args:
        topic: that is replayed, full name.
        ranges: of it.
        first_model: id of the model at the beginning of the log.
        override: what is in force instead of what the log says.
    """
    model, policy = override.model, override.policy
    parts = [
        topic,
        sorted(ranges),
        first_model,
        None if model is None else [model.id, model.feature_set.hash],
        None if policy is None else policy.policy_id,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def replay_topic(prefix: str, run: str) -> str:
    """Name of the topic of a run.

    Raises:
        AssayError: Kafka does not take such a name, or it is a topic of the contract.

    >>> replay_topic("fraud.", "night")
    'fraud.verdicts.replay.night'
    """
    name = f"{prefix}verdicts.replay.{run}"
    if not _NAME.fullmatch(run) or len(name) > LONGEST_NAME:
        raise AssayError(f"--run: expected letters, digits, '_' and '-', not too many for a topic's name, got {run!r}")
    refuse_live_topic(name, prefix)
    return name


def refuse_live_topic(name: str, prefix: str) -> None:
    """Whatever builds names: a replay writes to no topic of the contract.

    Raises:
        AssayError: it is one.
    """
    if name in topic_names(prefix):
        raise AssayError(f"{name} is a live topic: a replay never writes to one; choose another --run")


class ReplayTopic:
    """The verdicts of a replay: `streams.replay.Out`. Everything has been taken by the brokers at the end of the block.

    Args:
        config: how to reach the brokers.
        reader: finds what an earlier run of the same replay left.
        name: see `replay_topic`.
        run: see `run_identity`.
        partitions: as many as the events have.

    Raises:
        AssayError: the topic is another run's, or the brokers refuse (also by the methods).
    """

    def __init__(self, config: Config, reader: TopicReader, name: str, run: str, partitions: int) -> None:
        self.name = name
        self._run = run.encode()
        self._failures = 0
        self._first_failure: KafkaError | None = None
        self._fatal = FirstError()
        client, _ = connect(connection(config))
        is_new = create_topic(client, name, partitions, {**DELETE, "retention.ms": str(KEPT_DAYS * DAY_MS)})
        self._there = {number: set() if is_new else self._judged(reader, number) for number in range(partitions)}
        self._producer = Producer(
            {
                **producer_settings(config, self._fatal),
                "enable.idempotence": True,
                "on_delivery": self._delivered,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer.flush()  # ends by itself: what is not taken within message.timeout.ms has failed
        self._producer.close()
        if kind is None:
            self._raise_failure()

    def write(self, partition: int, records: Sequence[LogRecord], output: Output) -> None:
        """See `Out`; what an earlier run left is not written again."""
        for place, key, value in output.verdicts:
            record = records[place]
            if record.offset in self._there[partition]:
                continue
            headers = traces_of(record.headers) or []
            self._produce(partition, key, value, [*headers, (RUN_HEADER, self._run)])
        self._producer.poll(0)
        self._raise_failure()

    def _produce(self, partition: int, key: bytes, value: bytes, headers: list[tuple[str, bytes | None]]) -> None:
        while True:
            try:
                self._producer.produce(self.name, value, key, partition, headers=headers)
                return
            except BufferError:  # the client's queue is full: let it send
                self._producer.poll(0.05)
            except KafkaException as error:
                raise AssayError(f"{self.name}[{partition}]: {error.args[0].str()}; run the replay again") from None

    def _delivered(self, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self._failures += 1
            self._first_failure = self._first_failure or error

    def _raise_failure(self) -> None:
        self._fatal.raise_if_any()
        if self._first_failure is not None:
            raise AssayError(
                f"{self.name}: {self._failures} verdicts were not taken ({self._first_failure.str()}); put that right "
                "and run the same replay again: it adds what is missing"
            )

    def _judged(self, reader: TopicReader, partition: int) -> set[int]:
        """Offsets of the events whose verdicts are there."""
        found: set[int] = set()
        for records in reader.read(self.name, partition, *reader.bounds(self.name, partition)):
            for record in records:
                if dict(record.headers).get(RUN_HEADER) != self._run:
                    raise AssayError(
                        f"{self.name} holds another replay (of another range, model or policy): choose another --run, "
                        "or delete it"
                    )
                found.add(msgspec.json.decode(record.value or b"", type=_Addressed).at.offset)
        return found
