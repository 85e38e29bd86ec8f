"""From a probability to an outcome: the cheapest of four expected costs.

With probability of fraud p, exposure E, loss L = loss_given_fraud * E + chargeback_fee and the price of turning away a
legitimate customer G = insult + margin * E, an outcome with its `Treatment` costs in expectation

    cost + (1 - p) * abandon_share * G + p * fraud_pass_share * L

so that approving costs p * L and declining (1 - p) * G. The cheapest wins; a tie goes to the milder outcome. This is
Bayes minimum risk with costs that depend on the event (Bahnsen et al., "Example-dependent cost-sensitive logistic
regression", 2014), written as regret: doing the right thing by a legitimate customer costs nothing.

What can be relied on (tests hold both, up to rounding in the last bit of a cost):

- A higher probability never gives a milder outcome. The costs are straight lines in p, and a policy's treatments are
  ordered by strength, so the slopes fall from approve to decline.
- A larger amount never gives a milder outcome as long as p / (1 - p) >= margin * (abandon_j - abandon_i) /
  (loss_given_fraud * (pass_i - pass_j)) for each outcome i and each stronger one j on offer; for approve against
  decline, p >= margin / (margin + loss_given_fraud). Below that the margin at stake grows faster than the loss, and a
  larger amount is rightly treated more mildly. With margin 0 the promise has no exception.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.columns import APPLICATION, LOGIN, PAYMENT
from features.compiled import compiled
from models.policy import APPROVE, DECLINE, Costs, Policy, Treatment

OUTCOMES = ("approve", "step_up", "review", "decline")
"""Outcomes from the mildest to the strongest; their index is what records and arrays hold."""

_KINDS = 1 + max(PAYMENT, LOGIN, APPLICATION)
_SETTINGS = 6  # loss_given_fraud, fee, margin, insult, exposure, exposure_from_amount; then 3 per outcome


class Decisions(NamedTuple):
    """Outcomes of a batch.

    Attributes:
        outcome: uint8[n], index into `OUTCOMES`.
        expected_loss_minor: int64[n], p * L rounded half to even, minor units of the base currency: what would be
            lost on average if the event passed.
    """

    outcome: NDArray[np.uint8]
    expected_loss_minor: NDArray[np.int64]


def decide(
    policy: Policy,
    score: NDArray[np.float64],
    anomaly: NDArray[np.float64],
    amount_minor: NDArray[np.int64],
    kind: NDArray[np.uint8],
) -> Decisions:
    """Choose the cheapest outcome of each event; each row depends on itself alone.

    Only IEEE additions, multiplications and comparisons in a fixed order: the same bits on every machine.

    Args:
        policy: costs in force.
        score: float64[n], calibrated probability of fraud in [0, 1], as published (6 digits).
        anomaly: float64[n], NaN where the detector is not yet warm.
        amount_minor: int64[n], base currency; 0 where the event has none.
        kind: uint8[n], codes of `features.columns`; judged kinds only.

    Raises:
        AssertionError: an event of a kind that gets no verdict, or a score outside [0, 1]: our own mistake.

    >>> one = np.ones(1)
    >>> decided = decide(Policy.default(), 0.5 * one, np.nan * one, np.array([90_000]), np.array([PAYMENT], np.uint8))
    >>> OUTCOMES[decided.outcome[0]], int(decided.expected_loss_minor[0])
    ('decline', 41500)
    """
    table = _table(policy)
    threshold = np.inf if policy.anomaly_step_up_at is None else policy.anomaly_step_up_at
    outcome = np.empty(len(score), dtype=np.uint8)
    expected_loss_minor = np.empty(len(score), dtype=np.int64)
    wrong = _decide(table, threshold, score, anomaly, amount_minor, kind, outcome, expected_loss_minor)
    assert wrong < 0, f"expected a judged kind and a score in [0, 1], got kind {kind[wrong]}, score {score[wrong]}"
    return Decisions(outcome, expected_loss_minor)


def expected_costs(
    policy: Policy, probability: NDArray[np.float64], amount_minor: NDArray[np.int64], kind: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """float64[n, 4]: what each outcome of each event costs on average, in minor units; infinite where not on offer.

    With labels (0 or 1) for probabilities these are the costs as they turned out. Arguments as for `decide`.
    """
    costs = np.empty((len(probability), len(OUTCOMES)), dtype=np.float64)
    wrong = _fill_costs(_table(policy), probability, amount_minor, kind, costs)
    assert wrong < 0, f"expected a judged kind and 0 <= p <= 1, got kind {kind[wrong]}, p {probability[wrong]}"
    return costs


def explain_costs(policy: Policy, score: float, amount_minor: int, kind: int) -> dict[str, float | None]:
    """Expected cost of each outcome of one event in minor units of the base currency; None where it is not on offer.

    For people: the same formula and the same order of operations as `decide`.
    """
    costs = expected_costs(policy, np.array([score]), np.array([amount_minor]), np.array([kind], dtype=np.uint8))[0]
    return {name: None if cost == np.inf else float(cost) for name, cost in zip(OUTCOMES, costs, strict=True)}


@lru_cache(maxsize=16)
def _table(policy: Policy) -> NDArray[np.float64]:
    """One row of numbers per kind code; NaN for kinds without a verdict."""
    table = np.full((_KINDS, _SETTINGS + 3 * len(OUTCOMES)), np.nan)
    for kind, costs in ((PAYMENT, policy.payment), (LOGIN, policy.login), (APPLICATION, policy.application)):
        table[kind] = _row(costs)
    table.flags.writeable = False
    return table


def _row(costs: Costs) -> list[float]:
    row = [
        costs.loss_given_fraud,
        costs.chargeback_fee_minor,
        costs.margin,
        costs.insult_minor,
        costs.exposure_minor,
        costs.exposure_from_amount,
    ]
    for treatment in (APPROVE, costs.step_up, costs.review, DECLINE):
        row += _numbers(treatment)
    return row


def _numbers(treatment: Treatment | None) -> list[float]:
    if treatment is None:
        return [np.inf, 0.0, 0.0]  # never the cheapest
    return [treatment.cost_minor, treatment.abandon_share, treatment.fraud_pass_share]


@compiled
def _exposure(settings: NDArray[np.float64], amount_minor: int) -> float:
    if settings[5] != 0.0 and amount_minor > 0:
        return float(amount_minor)
    return float(settings[4])


@compiled
def _cost(settings: NDArray[np.float64], outcome: int, probability: float, exposure: float) -> float:
    at = _SETTINGS + 3 * outcome
    loss = settings[0] * exposure + settings[1]
    insult = settings[3] + settings[2] * exposure
    lost_customers = (1.0 - probability) * settings[at + 1] * insult
    passed_fraud = probability * settings[at + 2] * loss
    return float(settings[at] + lost_customers + passed_fraud)


@compiled
def _judgeable(table: NDArray[np.float64], kind: int, probability: float) -> bool:
    return kind < len(table) and not np.isnan(table[kind, 0]) and 0.0 <= probability <= 1.0


@compiled
def _fill_costs(
    table: NDArray[np.float64],
    probability: NDArray[np.float64],
    amount_minor: NDArray[np.int64],
    kind: NDArray[np.uint8],
    costs: NDArray[np.float64],
) -> int:
    """Fill `costs`; return the first row that cannot be judged, else -1."""
    for row in range(len(probability)):
        if not _judgeable(table, kind[row], probability[row]):
            return row
        settings = table[kind[row]]
        exposure = _exposure(settings, amount_minor[row])
        for outcome in range(4):
            costs[row, outcome] = _cost(settings, outcome, probability[row], exposure)
    return -1


@compiled
def _decide(
    table: NDArray[np.float64],
    threshold: float,
    score: NDArray[np.float64],
    anomaly: NDArray[np.float64],
    amount_minor: NDArray[np.int64],
    kind: NDArray[np.uint8],
    outcome: NDArray[np.uint8],
    expected_loss_minor: NDArray[np.int64],
) -> int:
    """Fill `outcome` and `expected_loss_minor`; return the first row that cannot be judged, else -1."""
    for row in range(len(score)):
        probability = score[row]
        if not _judgeable(table, kind[row], probability):
            return row
        settings = table[kind[row]]
        exposure = _exposure(settings, amount_minor[row])
        cheapest, lowest = 0, _cost(settings, 0, probability, exposure)
        for other in range(1, 4):
            cost = _cost(settings, other, probability, exposure)
            if cost < lowest:  # strictly: a tie goes to the milder outcome
                cheapest, lowest = other, cost
        if cheapest == 0 and anomaly[row] >= threshold:  # NaN compares false
            step_up_on_offer = settings[_SETTINGS + 3] < np.inf
            cheapest = 1 if step_up_on_offer else 0
        outcome[row] = cheapest
        loss = settings[0] * exposure + settings[1]
        expected_loss_minor[row] = np.int64(np.rint(probability * loss))
    return -1
