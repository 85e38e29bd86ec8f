"""Ends the process when a call that must return does not.

librdkafka's transaction calls can block for ever whatever timeout they are given, and a thread blocked in C cannot be
interrupted. So a second thread watches: past the deadline it dumps every stack and leaves at once. That is safe,
because a crash at any instruction is (docs/decisions/0005-delivery.md).
"""

import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

_log = logging.getLogger("assay.watchdog")
_GRACE_S = 2.0


class _Guarded(NamedTuple):
    """A block that is being watched."""

    what: str
    limit_s: float
    until_s: float
    holds_the_lock: bool


def _leave() -> None:
    with suppress(Exception):
        sys.stderr.flush()
    os._exit(1)


class Watchdog:
    """Watches one thread.

    Args:
        limit_s: longest time that a guarded block may take.
        leave: what to do when it takes longer; by default the process ends with code 1.
    """

    def __init__(self, limit_s: float, leave: Callable[[], None] = _leave) -> None:
        self._limit_s = limit_s
        self._leave = leave
        self._guarded: _Guarded | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    @contextmanager
    def guard(self, what: str, limit_s: float | None = None, *, holds_the_lock: bool = False) -> Iterator[None]:
        """Watch the block; blocks may lie inside each other.

        Args:
            what: said if it does not end in time.
            limit_s: longest time for this block; by default that of the watchdog.
            holds_the_lock: a call in the block may hang without giving the interpreter's lock back, so that no thread
                of Python could notice: a timer in C ends the process with the stacks, a moment after the thread would.
        """
        seconds = self._limit_s if limit_s is None else limit_s
        outer = self._guarded
        self._set(_Guarded(what, seconds, time.monotonic() + seconds, holds_the_lock))
        try:
            yield
        finally:
            self._set(outer)

    def _set(self, guarded: _Guarded | None) -> None:
        """There is one timer in C: it belongs to the innermost block."""
        before, self._guarded = self._guarded, guarded
        if guarded is not None and guarded.holds_the_lock:
            left_s = max(0.0, guarded.until_s - time.monotonic()) + _GRACE_S
            faulthandler.dump_traceback_later(left_s, exit=True, file=2)
        elif before is not None and before.holds_the_lock:
            faulthandler.cancel_dump_traceback_later()

    def stop(self) -> None:
        """End the watching thread."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(min(1.0, self._limit_s / 4)):
            guarded = self._guarded
            if guarded is not None and time.monotonic() > guarded.until_s:
                _log.critical(
                    "%s did not end within %.0f s; the worker leaves and recovers when it is started again. Stacks:",
                    guarded.what,
                    guarded.limit_s,
                )
                with suppress(Exception):  # standard error may be closed; leaving matters more than the stacks
                    faulthandler.dump_traceback(file=sys.stderr)
                self._leave()
                return
