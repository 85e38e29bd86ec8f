"""Rows that wait for their flush: added a segment of the log at a time, closed at some of its places."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Table = NDArray[Any]
_MERGE_AT = 8_192
"""So many rows are merged with what waits, so that what waits stays small and is not merged over and over."""


class Waiting:
    """The rows of one table that no place has closed yet.

    Args:
        dtype: of the rows.
        keys: columns that name a row, the one that sorts first last; rows of one name in one flush are joined. Empty:
            rows stay as they are, in their order.
        ways: how other columns are joined.
    """

    def __init__(self, dtype: np.dtype[Any], keys: tuple[str, ...], ways: Mapping[str, Callable[..., Any]]) -> None:
        self._dtype = dtype
        self._keys = keys
        self._ways = ways
        self._merged = np.zeros(0, dtype=dtype)
        self._added: list[Table] = []
        self._added_rows = 0

    def close(self, ends: NDArray[np.intp], places: NDArray[np.intp], rows: Table) -> tuple[NDArray[np.intp], Table]:
        """Add rows; those that are closed with the ends that close them, by end. A row at an end comes after it.

        Args:
            ends: places of the segment that close what came before, rising.
            places: where the rows came, rising.
            rows: one for each of these places.
        """
        if not len(ends):
            self._add(rows)
            return np.zeros(0, dtype=np.intp), rows[:0]
        turns = np.searchsorted(ends, places, side="right")
        stays = int(np.searchsorted(turns, len(ends)))
        waited = self.merged()
        closed = np.concatenate([waited, rows[:stays]])
        turns = np.concatenate([np.zeros(len(waited), dtype=np.intp), turns[:stays]])
        self.put(rows[:0])
        self._add(rows[stays:])
        turns, closed = self._merge(turns, closed)
        return ends[turns], closed

    def merged(self) -> Table:
        """Everything that waits, merged."""
        if self._added:
            together = np.concatenate([self._merged, *self._added])
            _, self._merged = self._merge(np.zeros(len(together), dtype=np.intp), together)
            self._added, self._added_rows = [], 0
        return self._merged

    def put(self, rows: Table) -> None:
        """Let merged rows wait, and nothing else."""
        self._merged, self._added, self._added_rows = rows, [], 0

    def _add(self, rows: Table) -> None:
        if not len(rows):
            return
        self._added.append(rows)
        self._added_rows += len(rows)
        if self._added_rows > _MERGE_AT:
            self.merged()

    def _merge(self, turns: NDArray[np.intp], rows: Table) -> tuple[NDArray[np.intp], Table]:
        """One row for each turn and value of the keys, in their order."""
        if len(rows) < 2 or not self._keys:
            return turns, rows
        columns = [np.ascontiguousarray(rows[key]) for key in self._keys]
        order = np.lexsort((*columns, turns))
        is_first = np.zeros(len(rows), dtype=np.bool_)
        is_first[0] = True
        for column in (*columns, turns):
            ordered = column[order]
            is_first[1:] |= ordered[1:] != ordered[:-1]
        starts = np.flatnonzero(is_first)
        merged = rows[order[starts]]
        for name, way in self._ways.items():
            merged[name] = way(rows[name][order], starts)
        return turns[order[starts]], merged
