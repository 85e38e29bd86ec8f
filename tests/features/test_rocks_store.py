"""RocksDB: copies of an open store, looking into a store that another holds, and damage that has to show."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.errors import AssayError
from features.rocks_store import DamagedStateError, RocksStore, StateInUseError

BATCHES = 20


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A store whose process died with 20 batches in the write-ahead log and none in a table."""
    held = RocksStore(tmp_path / "held")
    for number in range(1, BATCHES + 1):
        held.write([(f"a{key:02d}", os.urandom(900)) for key in range(20)], {"batch": str(number).encode()})
    shutil.copytree(tmp_path / "held", tmp_path / "killed")
    held.close()
    return tmp_path / "killed"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RocksStore]:
    opened = RocksStore(tmp_path / "state")
    yield opened
    opened.close()


def batch_in(path: Path, *, read_only: bool) -> bytes | None:
    opened = RocksStore(path, read_only=read_only)
    try:
        return opened.get_value("batch")
    finally:
        opened.close()


def change_log(path: Path, *, cut: int = 0, flip: int | None = None) -> None:
    (log,) = path.glob("*.log")
    content = bytearray(log.read_bytes())
    if flip is not None:
        content[flip] ^= 1
    log.write_bytes(content[: len(content) - cut])


def test_a_checkpoint_holds_what_was_written_and_nothing_that_follows(store: RocksStore, tmp_path: Path) -> None:
    store.write([("a1", b"one")], {"offset": b"1"})
    store.flush()
    store.write([("a2", b"two")], {"offset": b"2"})  # in no table yet
    store.checkpoint(tmp_path / "copy")
    store.write([("a1", b"later")], {"offset": b"3"})
    copy = RocksStore(tmp_path / "copy")
    assert dict(copy.accounts()) == {"a1": b"one", "a2": b"two"}
    assert copy.get_value("offset") == b"2"
    copy.close()


def test_a_checkpoint_is_hard_links_and_an_empty_log(store: RocksStore, tmp_path: Path) -> None:
    store.write([(f"a{number}", os.urandom(500)) for number in range(1_000)], {})
    store.checkpoint(tmp_path / "copy")
    tables = list((tmp_path / "copy").glob("*.sst"))
    assert tables
    assert all(path.stat().st_nlink == 2 for path in tables)
    assert all(path.stat().st_size == 0 for path in (tmp_path / "copy").glob("*.log"))


def test_a_checkpoint_does_not_write_over_anything(store: RocksStore, tmp_path: Path) -> None:
    with pytest.raises(AssayError, match=str(tmp_path)):
        store.checkpoint(tmp_path)


def test_looking_shows_what_a_holder_has_written_and_changes_nothing(store: RocksStore, tmp_path: Path) -> None:
    store.write([("a1", b"one")], {"offset": b"1", "detector": b"d"})
    before = {path.name: path.stat().st_size for path in (tmp_path / "state").iterdir()}
    look = RocksStore(tmp_path / "state", read_only=True)
    assert dict(look.accounts()) == {"a1": b"one"}
    assert list(look.values()) == [("detector", b"d"), ("offset", b"1")]
    assert look.estimated_accounts() == 1
    store.write([("a1", b"later")], {})
    assert look.get_accounts(["a1"]) == [b"one"]
    look.close()
    assert {path.name: path.stat().st_size for path in (tmp_path / "state").iterdir()}.keys() == before.keys()


def test_looking_goes_on_when_the_holder_replaces_every_file(store: RocksStore, tmp_path: Path) -> None:
    first = {f"a{number:04d}": os.urandom(100) for number in range(2_000)}
    store.write(first.items(), {})
    store.flush()
    look = RocksStore(tmp_path / "state", read_only=True)
    there = set((tmp_path / "state").glob("*.sst"))
    store.write([(key, b"later") for key in first], {})
    store.flush()
    store._database.compact_range(None, None)
    assert not there & set((tmp_path / "state").glob("*.sst"))
    assert dict(look.accounts()) == first
    look.close()


def test_looking_makes_no_directory(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="there is none"):
        RocksStore(tmp_path / "nothing", read_only=True)
    assert not (tmp_path / "nothing").exists()


def test_a_holder_is_told_apart_from_damage(store: RocksStore, tmp_path: Path) -> None:
    with pytest.raises(StateInUseError):
        RocksStore(tmp_path / "state")


@pytest.mark.parametrize("read_only", [True, False])
def test_a_log_cut_off_by_a_kill_is_no_damage(killed: Path, read_only: bool) -> None:
    change_log(killed, cut=300)
    assert batch_in(killed, read_only=read_only) == str(BATCHES - 1).encode()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
def test_a_flipped_byte_in_the_log_shows_to_whoever_looks(killed: Path, share: float) -> None:
    (log,) = killed.glob("*.log")
    change_log(killed, flip=20 + int(share * (log.stat().st_size - 40)))
    with pytest.raises(DamagedStateError):
        batch_in(killed, read_only=True)


def test_a_flipped_byte_in_the_log_takes_the_writer_back_to_a_whole_batch(killed: Path) -> None:
    (log,) = killed.glob("*.log")
    change_log(killed, flip=log.stat().st_size // 2)
    found = batch_in(killed, read_only=False)
    assert found is not None
    assert 0 < int(found) < BATCHES
