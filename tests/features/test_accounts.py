"""Accounts in memory: how they grow, and that letting go of them and bringing them back cannot be seen."""

import random
import struct
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.account_kernels import ACCOUNT, CHANGED
from features.accounts import BLOCKS, Accounts, Applied
from features.catalogue import FEATURES
from features.columns import EVENT, FRAUD, LABEL, PAYMENT, Events, record_of
from features.directory import NAME_BLOCKS, SLOT_BYTES
from features.errors import AssayError
from features.folded import Folded, empty_folded
from features.kernel import DUPLICATE, HISTORY_CAPACITY, NOT_IN_HISTORY
from features.keys import keys_of
from features.packing import SCHEMA, hash_text, pack, unpack
from features.store import MemoryStore
from tests.features.sequences import Arrival, columns, events, seeded_events

NO_LIMIT = 1 << 60
HOUR_MS = 3_600_000


def load(accounts: Accounts, key: str, packed: bytes | None) -> None:
    accounts.load(keys_of([key]), np.zeros(1, dtype=np.int64), [packed])


def payments(count: int, first: int = 0, every_ms: int = 1_000) -> Events:
    """`count` payments, each with its own amount."""
    rows = [
        record_of(time_ms=n * every_ms, offset=n, event_hash=n + 1, kind=PAYMENT, amount_minor=n)
        for n in range(first, first + count)
    ]
    return np.concatenate(rows) if rows else np.zeros(0, dtype=EVENT)


class Forgetful:
    """Accounts that are stored and dropped between batches, as a partition does it."""

    def __init__(self) -> None:
        self.accounts = Accounts(expected=2)
        self.store = MemoryStore()
        self.dropped = 0

    def apply(self, keys: list[str], rows: Events, judged: NDArray[np.uint64] | None = None) -> Applied:
        missing = self.accounts.missing(keys_of(keys))
        self.accounts.load(keys_of(keys), missing, self.store.get_accounts([keys[row] for row in missing]))
        return self.accounts.apply(keys_of(keys), rows, judged)

    def checkpoint(self) -> None:
        self.store.write(self.accounts.cut(), {})
        self.accounts.mark_stored()

    def evict(self, limit_bytes: int) -> None:
        self.dropped += self.accounts.evict(limit_bytes)


def assert_same(one: Applied, other: Applied) -> None:
    assert one.features.tobytes() == other.features.tobytes()
    assert one.status.tobytes() == other.status.tobytes()
    assert one.flags.tobytes() == other.flags.tobytes()
    assert one.found.tobytes() == other.found.tobytes()


steps = st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.sampled_from((0, 1_000, 3_000, NO_LIMIT))), max_size=12)


@settings(deadline=None)
@given(arrivals=events(), steps=steps)
def test_letting_go_and_bringing_back_changes_nothing(
    arrivals: list[Arrival], steps: list[tuple[int, bool, int]]
) -> None:
    """Batches of any length, a checkpoint or none after each, and any memory: what is not stored stays."""
    keys, rows = columns(arrivals)
    always, forgetful = Accounts(), Forgetful()
    start = 0
    for length, is_checkpoint, limit_bytes in [*steps, (len(keys), True, 0)]:
        batch = slice(start, start + length)
        assert_same(forgetful.apply(keys[batch], rows[batch]), always.apply(keys_of(keys[batch]), rows[batch]))
        if is_checkpoint:
            forgetful.checkpoint()
        forgetful.evict(limit_bytes)
        start += length
    for key in set(keys):
        assert key not in forgetful.accounts
        load(forgetful.accounts, key, forgetful.store.get_accounts([key])[0])
        assert forgetful.accounts.history(key).tobytes() == always.history(key).tobytes()


