"""The reason of a decision by rules: the rule that matched, or that none did. Pure."""

import msgspec
import numpy as np
from msgspec import UnsetType
from numpy.typing import NDArray

from features.records import Reason
from models.policy import Policy
from models.reason_codes import NO_RULE_MATCHED, REASON_CODES, RULE_MATCHED
from models.reason_texts import FeatureReasons, six_digits
from models.rules import AMOUNT
from models.ruling import NO_RULE, rules_of
from models.wording import Money, money_text


def rule_reason(
    told: FeatureReasons,
    money: Money,
    policy: Policy,
    rule: int,
    kind: int,
    values: NDArray[np.float32],
    amount_minor: int,
) -> Reason:
    """Why the rules decided as they did about one event. Its contribution is 0: no score counted.

    Args:
        told: what each feature tells.
        money: base currency.
        policy: whose rules decided.
        rule: place of the rule among those of the kind, or `models.ruling.NO_RULE`.
        kind: code of a judged kind.
        values: float32[f], features as served.
        amount_minor: the event's amount in the base currency.
    """
    if rule == NO_RULE:
        which = "no_rules" if isinstance(policy.rules_only, UnsetType) else "otherwise"
        text = REASON_CODES[NO_RULE_MATCHED].analyst[which]
        return Reason(code=NO_RULE_MATCHED, feature=None, value=None, baseline=None, contribution=0.0, text=text)
    matched = rules_of(policy, kind)[rule]
    if matched.feature == AMOUNT:
        value, text = six_digits(float(amount_minor)), f"amount {money_text(amount_minor, money)}"
        reason = Reason(code=RULE_MATCHED, feature=AMOUNT, value=value, baseline=None, contribution=0.0, text=text)
    else:
        reason = told.reason_of(values, matched.feature)
    text = REASON_CODES[RULE_MATCHED].analyst["rule"].format(told=reason.text, rule=matched.text)
    return msgspec.structs.replace(reason, code=RULE_MATCHED, text=text)
