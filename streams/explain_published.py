"""Whether what was published for a place of the log is what the log gives there."""

import msgspec

from features.errors import AssayError
from streams.find_verdict import published_at
from streams.topic_reader import TopicReader
from streams.verify_report import Difference, differences


class Compared(msgspec.Struct, frozen=True):
    """The published verdict beside the recomputed one.

    Attributes:
        same: whether the bytes are equal; null if there was nothing to compare with.
        said: the same in words, and where the published one stands.
        differences: field by field.
    """

    same: bool | None
    said: str
    differences: list[Difference]


def compared(reader: TopicReader, topic: str, partition: int, offset: int, verdict: bytes) -> Compared:
    """Look the verdict of a place up in `topic` and compare it with `verdict`; a topic that cannot be read is told."""
    try:
        found = published_at(reader, topic, partition, offset)
    except AssayError as error:
        return Compared(None, f"not compared: {error}", [])
    if found is None:
        return Compared(None, f"nothing for this place in {topic}[{partition}]", [])
    where = f"{topic}[{partition}]@{found.offset}"
    if found.value == verdict:
        return Compared(True, f"the same bytes, {where}", [])
    return Compared(False, f"OTHER bytes, {where}", differences(found.value, verdict))
