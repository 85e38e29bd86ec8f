"""Hot accounts in memory: histories in one pool of records, found by account id.

A history takes a block of 8, 32, 128 or 320 records and moves to a larger one as it grows. What is not hot lives packed
in a store (`features/store.py`); the caller brings accounts in with `load` before a batch touches them, writes `dirty`
ones at a checkpoint, and lets `evict` drop those untouched for longest. Nothing here reads a disk or a clock.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.catalogue import FEATURES
from features.columns import EVENT, Events
from features.feature import FeatureSet
from features.folded import Folded, empty_folded
from features.kernel import HISTORY_CAPACITY, apply_batch, record_decisions
from features.packing import pack, unpack

BLOCKS = (8, 32, 128, HISTORY_CAPACITY)
"""Sizes of a history's block, in records."""

ACCOUNT = np.dtype(
    [
        ("start", np.int64),  # first record of its block in the pool
        ("capacity", np.int64),  # size of the block
        ("count", np.int64),  # records in use
        ("folded", np.int64),  # index of its summary, -1 if nothing was ever folded
        ("last_offset", np.int64),  # offset of the last record applied
        ("touched", np.int64),  # batch that used it last
    ]
)


@dataclass(frozen=True, slots=True)
class Applied:
    """What `Accounts.apply` found, row by row.

    Attributes:
        features: float32[n, f]; NaN rows where the status is DUPLICATE, CONFLICT or NOT_IN_HISTORY.
        status: uint8[n], see `features.kernel`.
        flags: uint8[n], bits COLD_START, LATE, APPROXIMATE.
        found: `EVENT`[n]; for labels the event that they judge.
        slots: int64[n]; the account of each row, for `record`.
    """

    features: NDArray[np.float32]
    status: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    found: Events
    slots: NDArray[np.int64]


