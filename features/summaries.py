"""The summaries of hot accounts side by side, without holes: where one is given back, the last moves into its place."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.copying import copy_bytes
from features.folded import Folded, empty_folded

_EMPTY = empty_folded(1)
SUMMARY_BYTES = sum(array.nbytes for array in _EMPTY)
_FEWEST = 16


class Held(NamedTuple):
    """Summaries as kernels see them; the caller keeps the index of each holder's summary."""

    folded: Folded
    raw: tuple[NDArray[np.uint8], ...]
    """The arrays of `folded` as bytes, uint8[n, bytes of one]."""
    empty: tuple[NDArray[np.uint8], ...]
    """The same of a summary of nothing, uint8[1, bytes of one]."""
    owners: NDArray[np.int64]
    """int64[n], holder of each."""
    counts: NDArray[np.int64]
    """int64[1], how many are in use: those before this index."""


@compiled
def take_summary(held: Held, holder: int) -> int:
    """Index of a summary of nothing for a holder; -1 if there is none left (see `Summaries.lengthen`)."""
    index: int = held.counts[0]
    if index == len(held.owners):
        return -1
    for raw, empty in zip(held.raw, held.empty):  # noqa: B905 - numba knows no `strict`
        copy_bytes(raw[index], 0, empty[0], 0, raw.shape[1])
    held.owners[index] = holder
    held.counts[0] = index + 1
    return index


@compiled
def give_summary_back(held: Held, accounts: Any, index: int) -> None:
    """Free a summary; the field `folded` of the account whose summary moves there is set, if one does."""
    last = held.counts[0] - 1
    if last != index:
        for raw in held.raw:
            copy_bytes(raw[index], 0, raw[last], 0, raw.shape[1])
        holder = held.owners[last]
        held.owners[index] = holder
        accounts[holder]["folded"] = index
    held.counts[0] = last


def _raw(folded: Folded) -> tuple[NDArray[np.uint8], ...]:
    length = len(folded.summaries)
    return tuple(array.view(np.uint8).reshape(length, array.nbytes // length) for array in folded)


class Summaries:
    """Summaries and the memory that they lie in."""

    def __init__(self) -> None:
        self.held = _held(_FEWEST)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return len(self.held.owners) * SUMMARY_BYTES

    @property
    def used_bytes(self) -> int:
        """Bytes of the summaries in use."""
        return int(self.held.counts[0]) * SUMMARY_BYTES

    @property
    def is_full(self) -> bool:
        """Whether every summary is in use."""
        return int(self.held.counts[0]) == len(self.held.owners)

    def lengthen(self) -> None:
        """Make room for more."""
        self._move(len(self.held.owners) * 3 // 2)

    def shorten(self) -> None:
        """Give memory back if most of it is unused."""
        used = max(_FEWEST, int(self.held.counts[0]))
        if used * 4 <= len(self.held.owners):
            self._move(used * 2)

    def _move(self, length: int) -> None:
        before, self.held = self.held, _held(length)
        used = int(before.counts[0])
        for new, old in zip(self.held.raw, before.raw, strict=True):
            new[:used] = old[:used]
        self.held.owners[:used] = before.owners[:used]
        self.held.counts[0] = used


def _held(length: int) -> Held:
    folded = empty_folded(length)
    return Held(folded, _raw(folded), _raw(_EMPTY), np.zeros(length, dtype=np.int64), np.zeros(1, dtype=np.int64))
