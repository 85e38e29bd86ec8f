"""A partition as it stood at any place of its log: the nearest snapshot before it, then the fold up to it.

Everything that looks back rests on this: `assay replay`, `verify`, `explain` and `state show --at`. It works in a
directory of its own, reads the log without a group, and touches neither a worker nor its state.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from features.errors import AssayError
from features.rocks_store import RocksStore
from streams.history import History
from streams.intake import Trust
from streams.log import LogRecord
from streams.model_in_force import ModelInForce
from streams.partition import ALWAYS, DEFAULT_HOT_BYTES, OpenModel, Partition
from streams.profiles import Profiles

BATCH_RECORDS = 2_000
Progress = Callable[[int], None]
"""Called with the number of records folded since the last call."""


class OutOfReachError(AssayError):
    """Neither a stored state nor the log reaches back to the place that was asked for."""


class Snapshots(Protocol):
    """Stored states of partitions; `streams/snapshots.py` keeps them at a URL."""

    def restore(self, partition: int, at_most: int, directory: Path) -> int | None:
        """Put the newest state with ``next_offset <= at_most`` into `directory`; its offset, None if there is none.

        Raises:
            AssayError: there is one, but neither it nor an older one is whole.
        """
        ...


@dataclass(frozen=True, slots=True)
class TimeMachine:
    """Brings partitions back.

    Attributes:
        history: the log.
        snapshots: states to start from; None folds from the beginning of the log.
        first_model: model in force at the beginning of the log.
        open_model: opens models that markers name.
        trusted: who may write labels and markers, as for the worker.
        profiles: of entities; None: a log that asks for them is refused.
    """

    history: History
    snapshots: Snapshots | None
    first_model: ModelInForce
    open_model: OpenModel
    trusted: Trust
    profiles: Profiles | None = None

    @contextmanager
    def at(
        self, partition: int, offset: int, progress: Progress = lambda _: None, *, keep_features: bool = False
    ) -> Iterator[Partition]:
        """The partition as it was before the record at `offset` was folded; gone at the end of the block.

        Raises:
            OutOfReachError: neither a snapshot nor the log reaches back far enough.
        """
        with (
            TemporaryDirectory(prefix="assay-time-machine-") as name,
            self.at_in(Path(name) / "state", partition, offset, progress, keep_features=keep_features) as found,
        ):
            yield found

    @contextmanager
    def at_in(
        self,
        directory: Path,
        partition: int,
        offset: int,
        progress: Progress = lambda _: None,
        *,
        keep_features: bool = False,
    ) -> Iterator[Partition]:
        """As `at`, in a directory that stays; what was folded since the last checkpoint is in memory only.

        Args:
            directory: must not exist, or be empty.
            partition: number of the partition.
            offset: as for `at`.
            progress: as for `at`.
            keep_features: as for `at`.

        Raises:
            OutOfReachError: as for `at`.
            AssayError: `directory` holds something, or cannot be written.
        """
        if self.snapshots is not None:
            self.snapshots.restore(partition, offset, directory)
        store = RocksStore(directory)
        try:
            found = Partition(
                partition,
                store,
                self.first_model,
                self.open_model,
                hot_bytes=DEFAULT_HOT_BYTES,
                keep_features=keep_features,
                careful_until=ALWAYS,
                profiles=self.profiles,
            )
            self._fold_up_to(found, offset, progress)
            yield found
        finally:
            store.close()

    def _fold_up_to(self, partition: Partition, offset: int, progress: Progress) -> None:
        number = partition.engine.partition
        low, _ = self.history.bounds(number)
        start = partition.next_offset
        if low > start and offset > start:
            raise OutOfReachError(
                f"partition {number}: the log begins at {low}, the nearest earlier state is at {start}: windows at "
                f"{offset} cannot be rebuilt. Name a snapshot store (--snapshots) or an archive (--archive) that "
                "reaches further back"
            )
        for records in self.history.read(number, start, offset):
            for batch in batches(records):
                partition.fold(batch, self.trusted, publishing=False)
                if partition.is_full:
                    partition.checkpoint()
                progress(len(batch))


def batches(records: Sequence[LogRecord], size: int = BATCH_RECORDS) -> Iterator[list[LogRecord]]:
    """Records in pieces of at most `size`."""
    for start in range(0, len(records), size):
        yield list(records[start : start + size])
