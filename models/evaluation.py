"""How good scores and decisions are on labelled events, in the field's measures and in money.

Shares that cannot be computed (no fraud, no legitimate event) are None, never 0.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from models.decision import OUTCOMES, decide, expected_costs
from models.policy import Policy

FALSE_POSITIVE_SHARES = (0.001, 0.005, 0.01, 0.05)
"""Shares of legitimate events at which recall is reported."""


class AttackReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the frauds of one type.

    Attributes:
        frauds: how many there were.
        caught_share: share that was not approved.
        outcome_shares: outcome to the share of these frauds that it was given.
    """

    frauds: int
    caught_share: float
    outcome_shares: dict[str, float]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Quality of scores and decisions on one set of labelled events.

    Attributes:
        events: events judged.
        frauds: of them fraud.
        average_precision: area under precision and recall; a random score has the share of fraud.
        roc_auc: chance that a fraud scores higher than a legitimate event.
        recall_at: share of legitimate events flagged, as text, to the share of frauds flagged with it.
        calibration_error: see `calibration_error`.
        mean_score: mean probability; equal to the share of fraud if calibrated.
        false_positive_shares: outcome to the share of legitimate events that it was given.
        attacks: fraud type to what became of it; ``not_stated`` where the label has no type.
        cost_minor: what the decisions cost as labels turned out, in expectation over who passes step-up and review.
        approve_all_cost_minor: what approving everything would have cost.
        savings: 1 - cost / cost of approving everything; negative if the decisions cost more.
    """

    events: int
    frauds: int
    average_precision: float | None
    roc_auc: float | None
    recall_at: dict[str, float]
    calibration_error: float | None
    mean_score: float | None
    false_positive_shares: dict[str, float]
    attacks: dict[str, AttackReport]
    cost_minor: int
    approve_all_cost_minor: int
    savings: float | None


def evaluate(
    policy: Policy,
    labels: NDArray[np.uint8],
    attacks: list[str | None],
    score: NDArray[np.float64],
    anomaly: NDArray[np.float64],
    amount_minor: NDArray[np.int64],
    kind: NDArray[np.uint8],
) -> Report:
    """Judge the events by `policy` and compare with what they turned out to be.

    Args:
        policy: costs in force.
        labels: uint8[n], 1 = fraud.
        attacks: n fraud types; None where not stated or not fraud.
        score: float64[n], calibrated probabilities.
        anomaly: float64[n], NaN where there is none.
        amount_minor: int64[n], base currency.
        kind: uint8[n], judged kinds.
    """
    outcome = decide(policy, score, anomaly, amount_minor, kind).outcome
    costs = expected_costs(policy, labels.astype(np.float64), amount_minor, kind)
    cost = float(costs[np.arange(len(labels)), outcome].sum())
    approve_all = float(costs[:, 0].sum())
    both = bool(labels.any()) and not labels.all()
    return Report(
        events=len(labels),
        frauds=int(labels.sum()),
        average_precision=float(average_precision_score(labels, score)) if both else None,
        roc_auc=float(roc_auc_score(labels, score)) if both else None,
        recall_at={f"{share:g}": recall for share, recall in recall_at(labels, score).items()},
        calibration_error=calibration_error(labels, score),
        mean_score=float(score.mean()) if len(score) else None,
        false_positive_shares=_outcome_shares(outcome[labels == 0]),
        attacks=_attacks(labels, attacks, outcome),
        cost_minor=round(cost),
        approve_all_cost_minor=round(approve_all),
        savings=1.0 - cost / approve_all if approve_all > 0.0 else None,
    )


def recall_at(
    labels: NDArray[np.uint8],
    score: NDArray[np.float64],
    false_positive_shares: tuple[float, ...] = FALSE_POSITIVE_SHARES,
) -> dict[float, float]:
    """Share of frauds flagged when at most a given share of legitimate events is; empty if a class is missing.

    Events with equal scores are flagged together or not at all, so the share is never exceeded.

    >>> labels, score = np.array([0, 0, 1, 0, 1], np.uint8), np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    >>> recall_at(labels, score, (0.0, 0.34))
    {0.0: 0.5, 0.34: 1.0}
    """
    if not labels.any() or labels.all():
        return {}
    flagged_legitimate, flagged_frauds, _ = roc_curve(labels, score, drop_intermediate=False)
    places = np.searchsorted(flagged_legitimate, false_positive_shares, side="right") - 1
    return {share: float(flagged_frauds[place]) for share, place in zip(false_positive_shares, places, strict=True)}


def calibration_error(labels: NDArray[np.uint8], score: NDArray[np.float64], bins: int = 20) -> float | None:
    """Expected calibration error: mean distance between mean score and share of fraud, over bins of equal size.

    None if there are no events.

    >>> calibration_error(np.array([0, 1], np.uint8), np.array([0.5, 0.5]), bins=1)
    0.0
    """
    if not len(labels):
        return None
    order = np.argsort(score, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    distances = [len(part) * abs(float(score[part].mean()) - float(labels[part].mean())) for part in parts]
    return sum(distances) / len(labels)


def _attacks(
    labels: NDArray[np.uint8], attacks: list[str | None], outcome: NDArray[np.uint8]
) -> dict[str, AttackReport]:
    frauds = np.flatnonzero(labels == 1)
    types = np.array([attacks[row] or "not_stated" for row in frauds.tolist()], dtype=np.str_)
    reports = {}
    for attack in np.unique(types).tolist():
        given = outcome[frauds[types == attack]]
        reports[attack] = AttackReport(
            frauds=len(given), caught_share=float((given > 0).mean()), outcome_shares=_outcome_shares(given)
        )
    return reports


def _outcome_shares(outcome: NDArray[np.uint8]) -> dict[str, float]:
    if not len(outcome):
        return {}
    return {name: float((outcome == code).mean()) for code, name in enumerate(OUTCOMES)}
