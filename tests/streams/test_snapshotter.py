"""Snapshots beside a worker: who is due, who waits, and that nothing slow or broken reaches the worker."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from features.rocks_store import RocksStore
from streams.snapshots import SnapshotStore
from streams.snapshotter import Snapshotter
from tests.streams.states import NUMBER, content_of, fold, open_partition

TOPIC = "fraud.events"
EVERY_S = 100.0


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now_s = 5_000.0

    def __call__(self) -> float:
        return self.now_s


class Desk:
    """A snapshotter, its store, and one live state that stands in for several partitions."""

    def __init__(self, directory: Path, keep: int = 48) -> None:
        self.clock = Clock()
        self.directory = directory
        self.store = SnapshotStore(str(directory / "store"), TOPIC)
        self.spool = directory / "spool"
        self.state = RocksStore(directory / "live")
        self.partition = open_partition(self.state)
        self.snapshotter = Snapshotter(self.store, EVERY_S, keep, self.spool, self.clock)
        self.advance(100)

    def advance(self, end: int) -> None:
        fold(self.partition, self.partition.next_offset, end)
        self.partition.checkpoint()

    def offer(self, *numbers: int) -> None:
        for number in numbers:
            self.snapshotter.offer(number, self.state)

    def wait(self) -> None:
        self.snapshotter.close()

    def offsets(self, number: int = NUMBER) -> list[int]:
        return [manifest.next_offset for manifest in self.store.manifests(number)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.state.close()


@contextmanager
def slow_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A store that does not take a file before the event is set."""
    let_go = threading.Event()
    original = LocalFileSystem.put_file

    def waiting(*arguments: object, **options: object) -> object:
        assert let_go.wait(60)
        return original(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "put_file", waiting)
        try:
            yield let_go
        finally:
            let_go.set()


def test_the_first_is_due_at_once_and_the_next_after_its_time(desk: Desk, tmp_path: Path) -> None:
    desk.offer(NUMBER)
    desk.wait()
    assert desk.offsets() == [100]
    desk.advance(200)
    desk.clock.now_s += EVERY_S - 1
    desk.offer(NUMBER)
    desk.wait()
    assert desk.offsets() == [100]
    desk.clock.now_s += 1
    desk.offer(NUMBER)
    desk.wait()
    assert desk.offsets() == [200, 100]
    assert (desk.snapshotter.taken, desk.snapshotter.failed) == (2, 0)
    assert desk.snapshotter.last_offsets == {NUMBER: 200}
    assert list(desk.spool.iterdir()) == []
    assert desk.store.restore(NUMBER, 200, tmp_path / "restored") == 200
    assert content_of(tmp_path / "restored") == content_of(tmp_path / "live")


def test_a_state_that_has_not_moved_is_not_stored_again(desk: Desk) -> None:
    for _ in range(3):
        desk.offer(NUMBER)
        desk.wait()
        desk.clock.now_s += EVERY_S
    assert desk.snapshotter.taken == 1


def test_old_ones_go(tmp_path: Path) -> None:
    desk = Desk(tmp_path, keep=2)
    for end in (200, 300, 400):
        desk.advance(end)
        desk.offer(NUMBER)
        desk.wait()
        desk.clock.now_s += EVERY_S
    assert desk.offsets() == [400, 300]
    desk.state.close()


def test_a_slow_store_holds_nobody_and_the_snapshot_is_of_when_it_was_offered(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with slow_store(monkeypatch) as let_go:
        desk.offer(NUMBER)  # comes back though no byte can be stored
        before = content_of(tmp_path / "live")
        desk.advance(300)
        assert desk.offsets() == []
        let_go.set()
        desk.wait()
    assert desk.offsets() == [100]
    assert desk.store.restore(NUMBER, 300, tmp_path / "restored") == 100
    assert content_of(tmp_path / "restored") == before


def test_one_at_a_time_and_who_has_waited_longest_is_next(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads take so long that the first partition is due again before the last had a turn."""
    turns = []
    for _ in range(6):
        with slow_store(monkeypatch):
            desk.offer(1, 2, 3)
            (spooled,) = desk.spool.iterdir()
            turns.append(int(spooled.name.split("-")[0]))
        desk.wait()
        desk.advance(desk.partition.next_offset + 10)
        desk.clock.now_s += EVERY_S
    assert turns == [1, 2, 3, 1, 2, 3]
    assert desk.snapshotter.taken == 6


def test_a_partition_that_went_elsewhere_keeps_nobody_waiting(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_store(monkeypatch):
        desk.offer(1, 2)
    desk.wait()
    desk.clock.now_s += 5 * EVERY_S  # 2 has been due for longest, but is never offered again
    desk.advance(200)
    desk.offer(1)
    desk.offer(1)
    desk.wait()
    assert desk.offsets(1) == [200, 100]
    assert desk.offsets(2) == []


def test_a_failure_is_counted_and_tried_again_when_it_is_due(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise PermissionError(13, "denied")

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "put_file", failing)
        desk.offer(NUMBER)
        desk.wait()
    assert (desk.snapshotter.taken, desk.snapshotter.failed) == (0, 1)
    desk.offer(NUMBER)
    desk.wait()
    assert desk.snapshotter.failed == 1
    desk.clock.now_s += EVERY_S
    desk.offer(NUMBER)
    desk.wait()
    assert desk.offsets() == [100]
    assert desk.snapshotter.last_offsets == {NUMBER: 100}


def test_our_own_mistake_is_counted_too_and_stays_in_its_thread(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.store, "save", lambda *_, **__: 1 / 0)
    desk.offer(NUMBER)
    desk.wait()
    assert desk.snapshotter.failed == 1
    assert list(desk.spool.iterdir()) == []


def test_a_spool_that_cannot_be_written_does_not_stop_the_worker(desk: Desk, tmp_path: Path) -> None:
    desk.spool.write_text("a file in the way")
    desk.offer(NUMBER)
    desk.wait()
    assert (desk.snapshotter.taken, desk.snapshotter.failed) == (0, 1)


def test_what_a_crashed_process_left_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    for name in ("3-100", "12-7", "fraud.events-3", "notes"):
        (tmp_path / "spool" / name).mkdir(parents=True)
        (tmp_path / "spool" / name / "000009.sst").touch()
    desk = Desk(tmp_path)
    assert sorted(path.name for path in desk.spool.iterdir()) == ["fraud.events-3", "notes"]
    desk.state.close()


def test_closing_waits_no_longer_than_it_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_store(monkeypatch):
        desk.offer(NUMBER)
        desk.snapshotter.close(timeout_s=0.01)
        assert desk.offsets() == []
    desk.wait()
    assert desk.offsets() == [100]


def test_the_time_that_callers_were_held_is_told(desk: Desk) -> None:
    times = iter([1.0, 1.25, 2.0, 500.0, 500.5])
    desk.snapshotter = Snapshotter(desk.store, EVERY_S, 48, desk.spool, lambda: next(times))
    desk.offer(NUMBER)
    assert desk.snapshotter.held_s == 0.25
    desk.offer(NUMBER)  # not due
    assert desk.snapshotter.held_s == 0.25
    desk.wait()
