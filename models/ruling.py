"""Decides by the rules of a policy, without any score, while the breaker has put `rules_only` in force. Pure.

Nothing is approved by accident: a value that is not known matches no rule, and where a policy has no rules the mildest
outcome on offer is taken that does not simply let the event pass.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from msgspec import UnsetType
from numpy.typing import NDArray

from features.columns import JUDGED_KINDS, KIND_NAMES, PAYMENT
from models.decision import OUTCOMES
from models.policy import Policy
from models.rules import AMOUNT, Rule
from models.substitution import mildest_guard

NO_RULE = -1


class Ruling(NamedTuple):
    """What the rules decide.

    Attributes:
        outcome: uint8[n], index into `models.decision.OUTCOMES`.
        rule: int64[n], place of the rule that matched among those of the event's kind; `NO_RULE`: none did.
    """

    outcome: NDArray[np.uint8]
    rule: NDArray[np.int64]


def rules_of(policy: Policy, kind: int) -> tuple[Rule, ...]:
    """The rules for a kind of event in order; none where the policy has no rules at all."""
    return () if isinstance(policy.rules_only, UnsetType) else policy.rules_only.of(KIND_NAMES[kind]).rules


def otherwise(policy: Policy, kind: int) -> str:
    """What is decided where no rule matches."""
    if isinstance(policy.rules_only, UnsetType):
        return OUTCOMES[mildest_guard(getattr(policy, KIND_NAMES[kind]))]
    return policy.rules_only.of(KIND_NAMES[kind]).otherwise


def decide_by_rules(
    policy: Policy,
    columns: Mapping[str, int],
    features: NDArray[np.float32],
    amount_minor: NDArray[np.int64],
    kind: NDArray[np.uint8],
) -> Ruling:
    """The outcome of the first rule that matches, event by event; each row depends on itself alone.

    Args:
        policy: in force.
        columns: name of a feature to its column; holds every name of the rules (`Policy.check_features`).
        features: float32[n, f], as served.
        amount_minor: int64[n], base currency; 0 where the event has none.
        kind: uint8[n], codes of `features.columns`; judged kinds only.

    >>> from features.columns import APPLICATION
    >>> nothing = np.empty((2, 0), dtype=np.float32)
    >>> ruling = decide_by_rules(Policy.default(), {}, nothing, np.array([0, 7]), np.full(2, APPLICATION, np.uint8))
    >>> [OUTCOMES[place] for place in ruling.outcome], ruling.rule.tolist()
    (['review', 'review'], [-1, -1])
    """
    outcome = np.empty(len(kind), dtype=np.uint8)
    matched = np.full(len(kind), NO_RULE, dtype=np.int64)
    for code in JUDGED_KINDS:
        mine = kind == code
        if not mine.any():
            continue
        outcome[mine] = OUTCOMES.index(otherwise(policy, code))
        for place, rule in enumerate(rules_of(policy, code)):
            first = mine & (matched == NO_RULE) & _matches(rule, columns, features, amount_minor, kind)
            outcome[first] = OUTCOMES.index(rule.outcome)
            matched[first] = place
    return Ruling(outcome, matched)


def has_amount(amount_minor: NDArray[np.int64], kind: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether each event has an amount: a payment always, another one where it is not 0."""
    known: NDArray[np.bool_] = np.logical_or(kind == PAYMENT, amount_minor != 0)
    return known


def _matches(
    rule: Rule,
    columns: Mapping[str, int],
    features: NDArray[np.float32],
    amount_minor: NDArray[np.int64],
    kind: NDArray[np.uint8],
) -> NDArray[np.bool_]:
    if rule.feature == AMOUNT:
        values = np.where(has_amount(amount_minor, kind), amount_minor.astype(np.float64), np.nan)
        bound = np.float64(rule.bound)
    else:
        values = features[:, columns[rule.feature]].astype(np.float64)
        bound = np.float64(np.float32(rule.bound))  # features were rounded to float32, so 0.7 has to be that 0.7 too
    matches: NDArray[np.bool_] = values < bound if rule.is_below else values >= bound  # NaN compares false
    return matches
