"""Carries topics over into an archive, every record once.

There is no bookkeeping beside the files: their names say how far each partition has come, and a file appears whole or
not at all. So a run can end at any moment, also by kill -9, and the next one goes on where the last file ends.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from features.errors import AssayError
from streams.archive_cutter import Cutter, Piece
from streams.archive_layout import ArchiveFile, chains, topic_name
from streams.archive_rows import parquet_bytes
from streams.archive_store import ArchiveStore
from streams.history import History

ROWS_PER_FILE = 200_000
Progress = Callable[[int, int, int | None], None]
"""Called with rows written or in hand, offsets passed, offsets in all."""


class Stretch(NamedTuple):
    """Offsets of a partition that are not archived yet: ``start <= offset < end``."""

    partition: int
    start: int
    end: int


@dataclass(slots=True)
class Carried:
    """What was carried over of one topic, and how far it has come.

    Attributes:
        files: written.
        rows: written.
        bytes: of the files written.
        next_offsets: by partition, those of earlier runs included.
    """

    files: int = 0
    rows: int = 0
    bytes: int = 0
    next_offsets: dict[int, int] = field(default_factory=dict)


class TopicArchiver:
    """Carries one topic over.

    Args:
        topic: full name.
        history: its records.
        store: where the files go.
        rows_per_file: most rows of one file.
        redaction_key: secret of the hash that stands for a record with a card number; None leaves the hash out.

    Raises:
        AssayError: the archive does not answer, or its files are not one chain per partition.
    """

    def __init__(
        self,
        topic: str,
        history: History,
        store: ArchiveStore,
        *,
        rows_per_file: int = ROWS_PER_FILE,
        redaction_key: bytes | None = None,
    ) -> None:
        self.name = topic_name(topic)
        self.carried = Carried()
        self._topic = topic
        self._history = history
        self._store = store
        self._rows_per_file = rows_per_file
        self._redaction_key = redaction_key
        self._hours: dict[int, int] = {}
        for partition, chain in chains(store.files(self.name), f"archive {store.url}").items():
            self.carried.next_offsets[partition] = chain[-1].last + 1
            self._hours[partition] = chain[-1].hour

    def stretches(self) -> list[Stretch]:
        """What there is to carry over now.

        Raises:
            AssayError: the log has dropped records that are not archived, or is not the one that was archived.
        """
        return [self._stretch(partition) for partition in self._history.partitions()]

    def carry_over(self, stretch: Stretch, stopped: Callable[[], bool]) -> Iterator[tuple[int, int]]:
        """Write the files of a stretch; gives the rows and offsets passed with each batch that was read.

        Once `stopped` nothing more is written: what was read and is not in a file is read again by the next run.

        Raises:
            AssayError: the log cannot be read, or a file cannot be written.
        """
        partition, at, end = stretch
        cutter = Cutter(at, self._hours.get(partition, 0), self._rows_per_file)
        for records in self._history.read(partition, at, end):
            for piece in cutter.add(records):
                if stopped():
                    return
                self._write(partition, piece)
            if stopped():
                return
            yield len(records), records[-1].offset + 1 - at
            at = records[-1].offset + 1
        last = cutter.finish()
        if last is not None:
            self._write(partition, last)
        yield 0, end - at

    def _stretch(self, partition: int) -> Stretch:
        low, high = self._history.bounds(partition)
        start = self.carried.next_offsets.get(partition, low)
        where = f"{self._topic}[{partition}]"
        if start < low:
            raise AssayError(
                f"{where}: archive {self._store.url} ends at {start}, the log begins at {low}: the records between "
                "were dropped before they were archived. Archive from here on into another directory, lengthen the "
                "topic's retention, and let the archive run more often"
            )
        if start > high:
            raise AssayError(
                f"{where}: archive {self._store.url} goes up to {start}, the log ends at {high}: it is another topic "
                "of that name. Archive it into another directory"
            )
        return Stretch(partition, start, high)

    def _write(self, partition: int, piece: Piece) -> None:
        content = parquet_bytes(self.name, partition, piece.records, self._redaction_key)
        self._store.put(ArchiveFile(self.name, partition, piece.first, piece.last, piece.hour), content)
        self._hours[partition] = piece.hour
        carried = self.carried
        carried.next_offsets[partition] = piece.last + 1
        carried.files += 1
        carried.rows += len(piece.records)
        carried.bytes += len(content)


def archive_until_now(
    archivers: Sequence[TopicArchiver],
    stopped: Callable[[], bool] = lambda: False,
    progress: Progress = lambda *_: None,
) -> None:
    """Carry over everything that the topics hold at this moment.

    Raises:
        AssayError: see `TopicArchiver`; what was written before stands.
    """
    work = [(archiver, stretch) for archiver in archivers for stretch in archiver.stretches()]
    total = sum(stretch.end - stretch.start for _, stretch in work)
    rows = passed = 0
    for archiver, stretch in work:
        if stopped():
            return
        for more_rows, more_passed in archiver.carry_over(stretch, stopped):
            rows += more_rows
            passed += more_passed
            progress(rows, passed, total)
