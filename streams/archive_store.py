"""Where the files of an archive are kept: a directory, or an object store through fsspec."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from features.errors import AssayError
from streams.archive_layout import ArchiveFile, parse

_ATTEMPTS = 4
_PAUSE_S = 0.25
_T = TypeVar("_T")


class ArchiveStore:
    """The files below one URL. A file appears whole or not at all.

    Args:
        url: a directory, or an object store that fsspec knows (``s3://bucket/prefix``).

    Raises:
        AssayError: the URL names a store that is not known or not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise AssayError(
                f"archive {url}: {error}; name a directory, or install what the URL needs (for s3://: pip install "
                "'assay[s3]')"
            ) from None
        self._root = self._root.rstrip("/")
        self.url = url

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other runs on this machine from writing into the same directory meanwhile.

        An object store has no such lock: there, one run at a time is the caller's promise.

        Raises:
            AssayError: another one is writing.
        """
        if not isinstance(self._files, LocalFileSystem):
            yield
            return
        try:
            Path(self._root).mkdir(parents=True, exist_ok=True)
            lock = (Path(self._root) / ".lock").open("ab")
        except OSError as error:
            raise self._failed("write there", error) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel lets go of it when the process ends
            except BlockingIOError:
                raise AssayError(
                    f"archive {self.url}: another `assay archive` is writing there; let it finish, or stop it"
                ) from None
            yield

    def files(self, topic: str) -> list[ArchiveFile]:
        """Every file of a topic (its name without the prefix); none if nothing was ever archived.

        Raises:
            AssayError: the store does not answer, or holds other Parquet files there.
        """
        self._files.invalidate_cache()  # another process may have written
        directory = f"{self._root}/{topic}"
        found = self._tried(f"list {topic}", lambda: self._files.find(directory))
        return [file for path in found if (file := parse(f"{topic}{path[len(directory) :]}")) is not None]

    def put(self, file: ArchiveFile, content: bytes) -> None:
        """Write a file; one of the same name is replaced.

        Raises:
            AssayError: the store does not take it.
        """
        path = f"{self._root}/{file.path}"
        self._tried(f"write {file.path}", lambda: self._put(path, file, content))

    @contextmanager
    def opened(self, file: ArchiveFile) -> Iterator[BinaryIO]:
        """A file for reading at any place.

        Raises:
            AssayError: it is gone, or the store does not answer.
        """
        opened = self._tried(f"read {file.path}", lambda: self._files.open(f"{self._root}/{file.path}", "rb"))
        with opened:
            yield cast(BinaryIO, opened)

    def _put(self, path: str, file: ArchiveFile, content: bytes) -> None:
        if not isinstance(self._files, LocalFileSystem):
            self._files.pipe_file(path, content)  # an object appears when it is complete
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        # One name per partition: what a crash leaves behind is overwritten. Queries pass over names with a dot.
        unfinished = Path(self._root) / file.topic / f".{file.topic}-{file.partition}.unfinished"
        with unfinished.open("wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        unfinished.replace(target)
        for directory in (target.parent, target.parent.parent, target.parent.parent.parent):
            _sync(directory)

    def _tried(self, doing: str, action: Callable[[], _T]) -> _T:
        for attempt in range(_ATTEMPTS):
            try:
                return action()
            except FileNotFoundError as error:
                raise self._failed(doing, error) from None
            except OSError as error:
                if attempt == _ATTEMPTS - 1:
                    raise self._failed(doing, error) from None
            except Exception as error:  # stores have errors of their own: no credentials, no such bucket
                raise self._failed(doing, error) from error
            time.sleep(_PAUSE_S * 4**attempt)
        raise AssertionError("unreachable")

    def _failed(self, doing: str, error: Exception) -> AssayError:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        return AssayError(f"archive {self.url}: could not {doing} ({reason}); put that right and run again")


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
