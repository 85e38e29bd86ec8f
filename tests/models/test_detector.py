"""The promises of an online detector. Every kind keeps each of them, and a detector that breaks one is caught."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from features.errors import AssayError
from models.detector import Anomalies, Detector, DetectorSpec, build, digest_of, fit_limits
from models.unit_scale import to_unit

NAMES = ("amount_ratio", "merchant_distance", "payment_rate")
LIMITS = ((0.0, 10.0), (0.0, 500.0), (-2.0, 8.0))
ROWS = 150
TREES = DetectorSpec(names=NAMES, limits=LIMITS, seed=3, height=6, window_size=40)


def of_river(name: str, **arguments: Any) -> DetectorSpec:
    """A journal of 90 rows: in 150 rows the detector is made anew twice."""
    return DetectorSpec(
        kind="river",
        names=NAMES,
        limits=LIMITS,
        seed=3,
        detector=f"river.anomaly.{name}",
        arguments=arguments,
        warm_up_rows=40,
        journal_rows=90,
    )


TAILS = DetectorSpec(kind="tail_log_probability", names=NAMES, limits=LIMITS, seed=3, window_size=40)
SPECS = {
    "half_space_trees": TREES,
    "tail_log_probability": TAILS,
    "river HalfSpaceTrees": of_river("HalfSpaceTrees", window_size=40, height=4),
    "river LocalOutlierFactor": of_river("LocalOutlierFactor", n_neighbors=10),
    # Few bins: with more of them, 60 rows leave empty bins in which the mean, that stands for a gap, may lie.
    "river LODA": of_river("LODA", n_random_cuts=20, n_bins=4),
    "river OneClassSVM": of_river("OneClassSVM"),
}
Make = Callable[[], Detector]


def raw_rows(count: int = ROWS, seed: int = 5) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Rows in raw units around the middle of their limits, 5 % of them planted far above; and which those are."""
    random = np.random.default_rng(seed)
    planted = random.random(count) < 0.05
    unit = np.where(planted[:, None], random.uniform(0.9, 1.0, (count, 3)), random.normal(0.5, 0.03, (count, 3)))
    low, high = np.array(LIMITS).T
    return low + unit * (high - low), planted


