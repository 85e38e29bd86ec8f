"""Is what the model meets still what it was trained on? Population stability index and share of missing values.

With a and e for the shares of a bin today and in training, the index is the sum of (a - e) ln(a / e). Of n rows against
m rows of the same distribution it is not 0 but about (B - 1)(1/n + 1/m) for B bins: that much is told apart and
subtracted, so that a small sample does not look like drift.

Source: B. Yurdakul, "Statistical Properties of Population Stability Index", 2018 (index times nm / (n + m) is close to
chi-squared with B - 1 degrees of freedom). The limits .1 and .25 are the credit industry's custom.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.catalogue import FEATURES
from models.finding import Finding, Level
from models.reference import FeatureReference, Reference
from models.summary import Counts
from models.watch_limits import StabilityLimits

CLOCK_FEATURES = frozenset(feature.name for feature in FEATURES.features if feature.unit in ("hour", "weekday"))
"""Features that only say what time it is."""
_HALF_A_ROW = 0.5  # added to each bin, so that an empty one has a logarithm


class Psi(NamedTuple):
    """A population stability index.

    Attributes:
        value: as defined, never negative.
        bias: what two samples of one distribution show on average.
        bins: bins with a row on either side.
    """

    value: float
    bias: float
    bins: int

    @property
    def excess(self) -> float:
        """The index without its bias, at least 0."""
        return max(self.value - self.bias, 0.0)


def psi(reference: Sequence[int], counts: Sequence[int]) -> Psi | None:
    """Compare two counts over the same bins; None if either is of no rows.

    Bins that are empty on both sides do not count. Half a row is added to each of the others.

    >>> found = psi([100, 100], [300, 100])
    >>> round(found.value, 3), found.bias, found.bins
    (0.273, 0.0075, 2)
    >>> psi([1, 2], [0, 0]) is None
    True
    """
    trained, seen = np.asarray(reference, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    assert trained.shape == seen.shape, f"expected {trained.shape} bins, got {seen.shape}"
    if not trained.sum() or not seen.sum():
        return None
    used = (trained > 0) | (seen > 0)
    bins = int(used.sum())
    expected, actual = _shares(trained[used]), _shares(seen[used])
    bias = (bins - 1) * (1.0 / float(seen.sum()) + 1.0 / float(trained.sum()))
    return Psi(float(((actual - expected) * np.log(actual / expected)).sum()), bias, bins)


def joined_bins(reference: Sequence[int], least_share: float) -> NDArray[np.int64]:
    """For each bin, the number of the group it joins: neighbours together until a group has `least_share`.

    The last group takes what is left over.

    >>> joined_bins([5, 5, 80, 6, 4], 0.1).tolist()
    [0, 0, 1, 2, 2]
    """
    least = least_share * sum(reference)
    groups, group, held, left = [], 0, 0, sum(reference)
    for count in reference:
        groups.append(group)
        held, left = held + count, left - count
        if held >= least and held > 0 and left >= least and left > 0:
            group, held = group + 1, 0
    return np.array(groups, dtype=np.int64)


def drifted(reference: Reference, counts: Counts, limits: StabilityLimits) -> list[Finding]:
    """Features, and the score, whose distribution is no longer that of training; nothing below the least rows.

    Features that only say what time it is are left out: in any hour they are not what they are in a whole week.
    """
    found = []
    for feature, seen in zip(reference.features, counts.bins, strict=bool(counts.bins)):
        if feature.name in CLOCK_FEATURES:
            continue
        found += _moved(f"psi:{feature.name}", f"values of {feature.name}", feature.counts, seen, limits)
    groups = joined_bins(reference.score_counts, limits.least_reference_share)
    trained, seen_scores = (np.bincount(groups, weights=side) for side in (reference.score_counts, counts.scores))
    found += _moved("psi:score", "scores", trained.astype(int).tolist(), seen_scores.astype(int).tolist(), limits)
    return found


def missing_changed(reference: Reference, counts: Counts, limits: StabilityLimits) -> list[Finding]:
    """Features whose share of missing values is not that of training, by size and beyond chance.

    It has its own test, because a feed that dies shows here first and needs a tenth of the rows.
    """
    if counts.sampled < limits.least_missing_rows:
        return []
    found = []
    for feature, missing in zip(reference.features, counts.missing, strict=bool(counts.missing)):
        share, usual = missing / counts.sampled, feature.missing_share
        if usual is None or abs(share - usual) < limits.missing_warn:
            continue
        if abs(_z(feature, missing, counts.sampled)) < limits.missing_z:
            continue
        level: Level = "act" if abs(share - usual) >= limits.missing_act else "warn"
        text = (
            f"{feature.name} has no value in {share:.1%} of {counts.sampled:,} sampled events, "
            f"in training in {usual:.1%}"
        )
        found.append(Finding(name=f"missing:{feature.name}", level=level, value=share, expected=usual, text=text))
    return found


def _moved(
    name: str, what: str, reference: Sequence[int], counts: Sequence[int], limits: StabilityLimits
) -> list[Finding]:
    index = psi(reference, counts)
    if index is None or sum(counts) < limits.least_rows or index.excess < limits.psi_warn:
        return []
    level: Level = "act" if index.excess >= limits.psi_act else "warn"
    text = (
        f"{what} are not distributed as in training: index {index.value:.3f} of {sum(counts):,} rows, of which "
        f"{index.bias:.3f} would be chance"
    )
    return [Finding(name=name, level=level, value=index.excess, expected=0.0, text=text)]


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = counts + _HALF_A_ROW
    return padded / float(padded.sum())


def _z(feature: FeatureReference, missing: int, rows: int) -> float:
    """Standard errors between the shares of missing values today and in training, pooled."""
    pooled = (missing + feature.missing) / (rows + feature.rows)
    error = math.sqrt(pooled * (1.0 - pooled) * (1.0 / rows + 1.0 / feature.rows))
    return (missing / rows - feature.missing / feature.rows) / error if error else 0.0
