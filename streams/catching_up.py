"""Partitions of a worker whose states are far behind: others bring them up to date while the worker judges the rest.

Folding holds Python's interpreter lock for most of its time, so a large gap is folded in a process of its own, several
of them side by side (docs/decisions/0011-catching-up.md). Until it has ended, the worker owns the partition and neither
reads it nor has its state open. However it ended, the worker opens the state again and folds what is left itself.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

_log = logging.getLogger("assay.catching_up")
_TELL_EVERY_S = 10.0


class Reached(NamedTuple):
    """How far somebody has come.

    Attributes:
        offset: records below it are folded.
        log_end: end of the log, as last heard.
    """

    offset: int
    log_end: int


class CatchUp(Protocol):
    """Who folds gaps; `streams/catch_up_processes.py` does it in processes."""

    def start(self, partition: int, start: int, end: int) -> None:
        """Fold the stored state of a partition, which nobody has open, from `start` up to `end` and never beyond.

        It may have to wait until others have ended.
        """
        ...

    def reached(self, partition: int) -> Reached | None:
        """How far it has come; None: it has ended, whatever the reason, and the state is free. Never blocks."""
        ...

    def stop(self, partitions: Iterable[int]) -> None:
        """End it, wherever it is; afterwards the states are free. Partitions that nobody folds are passed over."""
        ...


@dataclass(slots=True)
class _Gap:
    """A gap that is being folded: from `start` to `end`, since `started_s`."""

    start: int
    end: int
    started_s: float
    told_s: float
    reached: Reached


class CatchingUp:
    """The gaps of one worker.

    Args:
        catch_up: who folds them; None: nobody.
        least_records: smaller gaps are left to the worker; 0: all are.
        clock: seconds, rising.
    """

    def __init__(self, catch_up: CatchUp | None, least_records: int, clock: Callable[[], float]) -> None:
        self._catch_up = catch_up
        self._least_records = least_records
        self._clock = clock
        self._gaps: dict[int, _Gap] = {}
        self._ended: dict[int, _Gap] = {}

    @property
    def partitions(self) -> list[int]:
        """Those that are being caught up; may be asked by any thread."""
        return sorted(dict(self._gaps))

    def is_worth_it(self, records: int) -> bool:
        """Whether a gap of so many records is large enough."""
        return self._catch_up is not None and 0 < self._least_records <= records

    def begin(self, partition: int, start: int, end: int, log_end: int) -> None:
        """Let a gap be folded; the state of the partition must not be open.

        Args:
            partition: its number.
            start: where its stored state stands.
            end: what the group has committed: no state may ever be ahead of that.
            log_end: end of the log.
        """
        assert self._catch_up is not None
        now_s = self._clock()
        self._gaps[partition] = _Gap(start, end, now_s, now_s, Reached(start, log_end))
        _log.info("partition %d: catching up from %d to %d, %d records", partition, start, end, end - start)
        self._catch_up.start(partition, start, end)

    def ended(self) -> list[int]:
        """Partitions that nobody folds any more, each once: their states are to be opened. Tells of the others."""
        if not self._gaps:
            return []
        assert self._catch_up is not None
        result = []
        now_s = self._clock()
        for partition, gap in list(self._gaps.items()):
            reached = self._catch_up.reached(partition)
            if reached is not None:
                gap.reached = reached
                if now_s - gap.told_s >= _TELL_EVERY_S:
                    gap.told_s = now_s
                    _log.info("partition %d: %s", partition, _progress(gap, now_s))
                continue
            self._ended[partition] = self._gaps.pop(partition)
            result.append(partition)
        return result

    def opened(self, partition: int, offset: int) -> None:
        """A partition that had ended was opened, and its state stands at `offset`."""
        gap = self._ended.pop(partition)
        took_s = self._clock() - gap.started_s
        _log.info(
            "partition %d: caught up to %d of %d in %.1f s, %.0f records/s%s",
            partition,
            offset,
            gap.end,
            took_s,
            (offset - gap.start) / took_s if took_s > 0 else 0,
            "" if offset >= gap.end else "; the worker folds the rest itself",
        )

    def behind(self, partition: int) -> int:
        """Records of the log that are not folded yet."""
        offset, log_end = self._gaps[partition].reached
        return max(0, log_end - offset)

    def stop(self, partitions: Iterable[int]) -> None:
        """Nobody folds these from now on, and their states are free."""
        going = [partition for partition in partitions if self._gaps.pop(partition, None) is not None]
        if self._catch_up is not None and going:
            self._catch_up.stop(going)
            _log.info("partitions %s: catching up ends here, somebody else goes on", going)


def _progress(gap: _Gap, now_s: float) -> str:
    """How far, and how long it will take.

    >>> _progress(_Gap(0, 1_000, 0.0, 0.0, Reached(250, 1_000)), 10.0)
    'caught up to 250 of 1000, about 30 s to go'
    >>> _progress(_Gap(0, 1_000, 0.0, 0.0, Reached(0, 1_000)), 10.0)
    'caught up to 0 of 1000, waiting for a process or for the first records'
    """
    done = gap.reached.offset - gap.start
    if done <= 0:
        return f"caught up to {gap.start} of {gap.end}, waiting for a process or for the first records"
    left_s = (now_s - gap.started_s) / done * max(0, gap.end - gap.reached.offset)
    return f"caught up to {gap.reached.offset} of {gap.end}, about {left_s:.0f} s to go"