def everything(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.ones(len(rows), dtype=np.bool_)


def nothing(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.zeros(len(rows), dtype=np.bool_)


def warm(make: Make) -> Detector:
    detector, rows = make(), raw_rows()[0]
    detector.score_learn_many(rows[:60], everything(rows[:60]))
    return detector


def a_row_is_scored_before_it_is_learnt(make: Make) -> None:
    detector, rows = warm(make), raw_rows()[0]
    for row in np.split(rows[60:], ROWS - 60):
        before = detector.score_learn_many(row, nothing(row))
        assert detector.score_learn_many(row, everything(row)) == before


def not_yet_warm_is_nan_and_warm_is_a_number(make: Make) -> None:
    detector = make()
    was_warm = []
    for row in np.split(raw_rows()[0], ROWS):
        was_warm.append(detector.is_warm)
        assert math.isnan(detector.score_learn_many(row, everything(row))[0]) is not was_warm[-1]
    assert was_warm.index(True) == 40
    assert all(was_warm[40:])


def scoring_changes_nothing(make: Make) -> None:
    detector, rows = warm(make), raw_rows(30, seed=8)[0]
    state = detector.state()
    scores = detector.score_learn_many(rows, nothing(rows))
    assert detector.state() == state
    assert detector.score_learn_many(rows, nothing(rows)).tolist() == scores.tolist()


def only_what_is_learnt_counts(make: Make) -> None:
    rows = raw_rows()[0]
    learn = np.arange(ROWS) % 3 > 0
    some, rest = make(), make()
    scores = some.score_learn_many(rows, learn)
    assert np.array_equal(rest.score_learn_many(rows[learn], everything(rows[learn])), scores[learn], equal_nan=True)
    assert some.state() == rest.state() != make().state()


def scores_stay_in_0_1(make: Make) -> None:
    detector = warm(make)
    extremes = [0.0, -0.0, 5.0, 1e308, -1e308, math.inf, -math.inf, math.nan, 5e-324]
    rows = np.array([(first, second, first) for first in extremes for second in extremes])
    scores = detector.score_learn_many(rows, everything(rows))
    assert ((scores >= 0.0) & (scores <= 1.0)).all()


def missing_is_not_zero(make: Make) -> None:
    """The rows lie around the middle of their limits: with the lower limit for a gap, most get another score."""
    detector, rows = warm(make), raw_rows(30, seed=8)[0]
    for column in range(len(NAMES)):
        gap, zero = rows.copy(), rows.copy()
        gap[:, column], zero[:, column] = math.nan, LIMITS[column][0]
        differs = detector.score_learn_many(gap, nothing(rows)) != detector.score_learn_many(zero, nothing(rows))
        assert differs.mean() > 0.8


def infinite_is_missing(make: Make) -> None:
    scores = []
    for gap in (math.nan, math.inf, -math.inf):
        rows = raw_rows()[0]
        rows[7::5, 1] = gap
        scores.append(make().score_learn_many(rows, everything(rows)))
    assert np.array_equal(scores[0], scores[1], equal_nan=True)
    assert np.array_equal(scores[0], scores[2], equal_nan=True)


def how_rows_are_cut_is_no_matter(make: Make) -> None:
    rows = raw_rows()[0]
    rows[1::7, 2] = math.nan
    learn = np.arange(ROWS) % 5 > 0
    whole, detector = make().score_learn_many(rows, learn), make()
    cuts = [0, 1, 2, 39, 41, 88, 91, 92, 140]
    pieces = zip(np.split(rows, cuts), np.split(learn, cuts), strict=True)
    assert np.array_equal(
        np.concatenate([detector.score_learn_many(*piece) for piece in pieces]), whole, equal_nan=True
    )


def a_restored_detector_goes_on_with_the_same_bits(make: Make) -> None:
    rows = raw_rows()[0]
    rows[1::7, 2] = math.nan
    detector = make()
    whole = detector.score_learn_many(rows, everything(rows))
    for stop in (0, 1, 39, 40, 77, 89, 90, 91, 136):
        first, second = make(), warm(make)
        first.score_learn_many(rows[:stop], everything(rows[:stop]))
        second.restore(first.state())
        assert second.state() == first.state()
        assert second.is_warm == first.is_warm
        rest = second.score_learn_many(rows[stop:], everything(rows[stop:]))
        assert np.array_equal(rest, whole[stop:], equal_nan=True)
        assert second.state() == detector.state()


def planted_anomalies_rank_above_normal_rows(make: Make) -> None:
    rows, planted = raw_rows()
    scores = make().score_learn_many(rows, everything(rows))
    assert planted[40:].sum() >= 3
    assert roc_auc_score(planted[40:], scores[40:]) > 0.95


def the_inputs_may_lie_anywhere_among_the_features(make: Make) -> None:
    """What the engine passes: float32, all features, and where the inputs are among them."""
    rows = raw_rows()[0].astype(np.float32)
    rows[1::7, 2] = math.nan
    features = np.full((ROWS, 7), 3.0, dtype=np.float32)
    columns = np.array([5, 0, 3])
    features[:, columns] = rows
    expected = make().score_learn_many(rows, everything(rows))
    assert np.array_equal(make().anomalies(features, columns, everything(rows)).score, expected, equal_nan=True)


def tails_are_of_the_same_rows_as_scores(make: Make) -> None:
    """A detector that can tell its inputs apart finds each planted one, on its side, and says nothing of a gap."""
    detector = warm(make)
    middle = [(low + high) / 2.0 for low, high in LIMITS]
    rows = np.array([middle] * 8, dtype=np.float32)
    for column, (low, high) in enumerate(LIMITS):
        rows[2 * column, column], rows[2 * column + 1, column] = high, low
    rows[6, 1] = math.nan
    tails = detector.anomalies(rows, np.arange(len(NAMES)), nothing(rows)).tails
    if tails is None:
        return
    assert tails.shape == rows.shape
    for column in range(len(NAMES)):
        assert tails[2 * column].argmax() == tails[2 * column + 1].argmin() == column
        assert tails[2 * column + 1, column] < 0.0 < tails[2 * column, column]
    assert tails[6, 1] == 0.0


PROMISES = [
    a_row_is_scored_before_it_is_learnt,
    not_yet_warm_is_nan_and_warm_is_a_number,
    scoring_changes_nothing,
    only_what_is_learnt_counts,
    scores_stay_in_0_1,
    missing_is_not_zero,
    infinite_is_missing,
    how_rows_are_cut_is_no_matter,
    a_restored_detector_goes_on_with_the_same_bits,
    planted_anomalies_rank_above_normal_rows,
    the_inputs_may_lie_anywhere_among_the_features,
    tails_are_of_the_same_rows_as_scores,
]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_detector_keeps_every_promise(spec: DetectorSpec, promise: Callable[[Make], None]) -> None:
    promise(lambda: build(spec))


class Wrapped:
    """The compiled detector, for a fault to be planted in."""

    spec = TREES

    def __init__(self) -> None:
        self.inner = build(self.spec)
        self.names = self.inner.names

    @property
    def is_warm(self) -> bool:
        return self.inner.is_warm

    def score_learn_many(self, rows: NDArray[np.float64], learn: NDArray[np.bool_]) -> NDArray[np.float64]:
        return self.inner.score_learn_many(rows, learn)

    def anomalies(self, features: Any, columns: Any, learn: NDArray[np.bool_]) -> Anomalies:
        return self.inner.anomalies(features, columns, learn)

    def state(self) -> bytes:
        return self.inner.state()

    def restore(self, data: bytes) -> None:
        self.inner.restore(data)


class Constant(Wrapped):
    def score_learn_many(self, rows: NDArray[np.float64], learn: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.where(np.isnan(self.inner.score_learn_many(rows, learn)), math.nan, 0.5)


class LearnsFirst(Wrapped):
    def score_learn_many(self, rows: NDArray[np.float64], learn: NDArray[np.bool_]) -> NDArray[np.float64]:
        self.inner.score_learn_many(rows[learn], learn[learn])
        return self.inner.score_learn_many(rows, nothing(rows))


class ColdIsZero(Wrapped):
    def score_learn_many(self, rows: NDArray[np.float64], learn: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.nan_to_num(self.inner.score_learn_many(rows, learn))


class MissingIsZero(Wrapped):
    def score_learn_many(self, rows: NDArray[np.float64], learn: NDArray[np.bool_]) -> NDArray[np.float64]:
        return self.inner.score_learn_many(np.where(np.isnan(rows), np.array(LIMITS)[:, 0], rows), learn)


class LearnsEverything(Wrapped):
    def score_learn_many(self, rows: NDArray[np.float64], learn: NDArray[np.bool_]) -> NDArray[np.float64]:
        return self.inner.score_learn_many(rows, everything(rows))


class Forgetful(Wrapped):
    def restore(self, data: bytes) -> None:
        pass


class PerCall(Wrapped):
    """Scores all rows of a call against what was known at its beginning."""

    def score_learn_many(self, rows: NDArray[np.float64], learn: NDArray[np.bool_]) -> NDArray[np.float64]:
        scores = self.inner.score_learn_many(rows, nothing(rows))
        self.inner.score_learn_many(rows, learn)
        return scores


class TooLarge(Wrapped):
    def score_learn_many(self, rows: NDArray[np.float64], learn: NDArray[np.bool_]) -> NDArray[np.float64]:
        return 2.0 * self.inner.score_learn_many(rows, learn)


class FirstColumns(Wrapped):
    def anomalies(self, features: Any, columns: Any, learn: NDArray[np.bool_]) -> Anomalies:
        return self.inner.anomalies(features, np.arange(len(columns)), learn)


class OnOneSide(Wrapped):
    spec = TAILS

    def anomalies(self, features: Any, columns: Any, learn: NDArray[np.bool_]) -> Anomalies:
        found = self.inner.anomalies(features, columns, learn)
        assert found.tails is not None
        return found._replace(tails=abs(found.tails))


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (Constant, planted_anomalies_rank_above_normal_rows),
        (LearnsFirst, a_row_is_scored_before_it_is_learnt),
        (ColdIsZero, not_yet_warm_is_nan_and_warm_is_a_number),
        (MissingIsZero, missing_is_not_zero),
        (MissingIsZero, infinite_is_missing),
        (LearnsEverything, scoring_changes_nothing),
        (LearnsEverything, only_what_is_learnt_counts),
        (Forgetful, a_restored_detector_goes_on_with_the_same_bits),
        (PerCall, how_rows_are_cut_is_no_matter),
        (TooLarge, scores_stay_in_0_1),
        (FirstColumns, the_inputs_may_lie_anywhere_among_the_features),
        (OnOneSide, tails_are_of_the_same_rows_as_scores),
    ],
    ids=lambda value: value.__name__,
)
def test_a_detector_that_breaks_a_promise_is_caught(broken: type[Wrapped], promise: Callable[[Make], None]) -> None:
    promise(Wrapped)
    with pytest.raises(AssertionError):
        promise(broken)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_detector_tells_its_inputs(spec: DetectorSpec) -> None:
    assert build(spec).names == NAMES


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_state_of_another_specification_is_refused(spec: DetectorSpec) -> None:
    detector = warm(lambda: build(spec))
    state = detector.state()
    other = msgspec.structs.replace(spec, limits=((0.0, 11.0), *LIMITS[1:]))
    with pytest.raises(AssayError, match="specification"):
        build(other).restore(state)
    for damaged in (state[:-8], b"", state[:40], b"none" + state[4:], state[:4] + b"\x09" + state[5:], state + b"\0"):
        with pytest.raises(AssayError, match="detector state: expected"):
            detector.restore(damaged)
    assert detector.state() == state


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_rows_that_do_not_fit_are_refused(spec: DetectorSpec) -> None:
    rows = raw_rows()[0]
    with pytest.raises(ValueError, match=r"expected rows of shape \(n, 3\)"):
        build(spec).score_learn_many(rows[:, :2], everything(rows))
    with pytest.raises(ValueError, match=r"and learn of shape \(n,\), got"):
        build(spec).score_learn_many(rows, everything(rows)[1:])
    features = rows.astype(np.float32)
    for columns in ([0, 1], [0, 1, 3], [-1, 0, 1]):
        with pytest.raises(ValueError, match=r"expected rows of shape \(n, 3\)"):
            build(spec).anomalies(features, np.array(columns), everything(rows))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_specification_is_json_and_keeps_its_digest(spec: DetectorSpec) -> None:
    read = msgspec.json.decode(msgspec.json.encode(spec), type=DetectorSpec)
    assert read == spec
    assert digest_of(read) == digest_of(spec) != digest_of(msgspec.structs.replace(spec, seed=4))


def test_the_specifications_in_the_documentation_run() -> None:
    text = (Path(__file__).parents[2] / "docs" / "detector.md").read_text(encoding="utf-8")
    kinds = []
    for example in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
        spec = msgspec.json.decode(example, type=DetectorSpec)
        assert build(spec).names == spec.names
        kinds.append(spec.kind)
    assert kinds == ["half_space_trees", "tail_log_probability", "river"]


def test_whole_numbers_as_limits_are_the_same_limits() -> None:
    whole: Any = ((0, 10), (0, 500), (-2, 8))
    assert digest_of(msgspec.structs.replace(TREES, limits=whole)) == digest_of(TREES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ()}, r"names: expected one or more distinct features, got \[\]"),
        ({"names": ("a", "a", "b")}, "names: expected one or more distinct features"),
        ({"limits": LIMITS[:2]}, "limits: expected one pair for each of 3 names, got 2"),
        ({"limits": (*LIMITS[:2], (1.0, 1.0))}, "limits of payment_rate: expected finite low < high"),
        ({"limits": (*LIMITS[:2], (0.0, math.inf))}, "limits of payment_rate: expected finite low < high"),
        ({"limits": (*LIMITS[:2], (-1e308, 1e308))}, "limits of payment_rate: expected finite low < high"),
        ({"limits": (*LIMITS[:2], (math.nan, 1.0))}, "limits of payment_rate: expected finite low < high"),
        ({"height": 0}, "height: expected 1 to 20, got 0; correct the model's manifest"),
        ({"n_trees": 0}, "n_trees: expected a number >= 1"),
        ({"window_size": 0}, "window_size: expected 1 to"),
    ],
)
def test_a_specification_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        build(msgspec.structs.replace(TREES, **changes))


