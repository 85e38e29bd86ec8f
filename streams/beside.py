"""How work is done that the fold need not wait for: at once, or in a thread beside it.

A checkpoint is written and a batch is published this way. Whoever begins something gets its future, and asks that for
the end and for what went wrong.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

Work = Callable[[], None]


class Helper(Protocol):
    """Does what it is given, one after the other."""

    def begin(self, work: Work, /) -> "Future[None]":
        """See to it that `work` is called once, now or later."""
        ...

    def close(self) -> None:
        """End what was begun; nothing is begun afterwards."""
        ...


class AtOnce:
    """Does it before it answers."""

    def begin(self, work: Work, /) -> "Future[None]":
        """See `Helper`."""
        done: Future[None] = Future()
        try:
            work()
        except Exception as error:
            done.set_exception(error)
        else:
            done.set_result(None)
        return done

    def close(self) -> None:
        """See `Helper`."""


class InThread:
    """Does it in one other thread.

    One thread does for all partitions of a worker: two would only take turns at the interpreter.

    Args:
        name: of the thread, for stacks and profiles.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    def begin(self, work: Work, /) -> "Future[None]":
        """See `Helper`."""
        return self._thread.submit(work)

    def close(self) -> None:
        """See `Helper`."""
        self._thread.shutdown()
