"""Which flushes were added to the sums: what comes a second time adds nothing.

Of each source the highest number is kept, and a bit for each of the 1,024 up to it (the anti-replay window of IPsec,
RFC 6479). So flushes of one source may overtake each other by 1,023; one that comes later than that is taken for a
repetition, since nobody can tell any more.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.arena import lengthen
from features.compiled import compiled

WINDOW = 1_024
"""Flushes of a source that are told apart."""
_WORDS = WINDOW // 64


@compiled
def _is_new(highest: NDArray[np.int64], bits: NDArray[np.uint64], source: int, flush: int) -> bool:
    if flush > highest[source]:
        return True
    if flush <= highest[source] - WINDOW:
        return False
    bit = np.uint64(1) << np.uint64(flush % 64)
    return bool(bits[source, flush // 64 % _WORDS] & bit == 0)


@compiled
def _note(highest: NDArray[np.int64], bits: NDArray[np.uint64], source: int, flush: int) -> None:
    if flush <= highest[source] - WINDOW:
        return
    if flush > highest[source]:
        for passed in range(max(highest[source] + 1, flush - WINDOW + 1), flush + 1):
            bits[source, passed // 64 % _WORDS] &= ~(np.uint64(1) << np.uint64(passed % 64))
        highest[source] = flush
    bits[source, flush // 64 % _WORDS] |= np.uint64(1) << np.uint64(flush % 64)


@compiled
def _take(highest: NDArray[np.int64], bits: NDArray[np.uint64], links: NDArray[Any], new: NDArray[np.bool_]) -> None:
    """All rows are asked before any is noted: the rows of a flush come in one batch."""
    for row in range(len(links)):
        new[row] = _is_new(highest, bits, links[row]["source"], links[row]["flush"])
    for row in range(len(links)):
        _note(highest, bits, links[row]["source"], links[row]["flush"])


class Deliveries:
    """The flushes that came, 136 bytes a source.

    Args:
        sources: how many sources there is room for at first; more are added as they come.
    """

    def __init__(self, sources: int = 0) -> None:
        self.highest = np.full(sources, -1, dtype=np.int64)
        """int64[sources], number of the newest flush, -1 = none yet."""
        self.bits = np.zeros((sources, _WORDS), dtype=np.uint64)
        """uint64[sources, 16], one bit for each number of the window, at the number modulo 1,024."""

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.highest.nbytes + self.bits.nbytes

    def take(self, links: NDArray[Any]) -> NDArray[np.bool_]:
        """bool[n], whether each row of `LINK` belongs to a flush that did not come before; from now on, it did."""
        before = len(self.highest)
        sources = int(links["source"].max()) + 1 if len(links) else 0
        if sources > before:
            lengthen(self.highest, sources)
            self.highest[before:] = -1
            lengthen(self.bits, sources)
        new = np.empty(len(links), dtype=np.bool_)
        _take(self.highest, self.bits, links, new)
        return new
