"""Gaps folded in processes: starts them, some at once, hears how far they are, and ends them.

Each is a fresh `python -m streams.catch_up`, not a fork: a worker has threads of the Kafka client and of RocksDB. Its
standard input stays open as a lifeline; the system closes it when the worker dies, kill -9 included.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from streams.catch_up import Task
from streams.catching_up import Reached
from streams.config import SETTINGS
from streams.watchdog import Watchdog

_log = logging.getLogger("assay.catch_up")
_COMMAND = (sys.executable, "-P", "-m", "streams.catch_up")
_SECRETS = {setting.variable for setting in SETTINGS if setting.secret}
_MOST_BY_DEFAULT = 4
_HEARD_BYTES = 1 << 16


@dataclass(slots=True)
class _Job:
    """A gap, and its process once it has one; `heard` is a line that has not ended yet."""

    task: Task
    reached: Reached
    process: subprocess.Popen[bytes] | None = None
    heard: bytes = b""


class CatchUpProcesses:
    """A `CatchUp` with one process per partition.

    Args:
        task: makes the task of a process out of partition, start and end.
        most: processes at once; the others wait for their turn.
        watchdog: ends the worker if a process that was killed does not go.
        command: of a process.
    """

    def __init__(
        self,
        task: Callable[[int, int, int], Task],
        most: int,
        watchdog: Watchdog,
        command: Sequence[str] = _COMMAND,
    ) -> None:
        self._task = task
        self._most = most
        self._watchdog = watchdog
        self._command = command
        self._jobs: dict[int, _Job] = {}

    def start(self, partition: int, start: int, end: int) -> None:
        """See `CatchUp`."""
        self._jobs[partition] = _Job(self._task(partition, start, end), Reached(start, end))
        self._launch()

    def reached(self, partition: int) -> Reached | None:
        """See `CatchUp`."""
        self._launch()
        job = self._jobs.get(partition)
        if job is None:  # it could not be started
            return None
        if job.process is None:
            return job.reached
        code = job.process.poll()
        if code is None:
            _hear(job)
            return job.reached
        if code != 0:
            _log.warning(
                "partition %d: the process that folded up to %d ended with %d; the worker folds the rest itself",
                partition,
                job.task.end,
                code,
            )
        del self._jobs[partition]
        _close_pipes(job.process)
        self._launch()
        return None

    def stop(self, partitions: Iterable[int]) -> None:
        """See `CatchUp`."""
        jobs = [self._jobs.pop(partition) for partition in partitions if partition in self._jobs]
        going = [job.process for job in jobs if job.process is not None]
        for process in going:
            process.kill()
        with self._watchdog.guard("ending processes that catch up"):
            for process in going:
                process.wait()
        for process in going:
            _close_pipes(process)

    def _launch(self) -> None:
        """Start those that wait, as long as there is room."""
        running = sum(job.process is not None for job in self._jobs.values())
        for partition, job in list(self._jobs.items()):
            if running >= self._most:
                return
            if job.process is None:
                try:
                    job.process = self._started(job.task)
                    running += 1
                    _log.info("partition %d: process %d folds up to %d", partition, job.process.pid, job.task.end)
                except OSError as error:
                    _log.warning(
                        "partition %d: no process to catch up (%s); the worker does it itself",
                        partition,
                        error.strerror,
                    )
                    del self._jobs[partition]

    def _started(self, task: Task) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name not in _SECRETS},
            start_new_session=True,  # Ctrl-C is for the worker
        )
        assert process.stdin is not None
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        with suppress(BrokenPipeError):  # it has ended already, and its exit code says so
            process.stdin.write(msgspec.json.encode(task) + b"\n")
            process.stdin.flush()
        return process


def processes_at_once(setting: int) -> int:
    """Number of processes that `engine.catch_up_processes` asks for.

    >>> processes_at_once(3)
    3
    >>> 1 <= processes_at_once(0) <= 4
    True
    """
    if setting > 0:
        return setting
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_MOST_BY_DEFAULT, usable)


def _hear(job: _Job) -> None:
    """Take over what the process has told since the last time; a line is an offset and the end of the log."""
    assert job.process is not None
    assert job.process.stdout is not None
    with suppress(BlockingIOError):
        job.heard += os.read(job.process.stdout.fileno(), _HEARD_BYTES)
    *lines, job.heard = job.heard.split(b"\n")
    for line in lines:
        numbers = line.split()
        if len(numbers) == 2 and all(number.isdigit() for number in numbers):
            job.reached = Reached(int(numbers[0]), int(numbers[1]))


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with suppress(BrokenPipeError):  # it left before it had read what to do
            pipe.close()
