"""Which part of a log is meant: places as people name them, and the offsets that they stand for."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from features.errors import AssayError
from streams.history import History

FIRST_MOMENT_MS = 100_000_000_000
"""A whole number from here on (March 1973) is epoch milliseconds, one below is an offset."""

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SPAN = re.compile(r"(\d{1,9})([smhd])", re.ASCII)


class Offset(NamedTuple):
    """A place by its offset in one partition."""

    offset: int


class Moment(NamedTuple):
    """A place by the time at which the log took the record, epoch milliseconds."""

    time_ms: int


Place = Offset | Moment


class PartitionRange(NamedTuple):
    """Records of one partition with ``start <= offset < end``."""

    partition: int
    start: int
    end: int


def parse_span(text: str) -> int | None:
    """A span of time in milliseconds; None if it is none.

    >>> parse_span("90s"), parse_span("2h"), parse_span("2 h")
    (90000, 7200000, None)
    """
    span = _SPAN.fullmatch(text)
    return int(span[1]) * _UNITS_MS[span[2]] if span else None


def parse_place(text: str, now_ms: int) -> Place:
    """An offset, epoch milliseconds, an ISO 8601 time with its zone, ``now``, or so long ago (``-90s``, ``-2d``).

    Raises:
        AssayError: it is none of these.

    >>> parse_place("88121", now_ms=0), parse_place("1750000000000", now_ms=0)
    (Offset(offset=88121), Moment(time_ms=1750000000000))
    >>> parse_place("2025-06-15T15:06:40Z", now_ms=0), parse_place("-1h", now_ms=10_000_000)
    (Moment(time_ms=1750000000000), Moment(time_ms=6400000))
    """
    if text.isascii() and text.isdecimal():
        number = int(text)
        return Offset(number) if number < FIRST_MOMENT_MS else Moment(number)
    if text == "now":
        return Moment(now_ms)
    ago_ms = parse_span(text[1:]) if text.startswith("-") else None
    if ago_ms is not None:
        return Moment(now_ms - ago_ms)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise AssayError(
            "expected an offset, epoch milliseconds, ISO 8601 with its zone (2025-06-30T02:40:00Z), now, or so long "
            f"ago (-90s, -30m, -1h, -2d), got {text!r}"
        )
    return Moment(round(moment.timestamp() * 1_000))


def resolve(
    history: History, partitions: Sequence[int], start: Place | None, end: Place | None
) -> list[PartitionRange]:
    """The range of each partition, in offsets that stay as they are however the log grows meanwhile.

    Args:
        history: the log.
        partitions: numbers asked for; empty for all.
        start: None is the beginning of the log as it is now.
        end: the first place that does not belong to the range; None is the end of the log as it is now.

    Raises:
        AssayError: no such partition, an offset for several partitions, or a place that the log does not have.
    """
    known = history.partitions()
    for number in partitions:
        if number not in known:
            raise AssayError(f"partition {number}: expected one of {_listed(known)}")
    chosen = sorted(set(partitions)) or known
    if len(chosen) > 1 and (isinstance(start, Offset) or isinstance(end, Offset)):
        raise AssayError(
            f"an offset is a place of one partition, here are {len(chosen)}: name one with --partition, or give times"
        )
    return [_resolved(history, number, start, end) for number in chosen]


def _resolved(history: History, partition: int, start: Place | None, end: Place | None) -> PartitionRange:
    low, high = history.bounds(partition)
    first = low if start is None else _offset(history, partition, start)
    last = high if end is None else _offset(history, partition, end)
    for place in (first, last):
        if place > high:
            raise AssayError(f"partition {partition}: expected an offset of at most {high}, its end, got {place}")
    if last < first:
        raise AssayError(
            f"partition {partition}: expected --from before --to, got offsets {first} and {last}: exchange them"
        )
    return PartitionRange(partition, first, last)


def _offset(history: History, partition: int, place: Place) -> int:
    return place.offset if isinstance(place, Offset) else history.offset_at(partition, place.time_ms)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
