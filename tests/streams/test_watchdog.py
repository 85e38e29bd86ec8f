"""The watchdog leaves when a guarded call does not return, and only then."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from streams.watchdog import Watchdog

SOON_S = 0.05
PATIENCE_S = 60.0
"""How long these tests wait for what has to happen; on a good day they wait for a moment."""


class Leaving:
    """Remembers whether the process would have ended."""

    def __init__(self) -> None:
        self.left = threading.Event()
        self.times = 0

    def __call__(self) -> None:
        self.times += 1
        self.left.set()


class Clock:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    standing = Clock()
    monkeypatch.setattr("streams.watchdog.time", standing)
    return standing


@contextmanager
def watchdog(limit_s: float, leaving: Leaving) -> Iterator[Watchdog]:
    watching = Watchdog(limit_s, leaving)
    try:
        yield watching
    finally:
        watching.stop()


def test_it_leaves_when_a_call_does_not_return(caplog: pytest.LogCaptureFixture) -> None:
    leaving = Leaving()
    with watchdog(SOON_S, leaving) as watching, watching.guard("committing a transaction"):
        assert leaving.left.wait(PATIENCE_S)
    assert leaving.times == 1
    assert "committing a transaction did not end within" in caplog.text


def test_it_leaves_also_without_a_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    leaving = Leaving()
    monkeypatch.setattr(sys, "stderr", None)
    with watchdog(SOON_S, leaving) as watching, watching.guard("committing"):
        assert leaving.left.wait(PATIENCE_S)


def test_it_stays_while_calls_return_in_time(clock: Clock) -> None:
    """Each has the whole limit: many calls of almost the limit do not add up."""
    leaving = Leaving()
    with watchdog(SOON_S, leaving) as watching:
        for _ in range(5):
            with watching.guard("committing"):
                clock.now_s += 0.9 * SOON_S
                assert not leaving.left.wait(SOON_S)
        with watching.guard("committing"):
            clock.now_s += 1.1 * SOON_S
            assert leaving.left.wait(PATIENCE_S)


def test_what_is_not_guarded_may_take_its_time(clock: Clock) -> None:
    """Also after a call that failed."""
    leaving = Leaving()
    with watchdog(SOON_S, leaving) as watching:
        clock.now_s += 100 * SOON_S
        with pytest.raises(ValueError, match="no"), watching.guard("failing"):
            raise ValueError("no")
        clock.now_s += 100 * SOON_S
        assert not leaving.left.wait(4 * SOON_S)


def test_an_inner_block_leaves_the_outer_one_watched(clock: Clock) -> None:
    leaving = Leaving()
    with watchdog(SOON_S, leaving) as watching, watching.guard("leaving"):
        with watching.guard("asking", 100 * SOON_S):
            clock.now_s += 10 * SOON_S
            assert not leaving.left.wait(SOON_S)
        assert leaving.left.wait(PATIENCE_S)


def test_a_call_that_keeps_the_interpreter_s_lock_is_ended_too() -> None:
    """No thread of Python runs any more; what sleeps here is C that was called without giving the lock back."""
    program = (
        "import ctypes, streams.watchdog as w\n"
        "w._GRACE_S = 0.2\n"
        "with w.Watchdog(0.05).guard('the call', holds_the_lock=True):\n"
        "    ctypes.PyDLL(None).sleep(600)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1
    assert b"<module>" in done.stderr


def test_a_process_that_hangs_ends_with_code_1_and_its_stacks() -> None:
    """The real thing: the default way to leave, from under a thread that waits for ever."""
    program = (
        "import threading\n"
        "from streams.watchdog import Watchdog\n"
        "def hangs():\n"
        "    threading.Event().wait()\n"
        "with Watchdog(0.05).guard('the call'):\n"
        "    hangs()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1
    assert b"the call did not end within" in done.stderr
    assert b"in hangs" in done.stderr