def test_values_outside_the_limits_count_as_the_limit() -> None:
    detector = warm(lambda: build(TREES))
    outside = np.array([[-3.0, 600.0, 9.0]])
    limit = np.array([[0.0, 500.0, 8.0]])
    assert detector.score_learn_many(outside, nothing(outside)) == detector.score_learn_many(limit, nothing(limit))


def test_every_layout_of_rows_runs_the_same_machine_code() -> None:
    rows = np.round(raw_rows()[0] * 64) / 64
    expected = build(TREES).score_learn_many(rows, everything(rows))
    read_only = rows.copy()
    read_only.flags.writeable = False
    for form in (np.asfortranarray(rows), read_only, np.repeat(rows, 2, axis=1)[:, ::2], rows.astype(np.float32)):
        scores = build(TREES).score_learn_many(form, everything(rows))  # type: ignore[arg-type]
        assert np.array_equal(scores, expected, equal_nan=True)
    assert len(to_unit.signatures) == 1  # type: ignore[attr-defined]


finite = st.floats(-1e12, 1e12)
gaps = st.sampled_from([math.nan, math.inf, -math.inf])


@given(st.lists(st.tuples(finite | gaps, finite | gaps), min_size=0, max_size=40))
def test_fitted_limits_hold_what_they_were_fitted_on(pairs: list[tuple[float, float]]) -> None:
    rows = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    limits = fit_limits(rows)
    build(msgspec.structs.replace(TREES, names=NAMES[:2], limits=limits, n_trees=1, height=1))
    for column, (low, high) in zip(rows.T, limits, strict=True):
        values = column[np.isfinite(column)]
        if values.size:
            assert low == values.min()
            assert (values[values <= np.quantile(values, 0.999)] <= high).all()
        else:
            assert (low, high) == (0.0, 1.0)


def test_limits_leave_half_of_the_tail_above_it() -> None:
    column = np.arange(1_000.0) + 1.0
    assert fit_limits(column[:, None]) == ((1.0, 1.5 * np.quantile(column, 0.999)),)
    assert fit_limits(-column[:, None]) == ((-1_000.0, 0.5 * np.quantile(-column, 0.999)),)
    assert fit_limits(np.zeros((3, 1))) == fit_limits(np.full((3, 1), math.nan)) == ((0.0, 1.0),)
