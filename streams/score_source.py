"""What `assay score` reads: a file of records, numbered from 0, or one partition of an archived topic as it was."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from features.errors import AssayError
from streams.event_files import EventFile, is_archived_topic
from streams.label_merge import merge_labels
from streams.log import LogRecord

if TYPE_CHECKING:
    from streams.archive_history import ArchiveHistory


class Source(Protocol):
    """A log to score.

    Attributes:
        skipped: records that were read only to be passed over, because an earlier run folded them.
    """

    skipped: int

    @property
    def passed(self) -> int:
        """How far reading has come."""
        ...

    @property
    def total(self) -> int | None:
        """Of how much; None if that is not known."""
        ...

    def records(self, start: int) -> Iterator[LogRecord]:
        """Records from offset `start` on; called once.

        Raises:
            AssayError: the log does not go on there.
        """
        ...


def source_of(events: Path, labels: Path | None, partition: int, *, continues: bool) -> Source:
    """Open what is to be scored.

    Args:
        events: a file of records, or the directory of an archived topic.
        labels: merged into a file at their `known_at_ms`; None if there are none.
        partition: which one of an archive.
        continues: a file's first record has the offset that is asked for, instead of 0.

    Raises:
        AssayError: it cannot be read, or labels are to be merged into an archive.
    """
    if not is_archived_topic(events):
        return FileSource(events, labels, continues)
    if labels is not None:
        raise AssayError(
            f"{events}: an archived log holds its labels already, each in its place; leave out the labels of {labels}"
        )
    return ArchiveSource(events, partition)


def partition_of(events: Path, asked: int | None) -> int:
    """The partition to score: what was asked for, else the only one; 0 for a file.

    Raises:
        AssayError: an archive holds several.
    """
    if asked is not None or not is_archived_topic(events):
        return asked or 0
    partitions = _history(events).partitions()
    if len(partitions) > 1:
        raise AssayError(
            f"{events} holds the partitions {', '.join(map(str, partitions))}, and each is a log of its own: "
            "choose one with --partition"
        )
    return partitions[0]


class FileSource:
    """Lines or rows of a file, with labels merged in."""

    def __init__(self, events: Path, labels: Path | None, continues: bool) -> None:
        self._events = events
        self._file = EventFile(events)
        self._labels = EventFile(labels) if labels else None
        self._continues = continues
        self.skipped = 0

    @property
    def passed(self) -> int:
        """Bytes."""
        return self._file.read_bytes

    @property
    def total(self) -> int | None:
        """Bytes."""
        return self._file.total_bytes

    def records(self, start: int) -> Iterator[LogRecord]:
        """See `Source`."""
        values: Iterator[bytes] = merge_labels(self._file, self._labels) if self._labels else iter(self._file)
        if not self._continues:
            self.skipped = sum(1 for _ in islice(values, start))
            if self.skipped < start:
                raise AssayError(
                    f"{self._events} has {self.skipped} records, the state has folded {start}: name the file that "
                    "it was started with, or use --continue if this file goes on where the state ends"
                )
        return (LogRecord(offset, value) for offset, value in enumerate(values, start))


class ArchiveSource:
    """One partition of an archived topic: its own offsets, keys, times and headers, so its own verdicts."""

    def __init__(self, events: Path, partition: int) -> None:
        self._events = events
        self._history = _history(events)
        self._partition = partition
        self._low, self._high = self._history.bounds(partition)
        self.passed = 0
        self.total = self._high - self._low
        self.skipped = 0

    def records(self, start: int) -> Iterator[LogRecord]:
        """See `Source`. A fresh state begins where the archive begins, as a worker does with a topic."""
        if start > self._high or 0 < start < self._low:
            raise AssayError(
                f"{self._events}[{self._partition}] goes from {self._low} to {self._high}, the state has folded "
                f"{start}: name the archive that it was started with, or start with a fresh --state"
            )
        return self._read(max(start, self._low))

    def _read(self, start: int) -> Iterator[LogRecord]:
        for records in self._history.read(self._partition, start, self._high):
            self.passed = records[-1].offset + 1 - self._low
            yield from records


def _history(events: Path) -> "ArchiveHistory":
    from streams.archive_history import ArchiveHistory  # brings Parquet along, which lines do not need

    topic = events.resolve()
    return ArchiveHistory(str(topic.parent), topic.name)
