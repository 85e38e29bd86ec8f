"""States of the entity fold at a URL, so that another machine can go on where one stood.

Below the URL: ``<links topic>/<topic id>/<next offset, 20 digits>-<sha256, 32 digits>.state``. A state follows from the
links up to its offset, whoever folded them: of several the one that stands furthest is taken, and two workers that both
write, because one does not know yet that it was replaced, do no harm.
"""

import hashlib
import logging
from concurrent.futures import Future
from typing import Final

from features.errors import AssayError
from streams.beside import Helper
from streams.remote_files import RemoteFiles

_log = logging.getLogger("assay.warm")
_ENDING: Final = ".state"
_KEPT: Final = 2
"""Newest states that stay: the last one, and the one before it in case it is damaged."""


class EntityCopies:
    """Copies of one links topic's fold.

    Args:
        files: where they are.
        topic: full name of the links topic.
        topic_id: of the topic that is there now: states of a former one of that name say nothing.
        every_s: seconds between two copies.
        helper: writes them; trouble is logged, and the next copy tries again.
    """

    def __init__(self, files: RemoteFiles, topic: str, topic_id: str, every_s: float, helper: Helper) -> None:
        self._files = files
        self._folder = f"{topic}/{topic_id}"
        self._every_s = every_s
        self._helper = helper
        self._copied_s: float | None = None
        self._under_way: Future[None] | None = None

    @property
    def where(self) -> str:
        """Where they are, without a password."""
        return f"{self._files.url}/{self._folder}"

    def newest(self, beyond: int) -> bytes | None:
        """The state that stands furthest; None if none stands beyond an offset of the links.

        One that is damaged is passed over, and said.

        Raises:
            AssayError: the store does not answer.
        """
        for name in self._names():
            offset, _, digest = name.removesuffix(_ENDING).partition("-")
            if int(offset) <= beyond:
                return None
            try:
                state = self._files.read(f"{self._folder}/{name}")
            except FileNotFoundError:  # taken away by a newer one a moment ago
                continue
            if _digest(state) == digest:
                return state
            _log.error("%s/%s: its content is not what its name says; passing it over", self.where, name)
        return None

    def offer(self, offset: int, state: bytes, now_s: float) -> None:
        """Copy a state that stands at an offset, if it is time and the last copy is done; does not wait."""
        if self._copied_s is None:
            self._copied_s = now_s
        is_busy = self._under_way is not None and not self._under_way.done()
        if is_busy or now_s - self._copied_s < self._every_s:
            return
        self._copied_s = now_s
        self._under_way = self._helper.begin(lambda: self._copy(offset, state))

    def close(self) -> None:
        """Wait for the copy that is under way."""
        self._helper.close()

    def _copy(self, offset: int, state: bytes) -> None:
        try:
            self._files.write(f"{self._folder}/{offset:020d}-{_digest(state)}{_ENDING}", state)
            for name in self._names()[_KEPT:]:
                self._files.remove(f"{self._folder}/{name}")
        except AssayError as error:
            _log.error("the state of the entities was not copied, the next copy tries again: %s", error)

    def _names(self) -> list[str]:
        """Copies, furthest first."""
        return sorted((name for name in self._files.names(self._folder) if name.endswith(_ENDING)), reverse=True)


def _digest(state: bytes) -> str:
    return hashlib.sha256(state).hexdigest()[:32]
