"""How checkpoints are written in the simulated world: at once, or later, as in a thread.

Between beginning and end the worker folds and publishes, is stopped, loses the partition, or is gone: then it never
happens.
"""

import random
from collections.abc import Callable
from concurrent.futures import Future

_LIKELY_AT_ONCE = 0.4
_LIKELY_BY_NOW = 0.4


class Later(Future[None]):
    """Work that is done when the world says so, at the latest when somebody waits for it."""

    def __init__(self, work: Callable[[], None], is_time: Callable[[], bool]) -> None:
        super().__init__()
        self._work = work
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
            self._work()
        except Exception as error:
            self.set_exception(error)
        else:
            self.set_result(None)


class WorldHelper:
    """A `Helper` of one process.

    Args:
        source: of when it is done.
        note: is told of everything that was not done at once, and when something was left undone.
    """

    def __init__(self, source: random.Random, note: Callable[[str], None]) -> None:
        self._source = source
        self._note = note
        self._begun: list[Later] = []

    def begin(self, work: Callable[[], None], /) -> Future[None]:
        """See `streams.beside.Helper`."""
        later = Later(work, lambda: self._source.random() < _LIKELY_BY_NOW)
        if self._source.random() < _LIKELY_AT_ONCE:
            later.exception()
        else:
            self._note("later")
            self._begun.append(later)
        return later

    def close(self) -> None:
        """See `streams.beside.Helper`."""
        for later in self._begun:
            later.exception()

    def die(self) -> None:
        """The process is gone; so is what it had not done."""
        if any(not Future.done(later) for later in self._begun):
            self._note("lost")
