"""What a model was trained on, small enough to be stored beside it: bins of each feature, missing values, scores, mix.

It is canonical JSON (sorted keys, no white space), so equal references are equal bytes.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.errors import AssayError
from models.bins import SCORE_BINS, bin_edges, count_bins, count_scores, score_micro
from models.decision import OUTCOMES

Count = Annotated[int, msgspec.Meta(ge=0)]


class FeatureReference(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One feature in training.

    Attributes:
        name: of the feature.
        edges: of its bins, see `models.bins`; float32 values, ascending.
        counts: training rows in each bin, one more than edges.
        missing: training rows without a value.

    Raises:
        ValueError: edges and counts do not belong together.
    """

    name: str
    edges: tuple[float, ...]
    counts: tuple[Count, ...]
    missing: Count

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError(f"{self.name}: expected {len(self.edges) + 1} counts, got {len(self.counts)}")
        if any(later <= earlier for earlier, later in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"{self.name}: expected edges in ascending order")

    @property
    def rows(self) -> int:
        """Training rows, with and without a value."""
        return sum(self.counts) + self.missing

    @property
    def missing_share(self) -> float | None:
        """Share of training rows without a value; None without rows."""
        return self.missing / self.rows if self.rows else None


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a model was trained on.

    Attributes:
        schema: version of this shape.
        features: in the order of the model's columns.
        score_counts: training rows in each of the 50 bins of the score.
        decision_counts: training rows by decision, mildest first, under the policy of the model.

    Raises:
        ValueError: features, scores and decisions are not of the same number of rows.

    >>> rows = np.array([[0, 1.5], [1, np.nan]], dtype=np.float32)
    >>> reference = reference_of(("is_new", "ratio"), rows, np.array([0.1, 0.9]), np.array([0, 3], dtype=np.uint8))
    >>> [feature.missing_share for feature in reference.features], reference.decision_counts
    ([0.0, 0.5], (1, 0, 0, 1))
    >>> Reference.from_json(reference.to_json(), "reference.json") == reference
    True
    """

    schema: Literal[1] = 1
    features: tuple[FeatureReference, ...]
    score_counts: Annotated[tuple[Count, ...], msgspec.Meta(min_length=SCORE_BINS, max_length=SCORE_BINS)]
    decision_counts: tuple[Count, Count, Count, Count]

    def __post_init__(self) -> None:
        if sum(self.score_counts) != self.rows:
            raise ValueError(f"expected scores of {self.rows} rows, as many as decisions, got {sum(self.score_counts)}")
        for feature in self.features:
            if feature.rows != self.rows:
                raise ValueError(f"{feature.name}: expected {self.rows} rows, as many as decisions, got {feature.rows}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def rows(self) -> int:
        """Training rows."""
        return sum(self.decision_counts)

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "Reference":
        """Read and check a reference.

        Args:
            data: the bytes of the file.
            where: its name, for the error message.

        Raises:
            AssayError: it is not one; the message names the JSON path.
        """
        try:
            return msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise AssayError(
                f"{where} is not a model's reference: {error}; take it from its source again, or make it anew from "
                "the training data"
            ) from error

    def to_json(self) -> bytes:
        """Canonical bytes: sorted keys, no white space, shortest numbers."""
        return msgspec.json.encode(self, order="sorted")

    def edges(self) -> tuple[NDArray[np.float32], ...]:
        """Edges of each feature, float32[k], as `models.bins.count_bins` takes them."""
        return tuple(np.array(feature.edges, dtype=np.float32) for feature in self.features)


def reference_of(
    names: Sequence[str], rows: NDArray[np.float32], score: NDArray[np.float64], outcome: NDArray[np.uint8]
) -> Reference:
    """Describe training data.

    Args:
        names: f names of features, in the order of the columns.
        rows: float32[n, f], NaN where a value is missing. Take rows of the model's own test period where you can: it
            scores the rows it was fitted on too well.
        score: float64[n], the model's calibrated scores of these rows.
        outcome: uint8[n], what its policy decides for them, index into `models.decision.OUTCOMES`.

    Raises:
        AssertionError: shapes do not belong together, or a score is outside [0, 1].
    """
    assert rows.shape == (len(score), len(names)), f"expected {len(score)} rows of {len(names)}, got {rows.shape}"
    assert len(outcome) == len(score)
    features = []
    for name, column in zip(names, rows.T, strict=True):
        edges = bin_edges(column)
        counts, missing = count_bins(column, edges)
        features.append(
            FeatureReference(name=name, edges=tuple(edges.tolist()), counts=tuple(counts.tolist()), missing=missing)
        )
    approve, step_up, review, decline = np.bincount(outcome, minlength=len(OUTCOMES)).tolist()
    return Reference(
        features=tuple(features),
        score_counts=tuple(count_scores(score_micro(score)).tolist()),
        decision_counts=(approve, step_up, review, decline),
    )
