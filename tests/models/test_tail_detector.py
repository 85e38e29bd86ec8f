"""The tail detector against a slow answer that keeps every row, and what it says of single inputs."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.errors import AssayError
from models import tail_kernels
from models.detector import Anomalies, DetectorSpec, build
from models.tail_kernels import HALF_AT, IN_TAIL, PRIOR_ROWS, judge

NAMES = ("amount_ratio", "payment_rate", "distance")
LIMITS = ((0.0, 2.0), (-1.0, 1.0), (0.0, 8.0))
SPEC = DetectorSpec(
    kind="tail_log_probability", names=NAMES, limits=LIMITS, window_size=50, bins=16, kept_share=0.7
)  # fmt: skip
COLUMNS = np.arange(3)


def raw_rows(count: int, missing: float = 0.0, seed: int = 1) -> NDArray[np.float32]:
    """Rows within the limits and a little beyond them, with a tail to the right and planted gaps."""
    random = np.random.default_rng(seed)
    low, high = np.array(LIMITS).T
    rows = low + random.gamma(2.0, 0.12, (count, 3)) * (high - low)
    rows[random.random(rows.shape) < missing] = math.nan
    return rows.astype(np.float32)


def slow_answer(
    rows: NDArray[np.float32], learn: NDArray[np.bool_], spec: DetectorSpec = SPEC
) -> tuple[list[float], NDArray[np.float64]]:
    """Every learnt row is kept with its weight, and every tail is counted anew for every value."""
    windows: list[list[list[int | None]]] = [[]]
    scores, tails = [], np.zeros(rows.shape)

    def bin_of(column: int, value: float) -> int | None:
        low, high = spec.limits[column]
        if not math.isfinite(value):
            return None
        return min(int(min(max((value - low) / (high - low), 0.0), 1.0) * spec.bins), spec.bins - 1)

    for number, row in enumerate(rows.astype(np.float64).tolist()):
        bins = [bin_of(column, value) for column, value in enumerate(row)]
        full = windows[:-1]
        for column, place in enumerate(bins):
            if place is None:
                continue
            weighted = [
                (spec.kept_share**age, past[column])
                for age, window in enumerate(reversed(full))
                for past in window
                if past[column] is not None
            ]
            total = sum(weight for weight, _ in weighted) + PRIOR_ROWS
            as_low = sum(weight for weight, other in weighted if other <= place) + PRIOR_ROWS  # type: ignore[operator]
            as_high = sum(weight for weight, other in weighted if other >= place) + PRIOR_ROWS  # type: ignore[operator]
            if as_high < as_low:
                tails[number, column] = -math.log(min(as_high / total, 1.0))
            else:
                tails[number, column] = math.log(min(as_low / total, 1.0))
        surprise = sum(max(abs(tail) - math.log(10.0), 0.0) for tail in tails[number].tolist())
        scores.append(surprise / (surprise + 5.0) if full else math.nan)
        if learn[number]:
            windows[-1].append(bins)
            if len(windows[-1]) == spec.window_size:
                windows.append([])
    return scores, tails


def judged(rows: NDArray[np.float32], learn: NDArray[np.bool_] | None = None, spec: DetectorSpec = SPEC) -> Anomalies:
    learn = np.ones(len(rows), dtype=np.bool_) if learn is None else learn
    return build(spec).anomalies(rows, COLUMNS, learn)


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"bins": 2},
        {"bins": 100, "kept_share": 0.0},
        {"window_size": 7, "kept_share": 0.95},
        {"window_size": 1, "kept_share": 0.95},
    ],
    ids=str,
)
def test_scores_and_tails_are_those_of_the_slow_answer(changes: dict[str, Any], missing: float) -> None:
    spec = msgspec.structs.replace(SPEC, **changes)
    rows, learn = raw_rows(260, missing), np.random.default_rng(2).random(260) < 0.8
    found = judged(rows, learn, spec)
    scores, tails = slow_answer(rows, learn, spec)
    assert found.tails is not None
    np.testing.assert_allclose(found.score, scores, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.tails, tails, rtol=1e-9, atol=1e-12)
    assert len(set(np.round(scores, 6))) > 5
    assert (tails > IN_TAIL).any()


@settings(max_examples=25, deadline=None)
@given(
    window_size=st.integers(1, 30),
    bins=st.integers(2, 20),
    kept_share=st.sampled_from([0.0, 0.5, 0.9]),
    seed=st.integers(0, 1_000),
    learnt=st.sampled_from([1.0, 0.5, 0.0]),
)
def test_any_specification_agrees_with_the_slow_answer(
    window_size: int, bins: int, kept_share: float, seed: int, learnt: float
) -> None:
    spec = msgspec.structs.replace(SPEC, window_size=window_size, bins=bins, kept_share=kept_share)
    rows, learn = raw_rows(70, 0.2, seed), np.random.default_rng(seed).random(70) < learnt
    scores, tails = slow_answer(rows, learn, spec)
    found = judged(rows, learn, spec)
    np.testing.assert_allclose(found.score, scores, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.tails, tails, rtol=1e-9, atol=1e-12)


def test_a_table_that_is_not_renewed_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison has two sides."""
    rows, learn = raw_rows(120), np.ones(120, dtype=np.bool_)
    monkeypatch.setattr("models.tail_detector.judge", judge.py_func)  # type: ignore[attr-defined]
    np.testing.assert_allclose(judged(rows).score, slow_answer(rows, learn)[0], rtol=1e-9)
    monkeypatch.setattr(tail_kernels, "renew", lambda reference, table: None)
    assert not np.allclose(judged(rows).score, slow_answer(rows, learn)[0], equal_nan=True)


