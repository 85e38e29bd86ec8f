"""Profiles of entities out of their topic: kept whole in memory, read on as far as a log asks for."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Received

from features.entity_profile import PROFILE, profile_named, profile_of
from features.entity_table import EntityTable, Versions
from features.errors import AssayError
from streams.kafka_clients import advice

_log = logging.getLogger("assay.profiles")
_BATCH_RECORDS = 10_000
_POLL_S = 0.1


class TopicProfiles:
    """`Profiles` of one topic, which has one partition. Nothing is read before something is asked for.

    Args:
        settings: connection settings of a client (`streams.kafka_clients.connection`).
        topic: full name of the entities topic.
        timeout_s: so long a profile that the log speaks of may be missing: it was written before the log spoke of it.
    """

    def __init__(self, settings: Mapping[str, Any], topic: str, timeout_s: float = 30.0) -> None:
        self._settings = {
            **settings,
            "group.id": "assay-profiles",  # the client asks for one; it is never joined
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
        }
        self._topic = topic
        self._timeout_s = timeout_s
        self._consumer: Consumer | None = None
        self._table = EntityTable()
        self._next_offset = 0

    @property
    def versions(self) -> Versions:
        """See `Profiles`."""
        return self._table.versions

    def __len__(self) -> int:
        """Versions of profiles in memory."""
        return len(self._table)

    def read_until(self, offset: int, seen_from: int) -> None:
        """See `Profiles`; versions that were let go of are read again from the beginning of the topic."""
        if self._consumer is None or seen_from < self._table.floor:
            self._begin(seen_from)
        if self._next_offset > offset:
            return
        heard_s = time.monotonic()
        while self._next_offset <= offset:
            if self._read(_POLL_S):
                heard_s = time.monotonic()
            elif time.monotonic() - heard_s > self._timeout_s:
                raise AssayError(
                    f"the log says that profiles up to offset {offset} of {self._topic} are visible, and after "
                    f"{self._timeout_s:.0f} s they are there up to {self._next_offset - 1}: check that this is the "
                    "topic that the warm path writes, and that it was not made anew; start again once it is there"
                )

    def read_on(self) -> None:
        """Take in what is there, without waiting."""
        if self._consumer is not None:
            self._read(0.0)

    def let_go(self, seen_from: int) -> None:
        """Versions are needed no more that nobody sees to whom at least `seen_from` is visible."""
        self._table.let_go(seen_from)

    def close(self) -> None:
        """Let go of the connection."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _begin(self, seen_from: int) -> None:
        """Begin to read the topic from its beginning."""
        self.close()
        if self._next_offset:
            _log.info("reading %s again: profiles as of offset %d are asked for", self._topic, seen_from)
        self._table, self._next_offset = EntityTable(), 0
        self._consumer = Consumer(self._settings)
        self._consumer.assign([TopicPartition(self._topic, 0, 0)])

    def _read(self, wait_s: float) -> bool:
        """Take in records; whether there were any, or the end was reached anew."""
        assert self._consumer is not None
        try:
            received: list[Received] = self._consumer.consume(1, wait_s)
            if received:
                received += self._consumer.consume(_BATCH_RECORDS, 0.0)
        except KafkaException as trouble:
            raise AssayError(f"reading {self._topic}: {trouble.args[0].str()}") from None
        profiles, offsets = [], []
        before = self._next_offset
        for message in received:
            error = message.error()
            offset = int(message.offset() or 0)
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    self._next_offset = max(self._next_offset, offset)
                elif error.fatal() or not error.retriable():
                    raise AssayError(f"reading {self._topic}: {error.str()}; {advice(error)}")
                continue
            profiles.append(self._profile(message))
            offsets.append(offset)
            self._next_offset = offset + 1
        if profiles:
            self._table.put(np.frombuffer(b"".join(profiles), dtype=PROFILE), np.array(offsets, dtype=np.int64))
        return self._next_offset > before

    def _profile(self, message: Received) -> bytes:
        key, value = message.key() or b"", message.value()
        try:
            return (profile_named(key) if value is None else profile_of(value)).tobytes()
        except (msgspec.DecodeError, ValueError, UnicodeDecodeError) as error:
            raise AssayError(
                f"{self._topic}, offset {message.offset()}: expected a profile of an entity: {error}; only the warm "
                "path may write to this topic, and its version has to be the worker's"
            ) from None
