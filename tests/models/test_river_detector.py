"""A detector of River behind the frozen limits: journal, missing values, scores in [0, 1], and what is refused."""

import math
import sys
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import anomaly

from features.errors import AssayError
from models.detector import DetectorSpec, build
from models.river_detector import RiverDetector, bounded, find_class

NAMES = ("amount_ratio", "payment_rate")
SPEC = DetectorSpec(
    kind="river",
    names=NAMES,
    limits=((0.0, 2.0), (-1.0, 1.0)),
    seed=3,
    detector="river.anomaly.LODA",
    arguments={"n_random_cuts": 5},
    warm_up_rows=20,
    journal_rows=50,
)
TREES = msgspec.structs.replace(SPEC, detector="river.anomaly.HalfSpaceTrees", arguments={"window_size": 20})


def raw_rows(count: int) -> Any:
    """Rows in raw units, numbers of float32 as served; the first column within [0, 2], the second within [-1, 1]."""
    rows = np.random.default_rng(1).beta(2, 5, (count, 2)) * 2.0 - [0.0, 1.0]
    return rows.astype(np.float32).astype(np.float64)


def learn_all(detector: Any, rows: Any) -> Any:
    return detector.score_learn_many(rows, np.ones(len(rows), dtype=np.bool_))


def test_scores_are_those_of_river_on_the_mapped_rows() -> None:
    rows = raw_rows(49)
    scores = learn_all(build(SPEC), rows)
    loda = anomaly.LODA(n_random_cuts=5, seed=3)
    for row, score in zip((rows - [0.0, -1.0]) / 2.0, scores, strict=True):
        x = dict(zip(NAMES, row.tolist(), strict=True))
        expected = loda.score_one(x)
        assert math.isnan(score) or score == (1.0 + expected / (1.0 + abs(expected))) / 2.0
        loda.learn_one(x)
    assert np.isnan(scores).sum() == 20


def test_the_trees_of_river_and_the_compiled_ones_are_the_same_detector() -> None:
    rows = raw_rows(300)
    slow = msgspec.structs.replace(TREES, arguments={"window_size": 20, "n_trees": 6, "height": 5}, journal_rows=400)
    fast = DetectorSpec(names=NAMES, limits=SPEC.limits, seed=3, n_trees=6, height=5, window_size=20)
    scores = learn_all(build(fast), rows)
    assert np.array_equal(learn_all(build(slow), rows), scores, equal_nan=True)
    assert np.isnan(scores).sum() == 20


def test_a_full_journal_makes_a_new_detector_that_learns_the_newest_half() -> None:
    rows = raw_rows(60)
    old, new = build(SPEC), build(SPEC)
    learn_all(old, rows[:50])
    learn_all(new, rows[25:50])
    assert old.state() == new.state()
    assert learn_all(old, rows[50:]).tolist() == learn_all(new, rows[50:]).tolist()
    assert old.is_warm


def test_the_journal_stays_bounded_and_keeps_the_newest_rows() -> None:
    detector = build(SPEC)
    sizes = set()
    for row in np.split(raw_rows(400), 400):
        learn_all(detector, row)
        sizes.add(len(detector.state()))
    assert max(sizes) - min(sizes) == 48 * 2 * 8  # from 1 to 49 rows of two values of 8 bytes
    last = (raw_rows(400)[-1] - [0.0, -1.0]) / 2.0
    assert np.frombuffer(detector.state()[-16:]).tolist() == last.tolist()


def test_a_missing_value_is_the_mean_of_the_learnt_ones() -> None:
    detector = RiverDetector(SPEC)
    rows = raw_rows(30)
    rows[3, 0] = math.inf
    learn_all(detector, rows)
    mean = [np.delete(rows[:, 0], 3).mean(), rows[:, 1].mean()]
    gap = detector.score_learn_many(np.array([[math.nan, rows[0, 1]]]), np.zeros(1, dtype=np.bool_))
    filled = detector.score_learn_many(np.array([[mean[0], rows[0, 1]]]), np.zeros(1, dtype=np.bool_))
    assert gap == pytest.approx(filled, rel=1e-9)


