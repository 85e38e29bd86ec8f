"""The snapshots of one partition of one topic as files below a URL: manifests by offset, files by hash."""

import logging
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from streams.file_hashes import sha256_of
from streams.remote_files import UNFINISHED, RemoteFiles
from streams.snapshot_manifest import Manifest, SnapshotFile, UnreadableManifestError, decoded, encoded
from streams.topic_identity import NOT_A_TOPIC, log_text

_log = logging.getLogger("assay.snapshots")
_MANIFEST_NAME = re.compile(r"[0-9]{20}\.json")
_FILE_NAME = re.compile(rf"[0-9a-f]{{64}}|[0-9a-f]{{32}}{re.escape(UNFINISHED)}")
_TOPIC_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_NO_TOPIC = "no-topic"  # shorter than any id
_KEPT_UNNAMED = timedelta(hours=1)
"""A file that no manifest names may belong to a snapshot that is being written right now."""
_LAST_OFFSET = 2**63 - 1


class DamagedSnapshotError(Exception):
    """A file of a snapshot is missing or not what its manifest says."""


def topic_ids(files: RemoteFiles, topic: str, partition: int) -> list[str]:
    """Ids of the topics of that name that have snapshots of a partition, in no order that means anything.

    Raises:
        AssayError: the store does not answer.
    """
    folder = f"{topic}-{partition}"
    return [
        NOT_A_TOPIC if name == _NO_TOPIC else name
        for name in sorted(files.names(folder))
        if (name == _NO_TOPIC or _TOPIC_ID.fullmatch(name)) and files.names(f"{folder}/{name}/manifests")
    ]


class SnapshotFolder:
    """Where the snapshots of one partition are kept. Another topic of the same name has a folder of its own.

    Args:
        files: everything at the URL.
        topic: full name of the events topic.
        topic_id: its id, see `streams/topic_identity.py`.
        partition: number of the partition.
    """

    def __init__(self, files: RemoteFiles, topic: str, topic_id: str, partition: int) -> None:
        self._remote = files
        self._topic = topic
        self._topic_id = topic_id
        self._partition = partition
        folder = f"{topic}-{partition}/{topic_id or _NO_TOPIC}"
        self._manifests = f"{folder}/manifests"
        self._files = f"{folder}/files"

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
        place = (manifest.topic, manifest.topic_id, manifest.partition, manifest.next_offset)
        if place != (self._topic, self._topic_id, self._partition, offset):
            raise UnreadableManifestError(
                f"{where}: expected the manifest of {self._topic}[{self._partition}] at {offset} "
                f"({log_text(self._topic_id)}), got that of {manifest.topic}[{manifest.partition}] at "
                f"{manifest.next_offset} ({log_text(manifest.topic_id)}); delete it"
            )
        return manifest

    def _manifest_name(self, offset: int) -> str:
        return f"{self._manifests}/{offset:020d}.json"
