"""How work is done that the fold need not wait for: at once, or in a thread beside it.

A checkpoint is written this way. Whoever begins something gets its future, and asks that for the end and for what went
wrong.
"""

import os
import sys
import threading
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


_NICE = 10


def _be_nice() -> None:
    """Linux has a priority for each thread, which it knows as a process."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


class InThread:
    """Does it in one other thread.

    One thread does for all partitions of a worker: two would only take turns at the interpreter.

    Args:
        name: of the thread, for stacks and profiles.
        in_no_hurry: it takes a tenth of a core that others want, and all of one that nobody wants.
    """

    def __init__(self, name: str, *, in_no_hurry: bool = False) -> None:
        prepare = _be_nice if in_no_hurry and sys.platform == "linux" else None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name, initializer=prepare)

    def begin(self, work: Work, /) -> "Future[None]":
        """See `Helper`."""
        return self._thread.submit(work)

    def close(self) -> None:
        """See `Helper`."""
        self._thread.shutdown()
