"""Files at a URL: a directory, S3, GCS and whatever else fsspec knows, with the promises that snapshots need.

A file is there whole or not at all. Where the store cannot promise that of a plain write, a file is written under
another name and moved. Trouble that may pass is met with a few tries; the rest is one clear line.
"""

import errno
import os
import re
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from features.errors import AssayError

_Result = TypeVar("_Result")
_WHOLE_OR_NOTHING = {"s3", "s3a", "gs", "gcs", "abfs", "az", "oss"}
"""Stores in which an object appears when its last byte has arrived."""
_WILL_NOT_PASS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR}
_WAITS_S = (0.1, 0.5, 2.0)
UNFINISHED = ".part"
"""End of the names of files that are still being written."""


class RemoteFiles:
    """Files below `url`, by names such as ``folder/file``.

    Args:
        url: a directory, or any URL that fsspec opens.
        waits_s: pauses before the second, third, ... try of something that failed.

    Raises:
        AssayError: the URL's scheme is not known, or needs a package that is not installed.
    """

    def __init__(self, url: str, waits_s: tuple[float, ...] = _WAITS_S) -> None:
        from fsspec.core import url_to_fs

        self.url = _without_password(url.rstrip("/"))
        self._waits_s = waits_s
        try:
            self._system, root = url_to_fs(url)
        except ImportError as error:
            raise AssayError(
                f"{self.url}: this kind of URL needs a package that is not installed ({error}); install it, for S3: "
                "the extra `s3`"
            ) from None
        except Exception as error:  # each file system has its own way to refuse its options
            raise AssayError(
                f"{self.url}: expected a directory or a URL that fsspec opens ({_first_line(error)})"
            ) from None
        self._root = root.rstrip("/")
        protocols = {self._system.protocol} if isinstance(self._system.protocol, str) else set(self._system.protocol)
        self._is_local = "file" in protocols
        self._writes_whole = bool(protocols & _WHOLE_OR_NOTHING)

    def names(self, folder: str = "") -> dict[str, int]:
        """Files and folders directly in a folder, each with its length in bytes; none if there is no such folder.

        Raises:
            AssayError: the store does not answer.
        """

        def listed() -> list[dict[str, Any]]:
            self._system.invalidate_cache()
            found: list[dict[str, Any]] = self._system.ls(self._path(folder), detail=True)
            return found

        try:
            entries = self._tried(f"listing {self._shown(folder)}", listed)
        except FileNotFoundError:
            return {}
        return {entry["name"].rstrip("/").rsplit("/", 1)[-1]: int(entry["size"] or 0) for entry in entries}

    def below(self, folder: str) -> list[str]:
        """Names of all files in a folder and in those in it, from the URL on; none if there is no such folder.

        Raises:
            AssayError: the store does not answer.
        """

        def found() -> list[str]:
            self._system.invalidate_cache()
            paths: list[str] = self._system.find(self._path(folder))
            return paths

        return [path[len(self._root) + 1 :] for path in self._tried(f"listing {self._shown(folder)}", found)]

    @property
    def directory(self) -> Path | None:
        """The directory that the URL names; None for a store that is no file system of this machine."""
        return Path(self._root) if self._is_local else None

    def read(self, name: str) -> bytes:
        """Content of a small file.

        Raises:
            FileNotFoundError: it is not there.
            AssayError: the store does not answer.
        """
        content: bytes = self._tried(f"reading {self._shown(name)}", lambda: self._system.cat_file(self._path(name)))
        return content

    def write(self, name: str, content: bytes) -> None:
        """Make a small file, or replace it, in one step.

        Raises:
            AssayError: the store does not take it.
        """
        self._put(name, lambda path: self._system.pipe_file(path, content))

    def upload(self, source: Path, name: str) -> None:
        """Copy a local file into the store; it appears whole.

        Raises:
            AssayError: the store does not take it.
        """
        self._put(name, lambda path: self._system.put_file(str(source), path))

    def download(self, name: str, target: Path) -> None:
        """Copy a file to a local path.

        Raises:
            FileNotFoundError: it is not there.
            AssayError: the store does not answer, or the disk does not take it.
        """
        self._tried(
            f"copying {self._shown(name)} to {target}", lambda: self._system.get_file(self._path(name), str(target))
        )

    def remove(self, name: str) -> None:
        """Delete a file; it may be gone already.

        Raises:
            AssayError: the store does not let go of it.
        """
        try:
            self._tried(f"deleting {self._shown(name)}", lambda: self._system.rm_file(self._path(name)))
        except FileNotFoundError:
            return

    def modified(self, name: str) -> datetime | None:
        """When the store took a file, by its own clock; None if it does not say, or the file is gone.

        Raises:
            AssayError: the store does not answer.
        """
        try:
            when: datetime = self._tried(
                f"asking for {self._shown(name)}", lambda: self._system.modified(self._path(name))
            )
        except (FileNotFoundError, NotImplementedError):
            return None
        return when

    def _put(self, name: str, write: Callable[[str], None]) -> None:
        final = self._path(name)

        def put() -> None:
            self._system.makedirs(final.rsplit("/", 1)[0], exist_ok=True)
            if self._writes_whole:
                write(final)
                return
            unfinished = f"{final.rsplit('/', 1)[0]}/{uuid.uuid4().hex}{UNFINISHED}"
            write(unfinished)
            if self._is_local:
                _sync(Path(unfinished))
            self._system.mv(unfinished, final)

        self._tried(f"writing {self._shown(name)}", put)

    def _tried(self, doing: str, action: Callable[[], _Result]) -> _Result:
        for wait_s in (*self._waits_s, None):
            try:
                return action()
            except (FileNotFoundError, NotImplementedError, AssertionError):
                raise
            except OSError as error:
                if wait_s is None or error.errno in _WILL_NOT_PASS:
                    raise AssayError(
                        f"{doing}: {_first_line(error)}; check the store, its rights and its room"
                    ) from None
                time.sleep(wait_s)
            except Exception as error:  # what clients of stores raise: no credentials, no such bucket, ...
                raise AssayError(
                    f"{doing}: {type(error).__name__}: {_first_line(error)}; check the URL and the credentials"
                ) from None
        raise AssertionError("the last try returns or raises")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _shown(self, name: str) -> str:
        return f"{self.url}/{name}" if name else self.url


def _sync(path: Path) -> None:
    """Make a local file outlive a power failure."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _without_password(text: str) -> str:
    """Fit for messages: URLs without user and password."""
    return re.sub(r"//[^/@]*@", "//", text)


def _first_line(error: Exception) -> str:
    return _without_password((str(error).splitlines() or [type(error).__name__])[0][:200])
