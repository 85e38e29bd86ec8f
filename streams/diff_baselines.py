"""What a replay is compared with: the verdicts that were published, or a second fold with another model."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import msgspec

from features.errors import AssayError
from features.records import Coordinates
from streams.log import LogRecord, Output
from streams.log_range import PartitionRange
from streams.replay_changes import Override
from streams.time_machine import Progress, TimeMachine
from streams.topic_reader import TopicReader
from streams.verdict_diff import Judgement

Beside = Callable[[Sequence[LogRecord]], Sequence[Judgement]]
"""What the earlier side says of the next records of a range."""

_STEP_RECORDS = 1_000


class Baseline(Protocol):
    """The earlier side of a comparison."""

    def over(self, part: PartitionRange, progress: Progress) -> AbstractContextManager[Beside]:
        """Ready to be asked about the records of `part`, in their order."""
        ...


def judgements(records: Sequence[LogRecord], output: Output, feature_set: str) -> list[Judgement]:
    """What folding `records` gave, by offset; with features where they were kept."""
    offsets = [records[verdict.place].offset for verdict in output.verdicts]
    values = [verdict.value for verdict in output.verdicts]
    if not output.judged:
        return [Judgement(offset, value) for offset, value in zip(offsets, values, strict=True)]
    features = chain.from_iterable(part.features for part in output.judged)
    return [Judgement(*each, feature_set) for each in zip(offsets, values, features, strict=True)]


@dataclass(frozen=True, slots=True)
class Refolded:
    """A second fold of the same range.

    Attributes:
        machine: brings its partition to the start.
        override: what is in force in it.
    """

    machine: TimeMachine
    override: Override

    @contextmanager
    def over(self, part: PartitionRange, progress: Progress) -> Iterator[Beside]:
        """See `Baseline`."""
        with self.machine.at(part.partition, part.start, progress, keep_features=True) as partition:
            self.override.apply(partition, self.machine.open_model)

            def beside(records: Sequence[LogRecord]) -> Sequence[Judgement]:
                output = partition.fold(records, self.machine.trusted)
                if partition.is_full:
                    partition.checkpoint()
                return judgements(records, output, partition.engine.model.feature_set.hash)

            yield beside


class _Addressed(msgspec.Struct):
    at: Coordinates


_decode_address = msgspec.json.Decoder(_Addressed).decode


class Published:
    """The verdicts of a topic; of several on one event, as at-least-once delivery may leave, the first.

    Args:
        reader: for this alone, because it reads while the log is read.
        topic: full name.

    Raises:
        AssayError: there is no such topic (also by the methods: reading failed, or a record is no verdict).
    """

    def __init__(self, reader: TopicReader, topic: str) -> None:
        self._reader = reader
        self._topic = topic
        reader.partitions(topic)

    def end(self, partition: int) -> int:
        """Offset after the last event with a published verdict; 0 if none has one."""
        low, high = self._reader.bounds(self._topic, partition)
        for start in _stepping_back(high, low):
            last = None
            for batch in self._read(partition, start):
                last = batch[-1]
            if last is not None:
                return last.offset + 1
        return 0

    @contextmanager
    def over(self, part: PartitionRange, progress: Progress) -> Iterator[Beside]:  # noqa: ARG002 - nothing is folded
        """See `Baseline`."""
        verdicts: Generator[Judgement, None, None] | None = None
        waiting: Judgement | None = None

        def beside(records: Sequence[LogRecord]) -> Sequence[Judgement]:
            nonlocal verdicts, waiting
            if verdicts is None:
                verdicts = self._from(part, records[0].timestamp_ms)
                waiting = next(verdicts, None)
            found = []
            while waiting is not None and waiting.offset <= records[-1].offset:
                found.append(waiting)
                waiting = next(verdicts, None)
            return found

        yield beside
        if verdicts is not None:
            verdicts.close()

    def _from(self, part: PartitionRange, time_ms: int | None) -> Generator[Judgement, None, None]:
        """Verdicts on the events of `part`, each event's first, by the event's offset."""
        newest = part.start - 1
        with closing(self._read(part.partition, self._first_place(part, time_ms))) as found:
            for batch in found:
                for judgement in batch:
                    if newest < judgement.offset < part.end:
                        newest = judgement.offset
                        yield judgement
                if batch[-1].offset >= part.end:
                    return

    def _first_place(self, part: PartitionRange, time_ms: int | None) -> int:
        """A place in the topic after which every verdict on an event from `part.start` on appears.

        Verdicts stand in the order of their events, except that a worker that starts again may step back and go on
        from there. So any place that holds a verdict on the first event or an earlier one will do. A verdict is
        published after its event was taken, so the event's time is a good guess where to look.
        """
        low, high = self._reader.bounds(self._topic, part.partition)
        guess = high if time_ms is None else self._reader.offset_at(self._topic, part.partition, time_ms)
        for start in _stepping_back(guess, low):
            with closing(self._read(part.partition, start)) as found:
                first = next(found, None)
            if first is not None and first[0].offset <= part.start:
                return start
        return low

    def _read(self, partition: int, start: int) -> Generator[list[Judgement], None, None]:
        high = self._reader.bounds(self._topic, partition).high
        for records in self._reader.read(self._topic, partition, start, high):
            yield [self._judgement(partition, record) for record in records]

    def _judgement(self, partition: int, record: LogRecord) -> Judgement:
        try:
            return Judgement(_decode_address(record.value or b"").at.offset, record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise AssayError(
                f"{self._topic}[{partition}]@{record.offset}: expected a verdict ({error}); something else than the "
                "engine has written into this topic: compare with another model instead (--diff-model)"
            ) from None


def _stepping_back(place: int, low: int) -> Iterator[int]:
    """Places before `place`, each twice as far away as the one before, down to `low`.

    >>> list(_stepping_back(10_000, 0))
    [9000, 7000, 3000, 0]
    """
    step = _STEP_RECORDS
    while place > low:
        place = max(low, place - step)
        step *= 2
        yield place
