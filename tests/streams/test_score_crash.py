"""A run that is killed at any moment and started again leaves the bytes of an undisturbed one."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

import pytest

from features.errors import AssayError
from features.rocks_store import RocksStore
from streams.sinks import LineSink
from tests.streams.logs import START_MS, label, mixed_log, payment
from tests.streams.scoring import Written, request, rows, run, scored, write_lines, written
from tests.streams.small_model import small_model, small_model_directory
from tests.streams.workers import ASSAY

BATCH_EVENTS = 15
CHECKPOINT_RECORDS = 30
EFFECTS = ((LineSink, "__init__"), (LineSink, "write"), (LineSink, "sync"), (RocksStore, "write"))
"""Everything by which a run changes the world; opening an output cuts it back to what the state knows of."""
NUMBER_OF_EFFECTS = 50
"""3 outputs opened, 8 batches of 3 writes, 5 checkpoints of 3 syncs and 1 write of the state, 3 outputs closed."""


class Crashed(Exception):  # noqa: N818
    """The process is gone."""


class Crashing:
    """Counts side effects, and crashes after one of them.

    Args:
        at: index of the last side effect before the crash; None: there is none.
        how: `lost`: what was not synced did not reach the files. `torn`: all of it did, and half a record more.
    """

    def __init__(self, patch: pytest.MonkeyPatch, at: int | None, how: str) -> None:
        self.at, self.how, self.count = at, how, 0
        self._sinks: dict[int, LineSink] = {}
        for owner, name in EFFECTS:
            patch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, effect: Callable[..., Any]) -> Callable[..., Any]:
        def counted(owner: Any, *arguments: Any, **named: Any) -> Any:
            result = effect(owner, *arguments, **named)
            if isinstance(owner, LineSink):
                self._sinks[id(owner)] = owner
            self.count += 1
            if self.at is not None and self.count > self.at:
                self._die()
                raise Crashed
            return result

        return counted

    def _die(self) -> None:
        for sink in self._sinks.values():
            file = sink._file
            if file is None or file.closed:
                continue
            if self.how == "lost":
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, file.fileno())
                os.close(nowhere)
            else:
                file.write(b'{"event_id":"to')
            file.close()


@cache
def full_log() -> list[bytes]:
    return mixed_log(120, seed=41, model_ids=(small_model(2).id,))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return scored(full_log(), tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr("streams.score.CHECKPOINT_RECORDS", CHECKPOINT_RECORDS)
    return monkeypatch


def attempt(events: Path, directory: Path, at: int | None, how: str) -> int:
    """One run with a crash; returns how many side effects it had."""
    with pytest.MonkeyPatch.context() as patch:
        crashing = Crashing(patch, at, how)
        try:
            run(events, directory, state=directory / "state", batch_events=BATCH_EVENTS)
        except Crashed:
            assert at is not None
        else:
            assert at is None
        return crashing.count


def test_a_run_has_many_moments_to_crash_at(often: pytest.MonkeyPatch, tmp_path: Path, undisturbed: Written) -> None:
    count = attempt(write_lines(tmp_path / "events.jsonl", full_log()), tmp_path, None, "lost")
    assert count == NUMBER_OF_EFFECTS
    assert written(tmp_path) == undisturbed
    assert min(len(rows(part)) for part in undisturbed) > 2


@pytest.mark.parametrize("how", ["lost", "torn"])
def test_a_crash_after_any_side_effect_changes_no_byte(
    often: pytest.MonkeyPatch, tmp_path: Path, undisturbed: Written, how: str
) -> None:
    for at in range(NUMBER_OF_EFFECTS):
        directory = tmp_path / str(at)
        directory.mkdir()
        events = write_lines(directory / "events.jsonl", full_log())
        attempt(events, directory, at, how)
        run(events, directory, state=directory / "state")
        assert written(directory) == undisturbed, f"after {at + 1} side effects"


@pytest.mark.parametrize("every", [12, 17])
def test_crash_after_crash_it_gets_there(
    often: pytest.MonkeyPatch, tmp_path: Path, undisturbed: Written, every: int
) -> None:
    events = write_lines(tmp_path / "events.jsonl", full_log())
    crashes = 0
    while True:
        try:
            with pytest.MonkeyPatch.context() as patch:
                Crashing(patch, every, "torn")
                run(events, tmp_path, state=tmp_path / "state", batch_events=BATCH_EVENTS)
        except Crashed:
            crashes += 1
            assert crashes < 50, "it makes no progress"
        else:
            break
    assert crashes > 2
    assert written(tmp_path) == undisturbed


def test_the_crashes_find_a_state_that_is_stored_before_its_outputs(
    often: pytest.MonkeyPatch, tmp_path: Path, undisturbed: Written
) -> None:
    """A test of the tests above: if a checkpoint did not wait for the files, some crash would show it."""
    often.setattr(LineSink, "sync", lambda sink: sink._position)
    refused = 0
    for at in range(0, NUMBER_OF_EFFECTS, 6):
        directory = tmp_path / str(at)
        directory.mkdir()
        events = write_lines(directory / "events.jsonl", full_log())
        attempt(events, directory, at, "lost")
        try:
            run(events, directory, state=directory / "state")
        except AssayError as error:
            refused += "bytes that the last run left" in str(error)
    assert refused > 2


def long_log() -> list[bytes]:
    """More accounts than fit into a mebibyte, so that there are many checkpoints."""
    log = []
    for number in range(18_000):
        log.append(payment(number, f"w{number * 7 % 6_000}", START_MS + number * 500, amount_minor=number))
        if number % 50 == 49:
            log.append(label(number, f"p{number - 20}", f"w{(number - 20) * 7 % 6_000}", START_MS + number * 500))
    return log


def feed(pipe: IO[bytes], data: bytes) -> None:
    """Write for as long as someone reads."""
    with suppress(BrokenPipeError):
        pipe.write(data)
        pipe.flush()


def test_kill_9_of_the_process_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    log = long_log()
    undisturbed = scored(log, tmp_path / "undisturbed")
    asked = request(write_lines(tmp_path / "events.jsonl", log), tmp_path / "killed")
    command = [
        ASSAY, "score", "-", "--out", str(asked.out), "--outcomes", str(asked.outcomes),
        "--dead-letters", str(asked.dead_letters), "--state", str(tmp_path / "state"),
        "--model", str(small_model_directory()), "--batch-events", "150",
    ]  # fmt: skip
    settings = {**os.environ, "ASSAY_STATE_HOT_MEBIBYTES": "1"}
    data = asked.events.read_bytes()
    for share in (0.3, 0.7):
        process = subprocess.Popen(command, env=settings, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdin is not None
        # Its input never ends, so that it cannot finish before it is killed.
        feeder = threading.Thread(target=feed, args=(process.stdin, data[: -len(data) // 10]))
        feeder.start()
        while process.poll() is None and size(asked.out) < share * len(undisturbed.verdicts):
            time.sleep(0.005)
        process.kill()
        feeder.join()
        _, said = process.communicate()
        assert process.returncode == -signal.SIGKILL, said.decode()
    summary = run(asked.events, tmp_path / "killed", state=tmp_path / "state")
    assert 0 < summary.skipped < len(log)
    assert written(tmp_path / "killed") == undisturbed


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
