"""Where a worker finds the state of a partition: on its disk, else in the snapshot store, else there is none yet."""

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import AssayError
from features.rocks_store import DamagedStateError, RocksStore, StateInUseError
from features.store import StateStore
from streams.fold_state import stored_state
from streams.history import Bounds
from streams.time_machine import Snapshots
from streams.topic_identity import claim

if TYPE_CHECKING:
    from streams.snapshotter import Snapshotter

_log = logging.getLogger("assay.state")
_FREE_WITHIN_S = 5.0
_AGAIN_S = 0.05


class DiskStates:
    """A `StateKeeper`: one RocksDB per partition in `directory`.

    A local state that is damaged, or older than the log reaches back, is moved aside, never deleted. One of another
    topic is refused and left where it is.

    Args:
        directory: of all states.
        topic: of the events, part of the names.
        topic_id: the id of that topic, see `streams/topic_identity.py`.
        snapshots: states to fall back on; None if there is no store.
        snapshotter: takes new ones; None if there is no store.
    """

    def __init__(
        self,
        directory: Path,
        topic: str,
        topic_id: str,
        snapshots: Snapshots | None = None,
        snapshotter: "Snapshotter | None" = None,
    ) -> None:
        self._directory = directory
        self._topic = topic
        self._topic_id = topic_id
        self._snapshots = snapshots
        self._snapshotter = snapshotter

    def directory_of(self, partition: int) -> Path:
        """Directory of one partition's state."""
        return self._directory / f"{self._topic}-{partition}"

    def describe(self, partition: int) -> str:
        """See `StateKeeper`."""
        return f"the state in {self.directory_of(partition)}"

    def open(self, partition: int, committed: int | None, bounds: Bounds) -> StateStore:
        """See `StateKeeper`."""
        directory = self.directory_of(partition)
        if not directory.exists():
            self._restore(partition, committed, directory)
            return self._opened(partition, directory)
        try:
            store = self._opened(partition, directory)
            stored = stored_state(store, partition)
        except DamagedStateError as error:
            _log.error("partition %d: %s", partition, error)
            self._move_aside(directory, "damaged")
            self._restore(partition, committed, directory)
            return self._opened(partition, directory)
        offset = 0 if stored is None else stored.next_offset
        if offset >= bounds.low or committed is None or self._snapshots is None:
            return store
        _log.warning(
            "partition %d: the local state stands at %d, the log begins at %d: looking for a snapshot",
            partition,
            offset,
            bounds.low,
        )
        newer = directory.with_name(f"{directory.name}.restored")
        if self._restore(partition, committed, newer) <= offset:
            return store
        store.close()
        self._move_aside(directory, f"before-{offset}")
        newer.rename(directory)
        return self._opened(partition, directory)

    def checkpointed(self, partition: int, state: StateStore) -> None:
        """See `StateKeeper`."""
        if self._snapshotter is not None and isinstance(state, RocksStore):
            self._snapshotter.offer(partition, state)

    def close(self) -> None:
        """See `StateKeeper`."""
        if self._snapshotter is not None:
            self._snapshotter.close()

    def _opened(self, partition: int, directory: Path) -> RocksStore:
        """Open a state of this topic, or one that is empty and becomes so."""
        store = _when_free(directory)
        try:
            claim(
                store,
                partition,
                self._topic_id,
                state=self.describe(partition),
                do="check kafka.bootstrap. If the topic was made anew, move that directory away, or replace it: "
                f"`assay state restore --partition {partition} --replace`",
            )
        except AssayError:
            store.close()
            raise
        return store

    def _restore(self, partition: int, committed: int | None, directory: Path) -> int:
        """Restore the newest snapshot that is not ahead of what the group has committed; -1 if there is none."""
        if self._snapshots is None or committed is None:
            return -1
        offset = self._snapshots.restore(partition, committed, directory)
        if offset is None:
            return -1
        _log.info("partition %d: restored a snapshot at offset %d", partition, offset)
        return offset

    def _move_aside(self, directory: Path, why: str) -> None:
        number = 1
        while (aside := directory.with_name(f"{directory.name}.{why}.{number}")).exists():
            number += 1
        try:
            directory.rename(aside)
        except OSError as error:
            raise AssayError(f"{directory}: expected to move it to {aside.name} ({error.strerror})") from None
        _log.warning("%s was moved to %s; delete that when nobody needs it", directory, aside.name)


def _when_free(directory: Path) -> RocksStore:
    """Open a state; a process that folded for a worker which was killed leaves it within a moment."""
    until_s = time.monotonic() + _FREE_WITHIN_S
    while True:
        try:
            return RocksStore(directory)
        except StateInUseError:
            if time.monotonic() >= until_s:
                raise
        time.sleep(_AGAIN_S)
