"""Into which bin a value falls: one rule, for what a model was trained on and for what it meets.

A bin holds values above one edge up to and including the next: with k edges there are k + 1 bins, and a value's bin is
the number of edges below it. NaN is in no bin; it is counted as missing.
"""

import math

import numpy as np
from numpy.typing import NDArray

DECILES = 10
"""Bins of a feature with many values."""

SCORE_BINS = 50
"""Bins of the score: half a unit of log-odds each, from -12 to 12, and one at either end."""

MICRO = 1_000_000
"""Scores are counted in millionths, the digits that a verdict publishes: integers add up exactly in any order."""

SCORE_EDGES_MICRO = np.array(
    [round(MICRO / (1.0 + math.exp(-step / 2.0))) for step in range(-(SCORE_BINS - 2) // 2, SCORE_BINS // 2)],
    dtype=np.int64,
)
"""int64[49], edges of the score's bins in millionths."""


def bin_edges(column: NDArray[np.float32]) -> NDArray[np.float32]:
    """Edges float32[k], ascending and distinct, that cut the values of training into bins.

    Many values: deciles that occur in the data, each once. At most ten distinct values: each has a bin of its own,
    and so have what is below the least and above the largest of them, because such a feature changes by values that
    it never had. No value at all: no edges.

    >>> bin_edges(np.arange(1, 101, dtype=np.float32)).tolist()
    [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0]
    >>> edges = bin_edges(np.array([0, 1, 1, np.nan], dtype=np.float32))
    >>> edges[1:].tolist(), bool(edges[0] < 0)
    ([0.0, 1.0], True)
    """
    values = column[np.isfinite(column)]
    if not values.size:
        return np.empty(0, dtype=np.float32)
    distinct = np.unique(values)
    if len(distinct) <= DECILES:
        return np.concatenate([np.nextafter(distinct[:1], np.float32(-np.inf)), distinct]).astype(np.float32)
    places = np.arange(1, DECILES) / DECILES
    return np.unique(np.quantile(values, places, method="inverted_cdf")).astype(np.float32)


def count_bins(column: NDArray[np.float32], edges: NDArray[np.float32]) -> tuple[NDArray[np.int64], int]:
    """Count the values float32[n] in each bin, int64[k + 1], and those that are missing.

    >>> counts, missing = count_bins(np.array([1, 2, 3, np.nan], dtype=np.float32), np.array([2], dtype=np.float32))
    >>> counts.tolist(), missing
    ([2, 1], 1)
    """
    known = column[~np.isnan(column)]
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return counts.astype(np.int64), len(column) - len(known)


def score_micro(score: NDArray[np.float64]) -> NDArray[np.int64]:
    """Scores float64[n] without NaN in millionths.

    Raises:
        AssertionError: a score outside [0, 1], our own mistake.
    """
    assert ((score >= 0.0) & (score <= 1.0)).all(), "expected scores in [0, 1]"
    return np.rint(score * MICRO).astype(np.int64)


def count_scores(micro: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count scores in millionths, int64[n], in the bins of the score, int64[50].

    >>> count_scores(np.array([1, 500_000, 999_999])).nonzero()[0].tolist()
    [0, 24, 49]
    """
    return np.bincount(np.searchsorted(SCORE_EDGES_MICRO, micro, side="left"), minlength=SCORE_BINS)
