"""How checkpoints are written in the simulated world: at once, or some time later, as a thread does it.

Between the cut and the write the worker folds and publishes, is stopped, loses the partition, or is gone: then the
write never happens.
"""

import random
from collections.abc import Callable
from concurrent.futures import Future

_LIKELY_AT_ONCE = 0.4
_LIKELY_BY_NOW = 0.4


class LaterWrite(Future[None]):
    """A write that happens when the world says so, at the latest when somebody waits for it."""

    def __init__(self, write: Callable[[], None], is_time: Callable[[], bool]) -> None:
        super().__init__()
        self._write = write
        self._is_time = is_time

    def done(self) -> bool:
        """Whether it has happened by now."""
        if not super().done() and self._is_time():
            self._happen()
        return super().done()

    def result(self, timeout: float | None = None) -> None:
        """Let it happen."""
        self._happen()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Let it happen; what went wrong."""
        self._happen()
        return super().exception(timeout)

    def _happen(self) -> None:
        if super().done():
            return
        try:
            self._write()
        except Exception as error:
            self.set_exception(error)
        else:
            self.set_result(None)


class WorldWriter:
    """A `Writer` of one process.

    Args:
        source: of when a write happens.
        note: is told of every write that did not happen at once, and of every one that was left undone.
    """

    def __init__(self, source: random.Random, note: Callable[[str], None]) -> None:
        self._source = source
        self._note = note
        self._begun: list[LaterWrite] = []

    def begin(self, write: Callable[[], None], /) -> Future[None]:
        """See `streams.writing.Writer`."""
        later = LaterWrite(write, lambda: self._source.random() < _LIKELY_BY_NOW)
        if self._source.random() < _LIKELY_AT_ONCE:
            later.result()
        else:
            self._note("later")
            self._begun.append(later)
        return later

    def close(self) -> None:
        """See `streams.writing.Writer`."""
        for later in self._begun:
            later.exception()

    def die(self) -> None:
        """The process is gone; so is what it had not written."""
        if any(not Future.done(later) for later in self._begun):
            self._note("lost")
