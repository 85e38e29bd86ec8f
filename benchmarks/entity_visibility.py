"""When the profile of an entity became visible, from the moments at which the broker took each record on its way."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from features.entities import ENTITY_KINDS
from streams.log import LogRecord
from streams.warm.entity_step import EntityStep


class Topics(NamedTuple):
    """Records with the moments of their arrival; of events and verdicts by partition."""

    events: Sequence[Sequence[LogRecord]]
    verdicts: Sequence[Sequence[LogRecord]]
    links: Sequence[LogRecord]
    entities: Sequence[LogRecord]


class Steps(NamedTuple):
    """float64[n] each, epoch milliseconds of each profile that a link made, in the order of the entities topic.

    Attributes:
        due: the time of the event that made the link.
        sent: that event arrived; of several at one millisecond, the first.
        told: the engine's record of the link arrived.
        published: the profile arrived.
        marked: the last of the markers that make it visible arrived.
        seen: the last of the first verdicts that saw it arrived; NaN if none came in some partition.
    """

    due: NDArray[np.float64]
    sent: NDArray[np.float64]
    told: NDArray[np.float64]
    published: NDArray[np.float64]
    marked: NDArray[np.float64]
    seen: NDArray[np.float64]


def steps_of(topics: Topics) -> tuple[Steps, int]:
    """The way of each profile, and how many came from no link of their entity: of neighbours, labels, or rates.

    Where several accounts met an entity in one flush, the first link counts.
    """
    first_ms: dict[tuple[int, int, str], int] = {}
    told_ms: dict[tuple[int, int], int] = {}
    for record in topics.links:
        said = orjson.loads(record.value or b"")
        partition = said["partition"]
        told_ms.update({(partition, flush): _arrival(record) for flush in said["flushes"]["flush"]})
        links = said.get("links", {})
        for flush, kind, entity, time_ms in zip(*(links.get(name, ()) for name in _COLUMNS), strict=True):
            place = (partition, flush, f"{ENTITY_KINDS[kind]}:{entity:016x}")
            first_ms[place] = min(first_ms.get(place, time_ms), time_ms)
    sent = [_Rising(_times_of(part)) for part in topics.events]
    marks = [_Rising(_visible_from(part, _marker_offset)) for part in topics.events]
    verdicts = [_Rising(_visible_from(part, _verdict_offset)) for part in topics.verdicts]
    rows, others = [], 0
    for record in topics.entities:
        if record.value is None:
            continue
        partition, flush = orjson.loads(record.value)["source"]
        linked_ms = first_ms.get((partition, flush, (record.key or b"").decode()))
        if linked_ms is None:
            others += 1
            continue
        moments = (_last(marks, record.offset), _last(verdicts, record.offset))
        sent_ms = sent[partition].first(linked_ms)
        rows.append((linked_ms, sent_ms, told_ms[partition, flush], _arrival(record), *moments))
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return Steps(*table.T), others


def behind(topics: Topics, moment_ms: float) -> int:
    """Records of links that had arrived at a moment, and of which no profile had, nor of any record after them."""
    flushes: dict[tuple[int, int], int] = {}
    arrived = 0
    for place, record in enumerate(topics.links):
        said = orjson.loads(record.value or b"")
        flushes.update({(said["partition"], flush): place for flush in said["flushes"]["flush"]})
        arrived += _arrival(record) <= moment_ms
    done = [
        flushes[tuple(orjson.loads(record.value)["source"])]
        for record in topics.entities
        if record.value is not None and _arrival(record) <= moment_ms
    ]
    return max(0, arrived - 1 - max(done, default=-1))


def is_what_links_say(topics: Topics) -> bool:
    """Whether the profiles are those of an undisturbed fold of the links, byte for byte and in order."""
    step = EntityStep("")
    expected = [message for record in topics.links for message in step.take(record.offset, record.value or b"")]
    return [(one.key, one.value) for one in expected] == [(one.key, one.value) for one in topics.entities]


_COLUMNS = ("flush", "kind", "entity", "time_ms")


class _Rising:
    """Offsets, or times, and the moments at which they were reached; both rise."""

    def __init__(self, steps: Sequence[tuple[int, int]]) -> None:
        self._offsets = [offset for offset, _ in steps]
        self._moments = [moment_ms for _, moment_ms in steps]

    def first(self, offset: int) -> float:
        place = bisect_left(self._offsets, offset)
        return self._moments[place] if place < len(self._moments) else np.nan


def _last(partitions: Sequence[_Rising], offset: int) -> float:
    return max((part.first(offset) for part in partitions), key=lambda moment: np.inf if np.isnan(moment) else moment)


def _visible_from(records: Sequence[LogRecord], offset_of: Any) -> list[tuple[int, int]]:
    """Where what records say rises, and when they arrived."""
    found: list[tuple[int, int]] = []
    for record in records:
        offset = offset_of(record.value or b"")
        if offset is not None and (not found or offset > found[-1][0]):
            found.append((offset, _arrival(record)))
    return found


def _times_of(records: Sequence[LogRecord]) -> list[tuple[int, int]]:
    """Where the time of events rises, and when they arrived."""
    return _visible_from([one for one in records if _marker_offset(one.value or b"") is None], _time_ms)


def _time_ms(value: bytes) -> int:
    return int(orjson.loads(value)["time_ms"])


def _marker_offset(value: bytes) -> int | None:
    if b'"marker":"entities"' not in value:
        return None
    return int(orjson.loads(value)["value"])


def _verdict_offset(value: bytes) -> int:
    begin = value.rindex(b'"entities_offset":') + len(b'"entities_offset":')
    return int(value[begin : value.index(b"}", begin)])


def _arrival(record: LogRecord) -> int:
    assert record.timestamp_ms is not None, "the broker says when it took a record"
    return record.timestamp_ms