class Accounts:
    """The accounts in memory of one partition.

    >>> import numpy as np
    >>> from features.columns import PAYMENT, record_of
    >>> accounts = Accounts()
    >>> first = record_of(time_ms=1_000, offset=0, event_hash=1, kind=PAYMENT, amount_minor=500)
    >>> second = record_of(time_ms=2_000, offset=1, event_hash=2, kind=PAYMENT, amount_minor=700)
    >>> applied = accounts.apply(["a1", "a1"], np.concatenate([first, second]))
    >>> applied.features[:, FEATURES.index["account_amount_minor_sum_1h"]].tolist()
    [0.0, 500.0]
    """

    def __init__(self, feature_set: FeatureSet = FEATURES, expected: int = 1024) -> None:
        self._plan = feature_set.plan
        self._scales = feature_set.scales
        self._slot_of: dict[str, int] = {}
        self._key_of: list[str] = [""] * expected
        self._accounts = np.zeros(expected, dtype=ACCOUNT)
        self._dirty = np.zeros(expected, dtype=np.bool_)
        self._free_slots: list[int] = list(range(expected - 1, -1, -1))
        self._pool: Events = np.zeros(expected * BLOCKS[0], dtype=EVENT)
        self._pool_used = 0
        self._free_blocks: dict[int, list[int]] = {size: [] for size in BLOCKS}
        self._folded: Folded = empty_folded(0)
        self._free_folded: list[int] = []
        self._batch = 0

    def __len__(self) -> int:
        return len(self._slot_of)

    def __contains__(self, key: str) -> bool:
        return key in self._slot_of

    @property
    def nbytes(self) -> int:
        """Bytes held by the arrays."""
        folded = sum(array.nbytes for array in self._folded)
        return int(self._pool.nbytes + self._accounts.nbytes + self._dirty.nbytes + folded)

    @property
    def used_bytes(self) -> int:
        """Bytes of the arrays that hold accounts: what `evict` can give back."""
        used = len(self._slot_of)
        blocks = self._pool_used - sum(size * len(free) for size, free in self._free_blocks.items())
        summaries = len(self._folded.summaries)
        each = sum(array.nbytes for array in self._folded) // summaries if summaries else 0
        return used * ACCOUNT.itemsize + blocks * EVENT.itemsize + (summaries - len(self._free_folded)) * each

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of `keys` that are not in memory, each once, in order of first appearance."""
        slot_of = self._slot_of
        return list(dict.fromkeys([key for key in keys if key not in slot_of]))

    def load(self, key: str, packed: bytes | None) -> None:
        """Bring an account into memory; None is an account without a past.

        Raises:
            AssayError: the packed record is not one that this version wrote.
        """
        assert key not in self._slot_of, "an account in memory is newer than its packed record"
        record = None if packed is None else unpack(key, packed)
        slot = self._new_slot(key)
        account = self._accounts[slot]
        account["last_offset"] = -1
        account["folded"] = -1
        if record is None:
            self._give_block(slot, BLOCKS[0])
            account["count"] = 0
            return
        count = len(record.events)
        self._give_block(slot, _block_for(count))
        start = int(account["start"])
        self._pool[start : start + count] = record.events
        account["count"] = count
        account["last_offset"] = record.last_offset
        if record.folded is not None:
            index = self._new_folded()
            for array, loaded in zip(self._folded, record.folded, strict=True):
                array[index] = loaded[0]
            account["folded"] = index

    def apply(self, keys: Sequence[str], events: Events, judged: NDArray[np.uint64] | None = None) -> Applied:
        """Measure each event against its account's past, then add it; in order of arrival.

        Accounts that are not in memory are taken to have no past: `load` those of `missing` first.

        Args:
            keys: account id of each row.
            events: `EVENT`[n], offsets rising.
            judged: uint64[n], for a label the hash of the event that it judges; None if there is no label.
        """
        rows = len(events)
        slots = self._slots(keys)
        self._make_room(slots)
        self._batch += 1
        self._accounts["touched"][slots] = self._batch
        self._dirty[slots] = True
        features = np.full((rows, len(self._plan)), np.nan, dtype=np.float32)
        status = np.zeros(rows, dtype=np.uint8)
        flags = np.zeros(rows, dtype=np.uint8)
        found = np.zeros(rows, dtype=EVENT)
        if judged is None:
            judged = np.zeros(rows, dtype=np.uint64)
        apply_batch(
            self._accounts,
            self._pool,
            self._folded,
            slots,
            events,
            judged,
            self._plan,
            self._scales,
            features,
            status,
            flags,
            found,
        )
        return Applied(features, status, flags, found, slots)

    def record(
        self,
        slots: NDArray[np.int64],
        offsets: NDArray[np.int64],
        decisions: NDArray[np.uint8],
        score_micro: NDArray[np.int32],
        anomaly_micro: NDArray[np.int32],
    ) -> None:
        """Write verdicts beside their events; rows as in `Applied.slots`."""
        record_decisions(self._accounts, self._pool, slots, offsets, decisions, score_micro, anomaly_micro)

    def history(self, key: str) -> Events:
        """A copy of an account's exact history, by time; empty if the account is not in memory."""
        slot = self._slot_of.get(key)
        if slot is None:
            return np.zeros(0, dtype=EVENT)
        account = self._accounts[slot]
        return self._pool[account["start"] : account["start"] + account["count"]].copy()

    def remember(self, keys: Iterable[str]) -> dict[str, tuple[bytes, bool]]:
        """Accounts as they are now, each packed and whether it is dirty, for `bring_back`."""
        slots = {key: self._slot_of[key] for key in keys if key in self._slot_of}
        return {key: (self._pack(slot), bool(self._dirty[slot])) for key, slot in slots.items()}

    def bring_back(self, keys: Iterable[str], remembered: Mapping[str, tuple[bytes, bool]]) -> None:
        """Make the accounts of `keys` what they were when `remember` was called for them."""
        for key in set(keys):
            if key in self._slot_of:
                self._drop(self._slot_of[key])
            if key in remembered:
                packed, dirty = remembered[key]
                self.load(key, packed)
                self._dirty[self._slot_of[key]] = dirty

    def dirty(self) -> Iterator[tuple[str, bytes]]:
        """Accounts that changed since `mark_clean`, packed."""
        for slot in np.flatnonzero(self._dirty).tolist():
            yield self._key_of[slot], self._pack(slot)

    def mark_clean(self) -> None:
        """Everything dirty has been stored."""
        self._dirty[:] = False

    def evict(self, limit_bytes: int) -> int:
        """Drop the clean accounts untouched for longest until about three quarters of the limit are used.

        Does nothing below the limit. Returns how many were dropped.
        """
        used_bytes = self.used_bytes
        if used_bytes <= limit_bytes:
            return 0
        clean = np.array([slot for slot in self._slot_of.values() if not self._dirty[slot]], dtype=np.int64)
        oldest = clean[np.argsort(self._accounts["touched"][clean], kind="stable")]
        excess = used_bytes - limit_bytes * 3 // 4
        dropped = 0
        for slot in oldest.tolist():
            if excess <= 0:
                break
            excess -= self._drop(slot)
            dropped += 1
        return dropped

    def _slots(self, keys: Sequence[str]) -> NDArray[np.int64]:
        """The slot of each key; a key that is not in memory has no past."""
        slot_of = self._slot_of
        if not all(map(slot_of.__contains__, keys)):
            for key in self.missing(keys):
                self.load(key, None)
        return np.fromiter(map(slot_of.__getitem__, keys), dtype=np.int64, count=len(keys))

    def _drop(self, slot: int) -> int:
        account = self._accounts[slot]
        freed = ACCOUNT.itemsize + int(account["capacity"]) * EVENT.itemsize
        self._free_blocks[int(account["capacity"])].append(int(account["start"]))
        if account["folded"] >= 0:
            freed += sum(array[0].nbytes for array in self._folded)
            self._free_folded.append(int(account["folded"]))
        del self._slot_of[self._key_of[slot]]
        self._key_of[slot] = ""
        self._free_slots.append(slot)
        return freed

    def _pack(self, slot: int) -> bytes:
        start, _, count, index, last_offset, _ = self._accounts[slot].item()
        folded = None
        if index >= 0 and self._folded.summaries[index]["events"] > 0:
            folded = Folded(*(array[index : index + 1] for array in self._folded))
        return pack(last_offset, self._pool[start : start + count], folded)

    def _make_room(self, slots: NDArray[np.int64]) -> None:
        """Before a batch: every history gets a block, and a summary if it may overflow, for its new events."""
        touched, new = np.unique(slots, return_counts=True)
        after = self._accounts["count"][touched] + new
        for place in np.flatnonzero(np.minimum(after, HISTORY_CAPACITY) > self._accounts["capacity"][touched]).tolist():
            self._grow(int(touched[place]), _block_for(int(after[place])))
        overflowing = (after > HISTORY_CAPACITY) & (self._accounts["folded"][touched] < 0)
        for place in np.flatnonzero(overflowing).tolist():
            self._accounts["folded"][touched[place]] = self._new_folded()

    def _grow(self, slot: int, size: int) -> None:
        account = self._accounts[slot]
        start, capacity, count = int(account["start"]), int(account["capacity"]), int(account["count"])
        self._give_block(slot, size)
        moved = int(self._accounts[slot]["start"])
        self._pool[moved : moved + count] = self._pool[start : start + count]
        self._free_blocks[capacity].append(start)

    def _give_block(self, slot: int, size: int) -> None:
        free = self._free_blocks[size]
        if free:
            start = free.pop()
        else:
            start = self._pool_used
            self._pool_used += size
            if self._pool_used > len(self._pool):
                _lengthen(self._pool, max(self._pool_used, len(self._pool) * 5 // 4))
        self._accounts[slot]["start"] = start
        self._accounts[slot]["capacity"] = size

    def _new_slot(self, key: str) -> int:
        if not self._free_slots:
            length = len(self._accounts)
            _lengthen(self._accounts, length * 2)
            _lengthen(self._dirty, length * 2)
            self._key_of.extend([""] * length)
            self._free_slots = list(range(length * 2 - 1, length - 1, -1))
        slot = self._free_slots.pop()
        self._slot_of[key] = slot
        self._key_of[slot] = key
        self._dirty[slot] = False
        self._accounts[slot]["touched"] = self._batch
        return slot

    def _new_folded(self) -> int:
        if not self._free_folded:
            length = len(self._folded.summaries)
            more = empty_folded(max(16, length // 2))
            self._folded = Folded(*(np.concatenate(pair) for pair in zip(self._folded, more, strict=True)))
            self._free_folded = list(range(len(self._folded.summaries) - 1, length - 1, -1))
        index = self._free_folded.pop()
        for array, empty in zip(self._folded, empty_folded(1), strict=True):
            array[index] = empty[0]
        return index


def _block_for(count: int) -> int:
    return next((size for size in BLOCKS if size >= count), HISTORY_CAPACITY)


def _lengthen(array: NDArray[Any], length: int) -> None:
    """Make an array longer where it lies, new elements 0: a copy beside it would double the memory for a moment."""
    array.resize(length, refcheck=False)
