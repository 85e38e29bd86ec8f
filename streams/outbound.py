"""What folding some records publishes, as messages: which topic, which partition, which headers."""

from collections.abc import Sequence
from itertools import repeat
from typing import NamedTuple

from features.errors import InvalidRecord
from features.records import DEAD_LETTER_HEADERS, dead_letter_headers, redacted
from streams.log import LogRecord, Output, rows_of
from streams.publisher import Message
from streams.trace_context import traces_of

_DEAD_LETTER_NAMES = frozenset(DEAD_LETTER_HEADERS.values())


class Targets(NamedTuple):
    """Topics that the engine writes, and the two that it reads."""

    verdicts: str
    outcomes: str
    dead_letters: str
    links: str
    telemetry: str
    source: str
    entities: str


def targets_of(prefix: str) -> Targets:
    """Topics of a prefix.

    >>> targets_of("fraud.").dead_letters
    'fraud.events.dlq'
    """
    names = ("verdicts", "outcomes", "events.dlq", "links", "telemetry", "events", "entities")
    return Targets(*(prefix + name for name in names))


def messages_of(
    output: Output, records: Sequence[LogRecord], partition: int, targets: Targets, redaction_key: bytes | None
) -> list[Message]:
    """Messages of one folded batch: to the partition that their records came from, links to the only one there is."""
    messages: list[Message] = []
    for topic, published in ((targets.verdicts, output.verdicts), (targets.outcomes, output.outcomes)):
        if published:
            places, keys, values = zip(*published, strict=True)
            traces = [traces_of(records[place].headers) for place in places]
            messages += rows_of(Message, repeat(topic), repeat(partition), keys, values, traces)
    messages += [Message(targets.links, 0, b"%d" % partition, value, None) for value in output.links]
    messages += [
        dead_letter(records[place], error, targets.dead_letters, targets.source, partition, redaction_key)
        for place, error in output.set_aside
    ]
    return messages


def dead_letter(
    record: LogRecord, error: InvalidRecord, topic: str, source: str, partition: int, redaction_key: bytes | None
) -> Message:
    """A record that was refused, for `topic`: as it came, with address and reason in its headers.

    One that holds a card number is redacted. A record that was sent back and is refused again carries its newest
    address and reason only.

    Args:
        record: of `source`, which is refused for `error`.
        error: why.
        topic: takes dead letters.
        source: where the record was.
        partition: of both topics.
        redaction_key: secret of the keyed hash of a redacted record.
    """
    kept = record.value
    if error.has_card_number and kept is not None:
        kept = redacted(kept, redaction_key)
    ours = dead_letter_headers(error, source, partition, record.offset)
    headers = [*(header for header in record.headers if header[0] not in _DEAD_LETTER_NAMES), *ours]
    return Message(topic, partition, record.key, kept, headers)
