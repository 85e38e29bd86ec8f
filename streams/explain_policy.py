"""How a policy came to its decision about one event: every outcome's expected cost, term by term, and where it turns.

The formula is that of `models/decision.py`; costs are minor units of the base currency.
"""

import math

import msgspec
import numpy as np

from features.columns import APPLICATION, LOGIN, PAYMENT
from models.decision import OUTCOMES, decide, explain_costs
from models.policy import APPROVE, DECLINE, Policy
from models.substitution import substituted
from models.watch_limits import CLOSED, InForce

_GRID = 1_000_000
"""A published score has six digits, so it is one of so many steps (and 0)."""


class OutcomeCost(msgspec.Struct, frozen=True, kw_only=True):
    """What one outcome costs on average; its three terms are null where it is not on offer.

    Attributes:
        outcome: its name.
        own_minor: what doing it costs.
        lost_customers_minor: (1 - score) * share of legitimate customers who give up * price of losing one.
        passed_fraud_minor: score * share of fraud that gets through * loss.
        total_minor: their sum.
        is_cheapest: whether it is the one that the costs choose.
    """

    outcome: str
    own_minor: float | None
    lost_customers_minor: float | None
    passed_fraud_minor: float | None
    total_minor: float | None
    is_cheapest: bool


class Turn(msgspec.Struct, frozen=True):
    """From this score on the costs of this event choose this outcome."""

    score: float
    outcome: str


class PolicyView(msgspec.Struct, frozen=True, kw_only=True):
    """The arithmetic of one decision.

    Attributes:
        score: probability of fraud, as published.
        exposure_minor: what can be lost.
        is_amount: whether that is the event's own amount; else the policy's fixed exposure.
        loss_minor: lost if the event is fraud and passes.
        insult_minor: lost if the event is legitimate and its customer is lost.
        costs: each outcome, from the mildest.
        turns: from the lowest score up; the first begins at 0.
        anomaly_step_up_at: anomaly score from which an approval becomes a step-up; null: none does.
        raised_by_anomaly: whether it did so here.
        breaker: what acted in place of the model that the log asks for; ``closed``: nothing.
        by_model: what this model and policy decide.
        decision: what was decided: another outcome where a step-up took the place of it.
    """

    score: float
    exposure_minor: int
    is_amount: bool
    loss_minor: float
    insult_minor: float
    costs: list[OutcomeCost]
    turns: list[Turn]
    anomaly_step_up_at: float | None
    raised_by_anomaly: bool
    breaker: str
    by_model: str
    decision: str


def policy_view(
    policy: Policy,
    *,
    score: float,
    anomaly: float | None,
    amount_minor: int,
    kind: int,
    breaker: InForce = CLOSED,
) -> PolicyView:
    """The arithmetic behind the decision about one event.

    Args:
        policy: in force.
        score: as published.
        anomaly: as published; None while the detector is not warm.
        amount_minor: base currency; 0 where the event has none.
        kind: code of a judged kind.
        breaker: what acts.
    """
    costs = {PAYMENT: policy.payment, LOGIN: policy.login, APPLICATION: policy.application}[kind]
    is_amount = costs.exposure_from_amount and amount_minor > 0
    exposure = amount_minor if is_amount else costs.exposure_minor
    loss = costs.loss_given_fraud * exposure + costs.chargeback_fee_minor
    insult = costs.insult_minor + costs.margin * exposure
    totals = explain_costs(policy, score, amount_minor, kind)
    cheapest = min((total, place) for place, total in enumerate(totals.values()) if total is not None)[1]
    rows = []
    treatments = (APPROVE, costs.step_up, costs.review, DECLINE)
    for place, (outcome, treatment) in enumerate(zip(OUTCOMES, treatments, strict=True)):
        rows.append(
            OutcomeCost(
                outcome=outcome,
                own_minor=None if treatment is None else float(treatment.cost_minor),
                lost_customers_minor=None if treatment is None else (1.0 - score) * treatment.abandon_share * insult,
                passed_fraud_minor=None if treatment is None else score * treatment.fraud_pass_share * loss,
                total_minor=totals[outcome],
                is_cheapest=place == cheapest,
            )
        )
    threshold = policy.anomaly_step_up_at
    raises = threshold is not None and anomaly is not None and anomaly >= threshold
    raised = raises and cheapest == 0 and costs.step_up is not None
    by_model = OUTCOMES.index("step_up") if raised else cheapest
    decided = substituted(breaker, policy, np.array([by_model], dtype=np.uint8), np.array([kind], dtype=np.uint8))
    return PolicyView(
        score=score,
        exposure_minor=exposure,
        is_amount=is_amount,
        loss_minor=loss,
        insult_minor=insult,
        costs=rows,
        turns=turns(policy, amount_minor, kind),
        anomaly_step_up_at=threshold,
        raised_by_anomaly=raised,
        breaker=breaker,
        by_model=OUTCOMES[by_model],
        decision=OUTCOMES[int(decided[0])],
    )


def turns(policy: Policy, amount_minor: int, kind: int) -> list[Turn]:
    """Where the decision on an event of this amount and kind changes as its score rises.

    Every score that can be published is decided by the product's own code, so nothing here can disagree with it.

    >>> [(turn.score, turn.outcome) for turn in turns(Policy.default(), 90_000, PAYMENT)]
    [(0.0, 'approve'), (0.002546, 'step_up'), (0.066116, 'review'), (0.368933, 'decline')]
    """
    scores = np.arange(_GRID + 1) / _GRID
    same = np.ones(len(scores), dtype=np.int64)
    decided = decide(
        policy, scores, np.full(len(scores), math.nan), amount_minor * same, (kind * same).astype(np.uint8)
    ).outcome
    places = [0, *(np.flatnonzero(np.diff(decided)) + 1).tolist()]
    return [Turn(place / _GRID, OUTCOMES[decided[place]]) for place in places]