class Written:
    """What a store is about to hold: what was cut, until it is written, or is not."""

    def __init__(self, accounts: Accounts, store: MemoryStore) -> None:
        self.accounts, self.store = accounts, store
        self.cut: list[tuple[str, bytes]] | None = None

    def begin(self) -> None:
        if self.cut is None:
            self.cut = list(self.accounts.cut())
            assert dict(self.accounts.dirty()) == {}

    def end(self, *, well: bool) -> None:
        if self.cut is None:
            return
        if well:
            self.store.write(self.cut, {})
            self.accounts.mark_stored()
        else:
            changed = dict(self.accounts.dirty()).keys()
            self.accounts.mark_not_stored()
            assert dict(self.accounts.dirty()).keys() == changed | dict(self.cut).keys()
        self.cut = None


ACTIONS = ("apply", "apply", "apply", "cut", "stored", "failed", "evict", "undo")


@settings(deadline=None)
@given(arrivals=events(max_size=60), actions=st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(1, 6))))
def test_whatever_happens_between_batches_an_account_is_where_its_newest_state_is(
    arrivals: list[Arrival], actions: list[tuple[str, int]]
) -> None:
    """In memory if it changed or is being written, else in memory or in the store; against accounts that never go."""
    keys, rows = columns(arrivals)
    always, forgetful = Accounts(), Forgetful()
    accounts = forgetful.accounts
    written = Written(accounts, forgetful.store)
    start = 0
    for action, number in [*actions, ("failed", 1), ("apply", len(keys)), ("cut", 1), ("stored", 1), ("evict", 9)]:
        batch = slice(start, start + number)
        if action == "apply":
            assert_same(forgetful.apply(keys[batch], rows[batch]), always.apply(keys_of(keys[batch]), rows[batch]))
            start += number
        elif action == "undo" and keys[batch]:
            before, dirty = accounts.remember(keys[batch]), dict(accounts.dirty())
            forgetful.apply(keys[batch], rows[batch])
            accounts.bring_back(keys[batch], before)
            assert dict(accounts.dirty()) == dirty
        elif action == "cut":
            written.begin()
        elif action in ("stored", "failed"):
            written.end(well=action == "stored")
        elif action == "evict":
            leaving = {key for key, _ in written.cut or ()}
            kept = dict(accounts.dirty()).keys() | leaving
            accounts.evict(0)
            assert {key for key in set(keys) if key in accounts} == kept
        for key in set(keys[:start]):
            stored = forgetful.store.get_accounts([key])[0]
            held = accounts.history(key) if key in accounts else unpack(key, stored or b"").events
            assert held.tobytes() == always.history(key).tobytes()
    assert len(accounts) == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_letting_go_changes_nothing_beyond_the_exact_history_either(seed: int) -> None:
    arrivals = seeded_events(seed, 1_200, account=("a", "a", "a", "b", "c"), back=(0, 0, 0, 1, 30, 300))
    keys, rows = columns(arrivals)
    chance = random.Random(seed)
    always, forgetful = Accounts(), Forgetful()
    cuts = sorted(chance.sample(range(1, len(keys)), 60))
    for start, end in pairwise([0, *cuts, len(keys)]):
        assert_same(
            forgetful.apply(keys[start:end], rows[start:end]), always.apply(keys_of(keys[start:end]), rows[start:end])
        )
        forgetful.checkpoint()
        forgetful.evict(chance.choice((0, 20_000, 40_000, NO_LIMIT)))
    assert forgetful.dropped > 40
    assert len(always.history("a")) >= 256
    assert unpack("a", dict(always.dirty())["a"]).folded is not None


