"""Work that takes a while, done beside the pages: a few lanes of one thread each, progress, results kept for a time."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from features.errors import AssayError

_log = logging.getLogger("assay.console")
MOST_WAITING: Final = 8
MOST_KEPT: Final = 64

Report = Callable[[int, int, int | None], None]
"""Told records worked on, and how much is done of the whole; raises `CancelledError` if nobody wants the result."""


class CancelledError(AssayError):
    """Somebody has cancelled the work."""


@dataclass(slots=True)
class Job:
    """One piece of work.

    Attributes:
        key: what it is about.
        title: for people.
        state: where it stands.
        records: worked on so far.
        done: part of `total`.
        total: how much there is; None: nobody knows yet.
        result: once it is done.
        error: why it failed, in one line.
        by: who asked; empty for readers.
        started_ms: when it was asked for.
        ended_s: when it was over, monotonic seconds.
    """

    key: Hashable
    title: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"] = "waiting"
    records: int = 0
    done: int = 0
    total: int | None = None
    result: Any = None
    error: str = ""
    by: str = ""
    started_ms: int = 0
    ended_s: float = 0.0
    _future: "Future[None] | None" = None
    _cancel: threading.Event = field(default_factory=threading.Event)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def share(self) -> float | None:
        """Part that is done, 0 to 1; None if nobody knows."""
        return min(1.0, self.done / self.total) if self.total else None

    def report(self, records: int, done: int, total: int | None) -> None:
        """See `Report`."""
        self.records, self.done, self.total = records, done, total
        if self._cancel.is_set():
            raise CancelledError("cancelled")

    def cancel(self) -> None:
        """Ask it to end; it does so at its next report."""
        self._cancel.set()

    def settle(self, timeout_s: float) -> None:
        """Wait a moment for its end; returns all the same if it goes on."""
        if self._future is not None:
            wait([self._future], timeout_s)


class Jobs:
    """Runs jobs, one after another in each lane; the same question asked again is the same job.

    Args:
        lanes: names of lanes.
        clock_s: seconds, rising.
    """

    def __init__(self, lanes: tuple[str, ...], clock_s: Callable[[], float] = time.monotonic) -> None:
        self._lanes = {name: ThreadPoolExecutor(1, f"console-{name}") for name in lanes}
        self._kept: OrderedDict[Hashable, Job] = OrderedDict()
        self._clock_s = clock_s

    def get(self, key: Hashable) -> Job | None:
        """The job about `key`, if there is one."""
        return self._kept.get(key)

    def start(
        self, lane: str, key: Hashable, title: str, work: Callable[[Report], Any], *, fresh_s: float, by: str = ""
    ) -> Job:
        """The job about `key`: one that goes on, or was done less than `fresh_s` ago; else a new one.

        Raises:
            AssayError: too much waits already.
        """
        known = self._kept.get(key)
        if known is not None and (not known.is_over or self._clock_s() - known.ended_s < fresh_s):
            return known
        if sum(not job.is_over for job in self._kept.values()) >= MOST_WAITING:
            raise AssayError(f"{MOST_WAITING} questions wait already: try again in a moment")
        job = Job(key, title, by=by, started_ms=time.time_ns() // 1_000_000)
        self._kept[key] = job
        self._kept.move_to_end(key)
        self._forget()
        job._future = self._lanes[lane].submit(self._run, job, work)
        return job

    def close(self) -> None:
        """Cancel everything and wait for its end."""
        for job in self._kept.values():
            job.cancel()
        for lane in self._lanes.values():
            lane.shutdown(wait=True, cancel_futures=True)

    def _run(self, job: Job, work: Callable[[Report], Any]) -> None:
        job.state = "running"
        try:
            job.report(0, 0, None)
            job.result = work(job.report)
            job.state = "done"
        except CancelledError:
            job.state = "cancelled"
        except AssayError as error:
            job.error, job.state = str(error), "failed"
        except Exception as error:  # a page tells it; the thread has to live on
            _log.exception("console: %s", job.title)
            job.error, job.state = (
                f"a mistake of ours ({type(error).__name__}): the log of the console has it",
                "failed",
            )
        finally:
            job.ended_s = self._clock_s()

    def _forget(self) -> None:
        over = [key for key, job in self._kept.items() if job.is_over]
        for key in over[: max(0, len(self._kept) - MOST_KEPT)]:
            del self._kept[key]
