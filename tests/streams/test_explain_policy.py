"""The arithmetic behind a decision, against the formula of docs/policy.md written down once more."""

import math
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest

from features.columns import APPLICATION, LOGIN, PAYMENT
from models.decision import OUTCOMES
from models.policy import Policy, Treatment
from streams.explain_policy import policy_view, turns


def expected_cost(costs: Any, treatment: Treatment | None, score: float, amount: int) -> float:
    """The formula of docs/policy.md, written down once more."""
    if treatment is None:
        return math.inf
    exposure = amount if costs.exposure_from_amount and amount > 0 else costs.exposure_minor
    loss = costs.loss_given_fraud * exposure + costs.chargeback_fee_minor
    insult = costs.insult_minor + costs.margin * exposure
    passed = score * treatment.fraud_pass_share * loss
    return treatment.cost_minor + (1 - score) * treatment.abandon_share * insult + passed


@pytest.mark.parametrize("kind", [PAYMENT, LOGIN, APPLICATION])
@pytest.mark.parametrize("amount", [0, 1, 4_999, 90_000, 10_000_000])
@pytest.mark.parametrize("score", [0.000001, 0.004, 0.2, 0.999999])
def test_costs_are_the_formula_and_their_terms_add_up(kind: int, amount: int, score: float) -> None:
    policy = Policy.default()
    costs = {PAYMENT: policy.payment, LOGIN: policy.login, APPLICATION: policy.application}[kind]
    approve = Treatment(cost_minor=0, abandon_share=0.0, fraud_pass_share=1.0)
    decline = Treatment(cost_minor=0, abandon_share=1.0, fraud_pass_share=0.0)
    expected = [
        expected_cost(costs, treatment, score, amount) for treatment in (approve, costs.step_up, costs.review, decline)
    ]
    view = policy_view(policy, score=score, anomaly=None, amount_minor=amount, kind=kind)
    assert [row.outcome for row in view.costs] == list(OUTCOMES)
    for row, total in zip(view.costs, expected, strict=True):
        if row.total_minor is None:
            assert math.isinf(total)
            assert row.own_minor is None
            continue
        assert row.total_minor == pytest.approx(total)
        assert row.own_minor is not None
        assert row.lost_customers_minor is not None
        assert row.passed_fraud_minor is not None
        assert row.own_minor + row.lost_customers_minor + row.passed_fraud_minor == pytest.approx(total)
    assert [row.is_cheapest for row in view.costs].index(True) == int(np.argmin(expected))
    turned = [turn.outcome for turn in view.turns if turn.score <= score][-1]
    assert turned == OUTCOMES[int(np.argmin(expected))]


def test_a_turn_is_where_two_costs_cross() -> None:
    policy = Policy.default()
    treatments = dict(
        zip(OUTCOMES[1:3], (policy.payment.step_up, policy.payment.review), strict=True),
        approve=Treatment(cost_minor=0, abandon_share=0.0, fraud_pass_share=1.0),
        decline=Treatment(cost_minor=0, abandon_share=1.0, fraud_pass_share=0.0),
    )
    found = turns(policy, 90_000, PAYMENT)
    assert [turn.outcome for turn in found] == list(OUTCOMES)
    for before, turn in pairwise(found):
        for score, cheaper, dearer in (
            (turn.score, turn.outcome, before.outcome),
            (turn.score - 1e-6, before.outcome, turn.outcome),
        ):
            one = expected_cost(policy.payment, treatments[cheaper], score, 90_000)
            assert one < expected_cost(policy.payment, treatments[dearer], score, 90_000)


def test_a_step_up_that_the_anomaly_asked_for_says_so() -> None:
    policy = msgspec.structs.replace(Policy.default(), anomaly_step_up_at=0.7)
    for anomaly, raised in ((0.7, True), (0.69, False), (None, False)):
        view = policy_view(policy, score=0.00001, anomaly=anomaly, amount_minor=500, kind=PAYMENT)
        assert view.raised_by_anomaly is raised
        assert view.anomaly_step_up_at == 0.7
    assert not policy_view(policy, score=0.9, anomaly=0.9, amount_minor=500, kind=PAYMENT).raised_by_anomaly
