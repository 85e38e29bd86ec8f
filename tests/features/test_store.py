"""Every store keeps every promise."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from features.errors import AssayError
from features.rocks_store import RocksStore
from features.store import MemoryStore, StateStore


@pytest.fixture(params=["memory", "rocksdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateStore]:
    opened: StateStore = MemoryStore() if request.param == "memory" else RocksStore(tmp_path / "state")
    yield opened
    opened.close()


def what_was_never_written_is_none(store: StateStore) -> None:
    assert store.get_accounts(["a1", "a2"]) == [None, None]
    assert store.get_value("offset") is None


def what_was_written_is_read_back_in_the_order_asked(store: StateStore) -> None:
    store.write([("a1", b"one"), ("a2", b"two")], {"offset": b"7"})
    assert store.get_accounts(["a2", "nobody", "a1"]) == [b"two", None, b"one"]
    assert store.get_value("offset") == b"7"


def the_last_write_wins(store: StateStore) -> None:
    store.write([("a1", b"old"), ("a1", b"new")], {"offset": b"1"})
    store.write([("a1", b"newest")], {"offset": b"2"})
    assert store.get_accounts(["a1"]) == [b"newest"]
    assert store.get_value("offset") == b"2"


def a_write_that_fails_midway_leaves_nothing(store: StateStore) -> None:
    def accounts() -> Iterator[tuple[str, bytes]]:
        yield "a1", b"one"
        raise RuntimeError("the disk caught fire")

    with pytest.raises(RuntimeError):
        store.write(accounts(), {"offset": b"9"})
    assert store.get_accounts(["a1"]) == [None]
    assert store.get_value("offset") is None


def accounts_and_values_do_not_mix(store: StateStore) -> None:
    store.write([("offset", b"an account of that name")], {"a1": b"a value of that name"})
    assert store.get_value("offset") is None
    assert store.get_accounts(["a1"]) == [None]
    assert list(store.accounts()) == [("offset", b"an account of that name")]


def a_scan_gives_every_account_by_key(store: StateStore) -> None:
    store.write([(f"a{number:03d}", bytes([number])) for number in range(200)], {"offset": b"1"})
    assert list(store.accounts()) == [(f"a{number:03d}", bytes([number])) for number in range(200)]


def no_key_is_too_odd(store: StateStore) -> None:
    keys = ["", "ü", "\x00", "a" * 64, "a\nb"]
    store.write([(key, key.encode() + b"!") for key in keys], {})
    assert store.get_accounts(keys) == [key.encode() + b"!" for key in keys]


def asking_for_nothing_gives_nothing(store: StateStore) -> None:
    assert store.get_accounts([]) == []


def closing_twice_is_harmless(store: StateStore) -> None:
    store.close()
    store.close()


@pytest.mark.parametrize(
    "promise",
    [
        what_was_never_written_is_none,
        what_was_written_is_read_back_in_the_order_asked,
        the_last_write_wins,
        a_write_that_fails_midway_leaves_nothing,
        accounts_and_values_do_not_mix,
        a_scan_gives_every_account_by_key,
        no_key_is_too_odd,
        asking_for_nothing_gives_nothing,
        closing_twice_is_harmless,
    ],
)
def test_every_store_keeps_every_promise(promise: Callable[[StateStore], None], store: StateStore) -> None:
    promise(store)


def test_rocksdb_remembers_after_it_is_closed(tmp_path: Path) -> None:
    first = RocksStore(tmp_path)
    first.write([("a1", b"one")], {"offset": b"1"})
    first.close()
    second = RocksStore(tmp_path)
    assert second.get_accounts(["a1"]) == [b"one"]
    second.close()


def test_a_state_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    holder = RocksStore(tmp_path)
    with pytest.raises(AssayError, match="in use by another process") as refused:
        RocksStore(tmp_path)
    assert "\n" not in str(refused.value)
    holder.close()


@pytest.mark.parametrize("name", ["CURRENT", "MANIFEST"])
def test_a_damaged_state_is_said_in_one_line(tmp_path: Path, name: str) -> None:
    store = RocksStore(tmp_path)
    store.write([("a1", b"one")], {"offset": b"1"})
    store.close()
    for path in tmp_path.glob(f"{name}*"):
        path.write_bytes(b"\xff" * 16)
    with pytest.raises(AssayError, match=str(tmp_path)) as refused:
        RocksStore(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_scan_of_a_damaged_file_raises_instead_of_ending_early(tmp_path: Path) -> None:
    store = RocksStore(tmp_path)
    for start in range(0, 20_000, 5_000):
        store.write([(f"a{number:06d}", number.to_bytes(8) * 64) for number in range(start, start + 5_000)], {})
    store.flush()
    store.close()
    tables = sorted(tmp_path.glob("*.sst"), key=lambda path: path.stat().st_size)
    data = bytearray(tables[-1].read_bytes())
    data[len(data) // 2] ^= 0xFF
    tables[-1].write_bytes(data)
    damaged = RocksStore(tmp_path)
    with pytest.raises(AssayError, match="damaged"):
        list(damaged.accounts())
    damaged.close()
