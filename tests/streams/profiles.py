"""Profiles of entities in memory, for tests: as the entities topic would hold them."""

import numpy as np

from features.entity_fold import EntityFold
from features.entity_table import EntityTable, Versions
from features.errors import AssayError


class MemoryProfiles:
    """`Profiles` that were all told before; `asked` notes how far somebody wanted to see.

    Args:
        fold: whose profiles they are; the offset of each is its number.
    """

    def __init__(self, fold: EntityFold) -> None:
        self._rows = fold.table.versions.rows[: len(fold.table)].copy()
        self._table = EntityTable()
        self._read = 0
        self.asked: list[tuple[int, int]] = []

    @property
    def versions(self) -> Versions:
        """See `Profiles`."""
        return self._table.versions

    def read_until(self, offset: int, seen_from: int) -> None:
        """See `Profiles`."""
        self.asked.append((offset, seen_from))
        end = int(np.searchsorted(self._rows["offset"], offset, side="right"))
        if end == len(self._rows) and (not end or self._rows["offset"][-1] < offset):
            raise AssayError(f"there is no profile at offset {offset}")
        new = self._rows[self._read : max(self._read, end)]
        if len(new):
            self._table.put(new, new["offset"])
            self._read = end
