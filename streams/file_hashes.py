"""Hashes of a state's files; tables, which RocksDB never writes again, are hashed once."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from streams.snapshot_manifest import SnapshotFile

_TABLE = ".sst"


class _Stamp(NamedTuple):
    """A file as it was; a hard link to a table has the same stamp in every checkpoint."""

    name: str
    inode: int
    bytes: int
    modified_ns: int


class FileHashes:
    """Remembers the tables of each partition's last checkpoint."""

    def __init__(self) -> None:
        self._known: dict[int, dict[_Stamp, str]] = {}

    def described(self, partition: int, paths: Sequence[Path]) -> tuple[SnapshotFile, ...]:
        """Name, length and sha256 of each file of a checkpoint."""
        before = self._known.get(partition, {})
        now: dict[_Stamp, str] = {}
        files = []
        for path in paths:
            stat = path.stat()
            stamp = _Stamp(path.name, stat.st_ino, stat.st_size, stat.st_mtime_ns)
            sha256 = before.get(stamp) or sha256_of(path)
            if path.suffix == _TABLE:
                now[stamp] = sha256
            files.append(SnapshotFile(path.name, stat.st_size, sha256))
        self._known[partition] = now
        return tuple(files)


def sha256_of(path: Path) -> str:
    """Sha256 (hex) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
