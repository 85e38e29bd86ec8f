"""Computes verdicts again out of the log: the state before each event is rebuilt, and the event is folded once more.

One pass of the time machine per partition, from the first place that is wanted to the last. Only the wanted records
are folded with publishing on; the others are folded without, which is much faster and leads to the same state.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from streams.find_verdict import Progress
from streams.history import Bounds
from streams.log import LogRecord, Output
from streams.partition import Partition
from streams.time_machine import BATCH_RECORDS, OutOfReachError, TimeMachine


class Place(NamedTuple):
    """A record of the log."""

    partition: int
    offset: int


class Recomputed(NamedTuple):
    """What the log gives at a place.

    Attributes:
        value: bytes of the verdict; None if there is none.
        key: the verdict's key; empty if there is none.
        model: id of the model in force there; empty if the place was not reached.
        policy: id of its policy.
        degraded: the log asks there for a model that could not be opened here.
        why_not: why there is no verdict; empty if there is one.
        out_of_reach: the place may have had a verdict, but its state cannot be rebuilt here.
    """

    value: bytes | None = None
    key: bytes = b""
    model: str = ""
    policy: str = ""
    degraded: bool = False
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
    bounds = {number: machine.history.bounds(number) for number in wanted if number in machine.history.partitions()}
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
    """Records in batches of at most `size`, each with whether it is a wanted one, which stands alone.

    >>> [(len(batch), alone) for batch, alone in cut([LogRecord(offset, b"") for offset in range(5)], {2})]
    [(2, False), (1, True), (2, False)]
    """
    batch: list[LogRecord] = []
    for record in records:
        if record.offset in wanted or len(batch) == size:
            if batch:
                yield batch, False
            batch = []
        if record.offset in wanted:
            yield [record], True
        else:
            batch.append(record)
    if batch:
        yield batch, False


def why_no_verdict(output: Output) -> str:
    """What became of a single folded record that got no verdict."""
    if output.set_aside:
        error = output.set_aside[0].error
        return f"the record there was set aside ({error.code} at {error.path})"
    if output.duplicates:
        return "the record there is a duplicate of an earlier one"
    (kind,) = output.kinds or ("marker",)
    return f"the record there is a {kind}, which gets no verdict"


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
            output = partition.fold(batch, machine.trusted, publishing=is_wanted)
            if is_wanted:
                result[batch[0].offset] = _recomputed(partition, output)
            if partition.is_full:
                partition.checkpoint()
            progress(len(batch))
    return result


def _recomputed(partition: Partition, output: Output) -> Recomputed:
    if not output.verdicts:
        return Recomputed(why_not=why_no_verdict(output))
    engine = partition.engine
    (verdict,) = output.verdicts
    return Recomputed(
        value=verdict.value,
        key=verdict.key,
        model=engine.model.id,
        policy=engine.model.artefact.policy_id,
        degraded=engine.degraded,
    )
