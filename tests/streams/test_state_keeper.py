"""Where a worker's state comes from: its disk, else a snapshot, else nowhere; and nothing is ever deleted."""

from pathlib import Path

import msgspec
import pytest

from features.rocks_store import RocksStore, StateInUseError
from features.store import StateStore
from streams.fold_state import FoldState, stored_state
from streams.history import Bounds
from streams.snapshots import SnapshotStore
from streams.standing import Standing
from streams.state_keeper import DiskStates
from streams.topic_identity import NOT_A_TOPIC, OtherLogError, topic_id_of, topic_id_value

TOPIC = "fraud.events"
TOPIC_ID = "8k-athHsTQuB79KXk46wbw"
FORMER_ID = "KfhwaOnVuB5rpcfDbsvs6A"
BOUNDS = Bounds(0, 1_000)


def store_at(directory: Path, offset: int, topic_id: str = TOPIC_ID) -> None:
    """A state whose fold stands at `offset`, and which remembers it in an account too."""
    state = FoldState(
        4,
        offset,
        "m" * 64,
        "m" * 64,
        "f" * 64,
        degraded=False,
        standing=Standing.at_start("m" * 64),
        stand_in=None,
        entities_offset=-1,
    )
    store = RocksStore(directory)
    store.write([("a1", str(offset).encode())], {"fold": msgspec.json.encode(state), **topic_id_value(topic_id)})
    store.close()


def offset_of(store: StateStore) -> int:
    stored = stored_state(store, 0)
    return 0 if stored is None else stored.next_offset


def opened(states: DiskStates, committed: int | None, bounds: Bounds = BOUNDS) -> int:
    store = states.open(0, committed, bounds)
    try:
        offset = offset_of(store)
        assert topic_id_of(store) == TOPIC_ID
        assert store.get_accounts(["a1"]) == [None if offset == 0 else str(offset).encode()]
        return offset
    finally:
        store.close()


@pytest.fixture
def snapshots(tmp_path: Path) -> SnapshotStore:
    """Snapshots at 100, 200 and 300."""
    store = SnapshotStore(str(tmp_path / "snapshots"), TOPIC, TOPIC_ID)
    for offset in (100, 200, 300):
        store_at(tmp_path / f"made-{offset}", offset)
        store.save(0, tmp_path / f"made-{offset}")
    return store


def states_of(tmp_path: Path, snapshots: SnapshotStore | None = None) -> DiskStates:
    return DiskStates(tmp_path / "state", TOPIC, TOPIC_ID, snapshots)


def aside(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "state").iterdir() if path.name != f"{TOPIC}-0")


def test_without_anything_a_partition_begins_with_an_empty_state(tmp_path: Path) -> None:
    assert opened(states_of(tmp_path), None) == 0


def test_the_local_state_comes_first(tmp_path: Path, snapshots: SnapshotStore) -> None:
    store_at(tmp_path / "state" / f"{TOPIC}-0", 150)
    assert opened(states_of(tmp_path, snapshots), 300) == 150


@pytest.mark.parametrize(("committed", "expected"), [(1_000, 300), (300, 300), (299, 200), (100, 100), (99, 0)])
def test_without_a_local_state_the_newest_snapshot_that_is_not_ahead_of_what_is_committed(
    tmp_path: Path, snapshots: SnapshotStore, committed: int, expected: int
) -> None:
    assert opened(states_of(tmp_path, snapshots), committed) == expected


def test_a_group_that_has_committed_nothing_gets_no_snapshot(tmp_path: Path, snapshots: SnapshotStore) -> None:
    assert opened(states_of(tmp_path, snapshots), None) == 0


def test_a_local_state_that_the_log_does_not_reach_back_to_gives_way_to_a_newer_snapshot(
    tmp_path: Path, snapshots: SnapshotStore
) -> None:
    store_at(tmp_path / "state" / f"{TOPIC}-0", 150)
    assert opened(states_of(tmp_path, snapshots), 400, Bounds(250, 1_000)) == 300
    assert aside(tmp_path) == [f"{TOPIC}-0.before-150.1"]


def test_it_stays_where_no_snapshot_is_newer(tmp_path: Path, snapshots: SnapshotStore) -> None:
    store_at(tmp_path / "state" / f"{TOPIC}-0", 350)
    assert opened(states_of(tmp_path, snapshots), 400, Bounds(380, 1_000)) == 350


