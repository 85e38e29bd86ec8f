"""Are the features that were served those that the log gives? Exact equality is expected, so one difference is a fault.

The engine is a fold: folding the same events again has to give the same float32 values. What differs was not computed
by the same code from the same log, and a model that is trained on the one is served the other.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.finding import Finding


class FeatureSkew(NamedTuple):
    """A feature with values that differ.

    Attributes:
        name: of the feature.
        differing: rows with another value.
        share: of all rows.
        one_sided: of the differing rows those with a value on one side only.
        largest: largest distance of two values; 0 where there are no two finite ones.
        first_row: first row that differs, to be explained.
    """

    name: str
    differing: int
    share: float
    one_sided: int
    largest: float
    first_row: int


def skewed_features(
    names: Sequence[str], served: NDArray[np.float32], recomputed: NDArray[np.float32]
) -> list[FeatureSkew]:
    """Features with values that differ, worst first, then in the order of the columns.

    Two missing values are equal, and so are 0 and -0: no model can tell them apart.

    Args:
        names: f names of features.
        served: float32[n, f], as published with the outcomes.
        recomputed: float32[n, f], the same events in the same order.

    >>> served = np.array([[1, np.nan], [2, 5]], dtype=np.float32)
    >>> again = np.array([[1, np.nan], [4, 5]], dtype=np.float32)
    >>> skewed_features(("count", "ratio"), served, again)
    [FeatureSkew(name='count', differing=1, share=0.5, one_sided=0, largest=2.0, first_row=1)]
    """
    assert served.shape == recomputed.shape == (len(served), len(names)), "expected the same rows and features"
    without, again_without = np.isnan(served), np.isnan(recomputed)
    differs = (served != recomputed) & ~(without & again_without)
    found = []
    for column in np.flatnonzero(differs.any(axis=0)).tolist():
        rows = np.flatnonzero(differs[:, column])
        one_sided = without[rows, column] ^ again_without[rows, column]
        with np.errstate(invalid="ignore"):  # infinity less infinity
            distance = np.abs(served[rows, column].astype(np.float64) - recomputed[rows, column])
        finite = distance[np.isfinite(distance)]
        found.append(
            FeatureSkew(
                name=names[column],
                differing=len(rows),
                share=len(rows) / len(served),
                one_sided=int(one_sided.sum()),
                largest=float(finite.max()) if finite.size else 0.0,
                first_row=int(rows[0]),
            )
        )
    return sorted(found, key=lambda skew: -skew.differing)


def skew_findings(skews: Sequence[FeatureSkew]) -> list[Finding]:
    """One finding for each feature: there is no tolerance, so each is to act on."""
    return [
        Finding(
            name=f"skew:{skew.name}",
            level="act",
            value=skew.share,
            expected=0.0,
            text=f"{skew.name} was served with another value than the log gives in {skew.share:.2%} of the rows "
            f"({skew.differing:,}; {skew.one_sided:,} with a value on one side only), by up to {skew.largest:g}",
        )
        for skew in skews
    ]
