"""Which flushes of volumes were counted: each counts once, in whatever order and how often they come.

Flushes of one source that follow one another are kept as one run. A run is forgotten with the newest day that it names:
from then on all its rows are too old to count anyway.
"""

import numpy as np
from numpy.typing import NDArray

from features.risk_rows import rows_in_order

RUN = np.dtype(
    [
        ("first", np.int64),  # flush numbers, both of them in the run
        ("last", np.int64),
        ("day", np.int32),  # the newest that any of its flushes names
        ("source", np.int16),
    ],
    align=True,
)


class Flushes:
    """Runs of flushes that were counted, by source and number."""

    def __init__(self) -> None:
        self.runs = np.zeros(0, dtype=RUN)

    def new_rows(self, volumes: NDArray[np.void]) -> NDArray[np.int64]:
        """Places of the `VOLUME` rows of flushes that were not counted yet, each row once; the flushes count from now.

        All rows of a flush come in one call: a flush of which anything was counted is done.
        """
        order = rows_in_order(volumes, "source", "flush", "kind", "entity", "day")
        if not len(order):
            return order
        rows = volumes.take(order)
        is_first = _differs(rows, "source", "flush")
        starts = np.flatnonzero(is_first)
        flushes = np.zeros(len(starts), dtype=RUN)
        flushes["source"] = rows["source"][starts]
        flushes["first"] = flushes["last"] = rows["flush"][starts]
        flushes["day"] = np.maximum.reduceat(rows["day"], starts)
        is_new = ~self._held(flushes)
        self._hold(flushes[is_new])
        counts = is_new[np.cumsum(is_first) - 1] & _differs(rows, "source", "flush", "kind", "entity", "day")
        new: NDArray[np.int64] = order[counts]
        return new

    def drop(self, first_day: int) -> None:
        """Forget the runs that name no day from `first_day` on."""
        self.runs = self.runs[self.runs["day"] >= first_day]

    def _held(self, flushes: NDArray[np.void]) -> NDArray[np.bool_]:
        held = np.zeros(len(flushes), dtype=np.bool_)
        for source in np.unique(flushes["source"]):
            runs = self.runs[self.runs["source"] == source]
            here = np.flatnonzero(flushes["source"] == source)
            number = flushes["first"][here]
            place = np.searchsorted(runs["first"], number, side="right") - 1
            inside = place >= 0
            inside[inside] = runs["last"][place[inside]] >= number[inside]
            held[here] = inside
        return held

    def _hold(self, flushes: NDArray[np.void]) -> None:
        runs = np.concatenate([self.runs, flushes])
        runs = runs[rows_in_order(runs, "source", "first")]
        is_first = _differs(runs, "source", "day")
        is_first[1:] |= runs["first"][1:] != runs["last"][:-1] + 1
        starts = np.flatnonzero(is_first)
        merged = runs[starts]
        merged["last"] = runs["last"][np.append(starts[1:], len(runs)) - 1]
        self.runs = merged


def _differs(rows: NDArray[np.void], *names: str) -> NDArray[np.bool_]:
    """Where a row differs from the one before it in any of these columns; the first one does."""
    differs = np.zeros(len(rows), dtype=np.bool_)
    differs[:1] = True
    for name in names:
        differs[1:] |= rows[name][1:] != rows[name][:-1]
    return differs
