"""Tail probabilities from decayed histograms: the compiled part of `models.tail_detector`."""

import math

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from models.elementary import log

IN_TAIL = 2.302585092994046
"""-ln of 1 in 10: what is more usual than that adds nothing to the score. Most values of most rows are, and their sum
would hide a few that are far out (with 12 correlated inputs the ranking loses half of its average precision)."""
HALF_AT = 5.0
"""Sum that gives a score of one half: one input that 1 in 1,500 rows exceeds, and no other in its tail."""
PRIOR_ROWS = 0.5
"""Rows that are taken to lie in each tail beside those seen: a place where no row ever was is rare, not impossible."""

FILLED, WARM = 0, 1
"""Places in `progress`: rows in the window being filled, 1 once a window was full."""


@compiled
def judge(
    unit: NDArray[np.float64],
    learn: NDArray[np.bool_],
    newest: NDArray[np.int64],
    reference: NDArray[np.float64],
    table: NDArray[np.float64],
    progress: NDArray[np.int64],
    window_size: int,
    kept_share: float,
    score: NDArray[np.float64],
    tails: NDArray[np.float64],
) -> None:
    """Score each row, then learn it where `learn` says so; histograms, `table` and `progress` change in place.

    Args:
        unit: float64 (n, k) in [0, 1], NaN where a value is missing.
        learn: bool (n,).
        newest: int64 (k, bins), rows of the window being filled.
        reference: float64 (k, bins), decayed rows of all full windows.
        table: float64 (k, bins), signed -ln of the tail that begins at each bin, see `renew`.
        progress: int64 (2,), see `FILLED`.
        window_size: learnt rows in a window.
        kept_share: what `reference` still counts when a window joins it.
        score: float64 (n,), written; NaN while no window was full.
        tails: float64 (n, k), written, see `models.detector.Anomalies`.
    """
    bins = newest.shape[1]
    for row in range(len(unit)):
        surprise = 0.0
        for place in range(unit.shape[1]):
            value = unit[row, place]
            tail = 0.0
            if not np.isnan(value):
                at = min(int(value * bins), bins - 1)
                tail = table[place, at]
                newest[place, at] += learn[row]
            tails[row, place] = tail
            surprise += max(abs(tail) - IN_TAIL, 0.0)
        score[row] = surprise / (surprise + HALF_AT) if progress[WARM] else math.nan
        progress[FILLED] += learn[row]
        if progress[FILLED] == window_size:
            for place in range(len(newest)):
                for at in range(bins):
                    reference[place, at] = kept_share * reference[place, at] + newest[place, at]
            renew(reference, table)
            newest[:] = 0
            progress[FILLED] = 0
            progress[WARM] = 1


@compiled
def renew(reference: NDArray[np.float64], table: NDArray[np.float64]) -> None:
    """Write to `table` what each bin means: -ln P(as high or higher), or ln P(as low or lower), whichever is rarer.

    A bin counts in both of its tails, so that a common value is in neither. Where there are no rows all is 0.
    """
    bins = reference.shape[1]
    for place in range(len(reference)):
        total = 0.0
        for at in range(bins):
            total += reference[place, at]
            table[place, at] = total  # rows as low or lower
        as_high = 0.0
        for at in range(bins - 1, -1, -1):
            as_high += reference[place, at]
            as_low = table[place, at]
            rarer = min((min(as_low, as_high) + PRIOR_ROWS) / (total + PRIOR_ROWS), 1.0)
            table[place, at] = -log(rarer) if as_high < as_low else log(rarer)
