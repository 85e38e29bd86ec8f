"""The snapshots of one partition as files below a URL: manifests by offset, files by hash."""

import logging
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from streams.file_hashes import sha256_of
from streams.remote_files import UNFINISHED, RemoteFiles
from streams.snapshot_manifest import Manifest, SnapshotFile, UnreadableManifestError, decoded, encoded

_log = logging.getLogger("assay.snapshots")
_MANIFEST_NAME = re.compile(r"[0-9]{20}\.json")
_FILE_NAME = re.compile(rf"[0-9a-f]{{64}}|[0-9a-f]{{32}}{re.escape(UNFINISHED)}")
_KEPT_UNNAMED = timedelta(hours=1)
"""A file that no manifest names may belong to a snapshot that is being written right now."""
_LAST_OFFSET = 2**63 - 1


class DamagedSnapshotError(Exception):
    """A file of a snapshot is missing or not what its manifest says."""


class SnapshotFolder:
    """Where the snapshots of one partition are kept.

    Args:
        files: everything at the URL.
        topic: full name of the events topic.
        partition: number of the partition.
    """

    def __init__(self, files: RemoteFiles, topic: str, partition: int) -> None:
        self._remote = files
        self._topic = topic
        self._partition = partition
        self._manifests = f"{topic}-{partition}/manifests"
        self._files = f"{topic}-{partition}/files"

    def newest_first(self, at_most: int = _LAST_OFFSET) -> Iterator[tuple[int, Manifest | UnreadableManifestError]]:
        """Offset and manifest of each snapshot, or why that cannot be read."""
        names = (name for name in self._remote.names(self._manifests) if _MANIFEST_NAME.fullmatch(name))
        for offset in sorted((int(name[:20]) for name in names), reverse=True):
            if offset > at_most:
                continue
            try:
                yield offset, self._read(offset)
            except FileNotFoundError:  # another worker has just deleted it
                continue
            except UnreadableManifestError as error:
                yield offset, error

    def readable(self) -> Iterator[Manifest]:
        """Manifests, the newest first; one that cannot be read is warned of and left out."""
        for _, manifest in self.newest_first():
            if isinstance(manifest, Manifest):
                yield manifest
            else:
                _log.warning("partition %d: %s", self._partition, manifest)

    def reusable(self) -> set[str]:
        """Hashes of files that need not be sent: the newest snapshot names them, and they have their length.

        Only the newest counts: what older ones name may be deleted with them at any time.
        """
        newest = next(self.readable(), None)
        if newest is None:
            return set()
        lengths = self._remote.names(self._files)
        return {file.sha256 for file in newest.files if lengths.get(file.sha256) == file.bytes}

    def upload(self, source: Path, sha256: str) -> None:
        """Store one file under its hash."""
        self._remote.upload(source, f"{self._files}/{sha256}")

    def publish(self, manifest: Manifest) -> None:
        """Make a snapshot visible; its files are there."""
        self._remote.write(self._manifest_name(manifest.next_offset), encoded(manifest))

    def fetch(self, file: SnapshotFile, target: Path) -> None:
        """Copy a file to a local path and compare its hash.

        Raises:
            DamagedSnapshotError: it is missing, or another content came.
        """
        name = f"{self._files}/{file.sha256}"
        try:
            self._remote.download(name, target)
        except FileNotFoundError:
            raise DamagedSnapshotError(f"{self._remote.url}/{name} ({file.name}) is missing") from None
        if sha256_of(target) != file.sha256:
            raise DamagedSnapshotError(
                f"{self._remote.url}/{name} ({file.name}) is damaged: expected {file.bytes} bytes with that hash, got "
                f"{target.stat().st_size} bytes; delete it, the next snapshot stores it again if it still needs it"
            )

    def withdraw(self, offset: int) -> None:
        """Make a snapshot invisible."""
        self._remote.remove(self._manifest_name(offset))

    def sweep(self, remaining: Sequence[Manifest]) -> None:
        """Delete files of ours that none of `remaining` names and that were there an hour before the first of them.

        Args:
            remaining: every manifest that there is, the newest first.
        """
        named = {file.sha256 for manifest in remaining for file in manifest.files}
        names = self._remote.names(self._files)
        unnamed = [f"{self._files}/{name}" for name in names if _FILE_NAME.fullmatch(name) and name not in named]
        if not unnamed or not remaining:
            return
        newest = self._remote.modified(self._manifest_name(remaining[0].next_offset))
        for name in unnamed:
            modified = self._remote.modified(name)
            if newest is not None and modified is not None and modified < newest - _KEPT_UNNAMED:
                self._remote.remove(name)

    def _read(self, offset: int) -> Manifest:
        name = self._manifest_name(offset)
        where = f"{self._remote.url}/{name}"
        manifest = decoded(self._remote.read(name), where)
        if (manifest.topic, manifest.partition, manifest.next_offset) != (self._topic, self._partition, offset):
            raise UnreadableManifestError(
                f"{where}: expected the manifest of {self._topic}[{self._partition}] at {offset}, got that of "
                f"{manifest.topic}[{manifest.partition}] at {manifest.next_offset}; delete it"
            )
        return manifest

    def _manifest_name(self, offset: int) -> str:
        return f"{self._manifests}/{offset:020d}.json"
