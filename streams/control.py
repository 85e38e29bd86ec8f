"""What is in force now, by name, for people and for whoever starts up: the compacted topic `fraud.control`. Pure.

A record is the newest marker of its name, with the same bytes as in the log. The log decides; this topic saves looking
through it.
"""

from collections.abc import Iterable

import msgspec

from features.events import Marker
from streams.claims import NOT_JSON
from streams.log import LogRecord
from streams.publisher import Message

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Marker).decode


def control_message(marker: Marker, topic: str) -> Message:
    """The record that says what a marker puts in force; it goes behind the markers themselves.

    >>> marker = Marker(event_id="m1", time_ms=5, marker="breaker", value="closed")
    >>> control_message(marker, "fraud.control")[:3]
    ('fraud.control', 0, b'breaker')
    """
    return Message(topic, 0, marker.marker.encode(), _encode(marker), None)


def in_force(records: Iterable[LogRecord]) -> dict[str, Marker]:
    """The newest marker of each name, by records of the topic in their order; what is none is passed over."""
    found: dict[str, Marker] = {}
    for record in records:
        try:
            marker = _decode(record.value or b"")
        except NOT_JSON:
            continue
        found[marker.marker] = marker
    return found
