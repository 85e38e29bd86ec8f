"""Workers kept running: whoever ends by itself is started again, as systemd would, and why it ended is counted."""

import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.faults.fork_server import STACKS, Forked, ForkServer
from tests.streams.workers import ASSAY

TAKES_OVER = re.compile(r"partition (\d+): state at (\d+), committed (\d+|None)")
"""A worker says this of each partition that it opens."""
WATCHDOG = ("the worker leaves and recovers", "Timeout (")
"""Either of these says that a call did not return; the second when nothing of Python could run any more."""
END_S = 60.0
"""Longer than any orderly end, the watchdog's included."""
_POLL_S = 0.02


class TakeOver(NamedTuple):
    """A partition as a worker found it."""

    partition: int
    stored: int
    committed: int | None

    @property
    def folds_again(self) -> bool:
        """Whether the state was behind what was published."""
        return self.committed is not None and self.stored < self.committed


class Run:
    """One life of a worker, from its start to its end.

    Args:
        environment: its settings.
        log: what it says; a file of its own.
        fork_server: forks it; None: a fresh process.
    """

    def __init__(self, environment: Mapping[str, str], log: Path, fork_server: ForkServer | None) -> None:
        self.log = log
        self.started_s = time.monotonic()
        self._process: subprocess.Popen[bytes] | Forked
        if fork_server is not None:
            self._process = fork_server.start(environment, log)
        else:
            with log.open("ab") as file:
                self._process = subprocess.Popen([ASSAY, "run"], env=dict(environment), stdout=file, stderr=file)
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Exit code, minus the signal that ended it; None while it runs."""
        return self._process.poll()

    def send(self, how: signal.Signals) -> None:
        """A signal, if it still runs."""
        self._process.send_signal(how)

    def wait(self, limit_s: float = END_S) -> int:
        """Exit code, once it has one."""
        deadline_s = time.monotonic() + limit_s
        while (code := self.poll()) is None:
            if time.monotonic() > deadline_s:
                self.say_where_it_is()
                raise AssertionError(f"it did not end within {limit_s:g} s:\n{self.said()}")
            time.sleep(_POLL_S)
        return code

    def said(self) -> str:
        """Everything it wrote so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def take_overs(self) -> list[TakeOver]:
        """Partitions that it opened, in order."""
        return [
            TakeOver(int(partition), int(stored), None if committed == "None" else int(committed))
            for partition, stored, committed in TAKES_OVER.findall(self.said())
        ]

    def last_line(self) -> str:
        """What it says of its end, for people; if it says nothing for them, its very last line."""
        lines = self.said().splitlines() or ["nothing"]
        return next((line for line in reversed(lines) if line.startswith("assay: ")), lines[-1])

    def last_words(self) -> str:
        """Why it ended by itself, with numbers and paths taken out, so that equal reasons can be counted."""
        if any(sign in self.said() for sign in WATCHDOG):
            return "watchdog"
        return re.sub(r"\S*/\S*|\d+", "#", self.last_line())[:160]

    def say_where_it_is(self) -> None:
        """Let a forked worker that still runs write the stacks of its threads to its log."""
        if isinstance(self._process, Forked) and self.poll() is None:
            length = len(self.said())
            self._process.send_signal(STACKS)
            deadline_s = time.monotonic() + 5.0
            while len(self.said()) == length and time.monotonic() < deadline_s:
                time.sleep(_POLL_S)


class Supervisor:
    """Slots, each with at most one run at a time.

    Args:
        fork_server: forks workers; None: every start is a fresh process.
        directory: where they log.
        settings: environment of each slot, by its name.
    """

    def __init__(
        self, fork_server: ForkServer | None, directory: Path, settings: Mapping[str, Mapping[str, str]]
    ) -> None:
        self.settings = dict(settings)
        self.running: dict[str, Run] = {}
        self.runs: list[Run] = []
        self.ended_by_themselves: Counter[str] = Counter()
        self._fork_server = fork_server
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def start(self, slot: str, *, fresh: bool = False) -> Run:
        """Start a slot that does not run; `fresh`: as a new process, not forked."""
        assert slot not in self.running
        log = self._directory / f"{slot}.{len(self.runs)}.log"
        run = Run(self.settings[slot], log, None if fresh else self._fork_server)
        self.running[slot] = run
        self.runs.append(run)
        return run

    def end(self, slot: str, how: signal.Signals) -> Run:
        """Send a signal that ends a slot, and wait for that.

        What it ends with is 0, the signal, or the watchdog's 1: the client's farewell to its group can hang.
        """
        run = self.running.pop(slot)
        before = run.poll()
        run.send(how)
        code = run.wait()
        if code == 1:
            self.ended_by_themselves[run.last_words()] += 1
        in_order = code in (0, -how) or (code == 1 and (before == 1 or run.last_words() == "watchdog"))
        assert in_order, (code, run.said())
        return run

    def tend(self) -> None:
        """Start again whoever has ended by itself."""
        for slot, run in list(self.running.items()):
            if run.poll() is not None:
                self.ended_by_themselves[run.last_words()] += 1
                del self.running[slot]
                self.start(slot)

    def stop(self) -> None:
        """End everybody in an orderly way."""
        for run in self.running.values():
            run.send(signal.SIGTERM)
        for slot in list(self.running):
            self.end(slot, signal.SIGTERM)

    def kill(self) -> None:
        """End everybody at once; for the end of a test that failed."""
        for run in self.running.values():
            run.send(signal.SIGCONT)
            run.send(signal.SIGKILL)
            run.wait()
        self.running.clear()
