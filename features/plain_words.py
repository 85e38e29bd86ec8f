"""Finding a short word in a table: names of members and entries of enumerations."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.words import same_bytes, word_at

_MIX = np.uint64(0x9E3779B97F4A7C15)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@compiled
def _hash(number: int, data: NDArray[np.uint8], start: int, length: int) -> Any:
    """Of list, length, first and last eight bytes; eight bytes beyond `start` are there to be read."""
    first = word_at(data, start)
    if length < 8:
        first &= _ALL >> np.uint64(64 - 8 * length) if length > 0 else np.uint64(0)
        last = np.uint64(0)
    else:
        last = word_at(data, start + length - 8)
    mixed = (first * _MIX) ^ (last + np.uint64(length * 64 + number)) * _MIX
    mixed ^= mixed >> np.uint64(29)
    return (mixed * _MIX) >> np.uint64(32)


@compiled
def find_word(
    slots: NDArray[np.int64],
    lists: NDArray[np.int64],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    words: NDArray[np.uint8],
    number: int,
    data: NDArray[np.uint8],
    start: int,
    length: int,
) -> int:
    """Which word of list `number` the bytes are, -1 if none; eight bytes beyond `start` are there to be read."""
    mask = len(slots) - 1
    place = int(np.int64(_hash(number, data, start, length))) & mask
    while slots[place] >= 0:
        word = slots[place]
        if lists[word] == number and lengths[word] == length and same_bytes(data, start, words, starts[word], length):
            return int(word)
        place = (place + 1) & mask
    return -1


@compiled
def _fill(
    slots: NDArray[np.int64],
    lists: NDArray[np.int64],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    words: NDArray[np.uint8],
) -> None:
    mask = len(slots) - 1
    for word in range(len(lists)):
        place = int(np.int64(_hash(lists[word], words, starts[word], lengths[word]))) & mask
        while slots[place] >= 0:
            place = (place + 1) & mask
        slots[place] = word


def slot_table(
    lists: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64], words: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """The hash table that `find_word` looks into: int64[2^k], at most an eighth of it in use."""
    slots = np.full(1 << (8 * len(lists)).bit_length(), -1, dtype=np.int64)
    _fill(slots, lists, starts, lengths, words)
    return slots
