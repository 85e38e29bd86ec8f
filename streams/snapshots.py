"""States of partitions at a URL, so that another machine can go on where one stood.

Below the URL, for each partition::

    <topic>-<partition>/<topic id>/manifests/<next_offset, 20 digits>.json
    <topic>-<partition>/<topic id>/files/<sha256>

A file is stored once under its hash, however many snapshots it belongs to; the manifest comes last, so a snapshot is
visible only when it is whole. When it is restored every hash is checked again. docs/decisions/0007-snapshots.md says
why, and what happens when two write at once.

A topic that is deleted and made anew under its name has another id, so its snapshots lie apart from those of the
former one, whatever their offsets: neither is restored, counted, replaced or deleted for the other.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory

from features.errors import AssayError
from features.rocks_store import RocksStore
from streams.file_hashes import FileHashes
from streams.fold_state import FoldState, stored_state
from streams.remote_files import RemoteFiles
from streams.snapshot_folder import DamagedSnapshotError, SnapshotFolder, topic_ids
from streams.snapshot_manifest import Manifest, SnapshotFile, UnreadableManifestError, new_manifest
from streams.state_directory import partition_numbers
from streams.topic_identity import NOT_A_TOPIC, log_text, topic_id_of

_log = logging.getLogger("assay.snapshots")

BytesProgress = Callable[[int, int], None]
"""Called with bytes done so far and bytes in all."""


class SnapshotStore:
    """Snapshots of one topic's partitions. Keeps the promise of `streams.time_machine.Snapshots`.

    Args:
        url: a directory, or any URL that fsspec opens.
        topic: full name of the events topic.
        topic_id: of the log that is there now: what is listed, checked, restored and deleted is of this topic. Whoever
            reads an archive does not know of which one it is, and says `NOT_A_TOPIC`. A state to store has its own.
        first_model: restore only states that were started with this model; None takes any.
        feature_set: restore only states kept for the feature set with this hash; None takes any.

    Raises:
        AssayError: the URL's scheme is not known, or needs a package that is not installed.
    """

    def __init__(
        self,
        url: str,
        topic: str,
        topic_id: str = NOT_A_TOPIC,
        *,
        first_model: str | None = None,
        feature_set: str | None = None,
    ) -> None:
        self._files = RemoteFiles(url)
        self._topic = topic
        self._topic_id = topic_id
        self._first_model = first_model
        self._feature_set = feature_set
        self._hashes = FileHashes()

    @property
    def url(self) -> str:
        """Where the snapshots are, without a password."""
        return self._files.url

    def of(self, topic_id: str) -> "SnapshotStore":
        """The same store for another topic of that name."""
        other = copy(self)
        other._topic_id = topic_id
        return other

    def topic_ids(self, partition: int) -> list[str]:
        """Ids of the topics of that name that have snapshots of a partition, in no order that means anything.

        Raises:
            AssayError: the store does not answer.
        """
        return topic_ids(self._files, self._topic, partition)

    def save(
        self, partition: int, checkpoint: Path, *, taken_ms: int = 0, progress: BytesProgress = lambda *_: None
    ) -> Manifest:
        """Store a state among those of its own topic; files that the newest one has already are not sent again.

        Args:
            partition: number of the partition.
            checkpoint: directory of a closed state, as `RocksStore.checkpoint` makes it.
            taken_ms: when it was taken, for people.
            progress: told after each file.

        Raises:
            AssayError: there is no state in `checkpoint`, or the store does not take it; nothing is visible then.
        """
        state, topic_id = _state_in(checkpoint, partition)
        paths = sorted(path for path in checkpoint.iterdir() if path.is_file())
        files = self._hashes.described(partition, paths)
        manifest = new_manifest(
            topic=self._topic,
            topic_id=topic_id,
            partition=partition,
            next_offset=state.next_offset,
            model=state.model,
            first_model=state.first_model,
            feature_set=state.feature_set,
            taken_ms=taken_ms,
            files=files,
        )
        folder = self.of(topic_id)._folder(partition)
        there = folder.reusable()
        done_bytes = 0
        for path, file in zip(paths, files, strict=True):
            if file.sha256 not in there:
                folder.upload(path, file.sha256)
            done_bytes += file.bytes
            progress(done_bytes, manifest.total_bytes)
        folder.publish(manifest)
        return manifest

    def manifests(self, partition: int) -> list[Manifest]:
        """Snapshots of this topic, the newest first; a manifest that cannot be read is warned of and left out.

        Raises:
            AssayError: the store does not answer.
        """
        return list(self._folder(partition).readable())

    def manifests_of_all(self, partition: int) -> list[Manifest]:
        """As `manifests`, for every topic of that name, one after another.

        Raises:
            AssayError: the store does not answer.
        """
        return [one for topic_id in self.topic_ids(partition) for one in self.of(topic_id).manifests(partition)]

    def partitions(self) -> list[int]:
        """Partitions that have snapshots, of whichever topic of that name, rising.

        Raises:
            AssayError: the store does not answer.
        """
        return partition_numbers(self._topic, self._files.names())

    def restore(
        self, partition: int, at_most: int, directory: Path, *, progress: BytesProgress = lambda *_: None
    ) -> int | None:
        """Put the newest state with ``next_offset <= at_most`` into `directory`; its offset, None if there is none.

        A damaged snapshot is warned of, and the next older one is taken; those of another topic are told of in one line
        and never taken. `directory` appears whole or not at all.

        Args:
            partition: number of the partition.
            at_most: the state may not be newer than this offset.
            directory: must not exist, or be empty.
            progress: told after each file.

        Raises:
            AssayError: there are snapshots but none is whole, the store does not answer, or the disk takes no more.
        """
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise AssayError(f"{directory}: expected nothing or an empty directory to restore into; move it away")
        self._tell_of_others(partition)
        damaged = 0
        for offset, manifest in self._folder(partition).newest_first(at_most):
            try:
                if isinstance(manifest, UnreadableManifestError):
                    raise DamagedSnapshotError(str(manifest))
                if self._fits(manifest):
                    self._copy(manifest, directory, progress)
                    return offset
                _log.info("partition %d: snapshot %d is of another model or feature set", partition, offset)
            except DamagedSnapshotError as error:
                damaged += 1
                _log.warning("partition %d: snapshot %d cannot be used: %s", partition, offset, error)
        if damaged:
            raise AssayError(
                f"partition {partition}: {self.url} has {damaged} snapshots up to offset {at_most}, none of them is "
                "whole; `assay state verify --all-snapshots` says why, `assay state rebuild` makes the state anew"
            )
        return None

    def retain(self, partition: int, keep: int) -> int:
        """Delete all but the newest `keep` snapshots of this topic; returns how many went.

        Manifests go first. Then files go that no manifest names and that were there an hour before the newest
        manifest: younger ones may belong to a snapshot that is on its way.

        Raises:
            AssayError: the store does not answer.
        """
        assert keep >= 1, "the newest snapshot stays"
        folder = self._folder(partition)
        found = dict(folder.newest_first())
        readable = {offset: manifest for offset, manifest in found.items() if isinstance(manifest, Manifest)}
        oldest = min(sorted(readable, reverse=True)[:keep], default=0)
        dropped = [offset for offset in found if offset < oldest]
        for offset in dropped:
            folder.withdraw(offset)
        remaining = {offset for offset in found if offset >= oldest}
        if remaining <= readable.keys():
            folder.sweep([readable[offset] for offset in sorted(remaining, reverse=True)])
        else:  # of which files it consists is not known
            _log.warning("partition %d: no file is deleted while there is a manifest that cannot be read", partition)
        return len(dropped)

    def check(self, partition: int) -> Iterator[tuple[int, list[str]]]:
        """Read every snapshot of this topic to the end, the newest first: its offset, and one line per damage.

        Raises:
            AssayError: the store does not answer.
        """
        folder = self._folder(partition)
        damages: dict[str, str | None] = {}  # by hash: snapshots share files
        with TemporaryDirectory(prefix="assay-snapshot-check-") as scratch:
            for offset, manifest in folder.newest_first():
                if isinstance(manifest, UnreadableManifestError):
                    yield offset, [str(manifest)]
                    continue
                for file in manifest.files:
                    if file.sha256 not in damages:
                        damages[file.sha256] = _damage(folder, file, Path(scratch) / "file")
                yield offset, [line for file in manifest.files if (line := damages[file.sha256]) is not None]

    def _folder(self, partition: int) -> SnapshotFolder:
        return SnapshotFolder(self._files, self._topic, self._topic_id, partition)

    def _tell_of_others(self, partition: int) -> None:
        others = [log_text(found) for found in self.topic_ids(partition) if found != self._topic_id]
        if others:
            _log.warning(
                "partition %d: %s has snapshots of another log (%s); they are passed over, this one is %s",
                partition,
                self.url,
                ", ".join(others),
                log_text(self._topic_id),
            )

    def _fits(self, manifest: Manifest) -> bool:
        return (self._first_model is None or manifest.first_model == self._first_model) and (
            self._feature_set is None or manifest.feature_set == self._feature_set
        )

    def _copy(self, manifest: Manifest, directory: Path, progress: BytesProgress) -> None:
        """Fetch a snapshot beside `directory`, make it safe, then move it there in one step."""
        folder = self._folder(manifest.partition)
        unfinished = directory.with_name(f".{directory.name}.restoring")
        done_bytes = 0
        try:
            shutil.rmtree(unfinished, ignore_errors=True)  # a crash may have left it
            unfinished.mkdir(parents=True)
            for file in manifest.files:
                folder.fetch(file, unfinished / file.name)
                _sync(unfinished / file.name)
                done_bytes += file.bytes
                progress(done_bytes, manifest.total_bytes)
            _sync(unfinished)
            unfinished.replace(directory)
            _sync(directory.parent)
        except OSError as error:
            raise AssayError(
                f"{directory}: expected to write a restored state there ({error.strerror}); check the disk, its rights"
            ) from None
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _state_in(checkpoint: Path, partition: int) -> tuple[FoldState, str]:
    """Where the fold of a checkpoint stands, and the id of its topic."""
    store = RocksStore(checkpoint, read_only=True)
    try:
        state, topic_id = stored_state(store, partition), topic_id_of(store)
    finally:
        store.close()
    if state is None:
        raise AssayError(f"{checkpoint}: expected the state of partition {partition}, nothing was ever stored in it")
    return state, topic_id


def _damage(folder: SnapshotFolder, file: SnapshotFile, scratch: Path) -> str | None:
    try:
        folder.fetch(file, scratch)
    except DamagedSnapshotError as error:
        return str(error)
    return None


def _sync(path: Path) -> None:
    """Make a file, or the names in a directory, outlive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
