"""Where the state of the entity fold is between two lives of a worker: one file, replaced as a whole."""

import os
from pathlib import Path

from features.errors import AssayError


class EntityFile:
    """One state.

    Args:
        path: of the file; its directory is made.
        every_s: seconds between two writings.
    """

    def __init__(self, path: Path, every_s: float) -> None:
        self.path = path
        self._every_s = every_s
        self._written_s: float | None = None

    def is_due(self, now_s: float) -> bool:
        """Whether it is time to write; the first time is so long after the first question."""
        if self._written_s is None:
            self._written_s = now_s
        if now_s - self._written_s < self._every_s:
            return False
        self._written_s = now_s
        return True

    def read(self) -> bytes | None:
        """The state that was written last; None if there is none.

        Raises:
            AssayError: it cannot be read.
        """
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AssayError(f"{self.path}: {error.strerror}; give the worker a directory that it may read") from error

    def write(self, state: bytes) -> None:
        """Put another state in place of the last one; a crash leaves one or the other.

        Raises:
            AssayError: it cannot be written.
        """
        beside = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                file.write(state)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
            directory = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise AssayError(f"{self.path}: {error.strerror}; make room, or give the worker a directory") from error
