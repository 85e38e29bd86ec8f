"""Watches a worker of the warm path from a thread of its own, and says what is wrong with it.

The event loop beats by a timer; what it worked on is compared with what the broker says is committed. A loop that no
longer beats cannot tell anybody, and commits that stand still show nowhere else (`commit_age.py`). Both end the
process: its supervisor starts it again, and what was not committed is worked on once more.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from features.errors import AssayError
from streams.metrics import WarmMetrics
from streams.warm.commit_age import CommitAges, Place
from streams.warm.continuity import LogView
from streams.warm.standstill import Standstill

_log = logging.getLogger("assay.warm")
LOOK_EVERY_S = 5.0


class Offsets(LogView, Protocol):
    """What the broker knows of the group."""

    def committed(self, places: frozenset[Place]) -> Mapping[Place, int]:
        """The next offset that is committed of each partition, -1 for none.

        Raises:
            AssayError: the broker does not tell.
        """
        ...

    def ends(self, places: frozenset[Place]) -> Mapping[Place, int]:
        """Where each partition ends; raises as `committed` does."""
        ...


class Liveness:
    """Looks every few seconds; `wrong` says what it saw.

    Args:
        ages: of commits.
        offsets: asked for what is committed.
        metrics: are told.
        limit_s: how long commits, or the loop, may stand still.
        leave: ends the process, and is told why.
        clock: seconds, rising.
    """

    def __init__(
        self,
        ages: CommitAges,
        offsets: Offsets,
        metrics: WarmMetrics,
        limit_s: float,
        leave: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ages = ages
        self._offsets = offsets
        self._metrics = metrics
        self._limit_s = limit_s
        self._leave = leave
        self._clock = clock
        self._standstill = Standstill()
        self._waiting: str | None = None
        self._beat_s: float | None = None
        self._assigned: frozenset[Place] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="warm-liveness", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self._thread.join()

    def beat(self, assigned: frozenset[Place]) -> None:
        """Called by the event loop, with the partitions that this worker has."""
        self._assigned = assigned
        self._beat_s = self._clock()

    def unready(self) -> str | None:
        """Why nothing is worked on yet; None when something is."""
        return None if self._assigned else "it has no partitions"

    def wrong(self) -> str | None:
        """What is wrong in a few words; None while all is well."""
        now_s = self._clock()
        if self._beat_s is not None and now_s - self._beat_s > self._limit_s:
            return f"the event loop has stood still for {now_s - self._beat_s:.0f} s"
        stalled = {place: age_s for place, age_s in self._ages.at(now_s).items() if age_s > self._limit_s}
        if stalled:
            place, age_s = max(stalled.items(), key=lambda item: item[1])
            return f"{place.topic}[{place.partition}]: nothing of what was done was committed for {age_s:.0f} s"
        return self._waiting

    def look(self) -> None:
        """Look once."""
        assigned = self._assigned or frozenset()
        self._ages.keep(assigned)
        if assigned:
            try:
                committed, ends = self._offsets.committed(assigned), self._offsets.ends(assigned)
                self._ages.committed(committed, self._clock())
                self._standstill.seen(committed, ends, self._clock())
                self._waiting = self._standstill.worst(self._offsets, self._clock(), self._limit_s)
                for place, end in ends.items():
                    lag = end - max(0, committed.get(place, 0))
                    self._metrics.lag_records.labels(place.topic, str(place.partition)).set(max(0, lag))
            except AssayError as error:  # a broker that is away is no fault of this worker
                _log.warning("%s", error)
                self._ages.unknown(self._clock())
        for place, age_s in self._ages.at(self._clock()).items():
            self._metrics.commit_age_seconds.labels(place.topic, str(place.partition)).set(age_s)
        wrong = self.wrong()
        if wrong is not None:
            self._leave(wrong)

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_EVERY_S):
            self.look()
