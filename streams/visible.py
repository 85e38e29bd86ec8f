"""Which offset of the entities topic is visible at each record of a batch."""

import numpy as np
from numpy.typing import NDArray


class Visible:
    """Offsets of the entities topic by place in the log.

    Args:
        first: what is visible at the first record; -1: nothing is.

    >>> visible = Visible(-1)
    >>> visible.add(10, 3)
    >>> visible.at(np.array([9, 10, 11])).tolist(), visible.newest
    ([-1, -1, 3], 3)
    """

    def __init__(self, first: int) -> None:
        self._after: list[int] = []
        self._values = [first]

    @property
    def newest(self) -> int:
        """What is visible behind everything that was added."""
        return self._values[-1]

    def add(self, offset: int, visible: int) -> None:
        """Behind the record at `offset`, which never falls, so much is visible, and never less than before."""
        self._after.append(offset)
        self._values.append(max(visible, self.newest))

    def at(self, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64[n], what is visible at records."""
        return np.array(self._values, dtype=np.int64)[np.searchsorted(self._after, offsets)]