@pytest.mark.parametrize(
    ("gap_at", "stands_for"), [(0, 1.0), (1, 0.25)], ids=["middle of the limits", "the only value"]
)
def test_a_gap_at_the_beginning_is_learnt_as_what_is_known_then(gap_at: int, stands_for: float) -> None:
    rows = raw_rows(40)
    rows[0, 0] = 0.25
    whole = rows.copy()
    rows[gap_at, 0], whole[gap_at, 0] = math.nan, stands_for
    assert learn_all(build(SPEC), rows)[20:].tolist() == learn_all(build(SPEC), whole)[20:].tolist()


def test_a_feature_that_the_first_row_lacks_is_learnt_like_any_other() -> None:
    """River's trees would never look at it: they take their features from the first row."""
    rows = raw_rows(40)
    rows[0, 0] = math.nan
    detector = build(TREES)
    learn_all(detector, rows)
    usual, unusual = np.array([[0.5, -0.5]]), np.array([[1.99, -0.5]])
    nothing = np.zeros(1, dtype=np.bool_)
    assert detector.score_learn_many(unusual, nothing) > detector.score_learn_many(usual, nothing)


def test_the_seed_of_the_specification_is_used_unless_the_arguments_have_one() -> None:
    rows = raw_rows(40)
    other_seed = msgspec.structs.replace(SPEC, seed=4)
    own_seed = msgspec.structs.replace(other_seed, arguments=SPEC.arguments | {"seed": 3})
    scores = learn_all(build(SPEC), rows)[20:].tolist()
    assert learn_all(build(SPEC), rows)[20:].tolist() == scores
    assert learn_all(build(other_seed), rows)[20:].tolist() != scores
    assert learn_all(build(own_seed), rows)[20:].tolist() == scores


def test_a_state_of_another_version_of_river_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = build(SPEC)
    monkeypatch.setattr("river.__version__", "0.0.1")
    with pytest.raises(AssayError, match="expected one of the specification"):
        build(SPEC).restore(detector.state())


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_mapping_scores_to_the_unit_range_keeps_their_order(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert 0.0 <= bounded(low, "LODA") <= bounded(high, "LODA") <= 1.0
    assert 0.0 <= bounded(abs(first), "LocalOutlierFactor") <= 1.0
    assert bounded(low - 1.0, "LODA") < bounded(low, "LODA") or abs(low) > 1e6
    assert math.isnan(bounded(math.nan, "LODA"))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "LODA",
        "river.LODA",
        "river.anomaly.Nope",
        "river.nowhere.LODA",
        "os.system",
        "sklearn.ensemble.IsolationForest",
        "models.half_space_trees.HalfSpaceTrees",
        "riverbed.anomaly.LODA",
        "river.anomaly.QuantileFilter",
        "river.anomaly.GaussianScorer",
        "river.linear_model.LogisticRegression",
        "river.base.AnomalyDetector",
        "river.anomaly.base",
    ],
)
def test_only_anomaly_detectors_of_river_can_be_named(name: str) -> None:
    with pytest.raises(AssayError, match="expected an anomaly detector of River"):
        find_class(name)
    with pytest.raises(AssayError, match="expected an anomaly detector of River"):
        build(msgspec.structs.replace(SPEC, detector=name))


def test_a_package_whose_name_only_begins_like_river_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "riverbed", anomaly)
    with pytest.raises(AssayError, match="expected an anomaly detector of River"):
        find_class("riverbed.LODA")


@pytest.mark.parametrize("name", ["HalfSpaceTrees", "LODA", "LocalOutlierFactor", "OneClassSVM"])
def test_every_unsupervised_detector_of_river_can_be_named(name: str) -> None:
    assert find_class(f"river.anomaly.{name}") is getattr(anomaly, name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arguments": {"cuts": 5}}, "does not run .TypeError"),
        ({"arguments": {"n_random_cuts": "five"}}, "does not run .TypeError"),
        ({"warm_up_rows": 0}, "warm_up_rows: expected 1 or more, got 0"),
        ({"journal_rows": 39}, "journal_rows: expected 40 or more, twice warm_up_rows, got 39"),
        (
            {"detector": TREES.detector, "arguments": {"window_size": 21}},
            "warm_up_rows: expected 21 or more, got 20; river.anomaly.HalfSpaceTrees gives no score before",
        ),
    ],
)
def test_a_specification_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        build(msgspec.structs.replace(SPEC, **changes))
