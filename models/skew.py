"""Are the features that were served those that the log gives? Exact equality is expected, so one difference is a fault.

The engine is a fold: folding the same events again has to give the same float32 values. What differs was not computed
by the same code from the same log, and a model that is trained on the one is served the other.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from models.finding import Finding


class FeatureSkew(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A feature with values that differ.

    Attributes:
        name: of the feature.
        differing: rows with another value.
        share: of all rows.
        one_sided: of the differing rows those with a value on one side only.
        largest: largest distance of two values; 0 where there are no two finite ones.
    """

    name: Annotated[str, Meta(pattern="^[a-z0-9_]+$", max_length=200)]
    differing: Annotated[int, Meta(ge=1)]
    share: Annotated[float, Meta(ge=0.0, le=1.0)]
    one_sided: Annotated[int, Meta(ge=0)]
    largest: Annotated[float, Meta(ge=0.0)]


class SkewTally:
    """Counts what differs, some rows at a time.

    Two missing values are equal, and so are 0 and -0: no model can tell them apart.

    Attributes:
        rows: compared.
        differing_rows: of them, with another value of any feature.
        first_row: of each feature that differs, the first row that does, to be explained.

    Args:
        names: f names of features.

    >>> tally = SkewTally(("count", "ratio"))
    >>> served = np.array([[1, np.nan], [2, 5]], dtype=np.float32)
    >>> again = np.array([[1, np.nan], [4, 5]], dtype=np.float32)
    >>> tally.add(np.array([7, 8]), served, again)
    >>> tally.found()
    [FeatureSkew(name='count', differing=1, share=0.5, one_sided=0, largest=2.0)]
    >>> tally.first_row
    {'count': 8}
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.rows = 0
        self.differing_rows = 0
        self.first_row: dict[str, int] = {}
        self._names = tuple(names)
        self._differing = np.zeros(len(names), dtype=np.int64)
        self._one_sided = np.zeros(len(names), dtype=np.int64)
        self._largest = np.zeros(len(names), dtype=np.float64)

    def add(self, rows: NDArray[np.int64], served: NDArray[np.float32], recomputed: NDArray[np.float32]) -> None:
        """Compare some rows.

        Args:
            rows: int64[n], their numbers.
            served: float32[n, f], as the model got them, or is going to learn from them.
            recomputed: float32[n, f], the same events in the same order.
        """
        assert served.shape == recomputed.shape == (len(rows), len(self._names)), "expected the same rows and features"
        missing, missing_again = np.isnan(served), np.isnan(recomputed)
        differs = (served != recomputed) & ~(missing & missing_again)
        self.rows += len(rows)
        self.differing_rows += int(differs.any(axis=1).sum())
        self._differing += differs.sum(axis=0)
        self._one_sided += (missing ^ missing_again).sum(axis=0)
        for column in np.flatnonzero(differs.any(axis=0)).tolist():
            here = np.flatnonzero(differs[:, column])
            self.first_row.setdefault(self._names[column], int(rows[here[0]]))
            with np.errstate(invalid="ignore"):  # infinity less infinity
                distance = np.abs(served[here, column].astype(np.float64) - recomputed[here, column])
            finite = distance[np.isfinite(distance)]
            if finite.size:
                self._largest[column] = max(self._largest[column], finite.max())

    def found(self) -> list[FeatureSkew]:
        """Features with values that differ, worst first, then in the order of the columns."""
        skews = [
            FeatureSkew(
                name=self._names[column],
                differing=int(self._differing[column]),
                share=int(self._differing[column]) / self.rows,
                one_sided=int(self._one_sided[column]),
                largest=float(self._largest[column]),
            )
            for column in np.flatnonzero(self._differing).tolist()
        ]
        return sorted(skews, key=lambda skew: -skew.differing)


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
