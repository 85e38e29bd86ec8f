"""Where each account in memory is: from the bytes of its id to the number of its slot, for a whole batch in one call.

Open addressing with linear probing. An entry is the upper half of the id's hash beside the slot, so that most probes
that lead nowhere end without a look at any id; the bytes decide, so two ids with one hash are two accounts. Removal
moves later entries back (Knuth, The Art of Computer Programming 3, 6.4, algorithm R): no tombstones, however many
accounts come and go.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.arena import Arena, Blocks, give_block_back, lengthen, size_place, take_block
from features.compiled import compiled
from features.copying import copy_bytes
from features.keys import Keys
from features.words import same_bytes

NAME_BLOCKS = (16, 32, 64, 256)
"""Sizes of a name's block, in bytes: 64 characters are 256 bytes of UTF-8 at most."""
_NAME_PAGE = 4096
SLOT_BYTES = 8 + 4 + 4 + 4
_TAG_BITS = 31
_TAG_SHIFT = np.uint64(33)


class Names(NamedTuple):
    """The directory as kernels see it."""

    table: NDArray[np.int64]
    """int64[2^k], tag << 32 | slot + 1; 0 = free."""
    starts: NDArray[np.int64]
    """int64[slots], where the name begins in the arena."""
    lengths: NDArray[np.int32]
    """int32[slots], in bytes."""
    tags: NDArray[np.int32]
    """int32[slots], the upper 31 bits of the hash."""
    free: NDArray[np.int32]
    """int32[slots], a stack of free slots."""
    counts: NDArray[np.int64]
    """int64[1], how many slots are free."""
    blocks: Blocks
    """The names' bytes."""


@compiled
def _home(table: NDArray[np.int64], tag: Any) -> int:
    """Where the search for a tag begins: as many of its upper bits as the table has places."""
    place: int = tag * len(table) >> _TAG_BITS
    return place


@compiled
def _is_named(names: Names, slot: int, keys: Keys, row: int) -> bool:
    length = keys.length[row]
    if names.lengths[slot] != length:
        return False
    return same_bytes(names.blocks.units, names.starts[slot], keys.data, keys.start[row], length)


@compiled
def _find(names: Names, keys: Keys, row: int) -> tuple[int, int]:
    """Slot of an id or -1, and its place in the table or the free place where it belongs."""
    tag = np.int64(keys.hash[row] >> _TAG_SHIFT)
    place = _home(names.table, tag)
    while True:
        entry = names.table[place]
        if entry == 0:
            return -1, place
        if entry >> 32 == tag:
            slot = (entry & 0xFFFFFFFF) - 1
            if _is_named(names, slot, keys, row):
                return slot, place
        place = (place + 1) & (len(names.table) - 1)


@compiled
def find_slots(names: Names, keys: Keys, slots: NDArray[np.int64]) -> int:
    """Write the slot of each id, -1 where it is not in memory; returns how many rows are not."""
    missing = 0
    for row in range(len(slots)):
        slots[row], _ = _find(names, keys, row)
        missing += 1 if slots[row] < 0 else 0
    return missing


@compiled
def _is_same(keys: Keys, row: int, other: int) -> bool:
    length = keys.length[row]
    if keys.hash[row] != keys.hash[other] or keys.length[other] != length:
        return False
    return same_bytes(keys.data, keys.start[row], keys.data, keys.start[other], length)


@compiled
def first_of_each(keys: Keys, slots: NDArray[np.int64], missing: int) -> NDArray[np.int64]:
    """Of the `missing` rows whose slot is -1, those at which an id appears for the first time, rising."""
    bits = 3
    while 1 << bits < 2 * missing:
        bits += 1
    seen = np.full(1 << bits, -1, dtype=np.int64)
    rows = np.empty(missing, dtype=np.int64)
    count = 0
    for row in range(len(slots)):
        if slots[row] >= 0:
            continue
        place = _home(seen, np.int64(keys.hash[row] >> _TAG_SHIFT))
        while seen[place] >= 0 and not _is_same(keys, row, seen[place]):
            place = (place + 1) & (len(seen) - 1)
        if seen[place] < 0:
            seen[place] = row
            rows[count] = row
            count += 1
    return rows[:count]


@compiled
def _add_names(names: Names, keys: Keys, rows: NDArray[np.int64], done: int, slots: NDArray[np.int64]) -> int:
    """Give each id a slot, from `rows[done]` on; returns where it had to stop for lack of a page, or the end.

    -1 - row for an id that is there already, or too long.
    """
    for number in range(done, len(rows)):
        row = rows[number]
        found, place = _find(names, keys, row)
        if found >= 0 or keys.length[row] > names.blocks.sizes[-1]:
            return -1 - int(row)
        free = names.counts[0] - 1
        slot: Any = np.int64(names.free[free])
        length = keys.length[row]
        start = take_block(names.blocks, slot, size_place(names.blocks.sizes, length))
        if start < 0:
            return number
        names.counts[0] = free
        copy_bytes(names.blocks.units, start, keys.data, keys.start[row], length)
        tag = np.int64(keys.hash[row] >> _TAG_SHIFT)
        names.starts[slot] = start
        names.lengths[slot] = length
        names.tags[slot] = tag
        names.table[place] = (tag << 32) | (slot + 1)
        slots[number] = slot
    return len(rows)