def test_labels_and_verdicts_survive_being_let_go() -> None:
    forgetful = Forgetful()
    applied = forgetful.apply(["a", "a"], payments(2))
    offsets, decisions = np.array([0, 1]), np.array([3, 1], dtype=np.uint8)
    scores = np.array([900_000, 20], dtype=np.int32)
    forgetful.accounts.record(applied.slots, offsets, decisions, scores, scores // 2)
    forgetful.checkpoint()
    forgetful.evict(0)
    label = record_of(time_ms=9_000, offset=2, event_hash=77, kind=LABEL, marks=FRAUD)
    (found,) = forgetful.apply(["a"], label, np.array([1], dtype=np.uint64)).found
    judged = (found["decision"], found["score_micro"], found["anomaly_micro"], found["marks"])
    assert judged == (3, 900_000, 450_000, FRAUD)
    forgetful.checkpoint()
    forgetful.evict(0)
    again = forgetful.apply(["a"], payments(1))
    assert again.status.tolist() == [DUPLICATE]
    assert forgetful.accounts.history("a")["marks"].tolist() == [FRAUD, 0]


def test_a_label_without_its_event_changes_nothing() -> None:
    accounts = Accounts()
    label = record_of(time_ms=9_000, offset=2, event_hash=77, kind=LABEL, marks=FRAUD)
    applied = accounts.apply(keys_of(["a"]), label, np.array([1], dtype=np.uint64))
    assert applied.status.tolist() == [NOT_IN_HISTORY]
    assert np.isnan(applied.features).all()
    assert len(accounts.history("a")) == 0


def test_a_history_moves_to_a_larger_block_as_it_grows() -> None:
    accounts = Accounts(expected=2)
    rows = payments(HISTORY_CAPACITY)
    capacities = []
    for row in range(len(rows)):
        accounts.apply(keys_of(["a"]), rows[row : row + 1])
        accounts.apply(keys_of([f"neighbour-{row}"]), rows[row : row + 1])
        assert accounts.history("a").tobytes() == rows[: row + 1].tobytes()
        capacities.append(_capacity(accounts, "a"))
    assert capacities == [next(size for size in BLOCKS if size > row) for row in range(len(rows))]
    for row in range(len(rows)):
        assert accounts.history(f"neighbour-{row}").tobytes() == rows[row : row + 1].tobytes()


@pytest.mark.parametrize("count", [*BLOCKS, *(size + 1 for size in BLOCKS), HISTORY_CAPACITY + 200])
def test_one_batch_grows_as_many_small_ones_do(count: int) -> None:
    rows = payments(count)
    at_once, one_by_one = Accounts(), Accounts()
    whole = at_once.apply(keys_of(["a"] * count), rows)
    parts = [one_by_one.apply(keys_of(["a"]), rows[row : row + 1]) for row in range(count)]
    assert whole.features.tobytes() == b"".join(part.features.tobytes() for part in parts)
    assert at_once.history("a").tobytes() == one_by_one.history("a").tobytes()
    assert dict(at_once.dirty()) == dict(one_by_one.dirty())


def test_a_small_block_that_was_left_is_given_to_the_next() -> None:
    accounts = Accounts(expected=2)
    accounts.apply(keys_of(["a"] * 9), payments(9))
    before = accounts.nbytes
    accounts.apply(keys_of(["b"]), payments(1))
    assert accounts.nbytes == before
    assert accounts.history("a").tobytes() == payments(9).tobytes()


def test_a_summary_that_was_left_is_given_to_the_next_without_its_past() -> None:
    forgetful = Forgetful()
    forgetful.apply(["a"] * 400, payments(400, every_ms=HOUR_MS))
    forgetful.checkpoint()
    forgetful.evict(0)
    rows = payments(400, first=900)
    assert_same(forgetful.apply(["b"] * 400, rows), Accounts().apply(keys_of(["b"] * 400), rows))


def _capacity(accounts: Accounts, key: str) -> int:
    return int(accounts._accounts[accounts._slot_of(key)]["capacity"])


def expected_bytes(*counts: int) -> int:
    """Memory of accounts with short ids and so many events each, none of them folded."""
    each = ACCOUNT.itemsize + 1 + SLOT_BYTES + NAME_BLOCKS[0]
    return sum(each + next(size for size in BLOCKS if size >= count) * EVENT.itemsize for count in counts)


def test_used_bytes_are_those_of_the_accounts_in_memory() -> None:
    forgetful = Forgetful()
    accounts = forgetful.accounts
    assert accounts.used_bytes == 0
    accounts.apply(keys_of(["a"] * 3), payments(3))
    assert accounts.used_bytes == expected_bytes(3)
    accounts.apply(keys_of(["b"] * 40), payments(40))
    assert accounts.used_bytes == expected_bytes(3, 40)
    accounts.apply(keys_of(["a"] * 30), payments(30, first=3))
    assert accounts.used_bytes == expected_bytes(33, 40)
    accounts.apply(keys_of(["b"] * 300), payments(300, first=40))
    summary = sum(array.nbytes for array in empty_folded(1))
    assert accounts.used_bytes == expected_bytes(33, HISTORY_CAPACITY) + summary
    assert accounts.used_bytes <= accounts.nbytes
    forgetful.checkpoint()
    forgetful.evict(0)
    assert (len(accounts), accounts.used_bytes) == (0, 0)


def test_coming_and_going_takes_no_more_and_more_memory() -> None:
    forgetful = Forgetful()
    sizes = []
    for number in range(30):
        keys = [f"{number}-{row % 5}" for row in range(400)]
        forgetful.apply([*keys, *["deep"] * 330], payments(730, first=730 * number))
        forgetful.checkpoint()
        forgetful.evict(0)
        sizes.append(forgetful.accounts.nbytes)
    assert sizes[5:] == sizes[5:6] * 25


def test_nothing_is_dropped_below_the_limit() -> None:
    accounts = Accounts()
    accounts.apply(keys_of(["a", "b"]), payments(2))
    accounts.cut()
    accounts.mark_stored()
    assert accounts.evict(accounts.used_bytes) == 0
    assert len(accounts) == 2
    assert accounts.evict(accounts.used_bytes - 1) > 0


def test_eviction_stops_at_three_quarters_of_the_limit() -> None:
    accounts = Accounts()
    keys = [f"a{number}" for number in range(100)]
    accounts.apply(keys_of(keys), payments(100))
    accounts.cut()
    accounts.mark_stored()
    limit_bytes = accounts.used_bytes - 1
    dropped = accounts.evict(limit_bytes)
    assert len(accounts) == 100 - dropped
    assert limit_bytes * 3 // 4 - expected_bytes(1) < accounts.used_bytes <= limit_bytes * 3 // 4


def test_those_untouched_for_longest_go_first() -> None:
    accounts = Accounts()
    keys = [f"a{number}" for number in range(8)]
    for row, key in enumerate(keys):
        accounts.apply(keys_of([key]), payments(1, first=row))
    accounts.apply(keys_of(["a0"]), payments(1, first=8))
    accounts.cut()
    accounts.mark_stored()
    assert accounts.evict(accounts.used_bytes - 1) == 3
    assert [key for key in keys if key in accounts] == ["a0", "a4", "a5", "a6", "a7"]


def test_what_was_not_stored_is_never_dropped() -> None:
    forgetful = Forgetful()
    forgetful.apply(["a", "b"], payments(2))
    forgetful.evict(0)
    assert forgetful.dropped == 0
    forgetful.checkpoint()
    forgetful.apply(["b"], payments(1, first=2))
    forgetful.evict(0)
    assert "a" not in forgetful.accounts
    assert "b" in forgetful.accounts
    assert dict(forgetful.accounts.dirty()).keys() == {"b"}


def test_dirty_is_what_changed_since_it_was_stored() -> None:
    accounts = Accounts()
    load(accounts, "read", pack(4, payments(1), None))
    assert dict(accounts.dirty()) == {}
    accounts.apply(keys_of(["a", "read"]), payments(2, first=5))
    assert dict(accounts.dirty()).keys() == {"a", "read"}
    accounts.cut()
    accounts.mark_stored()
    assert dict(accounts.dirty()) == {}


def test_missing_names_each_account_once_in_order_of_appearance() -> None:
    accounts = Accounts()
    load(accounts, "b", None)
    assert accounts.missing(keys_of(["c", "b", "a", "c"])).tolist() == [0, 2]
    assert ("b" in accounts, "c" in accounts, len(accounts)) == (True, False, 1)


def test_an_account_in_memory_is_not_loaded_over() -> None:
    accounts = Accounts()
    load(accounts, "a", None)
    with pytest.raises(AssertionError, match="newer than its packed record"):
        load(accounts, "a", None)


def any_bytes(array: NDArray[np.generic], chance: random.Random) -> NDArray[np.generic]:
    """An array of the same shape and type with random content."""
    return np.frombuffer(chance.randbytes(array.nbytes), dtype=array.dtype).reshape(array.shape)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, HISTORY_CAPACITY),
    last_offset=st.integers(-1, 2**62),
    folded=st.booleans(),
)
def test_what_is_packed_is_what_is_unpacked(seed: int, count: int, last_offset: int, folded: bool) -> None:
    chance = random.Random(seed)
    history = any_bytes(np.zeros(count, dtype=EVENT), chance)
    summary = Folded(*(any_bytes(array, chance) for array in empty_folded(1))) if folded else None
    record = unpack("a", pack(last_offset, history, summary))
    assert record.last_offset == last_offset
    assert record.events.tobytes() == history.tobytes()
    assert (record.folded is None) == (summary is None)
    if summary is not None and record.folded is not None:
        for name, array in zip(Folded._fields, summary, strict=True):
            found = getattr(record.folded, name)
            assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())


