"""RocksDB: copies of an open store, looking into a store that another holds, and damage that has to show."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from features.errors import AssayError
from features.packing import PackedAccounts
from features.rocks_store import LARGE_WRITE_BYTES, DamagedStateError, RocksStore, StateInUseError

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


def packed_accounts(accounts: Mapping[str, bytes] | list[tuple[str, bytes]]) -> PackedAccounts:
    """Accounts as a partition gives them to a store."""
    pairs = list(accounts.items()) if isinstance(accounts, Mapping) else accounts
    names, records = [name.encode() for name, _ in pairs], [record for _, record in pairs]
    return PackedAccounts(
        np.frombuffer(b"".join(names), dtype=np.uint8),
        np.cumsum([len(name) for name in names], dtype=np.int64),
        np.frombuffer(b"".join(records), dtype=np.uint8),
        np.cumsum([len(record) for record in records], dtype=np.int64),
    )


def many(seed: int, count: int = 900) -> dict[str, bytes]:
    """Accounts for a large write, in no order, with ids of every sort."""
    chance = random.Random(seed)
    ids = [*(f"a{number}" for number in range(count)), "", "\x00", "\x00\x00", "ü", "a", "\U0001f600" * 64]
    chance.shuffle(ids)
    accounts = {name: chance.randbytes(1_400) for name in ids}
    assert packed_accounts(accounts).data.nbytes >= LARGE_WRITE_BYTES
    return accounts


def test_a_large_write_is_read_back_like_any_other(store: RocksStore) -> None:
    first, second = many(1), many(2, count=800)
    store.write([("a3", b"older"), ("only-here", b"small")], {"offset": b"1", "other": b"kept"})
    store.write(packed_accounts(first), {"offset": b"2"})
    assert dict(store.accounts()) == {**first, "only-here": b"small"}
    assert list(store.values()) == [("offset", b"2"), ("other", b"kept")]
    store.write([("a3", b"newer")], {"offset": b"3"})
    assert store.get_accounts(["a3", "ü", "", "nobody"]) == [b"newer", first["ü"], first[""], None]
    store.write(packed_accounts(second), {"offset": b"4", "ä": b"odd", "a": b"before"})
    assert dict(store.accounts()) == {**first, "only-here": b"small", **second}
    assert store.get_value("offset") == b"4"


def test_a_large_write_is_in_no_log_and_survives_the_process(store: RocksStore, tmp_path: Path) -> None:
    accounts = many(1)
    store.write(packed_accounts(accounts), {"offset": b"2"})
    assert sum(path.stat().st_size for path in (tmp_path / "state").glob("*.log")) == 0
    shutil.copytree(tmp_path / "state", tmp_path / "killed")
    copy = RocksStore(tmp_path / "killed")
    assert dict(copy.accounts()) == accounts
    assert copy.get_value("offset") == b"2"
    copy.close()


def test_a_large_write_that_fails_leaves_nothing(store: RocksStore, tmp_path: Path) -> None:
    twice = [*many(1).items(), ("a3", b"again")]
    with pytest.raises(AssayError, match=str(tmp_path)):
        store.write(packed_accounts(twice), {"offset": b"2"})
    assert list(store.accounts()) == []
    assert store.get_value("offset") is None
    assert not (tmp_path / "state" / "checkpoint.table").exists()


def test_half_a_table_of_a_killed_process_is_cleared_away_but_not_by_who_looks(tmp_path: Path) -> None:
    RocksStore(tmp_path).close()
    left = tmp_path / "checkpoint.table"
    left.write_bytes(b"half")
    RocksStore(tmp_path, read_only=True).close()
    assert left.exists()
    RocksStore(tmp_path).close()
    assert not left.exists()


def test_accounts_are_read_while_another_thread_writes(store: RocksStore) -> None:
    accounts = many(1)
    store.write(packed_accounts(accounts), {})
    with ThreadPoolExecutor(1) as thread:
        for seed in range(2, 6):
            newer = {name: many(seed)[name] for name in accounts}
            writing = thread.submit(store.write, packed_accounts(newer), {"offset": b"%d" % seed})
            while not writing.done():
                found = store.get_accounts(["a1", "a2", "a899"])
                assert set(found) <= {source[name] for source in (accounts, newer) for name in ("a1", "a2", "a899")}
            writing.result()
            accounts = newer
            assert dict(store.accounts()) == accounts


def test_the_filter_is_still_there_after_a_restart(store: RocksStore, tmp_path: Path) -> None:
    """The client would go on with options of its own, without one: ten times the price of an account never seen."""
    store.write([("a", b"1")], {})
    store.close()
    again = RocksStore(tmp_path / "state")
    options = max((tmp_path / "state").glob("OPTIONS-*"), key=lambda path: path.name).read_text()
    assert "filter_policy=bloomfilter" in options
    assert "block_size=4096" in options
    again.close()


WRITES_FOR_EVER = """
import sys
from pathlib import Path
import numpy as np
from features.rocks_store import RocksStore
from tests.features.test_rocks_store import packed_accounts
store = RocksStore(Path(sys.argv[1]))
number = int(store.get_value("number") or b"0")
while True:
    number += 1
    large = number % 3 > 0
    content = number.to_bytes(8) * (200 if large else 20)
    accounts = packed_accounts({f"a{place}": content for place in range(800)})
    store.write(accounts if large else list(accounts), {"number": b"%d" % number})
    print(number, flush=True)
"""


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    """Accounts and number are always of one write, and nothing that was written is lost."""
    chance = random.Random(5)
    for _ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITES_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        told = [writer.stdout.readline()]
        time.sleep(chance.random() * 0.3)
        writer.send_signal(signal.SIGKILL)
        told += writer.stdout.read().splitlines()
        writer.wait()
        store = RocksStore(tmp_path)
        number = int(store.get_value("number") or b"0")
        assert number >= max(int(line) for line in told if line.strip())
        assert {packed[:8] for _, packed in store.accounts()} == {number.to_bytes(8)}
        store.close()
