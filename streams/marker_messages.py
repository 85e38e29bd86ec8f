"""A marker as records: the same bytes in every partition of the events log, signed. Pure."""

import msgspec

from features.events import Marker
from streams.publisher import Message
from streams.signature import SIGNATURE_HEADER, sign

_encode = msgspec.json.Encoder().encode


def marker_messages(marker: Marker, topic: str, partitions: int, internal_key: bytes | None) -> list[Message]:
    """One record for each partition of the events log.

    Args:
        marker: what they say.
        topic: the events log.
        partitions: how many it has.
        internal_key: signs them; None where the log trusts whoever can write it.
    """
    value = _encode(marker)
    headers: list[tuple[str, bytes | None]] = []
    if internal_key is not None:
        headers.append((SIGNATURE_HEADER, sign(internal_key, value)))
    return [Message(topic, number, None, value, headers or None) for number in range(partitions)]
