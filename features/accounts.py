"""Hot accounts in memory: histories in one pool of records, found by account id.

A history takes a block of 4 to 320 records and moves to a larger one as it grows. What is not hot lives packed
in a store (`features/store.py`); the caller brings accounts in with `load` before a batch touches them, writes what it
`cut` at a checkpoint, says when that is stored, and lets `evict` drop those untouched for longest. Nothing here reads a
disk or a clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.account_kernels import (
    ACCOUNT,
    CHANGED,
    LEAVING,
    Hot,
    drop_account,
    drop_oldest,
    load_accounts,
    make_room,
    pack_accounts,
    pack_names,
    touch,
)
from features.arena import Arena, lengthen
from features.catalogue import FEATURES
from features.columns import EVENT, Events
from features.directory import Directory
from features.feature import FeatureSet
from features.kernel import HISTORY_CAPACITY, apply_batch, record_decisions
from features.keys import Keys, key_at, keys_of
from features.packing import PackedAccounts, first_unreadable, side_by_side, unpack
from features.recency import empty_ends
from features.scratch import SCRATCH
from features.summaries import Summaries

BLOCKS = (4, 8, 16, 32, 64, 128, HISTORY_CAPACITY)
"""Sizes of a history's block, in records."""
_PAGE = 640


@dataclass(frozen=True, slots=True)
class Applied:
    """What `Accounts.apply` found, row by row.

    Attributes:
        features: float32[n, f]; NaN rows where the status is DUPLICATE, CONFLICT or NOT_IN_HISTORY. Columns of
            entities are NaN: no account knows them.
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
    >>> applied = accounts.apply(keys_of(["a1", "a1"]), np.concatenate([first, second]))
    >>> applied.features[:, FEATURES.index["account_amount_minor_sum_1h"]].tolist()
    [0.0, 500.0]
    """

    def __init__(self, feature_set: FeatureSet = FEATURES, expected: int = 1024) -> None:
        self._width = len(feature_set)
        self._plan = feature_set.plan
        self._scales = feature_set.scales
        self._directory = Directory(expected)
        self._accounts = np.zeros(self._directory.capacity, dtype=ACCOUNT)
        self._change = np.zeros(self._directory.capacity, dtype=np.uint8)
        self._ends = empty_ends()
        self._histories = Arena(EVENT, BLOCKS, _PAGE, expected * BLOCKS[0])
        self._summaries = Summaries()
        self._memory = np.empty(1, dtype=SCRATCH)

    def __len__(self) -> int:
        return len(self._directory)

    def __contains__(self, key: str) -> bool:
        return self._slot_of(key) >= 0

    @property
    def nbytes(self) -> int:
        """Bytes held by the arrays."""
        arrays = self._accounts.nbytes + self._change.nbytes
        return arrays + self._directory.nbytes + self._histories.nbytes + self._summaries.nbytes

    @property
    def used_bytes(self) -> int:
        """Bytes of the arrays that hold accounts: what `evict` can give back."""
        used = len(self) * (ACCOUNT.itemsize + 1) + self._directory.used_bytes
        return used + self._histories.used_bytes + self._summaries.used_bytes

    def missing(self, keys: Keys) -> NDArray[np.int64]:
        """Rows of `keys`: the first appearance of each account that is not in memory, in order."""
        return self._directory.missing(keys)

    def load(self, keys: Keys, rows: NDArray[np.int64], packed: Sequence[bytes | None]) -> None:
        """Bring accounts into memory, those of `rows`; None is an account without a past.

        Raises:
            AssayError: a packed record is not one that this version wrote; then none is brought in.
            AssertionError: an account is in memory, or named twice.
        """
        records = side_by_side(packed)
        refused = first_unreadable(records)
        if refused >= 0:
            unpack(key_at(keys, int(rows[refused])).decode(), packed[refused] or b"")
            raise AssertionError("a record that cannot be read by one can be read by the other")
        slots = self._directory.add(keys, rows)
        more = self._directory.capacity
        if more > len(self._accounts):
            lengthen(self._accounts, more)
            lengthen(self._change, more)
        done = load_accounts(self._hot(), slots, records, 0)
        while done < len(slots):
            self._lengthen()
            done = load_accounts(self._hot(), slots, records, done)

    def apply(self, keys: Keys, events: Events, judged: NDArray[np.uint64] | None = None) -> Applied:
        """Measure each event against its account's past, then add it; in order of arrival.

        Accounts that are not in memory are taken to have no past: `load` those of `missing` first.

        Args:
            keys: account id of each row.
            events: `EVENT`[n], offsets rising.
            judged: uint64[n], for a label the hash of the event that it judges; None if there is no label.
        """
        rows = len(events)
        slots = self._slots(keys)
        hot = self._hot()
        touch(hot, slots)
        done = make_room(hot, slots, 0)
        while done < rows:
            self._lengthen()
            hot = self._hot()
            done = make_room(hot, slots, done)
        features = np.full((rows, self._width), np.nan, dtype=np.float32)
        status = np.zeros(rows, dtype=np.uint8)
        flags = np.zeros(rows, dtype=np.uint8)
        found = np.zeros(rows, dtype=EVENT)
        if judged is None:
            judged = np.zeros(rows, dtype=np.uint64)
        apply_batch(
            hot.accounts,
            hot.histories.units,
            hot.held.folded,
            slots,
            events,
            judged,
            self._plan,
            self._scales,
            features,
            status,
            flags,
            found,
            self._memory,
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
        pool = self._histories.blocks.units
        record_decisions(self._accounts, pool, slots, offsets, decisions, score_micro, anomaly_micro)

    def history(self, key: str) -> Events:
        """A copy of an account's exact history, by time; empty if the account is not in memory."""
        slot = self._slot_of(key)
        if slot < 0:
            return np.zeros(0, dtype=EVENT)
        account = self._accounts[slot]
        pool: Events = self._histories.blocks.units
        return pool[account["start"] : account["start"] + account["count"]].copy()

    def remember(self, keys: Iterable[str]) -> dict[str, tuple[bytes, int]]:
        """Accounts as they are now, each packed and whether it has to be stored, for `bring_back`."""
        slots = self._directory.find(keys_of(list(dict.fromkeys(keys))))
        slots = slots[slots >= 0]
        change = self._change[slots].tolist()
        return {key: (packed, one) for (key, packed), one in zip(self._packed(slots), change, strict=True)}

    def bring_back(self, keys: Iterable[str], remembered: Mapping[str, tuple[bytes, int]]) -> None:
        """Make the accounts of `keys` what they were when `remember` was called for them."""
        names = list(dict.fromkeys(keys))
        for slot in self._directory.find(keys_of(names)).tolist():
            if slot >= 0:
                drop_account(self._hot(), self._directory.names, slot)
        names = [name for name in names if name in remembered]
        again = keys_of(names)
        self.load(again, np.arange(len(names)), [remembered[name][0] for name in names])
        self._change[self._directory.find(again)] = [remembered[name][1] for name in names]

    def dirty(self) -> PackedAccounts:
        """Accounts that changed since they were cut, packed."""
        return self._packed(np.flatnonzero(self._change & CHANGED))

    def cut(self) -> PackedAccounts:
        """The same, and from now on they count as on their way to the store: neither dirty nor let go."""
        packed = self.dirty()
        self._change[self._change == CHANGED] = LEAVING
        return packed

    def mark_stored(self) -> None:
        """What was cut is in the store."""
        self._change &= ~np.uint8(LEAVING)

    def mark_not_stored(self) -> None:
        """What was cut did not get there: it is dirty again."""
        self._change[self._change == LEAVING] = CHANGED
        self.mark_stored()

    def evict(self, limit_bytes: int) -> int:
        """Drop the clean accounts untouched for longest until about three quarters of the limit are used.

        Does nothing below the limit. Returns how many were dropped.
        """
        used_bytes = self.used_bytes
        if used_bytes <= limit_bytes:
            return 0
        dropped = drop_oldest(self._hot(), self._directory.names, used_bytes - limit_bytes * 3 // 4)
        self._summaries.shorten()
        return dropped

    def _hot(self) -> Hot:
        blocks = self._histories.blocks
        raw = blocks.units.view(np.uint8)  # made anew each time: it must not outlive a lengthening
        return Hot(self._accounts, self._change, self._ends, blocks, raw, self._summaries.held)

    def _lengthen(self) -> None:
        """Make room where a kernel found none."""
        if self._histories.blocks.counts[-1] == 0:
            self._histories.lengthen()
        if self._summaries.is_full:
            self._summaries.lengthen()

    def _slot_of(self, key: str) -> int:
        return int(self._directory.find(keys_of([key]))[0])

    def _slots(self, keys: Keys) -> NDArray[np.int64]:
        """The slot of each key; a key that is not in memory has no past."""
        slots = self._directory.find(keys)
        if len(slots) and slots.min() < 0:
            rows = self.missing(keys)
            self.load(keys, rows, [None] * len(rows))
            slots = self._directory.find(keys)
        return slots

    def _packed(self, slots: NDArray[np.int64]) -> PackedAccounts:
        return PackedAccounts(*pack_names(self._directory.names, slots), *pack_accounts(self._hot(), slots))
