"""States of partitions at a URL, so that another machine can go on where one stood.

Below the URL, for each partition::

    <topic>-<partition>/manifests/<next_offset, 20 digits>.json
    <topic>-<partition>/files/<sha256>

A file is stored once under its hash, however many snapshots it belongs to; the manifest comes last, so a snapshot is
visible only when it is whole. When it is restored every hash is checked again. docs/decisions/0007-snapshots.md says
why, and what happens when two write at once.
"""

import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from features.errors import AssayError
from features.rocks_store import RocksStore
from streams.file_hashes import FileHashes, sha256_of
from streams.partition import stored_state
from streams.remote_files import RemoteFiles
from streams.snapshot_manifest import (
    Manifest,
    SnapshotFile,
    UnreadableManifestError,
    decoded,
    encoded,
    new_manifest,
)
from streams.state_directory import partition_numbers

_log = logging.getLogger("assay.snapshots")
_KEPT_UNNAMED = timedelta(hours=1)
"""A file that no manifest names may belong to a snapshot that is being written right now."""

_MANIFEST_NAME = re.compile(r"[0-9]{20}\.json")

BytesProgress = Callable[[int, int], None]
"""Called with bytes done so far and bytes in all."""


class _DamagedError(Exception):
    """A file of a snapshot is missing or not what its manifest says."""


