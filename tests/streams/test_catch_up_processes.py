"""Processes that catch up, as their worker sees them: started, heard, ended; and that they never outlive it."""

import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from streams.catch_up import Task
from streams.catch_up_processes import CatchUpProcesses
from streams.catching_up import Reached
from streams.config import load_config
from streams.watchdog import Watchdog
from tests.streams.small_model import small_model_directory

PATIENCE_S = 60.0
TELLS = "import sys; sys.stdin.readline(); print('hello'); print('150 900', flush=True); sys.stdin.read()"
NOTES = (
    "import json, os, pathlib, sys; task = json.loads(sys.stdin.readline());"
    "pathlib.Path(task['directory']).write_text(json.dumps([sys.argv, dict(os.environ), task]))"
)
WAITS_FOR_A_FILE = (
    "import json, pathlib, sys, time; task = json.loads(sys.stdin.readline())\n"
    "while not pathlib.Path(task['directory']).exists(): time.sleep(0.01)"
)


def task_in(directory: Path, **settings: str) -> Callable[[int, int, int], Task]:
    config = load_config(environment={}, overrides={"security.trust_internal": True, **settings})

    def task(partition: int, start: int, end: int) -> Task:
        return Task(
            settings=dict(config.values),
            first_model=str(small_model_directory()),
            topic="t.events",
            topic_id="",
            partition=partition,
            directory=str(directory / str(partition)),
            start=start,
            end=end,
            hot_bytes=1 << 20,
        )

    return task


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    made = Watchdog(PATIENCE_S)
    yield made
    made.stop()


def processes(tmp_path: Path, watchdog: Watchdog, script: str, most: int = 1, **settings: str) -> CatchUpProcesses:
    return CatchUpProcesses(task_in(tmp_path, **settings), most, watchdog, [sys.executable, "-c", script])


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def running(those: CatchUpProcesses) -> dict[int, subprocess.Popen[bytes]]:
    return {number: job.process for number, job in those._jobs.items() if job.process is not None}


def test_it_is_told_how_far_a_process_is_and_passes_over_other_lines(tmp_path: Path, watchdog: Watchdog) -> None:
    those = processes(tmp_path, watchdog, TELLS)
    those.start(0, 100, 500)
    until(lambda: those.reached(0) == Reached(150, 900))
    those.stop([0])


@pytest.mark.parametrize(
    ("code", "says"), [(0, []), (7, ["partition 0: the process that folded up to 500 ended with 7"])]
)
def test_the_end_of_a_process_is_the_end_whatever_its_code(
    tmp_path: Path, watchdog: Watchdog, caplog: pytest.LogCaptureFixture, code: int, says: list[str]
) -> None:
    those = processes(tmp_path, watchdog, f"raise SystemExit({code})")
    with caplog.at_level(logging.WARNING, "assay.catch_up"):
        those.start(0, 100, 500)
        until(lambda: those.reached(0) is None)
    assert [message.partition(";")[0] for message in caplog.messages] == says
    assert those.reached(0) is None


def test_what_cannot_be_started_has_ended(tmp_path: Path, watchdog: Watchdog) -> None:
    those = CatchUpProcesses(task_in(tmp_path), 1, watchdog, [str(tmp_path / "no such program")])
    those.start(0, 100, 500)
    assert those.reached(0) is None


def test_some_at_once_and_the_others_wait_for_their_turn(tmp_path: Path, watchdog: Watchdog) -> None:
    those = processes(tmp_path, watchdog, WAITS_FOR_A_FILE, most=2)
    for number in range(3):
        those.start(number, 100, 500)
    assert those.reached(2) == Reached(100, 500)
    assert set(running(those)) == {0, 1}
    (tmp_path / "1").touch()
    until(lambda: those.reached(1) is None)
    assert set(running(those)) == {0, 2}
    those.stop([0, 2])


def test_who_is_stopped_is_gone_when_it_returns_and_who_waits_is_never_started(
    tmp_path: Path, watchdog: Watchdog
) -> None:
    those = processes(tmp_path, watchdog, WAITS_FOR_A_FILE, most=1)
    those.start(0, 100, 500)
    those.start(1, 100, 500)
    (first,) = running(those).values()
    those.stop([0, 1, 5])
    assert first.returncode is not None
    assert those.reached(0) is None
    assert those.reached(1) is None


def test_secrets_are_told_neither_by_arguments_nor_by_the_environment(
    tmp_path: Path, watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_KAFKA_PASSWORD", "hush-hush")
    monkeypatch.setenv("ASSAY_CACHE", "kept")
    those = processes(tmp_path, watchdog, NOTES, **{"kafka.password": "hush-hush"})
    those.start(0, 100, 500)
    until(lambda: those.reached(0) is None)
    arguments, environment, task = json.loads((tmp_path / "0").read_text())
    assert "hush-hush" not in json.dumps([arguments, environment])
    assert environment["ASSAY_CACHE"] == "kept"
    assert task["settings"]["kafka.password"] == "hush-hush"


def test_a_task_does_not_show_secrets(tmp_path: Path) -> None:
    task = task_in(tmp_path, **{"kafka.password": "hush-hush"})(0, 100, 500)
    assert "hush-hush" not in repr(task)
    assert msgspec.json.decode(msgspec.json.encode(task), type=Task).config.secret("kafka.password") == "hush-hush"


@pytest.fixture
def silent_broker() -> Iterator[socket.socket]:
    """Somebody who takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        yield server


def started(task: Task) -> subprocess.Popen[bytes]:
    """A real one; it lives until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "streams.catch_up"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(task) + b"\n")
    process.stdin.flush()
    return process


def test_a_process_leaves_at_once_when_its_worker_has_gone(tmp_path: Path, silent_broker: socket.socket) -> None:
    """Not when its work ends: it is in the middle of a request that nobody answers."""
    bootstrap = f"127.0.0.1:{silent_broker.getsockname()[1]}"
    with started(task_in(tmp_path, **{"kafka.bootstrap": bootstrap})(0, 0, 500)) as process:
        silent_broker.accept()[0].close()
        _, said = process.communicate(timeout=PATIENCE_S)  # closes its standard input first
    assert process.returncode == 1
    assert b"catching up stops" not in said


def test_a_state_that_is_not_the_one_that_was_meant_is_left_alone(tmp_path: Path) -> None:
    with started(task_in(tmp_path)(0, 100, 500)) as process:
        assert process.wait(PATIENCE_S) == 1
        assert process.stderr is not None
        assert b"expected the one that stands at 100, it stands at 0" in process.stderr.read()
