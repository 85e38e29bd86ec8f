"""Thresholds against the decision itself, asked at every score that can be published."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.columns import APPLICATION, LOGIN, PAYMENT
from models.decision import OUTCOMES, decide
from models.policy import Costs, Policy, Treatment
from models.thresholds import threshold

SCORES = np.arange(0, 1_000_001, 50) / 1e6


def outcomes_at(policy: Policy, amount_minor: int, kind: int, scores: np.ndarray) -> np.ndarray:
    """The slow way: decide at each score."""
    n = len(scores)
    return decide(
        policy, scores, np.full(n, np.nan), np.full(n, amount_minor), np.full(n, kind, dtype=np.uint8)
    ).outcome


shares = st.floats(0.0, 1.0).map(lambda share: round(share, 3))
treatments = st.builds(Treatment, cost_minor=st.integers(0, 2_000), abandon_share=shares, fraud_pass_share=shares)


@st.composite
def costs(draw: st.DrawFn) -> Costs:
    step_up, review = draw(st.none() | treatments), draw(st.none() | treatments)
    if step_up is not None and review is not None:  # ordered by strength, as a policy demands
        passed = sorted((step_up.fraud_pass_share, review.fraud_pass_share))
        lost = sorted((step_up.abandon_share, review.abandon_share))
        step_up = Treatment(cost_minor=step_up.cost_minor, abandon_share=lost[0], fraud_pass_share=passed[1])
        review = Treatment(cost_minor=review.cost_minor, abandon_share=lost[1], fraud_pass_share=passed[0])
    return Costs(
        loss_given_fraud=draw(shares),
        chargeback_fee_minor=draw(st.integers(0, 3_000)),
        margin=draw(shares),
        insult_minor=draw(st.integers(0, 3_000)),
        exposure_minor=draw(st.integers(0, 50_000)),
        exposure_from_amount=draw(st.booleans()),
        step_up=step_up,
        review=review,
    )


@given(costs(), st.integers(0, 1_000_000), st.sampled_from(OUTCOMES[1:]))
def test_the_outcome_changes_exactly_there(costs: Costs, amount_minor: int, outcome: str) -> None:
    policy = Policy(payment=costs, login=costs, application=costs)
    found = threshold(policy, outcome, amount_minor, PAYMENT)
    strong = outcomes_at(policy, amount_minor, PAYMENT, SCORES) >= OUTCOMES.index(outcome)
    edge = 1.0 if found is None else found
    near = np.abs(SCORES - edge) < 1e-9  # where costs tie, the last bit of a float decides
    assert (strong == (edge < SCORES))[~near].all()


@pytest.mark.parametrize("kind", [PAYMENT, LOGIN, APPLICATION])
@pytest.mark.parametrize("outcome", OUTCOMES[1:])
def test_the_usual_policy(kind: int, outcome: str) -> None:
    found = threshold(Policy.default(), outcome, 12_000, kind)
    assert found is not None
    around = np.round([found - 2e-6, found + 2e-6], 6)
    below, above = outcomes_at(Policy.default(), 12_000, kind, around)
    assert below < OUTCOMES.index(outcome) <= above


def test_what_is_not_on_offer_is_as_hard_to_reach_as_what_is_stronger() -> None:
    assert Policy.default().login.review is None
    assert threshold(Policy.default(), "review", 0, LOGIN) == threshold(Policy.default(), "decline", 0, LOGIN)


def test_any_score_is_approved_or_worse() -> None:
    assert threshold(Policy.default(), "approve", 100, PAYMENT) == 0.0


def test_a_fraud_that_costs_nothing_is_never_declined() -> None:
    free = Costs(
        loss_given_fraud=0.0, chargeback_fee_minor=0, margin=0.1, insult_minor=100, exposure_minor=0,
        exposure_from_amount=True, step_up=None, review=None,
    )  # fmt: skip
    policy = Policy(payment=free, login=free, application=free)
    assert threshold(policy, "decline", 5_000, PAYMENT) is None