class SnapshotStore:
    """Snapshots of one topic's partitions. Keeps the promise of `streams.time_machine.Snapshots`.

    Args:
        url: a directory, or any URL that fsspec opens.
        topic: full name of the events topic.
        first_model: restore only states that were started with this model; None takes any.
        feature_set: restore only states kept for the feature set with this hash; None takes any.

    Raises:
        AssayError: the URL's scheme is not stored, or needs a package that is not installed.
    """

    def __init__(self, url: str, topic: str, *, first_model: str | None = None, feature_set: str | None = None) -> None:
        self._files = RemoteFiles(url)
        self._topic = topic
        self._first_model = first_model
        self._feature_set = feature_set
        self._hashes = FileHashes()

    @property
    def url(self) -> str:
        """Where the snapshots are, without a password."""
        return self._files.url

    def save(
        self, partition: int, checkpoint: Path, *, taken_ms: int = 0, progress: BytesProgress = lambda *_: None
    ) -> Manifest:
        """Store a state; files that the newest snapshot has already are not sent again.

        Args:
            partition: number of the partition.
            checkpoint: directory of a closed state, as `RocksStore.checkpoint` makes it; not changed.
            taken_ms: when it was taken, for people.
            progress: told after each file.

        Raises:
            AssayError: there is no state in `checkpoint`, or the store does not take it; nothing is visible then.
        """
        paths = sorted(path for path in checkpoint.iterdir() if path.is_file())
        store = RocksStore(checkpoint, read_only=True)
        try:
            state = stored_state(store, partition)
        finally:
            store.close()
        if state is None:
            raise AssayError(
                f"{checkpoint}: expected the state of partition {partition}, nothing was ever stored in it"
            )
        files = self._hashes.described(partition, paths)
        manifest = new_manifest(
            topic=self._topic,
            partition=partition,
            next_offset=state.next_offset,
            model=state.model,
            first_model=state.first_model,
            feature_set=state.feature_set,
            taken_ms=taken_ms,
            files=files,
        )
        stored = self._stored(partition)
        done_bytes = 0
        for path, file in zip(paths, files, strict=True):
            if file.sha256 not in stored:
                self._files.upload(path, self._file_name(partition, file.sha256))
                stored.add(file.sha256)
            done_bytes += file.bytes
            progress(done_bytes, manifest.total_bytes)
        self._files.write(self._manifest_name(partition, manifest.next_offset), encoded(manifest))
        return manifest

    def manifests(self, partition: int) -> list[Manifest]:
        """Snapshots of a partition, the newest first; a manifest that cannot be read is warned of and left out.

        Raises:
            AssayError: the store does not answer.
        """
        return list(self._readable(partition))

    def partitions(self) -> list[int]:
        """Partitions that have snapshots, rising.

        Raises:
            AssayError: the store does not answer.
        """
        return partition_numbers(self._topic, self._files.names())

    def restore(
        self, partition: int, at_most: int, directory: Path, *, progress: BytesProgress = lambda *_: None
    ) -> int | None:
        """Put the newest state with ``next_offset <= at_most`` into `directory`; its offset, None if there is none.

        A damaged snapshot is warned of, and the next older one is taken. `directory` appears whole or not at all.

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
        tried = 0
        for offset, manifest in self._newest_first(partition, at_most):
            try:
                if isinstance(manifest, UnreadableManifestError):
                    raise _DamagedError(str(manifest))
                if self._fits(manifest):
                    self._copy(manifest, directory, progress)
                    return offset
                _log.info("partition %d: snapshot %d is of another model or feature set", partition, offset)
            except _DamagedError as error:
                tried += 1
                _log.warning("partition %d: snapshot %d is damaged: %s", partition, offset, error)
        if tried:
            raise AssayError(
                f"partition {partition}: {self.url} has {tried} snapshots up to offset {at_most}, none of them whole; "
                "see `assay state verify --all-snapshots`, or rebuild the state from the log: `assay state rebuild`"
            )
        return None

    def retain(self, partition: int, keep: int) -> int:
        """Delete all but the newest `keep` snapshots; returns how many went.

        Manifests go first. Then files go that no manifest names and that were there an hour before the newest
        manifest: younger ones may belong to a snapshot that is on its way.

        Raises:
            AssayError: the store does not answer.
        """
        assert keep >= 1, "the newest snapshot stays"
        found = dict(self._newest_first(partition))
        kept = {offset: manifest for offset, manifest in found.items() if isinstance(manifest, Manifest)}
        oldest = min(sorted(kept, reverse=True)[:keep], default=0)
        dropped = [offset for offset in found if offset < oldest]
        for offset in dropped:
            self._files.remove(self._manifest_name(partition, offset))
        remaining = [manifest for offset, manifest in found.items() if offset >= oldest]
        if all(isinstance(manifest, Manifest) for manifest in remaining):
            self._sweep(partition, [manifest for manifest in remaining if isinstance(manifest, Manifest)])
        else:
            _log.warning("partition %d: no file is deleted while there is a manifest that cannot be read", partition)
        return len(dropped)

    def check(self, partition: int) -> Iterator[tuple[int, list[str]]]:
        """Read every snapshot to the end, the newest first: its offset, and one line per damage.

        Raises:
            AssayError: the store does not answer.
        """
        damages: dict[str, str | None] = {}  # by hash: snapshots share files
        with TemporaryDirectory(prefix="assay-snapshot-check-") as scratch:
            for offset, manifest in self._newest_first(partition):
                if isinstance(manifest, UnreadableManifestError):
                    yield offset, [str(manifest)]
                    continue
                for file in manifest.files:
                    if file.sha256 not in damages:
                        damages[file.sha256] = self._damage(partition, file, Path(scratch) / "file")
                yield offset, [line for file in manifest.files if (line := damages[file.sha256]) is not None]

    def _newest_first(
        self, partition: int, at_most: int = 2**63 - 1
    ) -> Iterator[tuple[int, Manifest | UnreadableManifestError]]:
        """Offset and manifest of each snapshot, or why that cannot be read."""
        names = self._files.names(f"{self._topic}-{partition}/manifests")
        offsets = sorted((int(name[:20]) for name in names if _MANIFEST_NAME.fullmatch(name)), reverse=True)
        for offset in offsets:
            if offset > at_most:
                continue
            name = self._manifest_name(partition, offset)
            where = f"{self.url}/{name}"
            try:
                manifest = decoded(self._files.read(name), where)
                if (manifest.topic, manifest.partition, manifest.next_offset) != (self._topic, partition, offset):
                    raise UnreadableManifestError(
                        f"{where}: expected a manifest of {self._topic}[{partition}] at {offset}, got one of "
                        f"{manifest.topic}[{manifest.partition}] at {manifest.next_offset}; delete it"
                    )
            except FileNotFoundError:  # another worker has just deleted it
                continue
            except UnreadableManifestError as error:
                yield offset, error
            else:
                yield offset, manifest

    def _readable(self, partition: int) -> Iterator[Manifest]:
        for _, manifest in self._newest_first(partition):
            if isinstance(manifest, Manifest):
                yield manifest
            else:
                _log.warning("partition %d: %s", partition, manifest)

    def _fits(self, manifest: Manifest) -> bool:
        return (self._first_model is None or manifest.first_model == self._first_model) and (
            self._feature_set is None or manifest.feature_set == self._feature_set
        )

    def _stored(self, partition: int) -> set[str]:
        """Hashes of files that need not be sent: the newest snapshot names them, and they have their length.

        Only the newest counts: what older ones name may be deleted with them at any time.
        """
        newest = next(self._readable(partition), None)
        if newest is None:
            return set()
        lengths = self._files.names(f"{self._topic}-{partition}/files")
        return {file.sha256 for file in newest.files if lengths.get(file.sha256) == file.bytes}

    def _copy(self, manifest: Manifest, directory: Path, progress: BytesProgress) -> None:
        """Fetch a snapshot beside `directory`, make it safe, then move it there in one step."""
        unfinished = directory.with_name(f".{directory.name}.restoring")
        done_bytes = 0
        try:
            shutil.rmtree(unfinished, ignore_errors=True)  # a crash may have left it
            unfinished.mkdir(parents=True)
            for file in manifest.files:
                self._fetch(manifest.partition, file, unfinished / file.name)
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

    def _fetch(self, partition: int, file: SnapshotFile, target: Path) -> None:
        name = self._file_name(partition, file.sha256)
        try:
            self._files.download(name, target)
        except FileNotFoundError:
            raise _DamagedError(f"{self.url}/{name} ({file.name}) is missing") from None
        if sha256_of(target) != file.sha256:
            raise _DamagedError(
                f"{self.url}/{name} ({file.name}) is not what was stored: expected {file.bytes} bytes with that hash, "
                f"got {target.stat().st_size} bytes"
            )

    def _damage(self, partition: int, file: SnapshotFile, scratch: Path) -> str | None:
        try:
            self._fetch(partition, file, scratch)
        except _DamagedError as error:
            return str(error)
        return None

    def _sweep(self, partition: int, remaining: Sequence[Manifest]) -> None:
        """Delete old files that no manifest names."""
        named = {file.sha256 for manifest in remaining for file in manifest.files}
        folder = f"{self._topic}-{partition}/files"
        unnamed = [f"{folder}/{name}" for name in self._files.names(folder) if name not in named]
        if not unnamed or not remaining:
            return
        newest = self._files.modified(self._manifest_name(partition, remaining[0].next_offset))
        for name in unnamed:
            modified = self._files.modified(name)
            if newest is not None and modified is not None and modified < newest - _KEPT_UNNAMED:
                self._files.remove(name)

    def _manifest_name(self, partition: int, offset: int) -> str:
        return f"{self._topic}-{partition}/manifests/{offset:020d}.json"

    def _file_name(self, partition: int, sha256: str) -> str:
        return f"{self._topic}-{partition}/files/{sha256}"


def _sync(path: Path) -> None:
    """Make a file, or the names in a directory, outlive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
