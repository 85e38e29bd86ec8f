"""What becomes of one record of the labels topic: it takes its place in the events log, or it is set aside. Pure."""

from collections.abc import Container
from typing import NamedTuple

import msgspec

from features.decode import decode_label
from features.errors import InvalidRecord
from features.events import as_log_record
from streams.log import LogRecord
from streams.outbound import dead_letter
from streams.publisher import Message
from streams.signature import SIGNATURE_HEADER, sign
from streams.trace_context import traces_of

_encode = msgspec.json.Encoder().encode


class LabelTopics(NamedTuple):
    """Full names of the topics of labels: where they come from, where they belong, where refused ones go."""

    labels: str
    events: str
    dead_letters: str


class PutIn(NamedTuple):
    """The label goes into the events log as `message`; `id` names this version of it."""

    id: bytes
    message: Message
    label: str
    source: str


class Repeated(NamedTuple):
    """This version of the label is in the events log already."""

    id: bytes


class Refused(NamedTuple):
    """The record breaks the contract, and goes to the dead letters as `message`."""

    message: Message
    error: InvalidRecord


LabelStep = PutIn | Repeated | Refused


def label_topics(prefix: str) -> LabelTopics:
    """Topics of a prefix.

    >>> label_topics("fraud.").dead_letters
    'fraud.labels.dlq'
    """
    return LabelTopics(f"{prefix}labels", f"{prefix}events", f"{prefix}labels.dlq")


def label_step(
    record: LogRecord,
    partition: int,
    topics: LabelTopics,
    known: Container[bytes],
    *,
    internal_key: bytes | None,
    redaction_key: bytes | None,
) -> LabelStep:
    """What is to be done with one record.

    The label goes into the partition of the same number: both topics have the same number of partitions and the same
    key, so whoever sends labels as he sends events finds the account's partition. Its id is made of its content, so one
    that is put in twice, after a crash, is a duplicate to the engine.

    Args:
        record: of the labels topic.
        partition: where it stood.
        topics: see there.
        known: ids of labels that are in the events log.
        internal_key: signs what is put in; None where the log trusts whoever can write it.
        redaction_key: secret of the keyed hash of a redacted record.
    """
    intake = decode_label(record.value, key=record.key, timestamp_ms=record.timestamp_ms)
    if isinstance(intake, InvalidRecord):
        letter = dead_letter(record, intake, topics.dead_letters, topics.labels, partition, redaction_key)
        return Refused(letter, intake)
    label = as_log_record(intake)
    label_id = label.event_id.encode()
    if label_id in known:
        return Repeated(label_id)
    value = _encode(label)
    headers = traces_of(record.headers) or []
    if internal_key is not None:
        headers.append((SIGNATURE_HEADER, sign(internal_key, value)))
    message = Message(topics.events, partition, label.account_id.encode(), value, headers or None)
    return PutIn(label_id, message, label.label, label.source)
