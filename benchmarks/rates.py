"""From what was seen while a client worked to its rates. Pure."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from features.errors import AssayError

WARM_UP_SHARE = 0.2
"""So much of what comes out in the end is not counted: start, first batches, caches."""
_LEAST_S = 0.5


class Sample(NamedTuple):
    """One look: seconds on the wall, CPU seconds that the process has used, records it has published."""

    wall_s: float
    cpu_s: float
    records: int


class Rates(NamedTuple):
    """Records per second on the wall, and per second of CPU of the client's process, threads included."""

    per_s: float
    per_cpu_s: float


def steady(samples: Sequence[Sample]) -> Rates:
    """Rates after the warm-up, from one moment at which the number of records grew to the last such moment.

    Some clients publish a few thousand records at a time: between two moments of growth nothing is left out.

    Args:
        samples: in order of time.

    Raises:
        AssayError: it was over too soon to say anything.

    >>> looks = [Sample(float(s), s / 2, 1000 * (s // 5)) for s in range(30)]
    >>> steady(looks)
    Rates(per_s=200.0, per_cpu_s=400.0)
    """
    final = samples[-1].records if samples else 0
    grown = [after for before, after in pairwise(samples) if after.records > before.records]
    inside = [sample for sample in grown if sample.records >= WARM_UP_SHARE * final]
    if len(inside) < 2 or inside[-1].wall_s - inside[0].wall_s < _LEAST_S or inside[-1].cpu_s <= inside[0].cpu_s:
        raise AssayError(f"{final} records were published too quickly to measure: ask for more with --events")
    first, last = inside[0], inside[-1]
    records = last.records - first.records
    return Rates(records / (last.wall_s - first.wall_s), records / (last.cpu_s - first.cpu_s))


class Answers(NamedTuple):
    """How often events were answered, as far as the client came.

    Attributes:
        answered: events with at least one answer.
        doubled: answers beyond the first.
        lost: events without an answer that stand before an answered one of the same partition.
    """

    answered: int
    doubled: int
    lost: int


def count_answers(asked: Sequence[Sequence[bytes]], answered: Iterable[bytes]) -> Answers:
    """Compare ids.

    Args:
        asked: ids of the events of each partition, in order.
        answered: ids of the answers, in any order.

    >>> count_answers([[b"a", b"b", b"c"], [b"d", b"e"]], [b"c", b"a", b"a"])
    Answers(answered=2, doubled=1, lost=1)
    """
    total, ids = 0, set()
    for event_id in answered:
        total += 1
        ids.add(event_id)
    lost = 0
    for part in asked:
        places = [place for place, event_id in enumerate(part) if event_id in ids]
        lost += places[-1] + 1 - len(places) if places else 0
    return Answers(len(ids), total - len(ids), lost)


def event_id_of(value: bytes) -> bytes:
    """The id of an event or verdict, which is its first field.

    >>> event_id_of(b'{"event_id":"e1","type":"payment"}')
    b'e1'
    """
    start = value.index(b'"event_id":"') + 12
    return value[start : value.index(b'"', start)]
