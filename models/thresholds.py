"""At which score an event's outcome changes: `models.decision` solved for the score.

The cost of each outcome is a straight line in the probability, and the slopes fall from the mildest outcome to the
strongest. A stronger outcome j is cheaper than a milder one i beyond the place where their lines cross; so some outcome
of strength s or more is the cheapest beyond the least over j >= s of the largest over i < s of those places.
"""

from collections.abc import Sequence
from typing import NamedTuple

from features.columns import APPLICATION, LOGIN, PAYMENT
from models.decision import OUTCOMES
from models.policy import APPROVE, DECLINE, Costs, Policy


class _Line(NamedTuple):
    """Expected cost of one outcome: at probability 0, and what is added up to probability 1."""

    at_zero: float
    slope: float


def threshold(policy: Policy, outcome: str, amount_minor: int, kind: int) -> float | None:
    """Score above which the cheapest outcome is `outcome` or a stronger one; at it the milder one still wins the tie.

    The anomaly score, which may turn an approval into a step-up at any score, is not considered.

    Args:
        policy: costs in force.
        outcome: one of `OUTCOMES`.
        amount_minor: base currency; 0 where the event has none.
        kind: code of `features.columns`; judged kinds only.

    Returns:
        A number from 0 to below 1; 0 for `approve`, which some outcome always reaches; None where no score gives it.

    >>> round(threshold(Policy.default(), "decline", 90_000, PAYMENT), 6)
    0.368932
    """
    lines = _lines(_costs(policy, kind), amount_minor)
    strength = OUTCOMES.index(outcome)
    stronger = [line for line in lines[strength:] if line is not None]
    milder = [line for line in lines[:strength] if line is not None]
    if not milder:
        return 0.0
    places = [place for line in stronger if (place := _cheaper_from(line, milder)) is not None and place < 1]
    return min(places) if places else None


def _cheaper_from(line: _Line, milder: Sequence[_Line]) -> float | None:
    """Probability above which `line` is below every one of `milder`; None if it never is."""
    places = [0.0]
    for other in milder:
        if other.slope > line.slope:
            places.append((line.at_zero - other.at_zero) / (other.slope - line.slope))
        elif line.at_zero >= other.at_zero:  # parallel, and not cheaper anywhere
            return None
    return max(places)


def _costs(policy: Policy, kind: int) -> Costs:
    return {PAYMENT: policy.payment, LOGIN: policy.login, APPLICATION: policy.application}[kind]


def _lines(costs: Costs, amount_minor: int) -> list[_Line | None]:
    """One line per outcome, mildest first; None where it is not on offer."""
    from_amount = costs.exposure_from_amount and amount_minor > 0
    exposure = amount_minor if from_amount else costs.exposure_minor
    loss = costs.loss_given_fraud * exposure + costs.chargeback_fee_minor
    insult = costs.insult_minor + costs.margin * exposure
    lines: list[_Line | None] = []
    for treatment in (APPROVE, costs.step_up, costs.review, DECLINE):
        if treatment is None:
            lines.append(None)
            continue
        lost_customers = treatment.abandon_share * insult
        passed_fraud = treatment.fraud_pass_share * loss
        lines.append(_Line(treatment.cost_minor + lost_customers, passed_fraud - lost_customers))
    return lines
