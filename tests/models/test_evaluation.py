"""Measures against slow, obvious answers."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from features.columns import PAYMENT
from models.decision import OUTCOMES
from models.evaluation import calibration_error, evaluate, recall_at
from models.policy import Costs, Policy, Treatment

scored = st.integers(0, 40).flatmap(
    lambda n: st.tuples(
        arrays.arrays(np.uint8, n, elements=st.integers(0, 1)),
        arrays.arrays(np.float64, n, elements=st.integers(0, 8).map(lambda k: k / 8)),
    )
)

PART = Costs(
    loss_given_fraud=1.0,
    chargeback_fee_minor=0,
    margin=0.0,
    insult_minor=100,
    exposure_minor=0,
    exposure_from_amount=True,
    step_up=Treatment(cost_minor=1, abandon_share=0.1, fraud_pass_share=0.2),
    review=None,
)
POLICY = Policy(payment=PART, login=PART, application=PART)


def report(labels, score, attacks=None, amount_minor=1_000):
    n = len(labels)
    return evaluate(
        POLICY,
        np.array(labels, dtype=np.uint8),
        attacks or [None] * n,
        np.array(score, dtype=np.float64),
        np.full(n, np.nan),
        np.full(n, amount_minor, dtype=np.int64),
        np.full(n, PAYMENT, dtype=np.uint8),
    )


@settings(deadline=None)
@given(scored, st.floats(0, 1))
def test_recall_is_the_best_that_any_threshold_gives(events, share):
    labels, score = events
    frauds, legitimate = score[labels == 1], score[labels == 0]
    if not len(frauds) or not len(legitimate):
        assert recall_at(labels, score, (share,)) == {}
        return
    best = max(
        (frauds >= threshold).mean() for threshold in [*score, np.inf] if (legitimate >= threshold).mean() <= share
    )
    assert recall_at(labels, score, (share,))[share] == pytest.approx(best)


@given(scored, st.integers(1, 10))
def test_calibration_error_is_between_0_and_1(events, bins):
    labels, score = events
    error = calibration_error(labels, score, bins)
    assert (error is None) == (len(labels) == 0)
    assert error is None or 0.0 <= error <= 1.0


def test_calibration_error_is_the_distance_between_promise_and_truth():
    labels = np.array([0, 0, 0, 1] * 5 + [1] * 20, dtype=np.uint8)
    score = np.array([0.25] * 20 + [0.5] * 20)
    assert calibration_error(labels, score, bins=2) == pytest.approx((0.0 + 0.5) / 2)


def test_a_report_counts_what_happened():
    # Legitimate: approve at 0.01, step-up at 0.2, decline at 0.95; frauds: approve, decline, decline.
    found = report(
        [0, 0, 0, 1, 1, 1],
        [0.01, 0.2, 0.95, 0.01, 0.95, 0.96],
        [None, None, None, "scam", "scam", None],
    )
    assert (found.events, found.frauds) == (6, 3)
    assert found.false_positive_shares == pytest.approx(
        {"approve": 1 / 3, "step_up": 1 / 3, "review": 0.0, "decline": 1 / 3}
    )
    assert list(found.false_positive_shares) == list(OUTCOMES)
    assert set(found.attacks) == {"scam", "not_stated"}
    assert (found.attacks["scam"].frauds, found.attacks["scam"].caught_share) == (2, 0.5)
    assert found.attacks["scam"].outcome_shares == {"approve": 0.5, "step_up": 0.0, "review": 0.0, "decline": 0.5}
    assert (found.attacks["not_stated"].frauds, found.attacks["not_stated"].caught_share) == (1, 1.0)
    # Step-up of a customer: 1 + 0.1 * 100; decline of a customer: 100; approval of a fraud: 1,000.
    assert found.cost_minor == 11 + 100 + 1_000
    assert found.approve_all_cost_minor == 3_000
    assert found.savings == pytest.approx(1 - 1_111 / 3_000)
    assert found.mean_score == pytest.approx(3.08 / 6)


def test_a_perfect_score_is_perfect():
    found = report([0] * 50 + [1] * 50, [1e-6] * 50 + [0.999999] * 50)
    assert found.average_precision == found.roc_auc == 1.0
    assert set(found.recall_at.values()) == {1.0}
    assert found.calibration_error == pytest.approx(1e-6)
    assert found.savings == 1.0


def test_a_constant_score_is_worth_nothing():
    found = report([0, 1] * 50, [0.5] * 100)
    assert (found.average_precision, found.roc_auc) == (0.5, 0.5)
    assert set(found.recall_at.values()) == {0.0}


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_what_cannot_be_computed_is_null_and_not_0(labels):
    found = report(labels, [0.5] * len(labels))
    assert (found.average_precision, found.roc_auc, found.recall_at) == (None, None, {})
    assert (found.savings is None) == (1 not in labels)
    assert (found.mean_score is None) == (labels == [])
    assert (found.false_positive_shares == {}) == (0 not in labels)
    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found