def packed_account(count: int) -> bytes:
    accounts = Accounts()
    accounts.apply(keys_of(["a"] * count), payments(count, every_ms=HOUR_MS))
    return dict(accounts.dirty())["a"]


@pytest.mark.parametrize("count", [0, 3, 400])
def test_an_account_that_is_loaded_and_stored_keeps_its_bytes(count: int) -> None:
    packed = packed_account(count) if count else pack(-1, payments(0), None)
    assert (unpack("a", packed).folded is not None) == (count > HISTORY_CAPACITY)
    accounts = Accounts()
    load(accounts, "a", packed)
    accounts._change[accounts._slot_of("a")] = CHANGED
    assert dict(accounts.dirty()) == {"a": packed}


@pytest.mark.parametrize("count", [3, 400])
def test_a_record_of_another_length_is_refused(count: int) -> None:
    packed = packed_account(count)
    for length in {0, 1, 8, 15, 16, 17, len(packed) // 2, len(packed) - 1}:
        _assert_refused(packed[:length])
    _assert_refused(packed + b"\0")


@pytest.mark.parametrize("schema", [0, SCHEMA + 1, 255])
def test_a_record_of_another_schema_is_refused(schema: int) -> None:
    message = _assert_refused(bytes([schema]) + packed_account(3)[1:])
    assert f"expected schema {SCHEMA}, got {schema:02x}" in message


def test_a_record_with_more_events_than_a_history_holds_is_refused() -> None:
    """It would be written over the neighbour's events."""
    packed = bytearray(pack(9, payments(HISTORY_CAPACITY + 1), None))
    assert struct.unpack_from("<H", packed, 2) == (HISTORY_CAPACITY + 1,)
    _assert_refused(bytes(packed))


def _assert_refused(packed: bytes) -> str:
    accounts = Accounts()
    load(accounts, "neighbour", None)
    with pytest.raises(AssayError, match=f"state of account hash {hash_text('account-17')}") as refused:
        load(accounts, "account-17", packed)
    message = str(refused.value)
    assert "account-17" not in message, "an account id is personal"
    assert "\n" not in message
    assert "fresh state directory" in message
    assert "account-17" not in accounts
    assert accounts.used_bytes == expected_bytes(0)
    return message


def test_features_are_those_of_the_catalogue() -> None:
    applied = Accounts().apply(keys_of(["a"]), payments(1))
    assert applied.features.shape == (1, len(FEATURES))
    assert applied.features.dtype == np.float32
