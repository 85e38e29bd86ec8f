"""Five small counts in one word: an event of any kind is counted by one addition, without a branch on what it is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.columns import DECLINED, FAILED, LOGIN, PAYMENT, PROFILE_CHANGE
from features.compiled import compiled
from features.scratch import SORTS_OF_EVENT

COUNT_BITS = 12
"""Bits of one count: a history and a summary's sets together hold fewer than 2**12 of anything."""
COUNT_MASK = np.uint64((1 << COUNT_BITS) - 1)
PAYMENTS, DECLINES, LOGINS, FAILED_LOGINS, PROFILE_CHANGES = range(0, 5 * COUNT_BITS, COUNT_BITS)
"""Lowest bit of each count of kinds; entities are counted in the order of `features.folded.entity_of`."""


def _increments() -> NDArray[np.uint64]:
    increments = np.zeros(SORTS_OF_EVENT, dtype=np.uint64)
    for marks in range(4):
        declined, failed = bool(marks & DECLINED), bool(marks & FAILED)
        increments[PAYMENT * 4 + marks] = (1 << PAYMENTS) + (declined << DECLINES)
        increments[LOGIN * 4 + marks] = (1 << LOGINS) + (failed << FAILED_LOGINS)
        increments[PROFILE_CHANGE * 4 + marks] = 1 << PROFILE_CHANGES
    return increments


INCREMENTS: NDArray[np.uint64] = _increments()
"""uint64[SORTS_OF_EVENT]: what one event of each sort adds."""


@compiled
def count_of(packed: Any, lowest_bit: int) -> float:
    """One of the counts."""
    return np.float64(np.int32((packed >> np.uint64(lowest_bit)) & COUNT_MASK))
