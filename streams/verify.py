"""Computes verdicts again out of the log: the state before each event is rebuilt, and the event is folded once more.

One pass of the time machine per partition, from the first place that is wanted to the last. Only the wanted records
are folded with publishing on; the others are folded without, which is much faster and leads to the same state.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec

from features.decode import decode
from features.events import Label, Marker, ProfileChange
from models.watch_limits import CLOSED
from streams.find_verdict import Progress
from streams.history import Bounds
from streams.log import LogRecord, Output
from streams.partition import Partition
from streams.time_machine import BATCH_RECORDS, OutOfReachError, TimeMachine, batches


class Place(NamedTuple):
    """A record of the log."""

    partition: int
    offset: int


class Recomputed(NamedTuple):
    """What the log gives at a place.

    Attributes:
        value: bytes of the verdict; None if there is none.
        key: the verdict's key; empty if there is none.
        model: the model in force there, opened and checked, by its first digits as in a verdict; empty if there is no
            verdict.
        policy: its policy, likewise.
        degraded: the log asks there for a model that could not be opened here.
        breaker_open: the breaker decides there instead of the model.
        why_not: why there is no verdict; empty if there is one.
        out_of_reach: the place may have had a verdict, but its state cannot be rebuilt here.
    """

    value: bytes | None = None
    key: bytes = b""
    model: str = ""
    policy: str = ""
    degraded: bool = False
    breaker_open: bool = False
    why_not: str = ""
    out_of_reach: bool = False


def recompute(
    machine: TimeMachine, places: Iterable[Place], progress: Progress = lambda *_: None
) -> dict[Place, Recomputed]:
    """What the log gives at each of `places`.

    Raises:
        AssayError: the log cannot be read.
    """
    wanted: dict[int, list[int]] = {}
    for place in sorted(set(places)):
        wanted.setdefault(place.partition, []).append(place.offset)
    result: dict[Place, Recomputed] = {}
    there = set(machine.history.partitions())
    bounds = {number: machine.history.bounds(number) for number in wanted if number in there}
    gauge = _Gauge(progress, sum(_length(bounds[number], wanted[number]) for number in bounds))
    for number, offsets in wanted.items():
        if number not in bounds:
            nowhere = Recomputed(why_not=f"the log has no partition {number}")
            result |= {Place(number, offset): nowhere for offset in offsets}
            continue
        found = _of_partition(machine, number, offsets, bounds[number], gauge)
        result |= {Place(number, offset): recomputed for offset, recomputed in found.items()}
        gauge.partition_done(_length(bounds[number], offsets))
    return result


def cut(
    records: Sequence[LogRecord], wanted: set[int], size: int = BATCH_RECORDS
) -> Iterator[tuple[list[LogRecord], bool]]:
    """Records in batches of at most `size`, each with whether all of it is wanted or nothing of it.

    >>> [(len(batch), wanted) for batch, wanted in cut([LogRecord(offset, b"") for offset in range(5)], {2})]
    [(2, False), (1, True), (2, False)]
    """
    for is_wanted, run in groupby(records, key=lambda record: record.offset in wanted):
        for batch in batches(list(run), size):
            yield batch, is_wanted


class _Said(msgspec.Struct):
    model: str
    policy: str
    flags: list[str]


_said = msgspec.json.Decoder(_Said).decode


class _Gauge:
    """How far a run is, in records folded and in offsets of all partitions together."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._records = 0
        self._finished = 0
        self._done = 0

    def folded(self, records: int) -> None:
        self._records += records
        self._done += records
        self._progress(self._records, self._finished + self._done, self._total)

    def stands_at(self, offsets: int) -> None:
        """A snapshot may have saved most of the way."""
        self._done = max(self._done, offsets)

    def partition_done(self, offsets: int) -> None:
        self._finished += offsets
        self._done = 0


def _length(bounds: Bounds, offsets: Sequence[int]) -> int:
    return max(0, min(offsets[-1] + 1, bounds.high) - bounds.low)


def _of_partition(
    machine: TimeMachine, number: int, offsets: Sequence[int], bounds: Bounds, gauge: _Gauge
) -> dict[int, Recomputed]:
    result: dict[int, Recomputed] = {}
    rest = []
    for offset in offsets:
        if offset < bounds.low:
            why = f"the log of partition {number} begins at {bounds.low}; an archive (--archive) may reach further back"
            result[offset] = Recomputed(why_not=why, out_of_reach=True)
        elif offset >= bounds.high:
            result[offset] = Recomputed(why_not=f"the log of partition {number} ends at {bounds.high}")
        else:
            rest.append(offset)
    while rest:
        try:
            with machine.at(number, rest[0], gauge.folded) as partition:
                gauge.stands_at(rest[0] - bounds.low)
                return result | _folded_through(machine, partition, rest, gauge.folded)
        except OutOfReachError as error:  # a later place may lie behind a snapshot
            result[rest.pop(0)] = Recomputed(why_not=str(error), out_of_reach=True)
    return result


def _folded_through(
    machine: TimeMachine, partition: Partition, offsets: Sequence[int], progress: Callable[[int], None]
) -> dict[int, Recomputed]:
    number = partition.engine.partition
    wanted = set(offsets)
    result = dict.fromkeys(offsets, Recomputed(why_not="the log holds no record at this offset"))
    for records in machine.history.read(number, offsets[0], offsets[-1] + 1):
        for batch, is_wanted in cut(records, wanted):
            before = _stands(partition)
            output = partition.fold(batch, machine.trusted, publishing=is_wanted)
            if is_wanted:
                result |= _recomputed(batch, output, before | _stands(partition))
            if partition.is_full:
                partition.checkpoint()
            progress(len(batch))
    return result


def _stands(partition: Partition) -> set[str]:
    """What makes verdicts say that they are degraded."""
    engine = partition.engine
    return ({"model"} if engine.lacks_model else set()) | ({"breaker"} if engine.breaker != CLOSED else set())


def _recomputed(batch: Sequence[LogRecord], output: Output, stands: set[str]) -> dict[int, Recomputed]:
    """What came of each record; `stands`: what of `_stands` held at the beginning or the end of the batch."""
    verdicts = {verdict.place: verdict for verdict in output.verdicts}
    refusals = dict(output.set_aside)
    result = {}
    for place, record in enumerate(batch):
        if place in verdicts:
            value = verdicts[place].value
            said = _said(value)
            is_degraded = "degraded" in said.flags
            found = Recomputed(
                value=value,
                key=verdicts[place].key,
                model=said.model,
                policy=said.policy,
                degraded=is_degraded and "model" in stands,
                breaker_open=is_degraded and "breaker" in stands,
            )
        elif place in refusals:
            error = refusals[place]
            found = Recomputed(why_not=f"the record there was set aside ({error.code} at {error.path})")
        else:
            found = Recomputed(why_not=_why_not_judged(record))
        result[record.offset] = found
    return result


def _why_not_judged(record: LogRecord) -> str:
    """Why a record that was not refused got no verdict."""
    event = decode(record.value)
    if isinstance(event, Label | Marker | ProfileChange):
        return f"the record there is a {type(event).__struct_config__.tag}, which gets no verdict"
    return "the record there is a duplicate of an earlier one"
