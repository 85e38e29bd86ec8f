"""How a checkpoint is written: at once, or in a thread beside the fold.

Whoever begins a write gets its future, and asks that for the end and for what went wrong.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

Write = Callable[[], None]


class Writer(Protocol):
    """Carries out writes, one after the other."""

    def begin(self, write: Write, /) -> "Future[None]":
        """See to it that `write` is called once, now or later."""
        ...

    def close(self) -> None:
        """End what was begun; nothing is begun afterwards."""
        ...


class WriteNow:
    """Writes before it answers; what goes wrong is raised at once."""

    def begin(self, write: Write, /) -> "Future[None]":
        """See `Writer`."""
        write()
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def close(self) -> None:
        """See `Writer`."""


class WriteBeside:
    """Writes in one other thread, whatever the number of partitions: two would only take turns at the interpreter."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="assay-checkpoint")

    def begin(self, write: Write, /) -> "Future[None]":
        """See `Writer`."""
        return self._thread.submit(write)

    def close(self) -> None:
        """See `Writer`."""
        self._thread.shutdown()
