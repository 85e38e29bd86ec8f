"""What the breaker made of a decision, in words, and how the rules of a policy came to theirs."""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.decision import OUTCOMES
from models.rules import AMOUNT
from models.ruling import NO_RULE, decide_by_rules, has_amount, otherwise, rules_of
from models.watch_limits import CLOSED, LAST_GOOD_MODEL, RULES_ONLY, InForce
from streams.deciding import Deciding
from streams.model_in_force import ModelInForce

_STEP_UP_TEXT = "a step-up takes the place of reviews and declines"


class RuleLine(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, held against the event.

    Attributes:
        rule: the comparison.
        value: of the feature or amount, as served; null if it is not known, so that nothing matches.
        outcome: what follows where it matches.
        decided: whether it is the first that matched.
    """

    rule: str
    value: float | None
    outcome: str
    decided: bool


class RulesView(msgspec.Struct, frozen=True, kw_only=True):
    """How the rules came to a decision, while no score counted.

    Attributes:
        rules: those for this kind of event, in order.
        otherwise: what follows where none matches.
        decision: what was decided.
    """

    rules: list[RuleLine]
    otherwise: str
    decision: str


def rules_view(model: ModelInForce, features: NDArray[np.float32], amount_minor: int, kind: int) -> RulesView:
    """The rules behind the decision about one event.

    Args:
        model: in force; its policy has the rules.
        features: float32[f], as served.
        amount_minor: base currency; 0 where the event has none.
        kind: code of a judged kind.
    """
    amounts, kinds = np.array([amount_minor]), np.array([kind], dtype=np.uint8)
    index = model.feature_set.index
    ruling = decide_by_rules(model.policy, index, features[np.newaxis], amounts, kinds)
    amount = float(amount_minor) if has_amount(amounts, kinds)[0] else math.nan
    lines = []
    for place, rule in enumerate(rules_of(model.policy, kind)):
        value = amount if rule.feature == AMOUNT else float(features[index[rule.feature]])
        lines.append(
            RuleLine(
                rule=rule.text,
                value=None if math.isnan(value) else value,
                outcome=rule.outcome,
                decided=place == ruling.rule[0] != NO_RULE,
            )
        )
    return RulesView(rules=lines, otherwise=otherwise(model.policy, kind), decision=OUTCOMES[int(ruling.outcome[0])])


def breaker_text(breaker: InForce, who: Deciding) -> str:
    """The breaker in words: what the log put in force, and who decides under it."""
    if breaker == CLOSED:
        return "closed"
    if breaker == RULES_ONLY:
        return "open, and the rules of the policy decide, without a score"
    if breaker != LAST_GOOD_MODEL:
        return f"open, and {_STEP_UP_TEXT}"
    if who.acts == LAST_GOOD_MODEL:
        return f"open, and the last good model {who.model.id[:16]} decides"
    return f"open, and {_STEP_UP_TEXT}, because there is no last good model, or it could not be opened"
