"""Takes snapshots beside a working worker: the copy is hard links, everything slow happens in one other thread."""

import logging
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from features.errors import AssayError
from features.rocks_store import RocksStore
from streams.fold_state import stored_state
from streams.snapshots import SnapshotStore

_log = logging.getLogger("assay.snapshotter")
_CLOSE_S = 30.0
_LOWEST_PRIORITY = 19
_CHECKPOINT = re.compile(r"[0-9]+-[0-9]+")


class Snapshotter:
    """Decides when a partition is due, and carries snapshots to the store one at a time.

    Nothing that goes wrong here reaches the worker: it is logged, counted, and tried again at the next due time.

    Args:
        store: where snapshots go.
        every_s: time between two snapshots of a partition; the first is due at once.
        keep: newest snapshots kept of each partition.
        spool: directory for checkpoints on their way, on the file system of the state and of this worker alone. What
            a crashed process left in it is deleted.
        clock: seconds, rising.

    Attributes:
        taken: snapshots stored.
        failed: snapshots that were not.
        last_offsets: newest snapshot stored by this process, by partition.
        held_s: seconds that `offer` has held its callers, in all.
    """

    def __init__(
        self,
        store: SnapshotStore,
        every_s: float,
        keep: int,
        spool: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._every_s = every_s
        self._keep = keep
        self._spool = spool
        self._clock = clock
        self._due_s: dict[int, float] = {}
        self._turns: dict[int, int] = {}
        self._turn = 0
        self._upload: threading.Thread | None = None
        self.taken = 0
        self.failed = 0
        self.last_offsets: dict[int, int] = {}
        self.held_s = 0.0
        for path in spool.glob("*-*") if spool.is_dir() else ():
            if _CHECKPOINT.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)

    def offer(self, partition: int, state: RocksStore) -> None:
        """Take a snapshot of a partition that was checkpointed just now, if it is due and its turn.

        Holds the caller for the hard links only. A partition that waits for another's upload gets the next turn.
        """
        started_s = self._clock()
        if self._is_turn_of(partition, started_s):
            self._due_s[partition] = started_s + self._every_s
            try:
                self._begin(partition, state)
            except (AssayError, OSError) as error:
                self._failed(partition, error)
            self.held_s += self._clock() - started_s

    def close(self, timeout_s: float = _CLOSE_S) -> None:
        """Wait for the upload in hand, no longer than `timeout_s`; one that is cut off leaves nothing visible."""
        if self._upload is not None:
            self._upload.join(timeout_s)
            if self._upload.is_alive():
                _log.warning("a snapshot was still being stored when the worker ended; it is given up")

    def _is_turn_of(self, partition: int, now_s: float) -> bool:
        """Whether it is due, nothing is under way, and nobody has been due for longer.

        Every partition of the worker is offered in each round, so one that was not offered since this one's last offer
        is not the worker's any more.
        """
        last_turn = self._turns.get(partition, 0)
        self._turn += 1
        self._turns[partition] = self._turn
        due_s = self._due_s.setdefault(partition, now_s)
        if due_s > now_s or (self._upload is not None and self._upload.is_alive()):
            return False
        return all(self._due_s[other] >= due_s for other, turn in self._turns.items() if turn > last_turn)

    def _begin(self, partition: int, state: RocksStore) -> None:
        stands = stored_state(state, partition)
        if stands is None or stands.next_offset == self.last_offsets.get(partition):
            return
        self._spool.mkdir(parents=True, exist_ok=True)
        checkpoint = self._spool / f"{partition}-{stands.next_offset}"
        state.checkpoint(checkpoint)
        self._upload = threading.Thread(
            target=self._carry, args=(partition, checkpoint), name="assay-snapshot", daemon=True
        )
        self._upload.start()

    def _carry(self, partition: int, checkpoint: Path) -> None:
        """In the other thread: hash, upload, let go of old ones."""
        _give_way()
        try:
            manifest = self._store.save(partition, checkpoint, taken_ms=time.time_ns() // 1_000_000)
            self.last_offsets[partition] = manifest.next_offset
            self.taken += 1
            _log.info(
                "partition %d: snapshot at offset %d, %d bytes", partition, manifest.next_offset, manifest.total_bytes
            )
            self._store.retain(partition, self._keep)
        except Exception as error:
            self._failed(partition, error)
        finally:
            shutil.rmtree(checkpoint, ignore_errors=True)

    def _failed(self, partition: int, error: Exception) -> None:
        self.failed += 1
        expected = isinstance(error, AssayError | OSError)
        _log.error(
            "partition %d: a snapshot was not stored, or old ones not deleted; the next try is in %g s: %s",
            partition,
            self._every_s,
            error,
            exc_info=None if expected else error,
        )


def _give_way() -> None:
    """Let other threads go first: verdicts are in more of a hurry. On Linux a thread has a priority of its own."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