@pytest.mark.parametrize("with_snapshots", [True, False])
def test_a_damaged_state_is_moved_aside(tmp_path: Path, snapshots: SnapshotStore, with_snapshots: bool) -> None:
    directory = tmp_path / "state" / f"{TOPIC}-0"
    store_at(directory, 150)
    for path in directory.glob("MANIFEST-*"):
        path.write_bytes(b"\0" * 40)
    states = states_of(tmp_path, snapshots if with_snapshots else None)
    assert opened(states, 400) == (300 if with_snapshots else 0)
    assert aside(tmp_path) == [f"{TOPIC}-0.damaged.1"]
    assert list((tmp_path / "state" / f"{TOPIC}-0.damaged.1").glob("MANIFEST-*")), "nothing is deleted"


def test_damage_after_damage_keeps_every_directory(tmp_path: Path) -> None:
    directory = tmp_path / "state" / f"{TOPIC}-0"
    for _ in range(2):
        store_at(directory, 150)
        for path in directory.glob("MANIFEST-*"):
            path.write_bytes(b"rubbish")
        assert opened(states_of(tmp_path), 400) == 0
    assert aside(tmp_path) == [f"{TOPIC}-0.damaged.1", f"{TOPIC}-0.damaged.2"]


# A topic that was deleted and made anew


@pytest.mark.parametrize("topic_id", [FORMER_ID, NOT_A_TOPIC])
@pytest.mark.parametrize("bounds", [BOUNDS, Bounds(250, 1_000)])
def test_a_state_of_another_log_is_refused_and_left_where_it_is(
    tmp_path: Path, snapshots: SnapshotStore, topic_id: str, bounds: Bounds
) -> None:
    """Whatever the numbers are: also where the log does not reach back to it and a snapshot would."""
    directory = tmp_path / "state" / f"{TOPIC}-0"
    store_at(directory, 150, topic_id)
    for _ in range(2):
        with pytest.raises(OtherLogError, match="made from another log") as refused:
            states_of(tmp_path, snapshots).open(0, 400, bounds)
        assert "\n" not in str(refused.value)
        for words in (str(directory), TOPIC_ID, topic_id, "assay state restore --partition 0 --replace"):
            assert words in str(refused.value)
    assert aside(tmp_path) == []
    directory.rename(directory.with_name("moved"))
    assert opened(states_of(tmp_path, snapshots), 400) == 300


def test_a_snapshot_of_another_log_is_never_restored(
    tmp_path: Path, snapshots: SnapshotStore, caplog: pytest.LogCaptureFixture
) -> None:
    for offset, topic_id in ((250, FORMER_ID), (300, FORMER_ID), (350, FORMER_ID), (360, NOT_A_TOPIC)):
        store_at(tmp_path / f"other-{offset}", offset, topic_id)
        snapshots.save(0, tmp_path / f"other-{offset}")
    with caplog.at_level("WARNING", "assay.snapshots"):
        assert opened(states_of(tmp_path, snapshots), 400) == 300
    (line,) = caplog.messages
    for words in ("passed over", FORMER_ID, TOPIC_ID, "no topic of Kafka"):
        assert words in line
    assert opened(states_of(tmp_path / "second", snapshots), 299) == 200


def test_a_state_in_which_nothing_was_folded_is_given_to_the_topic_that_is_there(tmp_path: Path) -> None:
    """A worker may end before its first checkpoint, and the topic be made anew before the next start."""
    former = DiskStates(tmp_path / "state", TOPIC, FORMER_ID)
    former.open(0, None, BOUNDS).close()
    assert opened(states_of(tmp_path), None) == 0
    assert aside(tmp_path) == []


def test_a_state_knows_its_topic_before_anything_is_folded(tmp_path: Path) -> None:
    """Also one that was never closed, as after kill -9."""
    store = states_of(tmp_path).open(0, None, BOUNDS)
    look = RocksStore(tmp_path / "state" / f"{TOPIC}-0", read_only=True)
    assert topic_id_of(look) == TOPIC_ID
    look.close()
    store.close()


def test_a_state_that_another_one_is_just_leaving_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "state" / f"{TOPIC}-0"
    store_at(directory, 100)
    holder = RocksStore(directory)
    monkeypatch.setattr("streams.state_keeper.time.sleep", lambda _: holder.close())
    assert opened(states_of(tmp_path), 500) == 100


def test_a_state_that_another_one_keeps_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.state_keeper._FREE_WITHIN_S", 0.0)
    store_at(tmp_path / "state" / f"{TOPIC}-0", 100)
    holder = RocksStore(tmp_path / "state" / f"{TOPIC}-0")
    with pytest.raises(StateInUseError, match="in use by another process"):
        opened(states_of(tmp_path), 500)
    holder.close()
