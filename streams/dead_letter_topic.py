"""Dead letters as they stand in their topic: read by place, without a group, committed records only."""

from collections.abc import Callable, Iterator, Mapping

from features.errors import AssayError
from streams.dead_letters import Letter, Redriven, Wanted, item_of
from streams.topic_reader import TopicReader

Progress = Callable[[int, int, int | None], None]
"""Told how many records were read, and how far that is of all offsets."""


class DeadLetterTopic:
    """One dead-letter topic.

    Args:
        reader: the way to it; stays open.
        source: full name of the topic whose records were set aside.
    """

    def __init__(self, reader: TopicReader, source: str) -> None:
        self._reader = reader
        self.source = source
        self.topic = f"{source}.dlq"

    def ends(self) -> dict[int, int]:
        """End of each partition, for committed records.

        Raises:
            AssayError: no broker, no such topic, or no right to read it.
        """
        return {number: self._reader.bounds(self.topic, number).high for number in self._reader.partitions(self.topic)}

    def read(self, wanted: Wanted, ends: Mapping[int, int], progress: Progress) -> Iterator[Letter | Redriven]:
        """Letters that are wanted, and every mark that may speak of one, partition by partition.

        A mark stands behind its letter, so what was set aside before `wanted.from_ms` is passed over unread.

        Raises:
            AssayError: reading failed.
        """
        starts = {number: self._start(number, wanted) for number in ends}
        total = sum(max(0, end - starts[number]) for number, end in ends.items())
        records_read = offsets_read = 0
        for number, end in ends.items():
            for records in self._reader.read(self.topic, number, starts[number], end):
                for record in records:
                    item = item_of(number, record)
                    if isinstance(item, Redriven) or (item is not None and wanted.matches(item)):
                        yield item
                records_read += len(records)
                progress(records_read, offsets_read + records[-1].offset + 1 - starts[number], total)
            offsets_read += max(0, end - starts[number])

    def letter_at(self, partition: int, offset: int) -> Letter:
        """The letter at a place.

        Raises:
            AssayError: there is none, or reading failed.
        """
        where = f"{self.topic}[{partition}]@{offset}"
        numbers = self._reader.partitions(self.topic)
        if partition not in numbers:
            raise AssayError(f"{where}: {self.topic} has the partitions {numbers}; `assay dlq list` shows places")
        low, high = self._reader.bounds(self.topic, partition)
        if not low <= offset < high:
            raise AssayError(f"{where}: expected an offset from {low} to {high - 1}; `assay dlq list` shows places")
        for records in self._reader.read(self.topic, partition, offset, offset + 1):
            item = item_of(partition, records[0])
            if isinstance(item, Letter):
                return item
        raise AssayError(f"{where}: no dead letter is there; `assay dlq list` shows places")

    def _start(self, partition: int, wanted: Wanted) -> int:
        if wanted.from_ms is None:
            return self._reader.bounds(self.topic, partition).low
        return self._reader.offset_at(self.topic, partition, wanted.from_ms)
