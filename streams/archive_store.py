"""Where the files of an archive are kept: a directory, or an object store through fsspec."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from features.errors import AssayError
from streams.archive_layout import ArchiveFile, parse
from streams.remote_files import UNFINISHED, RemoteFiles


class ArchiveStore:
    """The files below one URL. A file appears whole or not at all.

    Args:
        url: a directory, or any URL that fsspec opens (``s3://bucket/prefix``).

    Attributes:
        url: the same, fit for messages.

    Raises:
        AssayError: the URL names a store that is not known or not installed.
    """

    def __init__(self, url: str) -> None:
        self._remote = RemoteFiles(url)
        self.url = self._remote.url

    @contextmanager
    def alone(self, topics: Sequence[str]) -> Iterator[None]:
        """Keeps other runs on this machine from writing into the same directory meanwhile.

        An object store has no such lock: there, one run at a time is the caller's promise.

        Args:
            topics: what a killed run left unfinished of these is removed.

        Raises:
            AssayError: another one is writing.
        """
        directory = self._remote.directory
        if directory is None:
            yield
            return
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = (directory / ".lock").open("ab")
        except OSError as error:
            raise AssayError(f"archive {self.url}: expected a directory to write into ({error.strerror})") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel lets go of it when the process ends
            except BlockingIOError:
                raise AssayError(
                    f"archive {self.url}: another `assay archive` is writing there; let it finish, or stop it"
                ) from None
            for name in chain.from_iterable(map(self._remote.below, topics)):
                if name.endswith(UNFINISHED):  # some readers of directories would take it for a part of the table
                    self._remote.remove(name)
            yield

    def files(self, topic: str) -> list[ArchiveFile]:
        """Every file of a topic (its name without the prefix); none if nothing was ever archived.

        Raises:
            AssayError: the store does not answer, or holds other Parquet files there.
        """
        return [file for name in self._remote.below(topic) if (file := parse(name)) is not None]

    def put(self, file: ArchiveFile, content: bytes) -> None:
        """Write a file; one of the same name is replaced.

        Raises:
            AssayError: the store does not take it.
        """
        self._remote.write(file.path, content)
        if self._remote.directory is not None:
            # Its name, too, must outlive a power failure before a later file is written into another directory.
            for directory in list((self._remote.directory / file.path).parents)[:3]:
                _sync(directory)

    def get(self, file: ArchiveFile) -> bytes:
        """Content of a file.

        Raises:
            AssayError: it is gone, or the store does not answer.
        """
        try:
            return self._remote.read(file.path)
        except FileNotFoundError:
            raise AssayError(f"archive {self.url}: {file.path} is gone; put it back, or begin later") from None


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
