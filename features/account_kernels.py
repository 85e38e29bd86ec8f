"""What happens to hot accounts in memory, for many at once: they come in, make room, are packed, and go.

Kernels that need memory stop where there is none and say how far they came; the caller lengthens what is short and
calls again with that place.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.arena import Blocks, give_block_back, size_place, take_block
from features.columns import EVENT
from features.compiled import compiled
from features.copying import copy_bytes
from features.directory import SLOT_BYTES, Names, remove_name
from features.kernel import HISTORY_CAPACITY
from features.packing import HEADER_BYTES, SCHEMA, PackedRows, packed_count
from features.recency import OLDEST, link_as_newest, unlink, use
from features.summaries import SUMMARY_BYTES, Held, give_summary_back, take_summary

ACCOUNT = np.dtype(
    [
        ("start", np.int64),  # first record of its block in the pool
        ("capacity", np.int64),  # size of the block
        ("count", np.int64),  # records in use
        ("folded", np.int64),  # index of its summary, -1 if nothing was ever folded
        ("last_offset", np.int64),  # offset of the last record applied
        ("coming", np.int64),  # records of the batch in hand; 0 between batches
        ("newer", np.int32),  # slots next to it in the order of use
        ("older", np.int32),
    ]
)
"""One hot account, one cache line."""
CHANGED = 1
"""In `Hot.change`: not in the store, nor on its way there."""
LEAVING = 2
"""In `Hot.change`: on its way to the store."""

_EVENT_BYTES = EVENT.itemsize
_ACCOUNT_BYTES = ACCOUNT.itemsize + 1


class Hot(NamedTuple):
    """The accounts in memory as kernels see them."""

    accounts: Any
    """`ACCOUNT`[slots]"""
    change: NDArray[np.uint8]
    """uint8[slots], bits."""
    ends: NDArray[np.int64]
    """int64[2], see `features/recency.py`."""
    histories: Blocks
    """Of `EVENT` records."""
    raw: NDArray[np.uint8]
    """The same records as bytes."""
    held: Held


@compiled
def _take_place(hot: Hot, slot: int, records: int) -> bool:
    """Give a history a block for so many records; False if there is no page."""
    place = size_place(hot.histories.sizes, records)
    start = take_block(hot.histories, slot, place)
    if start < 0:
        return False
    hot.accounts[slot]["start"] = start
    hot.accounts[slot]["capacity"] = hot.histories.sizes[place]
    return True


@compiled
def load_accounts(hot: Hot, slots: NDArray[np.int64], packed: PackedRows, done: int) -> int:
    """Bring in accounts from row `done` on, each to its new slot; returns where it had to stop, or the end."""
    starts = hot.accounts["start"]
    for row in range(done, len(slots)):
        slot = slots[row]
        length, place = packed.length[row], packed.start[row]
        count = 0 if length < 0 else packed_count(packed, row)
        if not _take_place(hot, slot, count):
            return row
        account = hot.accounts[slot]
        account["folded"] = -1
        if length >= 0 and packed.data[place + 1]:
            index = take_summary(hot.held, slot)
            if index < 0:
                give_block_back(hot.histories, starts, account["start"], size_place(hot.histories.sizes, count))
                return row
            account["folded"] = index
        account["count"] = count
        account["coming"] = 0
        hot.change[slot] = 0
        link_as_newest(hot.accounts, hot.ends, slot)
        if length < 0:
            account["last_offset"] = -1
            continue
        offset = np.uint64(0)
        for byte in range(8):
            offset |= np.uint64(packed.data[place + HEADER_BYTES - 8 + byte]) << np.uint64(8 * byte)
        account["last_offset"] = np.int64(offset)
        place += HEADER_BYTES
        into = account["start"] * _EVENT_BYTES
        copy_bytes(hot.raw, into, packed.data, place, count * _EVENT_BYTES)
        place += count * _EVENT_BYTES
        if account["folded"] >= 0:
            index = account["folded"]
            for raw in hot.held.raw:
                copy_bytes(raw[index], 0, packed.data, place, raw.shape[1])
                place += raw.shape[1]
    return len(slots)


@compiled
def touch(hot: Hot, slots: NDArray[np.int64]) -> None:
    """Before a batch: its accounts are the newest, changed, and expect so many records."""
    for slot in slots:
        use(hot.accounts, hot.ends, slot)
        hot.change[slot] |= CHANGED
        hot.accounts[slot]["coming"] += 1


@compiled
def make_room(hot: Hot, slots: NDArray[np.int64], done: int) -> int:
    """Give each history a block, and a summary if it may overflow, for what is coming, from row `done` on.

    Returns where it had to stop, or the end.
    """
    starts = hot.accounts["start"]
    for row in range(done, len(slots)):
        slot = slots[row]
        account = hot.accounts[slot]
        after = account["count"] + account["coming"]
        if after > HISTORY_CAPACITY and account["folded"] < 0:
            index = take_summary(hot.held, slot)
            if index < 0:
                return row
            account["folded"] = index
        if min(after, HISTORY_CAPACITY) > account["capacity"]:
            start, capacity = account["start"], account["capacity"]
            if not _take_place(hot, slot, after):
                return row
            for record in range(account["count"]):
                hot.histories.units[account["start"] + record] = hot.histories.units[start + record]
            give_block_back(hot.histories, starts, start, size_place(hot.histories.sizes, capacity))
        account["coming"] = 0
    return len(slots)


@compiled
def _has_summary(hot: Hot, slot: int) -> bool:
    index = hot.accounts[slot]["folded"]
    return bool(index >= 0 and hot.held.folded.summaries[index]["events"] > 0)


@compiled
def pack_names(names: Names, slots: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Ids of accounts side by side: the bytes, and where each ends."""
    ends = np.cumsum(names.lengths[slots].astype(np.int64))
    data = np.empty(ends[-1] if len(ends) else 0, dtype=np.uint8)
    place = 0
    for slot in slots:
        copy_bytes(data, place, names.blocks.units, names.starts[slot], names.lengths[slot])
        place += names.lengths[slot]
    return data, ends


