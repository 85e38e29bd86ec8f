"""Finding a short word in a table: names of members and entries of enumerations."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.keys import texts_of
from features.words import SLACK_BYTES, same_bytes, word_at

WORD = np.dtype(
    [
        ("first", np.uint64),  # its first and last eight bytes, see `_ends`
        ("last", np.uint64),
        ("list", np.int64),
        ("start", np.int64),
        ("length", np.int64),
        ("value", np.int64),
    ]
)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@compiled
def _ends(data: NDArray[np.uint8], start: int, length: int) -> Any:
    """First and last eight bytes; eight bytes beyond `start` are there to be read. With the length they are all there
    is to a word of at most 16 bytes.
    """
    first = word_at(data, start)
    if length >= 8:
        return first, word_at(data, start + length - 8)
    return first & (_ALL >> np.uint64(64 - 8 * length) if length > 0 else np.uint64(0)), np.uint64(0)


@compiled
def _hash(number: int, first: Any, last: Any, length: int) -> Any:
    mixed = (first * _MIX) ^ (last + np.uint64(length * 64 + number)) * _MIX
    mixed ^= mixed >> np.uint64(29)
    return (mixed * _MIX) >> np.uint64(32)


@compiled
def find_word(
    slots: NDArray[np.int16],
    words: NDArray[Any],
    texts: NDArray[np.uint8],
    number: int,
    data: NDArray[np.uint8],
    start: int,
    length: int,
) -> int:
    """Which of `words` in list `number` the bytes are, -1 if none; eight bytes beyond `start` are there to be read."""
    first, last = _ends(data, start, length)
    mask = len(slots) - 1
    place = int(np.int64(_hash(number, first, last, length))) & mask
    while slots[place] >= 0:
        found = slots[place]
        word = words[found]
        ends_meet = word["first"] == first and word["last"] == last and word["length"] == length
        if (
            ends_meet
            and word["list"] == number
            and (length <= 16 or same_bytes(data, start, texts, word["start"], length))
        ):
            return int(found)
        place = (place + 1) & mask
    return -1


@compiled
def _fill(slots: NDArray[np.int16], words: NDArray[Any], texts: NDArray[np.uint8]) -> None:
    mask = len(slots) - 1
    for number in range(len(words)):
        word = words[number]
        word["first"], word["last"] = _ends(texts, word["start"], word["length"])
        place = int(np.int64(_hash(word["list"], word["first"], word["last"], word["length"]))) & mask
        while slots[place] >= 0:
            place = (place + 1) & mask
        slots[place] = number


def word_table(entries: Sequence[tuple[int, bytes, int]]) -> tuple[NDArray[np.int16], NDArray[Any], NDArray[np.uint8]]:
    """What `find_word` looks into.

    Args:
        entries: list, text and value of each word.

    Returns:
        int16[2^k], a hash table of word numbers, at most an eighth of it in use; `WORD`[n]; the texts.
    """
    words = np.zeros(len(entries), dtype=WORD)
    words["list"] = [number for number, _, _ in entries]
    texts, words["start"], words["length"] = texts_of([text for _, text, _ in entries], bytes(SLACK_BYTES))
    words["value"] = [value for _, _, value in entries]
    slots = np.full(1 << (8 * len(entries)).bit_length(), -1, dtype=np.int16)
    _fill(slots, words, texts)
    return slots, words, texts