@compiled
def remove_name(names: Names, slot: int) -> int:
    """Forget an id and free its slot; returns the bytes of its name's block."""
    table = names.table
    mask = len(table) - 1
    hole = _home(table, np.int64(names.tags[slot]))
    while (table[hole] & 0xFFFFFFFF) - 1 != slot:
        hole = (hole + 1) & mask
    place = (hole + 1) & mask
    while table[place] != 0:
        home = _home(table, table[place] >> 32)
        if (place - home) & mask >= (place - hole) & mask:  # its search passes the hole
            table[hole] = table[place]
            hole = place
        place = (place + 1) & mask
    table[hole] = 0
    size = size_place(names.blocks.sizes, names.lengths[slot])
    give_block_back(names.blocks, names.starts, names.starts[slot], size)
    names.free[names.counts[0]] = slot
    names.counts[0] += 1
    freed: int = names.blocks.sizes[size]
    return freed


@compiled
def _enter_again(table: NDArray[np.int64], entries: NDArray[np.int64]) -> None:
    for entry in entries:
        if entry == 0:
            continue
        place = _home(table, entry >> 32)
        while table[place] != 0:
            place = (place + 1) & (len(table) - 1)
        table[place] = entry


class Directory:
    """Ids of accounts and their slots, numbered from 0.

    >>> from features.keys import keys_of
    >>> directory = Directory(4)
    >>> directory.add(keys_of(["a1", "a2"]), np.arange(2)).tolist()
    [0, 1]
    >>> directory.find(keys_of(["a2", "b1"])).tolist()
    [1, -1]
    """

    def __init__(self, expected: int) -> None:
        arena = Arena(np.dtype(np.uint8), NAME_BLOCKS, _NAME_PAGE, expected * NAME_BLOCKS[1])
        self._arena = arena
        self.names = Names(
            table=np.zeros(16, dtype=np.int64),
            starts=np.zeros(0, dtype=np.int64),
            lengths=np.zeros(0, dtype=np.int32),
            tags=np.zeros(0, dtype=np.int32),
            free=np.zeros(0, dtype=np.int32),
            counts=np.zeros(1, dtype=np.int64),
            blocks=arena.blocks,
        )
        self._more_slots(max(1, expected))

    def __len__(self) -> int:
        return self.capacity - int(self.names.counts[0])

    @property
    def capacity(self) -> int:
        """Slots there are, used and free."""
        return len(self.names.starts)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.names.table.nbytes + self.capacity * SLOT_BYTES + self._arena.nbytes

    @property
    def used_bytes(self) -> int:
        """Bytes that hold ids: what removing them gives back."""
        return len(self) * SLOT_BYTES + self._arena.used_bytes

    def find(self, keys: Keys) -> NDArray[np.int64]:
        """int64[n], the slot of each id; -1 where it is not in memory."""
        slots = np.empty(len(keys.start), dtype=np.int64)
        find_slots(self.names, keys, slots)
        return slots

    def missing(self, keys: Keys) -> NDArray[np.int64]:
        """Rows of `keys`: the first appearance of each id that is not in memory, rising."""
        slots = np.empty(len(keys.start), dtype=np.int64)
        missing = find_slots(self.names, keys, slots)
        return first_of_each(keys, slots, missing) if missing else slots[:0]

    def add(self, keys: Keys, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the id of each of `rows` a slot.

        Raises:
            AssertionError: one is in memory, named twice, or longer than any id may be.
        """
        while self.names.counts[0] < len(rows):
            self._more_slots(self.capacity)
        slots = np.empty(len(rows), dtype=np.int64)
        done = _add_names(self.names, keys, rows, 0, slots)
        while 0 <= done < len(rows):
            self._arena.lengthen()
            done = _add_names(self.names, keys, rows, done, slots)
        assert done >= 0 or keys.length[-1 - done] <= NAME_BLOCKS[-1], "an id is at most 64 characters"
        assert done >= 0, "an account in memory is newer than its packed record"
        return slots

    def _more_slots(self, more: int) -> None:
        before = self.capacity
        for array in (self.names.starts, self.names.lengths, self.names.tags, self.names.free):
            lengthen(array, before + more)
        free = int(self.names.counts[0])
        self.names.free[free : free + more] = np.arange(before + more - 1, before - 1, -1)
        self.names.counts[0] = free + more
        size = len(self.names.table)
        while size * 2 < self.capacity * 3:  # at most two thirds full
            size *= 2
        if size > len(self.names.table):
            table = np.zeros(size, dtype=np.int64)
            _enter_again(table, self.names.table)
            self.names = self.names._replace(table=table)