@compiled
def pack_accounts(hot: Hot, slots: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pack accounts side by side: the bytes, and where each ends."""
    ends = np.empty(len(slots), dtype=np.int64)
    end = 0
    for row in range(len(slots)):
        end += HEADER_BYTES + hot.accounts[slots[row]]["count"] * _EVENT_BYTES
        if _has_summary(hot, slots[row]):
            end += SUMMARY_BYTES
        ends[row] = end
    data = np.empty(end, dtype=np.uint8)
    place = 0
    for slot in slots:
        account = hot.accounts[slot]
        count = account["count"]
        has_summary = _has_summary(hot, slot)
        data[place : place + HEADER_BYTES] = 0
        data[place] = SCHEMA
        data[place + 1] = has_summary
        data[place + 2] = count & 0xFF
        data[place + 3] = count >> 8
        for byte in range(8):
            data[place + HEADER_BYTES - 8 + byte] = (account["last_offset"] >> (8 * byte)) & 0xFF
        place += HEADER_BYTES
        start = account["start"] * _EVENT_BYTES
        copy_bytes(data, place, hot.raw, start, count * _EVENT_BYTES)
        place += count * _EVENT_BYTES
        if has_summary:
            index = account["folded"]
            for raw in hot.held.raw:
                copy_bytes(data, place, raw[index], 0, raw.shape[1])
                place += raw.shape[1]
    return data, ends


@compiled
def drop_account(hot: Hot, names: Names, slot: int) -> int:
    """Let go of an account; returns the bytes that it held."""
    account = hot.accounts[slot]
    freed: int = _ACCOUNT_BYTES + SLOT_BYTES + account["capacity"] * _EVENT_BYTES
    unlink(hot.accounts, hot.ends, slot)
    place = size_place(hot.histories.sizes, account["capacity"])
    give_block_back(hot.histories, hot.accounts["start"], account["start"], place)
    if account["folded"] >= 0:
        freed += SUMMARY_BYTES
        give_summary_back(hot.held, hot.accounts, account["folded"])
    hot.change[slot] = 0
    return freed + remove_name(names, slot)


@compiled
def drop_oldest(hot: Hot, names: Names, excess_bytes: int) -> int:
    """Let go of the unchanged accounts unused for longest until so many bytes are free; returns how many went."""
    dropped = 0
    slot = hot.ends[OLDEST]
    while slot >= 0 and excess_bytes > 0:
        newer = np.int64(hot.accounts[slot]["newer"])
        if hot.change[slot] == 0:
            excess_bytes -= drop_account(hot, names, slot)
            dropped += 1
        slot = newer
    return dropped