def test_a_tail_tells_how_rare_a_value_is_and_on_which_side() -> None:
    """50 rows: 24 low, 24 high, and one at either end."""
    column = np.repeat([0.5, 1.5, 0.0, 2.0], [24, 24, 1, 1])
    rows = np.column_stack([column, np.zeros(50), np.full(50, math.nan)]).astype(np.float32)
    detector = build(SPEC)
    detector.anomalies(rows, COLUMNS, np.ones(50, dtype=np.bool_))
    asked = np.array([[2.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.5, 1.0, 1.0], [math.nan, -1.0, 1.0]], dtype=np.float32)
    score, tails = detector.anomalies(asked, COLUMNS, np.zeros(4, dtype=np.bool_))
    assert tails is not None
    one_of_50, none_of_50 = math.log(50.5 / 1.5), math.log(50.5 / 0.5)
    expected = [
        [one_of_50, 0.0, 0.0],  # a value that all rows have is in no tail, an input without rows says nothing
        [-one_of_50, 0.0, 0.0],
        [-math.log(50.5 / 25.5), none_of_50, 0.0],  # no row lies as far out: rare, not impossible
        [0.0, -none_of_50, 0.0],
    ]
    np.testing.assert_allclose(tails, expected, rtol=1e-12)
    surprise = np.array([one_of_50, one_of_50, none_of_50, none_of_50]) - IN_TAIL
    np.testing.assert_allclose(score, surprise / (surprise + HALF_AT), rtol=1e-12)


def test_what_is_usual_scores_0_and_more_tails_score_higher() -> None:
    rows = raw_rows(50)
    detector = build(SPEC)
    detector.anomalies(rows, COLUMNS, np.ones(50, dtype=np.bool_))
    usual = np.median(rows, axis=0)
    asked = np.array([np.where(np.arange(3) < far_out, [9, 9, 9], usual) for far_out in range(4)], dtype=np.float32)
    scores = detector.anomalies(asked, COLUMNS, np.zeros(4, dtype=np.bool_)).score
    assert scores[0] == 0.0
    assert (np.diff(scores) > 0.0).all()
    assert scores[3] < 1.0


def test_what_becomes_common_is_no_longer_unusual() -> None:
    """And what stops coming becomes rare again: the histograms forget."""
    rows = raw_rows(50)
    new = rows + np.float32(1.0)
    learn = np.ones(50, dtype=np.bool_)
    detector = build(SPEC)
    detector.anomalies(rows, COLUMNS, learn)
    before = detector.anomalies(new, COLUMNS, np.zeros(50, dtype=np.bool_)).score.mean()
    for _ in range(20):
        detector.anomalies(new, COLUMNS, learn)
    after, old = (detector.anomalies(asked, COLUMNS, ~learn).score.mean() for asked in (new, rows))
    assert after < before / 2 < old


def test_the_state_is_small_and_holds_the_histograms() -> None:
    detector = build(SPEC)
    detector.anomalies(raw_rows(70), COLUMNS, np.ones(70, dtype=np.bool_))
    assert len(detector.state()) == 44 + 16 + 12 * 3 * 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bins": 1}, "bins: expected 2 to 4096, got 1; correct the model's manifest"),
        ({"bins": 5_000}, "bins: expected 2 to 4096, got 5000"),
        ({"window_size": 0}, r"window_size: expected 1 to 2\^31 - 1, got 0"),
        ({"window_size": 2**31}, r"window_size: expected 1 to 2\^31 - 1"),
        ({"kept_share": 1.0}, "kept_share: expected 0 to below 1, got 1.0"),
        ({"kept_share": -0.1}, "kept_share: expected 0 to below 1, got -0.1"),
        ({"kept_share": math.nan}, "kept_share: expected 0 to below 1, got nan"),
    ],
)
def test_a_specification_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        build(msgspec.structs.replace(SPEC, **changes))


def test_one_signature_of_the_kernel_whatever_comes_in() -> None:
    rows = raw_rows(60)
    expected = judged(rows).score
    learn = np.ones(120, dtype=np.bool_)[::2]
    for form in (np.asfortranarray(rows), np.repeat(rows, 2, axis=1)[:, ::2], rows.astype(np.float64)):
        assert np.array_equal(build(SPEC).score_learn_many(form, learn), expected, equal_nan=True)
    assert len(judge.signatures) == 1  # type: ignore[attr-defined]
