"""What a model was trained on: counts by hand, canonical bytes, and damage that is refused."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import AssayError
from models.reference import FeatureReference, Reference, reference_of

NAMES = ("many", "few", "never")


def training_data(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    random = np.random.default_rng(seed)
    matrix = np.column_stack([random.normal(size=rows), random.integers(0, 3, rows), np.full(rows, np.nan)])
    matrix[random.random(rows) < 0.25, 0] = np.nan
    return matrix.astype(np.float32), random.random(rows), random.integers(0, 4, rows).astype(np.uint8)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.integers(0, 1_000))
def test_every_row_is_counted_once_and_the_bytes_come_back(rows: int, seed: int) -> None:
    reference = reference_of(NAMES, *training_data(rows, seed))
    assert [feature.rows for feature in reference.features] == [rows] * 3
    assert (reference.names, reference.rows) == (NAMES, rows)
    assert sum(reference.score_counts) == sum(reference.decision_counts) == rows
    again = Reference.from_json(reference.to_json(), "reference.json")
    assert again == reference
    assert again.to_json() == reference.to_json()
    for edges, feature in zip(again.edges(), reference.features, strict=True):
        assert edges.astype(np.float64).tolist() == list(feature.edges)


def test_a_feature_without_any_value_is_all_missing() -> None:
    matrix, score, outcome = training_data(50, 1)
    never = reference_of(NAMES, matrix, score, outcome).features[2]
    assert (never.edges, never.counts, never.missing_share) == ((), (0,), 1.0)


def test_without_rows_there_is_no_share() -> None:
    assert FeatureReference(name="x", edges=(), counts=(0,), missing=0).missing_share is None


def test_shares_of_training_are_those_of_numpy() -> None:
    matrix, score, outcome = training_data(2_000, 3)
    reference = reference_of(NAMES, matrix, score, outcome)
    assert reference.features[0].missing_share == np.isnan(matrix[:, 0]).mean()
    edges = reference.features[0].edges
    expected = np.quantile(matrix[~np.isnan(matrix[:, 0]), 0], np.arange(1, 10) / 10, method="inverted_cdf")
    assert list(edges) == expected.tolist()
    assert reference.decision_counts == tuple(int((outcome == place).sum()) for place in range(4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": [1, 2, 3]}, r"many: expected 10 counts, got 3 - at `\$.features\[0\]`"),
        ({"edges": [1.0] * 9}, "many: expected edges in ascending order"),
        ({"missing": -1}, r"`\$.features\[0\].missing`"),
        ({"missing": 9_000}, r"many: expected 500 rows, as many as decisions, got 9\d\d\d"),
        ({"color": "red"}, "unknown field"),
    ],
)
def test_a_damaged_reference_is_refused_with_its_path(change: dict[str, object], message: str) -> None:
    plain = msgspec.json.decode(reference_of(NAMES, *training_data(500, 2)).to_json())
    plain["features"][0] |= change
    with pytest.raises(AssayError, match=message):
        Reference.from_json(msgspec.json.encode(plain), "reference.json")


def test_scores_of_other_rows_than_the_decisions_are_refused() -> None:
    plain = msgspec.json.decode(reference_of(NAMES, *training_data(500, 2)).to_json())
    plain["score_counts"][7] += 1
    with pytest.raises(AssayError, match="expected scores of 500 rows, as many as decisions, got 501"):
        Reference.from_json(msgspec.json.encode(plain), "reference.json")


def test_what_is_no_json_is_refused() -> None:
    for data in (b"", b"\xff\xfe", b"[" * 5_000):
        with pytest.raises(AssayError, match="reference.json is not a model's reference"):
            Reference.from_json(data, "reference.json")


def test_rows_that_do_not_fit_the_names_are_our_own_mistake() -> None:
    matrix, score, outcome = training_data(5, 1)
    with pytest.raises(AssertionError, match="expected 5 rows of 2"):
        reference_of(NAMES[:2], matrix, score, outcome)
