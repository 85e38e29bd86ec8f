"""Rules without a score: the first that matches decides, and what is not known matches nothing."""

import math
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from features.catalogue import FEATURES
from features.columns import APPLICATION, LOGIN, PAYMENT
from features.errors import AssayError
from models.decision import OUTCOMES
from models.policy import Policy
from models.reason_texts import FeatureReasons
from models.rule_reasons import rule_reason
from models.rules import AMOUNT, Rule, Rules, RulesOfKind
from models.ruling import NO_RULE, decide_by_rules
from models.wording import Money

COLUMNS = {"a": 0, "b": 1}
NUMBERS = (-1.0, 0.0, 0.1, 0.7, 5.0, 1e6, math.nan)


@dataclass(frozen=True)
class Event:
    kind: int
    amount_minor: int
    a: float
    b: float


def _rule(feature: str, is_below: bool, bound: float, outcome: str) -> Rule:
    return Rule(feature=feature, outcome=outcome, **{"below" if is_below else "at_least": bound})  # type: ignore[arg-type]


bounds = st.sampled_from([number for number in NUMBERS if number == number])
ruled = st.sampled_from(["approve", "step_up", "decline"])
some_rules = st.builds(
    RulesOfKind,
    rules=st.lists(st.builds(_rule, st.sampled_from(["a", "b", AMOUNT]), st.booleans(), bounds, ruled), max_size=4).map(
        tuple
    ),
    otherwise=ruled,
)
policies = st.builds(
    lambda rules: msgspec.structs.replace(Policy.default(), rules_only=rules),
    st.builds(Rules, payment=some_rules, login=some_rules, application=some_rules),
)
events = st.builds(
    Event,
    kind=st.sampled_from([PAYMENT, LOGIN, APPLICATION]),
    amount_minor=st.sampled_from([0, 1, 5, 10**6, 10**15]),
    a=st.sampled_from(NUMBERS),
    b=st.sampled_from(NUMBERS),
)


def naive(policy: Policy, event: Event) -> tuple[str, int]:
    """The definition, in plain words."""
    assert isinstance(policy.rules_only, Rules)
    rules = {PAYMENT: "payment", LOGIN: "login", APPLICATION: "application"}[event.kind]
    mine: RulesOfKind = getattr(policy.rules_only, rules)
    for place, rule in enumerate(mine.rules):
        if rule.feature == AMOUNT:
            if event.kind != PAYMENT and event.amount_minor == 0:
                continue
            value, bound = float(event.amount_minor), rule.bound
        else:
            value, bound = float(np.float32(getattr(event, rule.feature))), float(np.float32(rule.bound))
        if math.isnan(value):
            continue
        if (value < bound) if rule.at_least is UNSET else (value >= bound):
            return rule.outcome, place
    return mine.otherwise, NO_RULE


@settings(max_examples=200, deadline=None)
@given(policies, st.lists(events, max_size=12))
def test_many_at_once_are_those_of_the_definition(policy: Policy, those: list[Event]) -> None:
    found = decide_by_rules(
        policy,
        COLUMNS,
        np.array([[event.a, event.b] for event in those], dtype=np.float32).reshape(-1, 2),
        np.array([event.amount_minor for event in those], dtype=np.int64),
        np.array([event.kind for event in those], dtype=np.uint8),
    )
    assert [(OUTCOMES[outcome], rule) for outcome, rule in zip(*found, strict=True)] == [
        naive(policy, event) for event in those
    ]


@settings(max_examples=50, deadline=None)
@given(policies)
def test_rules_survive_their_own_json(policy: Policy) -> None:
    assert Policy.from_json(policy.to_json(), "policy.json") == policy


def test_a_policy_without_rules_has_the_bytes_it_always_had() -> None:
    policy = msgspec.structs.replace(Policy.default(), rules_only=UNSET)
    assert b"rules_only" not in policy.to_json()
    assert policy.policy_id == "818a36698c27287b"
    with pytest.raises(AssayError, match="rules_only"):
        Policy.from_json(policy.to_json()[:-1] + b',"rules_only":null}', "policy.json")


@pytest.mark.parametrize(
    ("step_up", "review", "expected"),
    [(True, True, "step_up"), (True, False, "step_up"), (False, True, "review"), (False, False, "decline")],
)
def test_without_rules_nothing_simply_passes(step_up: bool, review: bool, expected: str) -> None:
    offered = Policy.default().payment
    payment = msgspec.structs.replace(
        offered, step_up=offered.step_up if step_up else None, review=offered.review if review else None
    )
    policy = msgspec.structs.replace(Policy.default(), rules_only=UNSET, payment=payment)
    found = decide_by_rules(
        policy, {}, np.empty((1, 0), np.float32), np.zeros(1, np.int64), np.full(1, PAYMENT, np.uint8)
    )
    assert OUTCOMES[found.outcome[0]] == expected
    assert found.rule[0] == NO_RULE


def test_a_rule_has_one_bound() -> None:
    for bounds in ({}, {"at_least": 1.0, "below": 2.0}):
        with pytest.raises(ValueError, match="one of at_least and below in the rule on x"):
            Rule(feature="x", outcome="decline", **bounds)


def test_features_that_nobody_has_are_told_with_their_place() -> None:
    Policy.default().check_features(FEATURES.names, "policy.json")
    with pytest.raises(AssayError) as failure:
        Policy.default().check_features(("account_payment_count_10m",), "eu/policy.json")
    assert str(failure.value).startswith("eu/policy.json: expected a feature")
    assert "at $.rules_only.payment.rules[2].feature, got account_payment_count_1h" in str(failure.value)


def told(policy: Policy, rule: int, kind: int, amount_minor: int = 0, **values: float) -> dict[str, object]:
    row = np.full(len(FEATURES), np.nan, dtype=np.float32)
    for name, value in values.items():
        row[FEATURES.index[name]] = value
    texts = FeatureReasons(FEATURES, np.full(len(FEATURES), np.nan), Money("EUR", 2))
    reason = rule_reason(texts, Money("EUR", 2), policy, rule, kind, row, amount_minor)
    return msgspec.to_builtins(reason)  # type: ignore[no-any-return]


def test_the_reason_is_the_rule() -> None:
    policy = Policy.default()
    by_count = told(policy, 0, PAYMENT, account_payment_count_10m=12.0)
    assert by_count == {
        "code": "RUL01",
        "feature": "account_payment_count_10m",
        "value": 12.0,
        "baseline": None,
        "contribution": 0.0,
        "text": "12 payments in 10 minutes (rule: account_payment_count_10m at least 10)",
    }
    by_amount = told(policy, 1, PAYMENT, amount_minor=123_456)
    assert by_amount["feature"] == "amount_minor"
    assert by_amount["text"] == "amount 1,234.56 EUR (rule: amount_minor at least 100000)"
    for chosen, text in ((policy, "no rule of the policy matched"), (PLAIN, "the policy has no rules")):
        reason = told(chosen, NO_RULE, APPLICATION)
        assert (reason["code"], reason["feature"], reason["value"]) == ("RUL02", None, None)
        assert str(reason["text"]).startswith(text)


PLAIN = msgspec.structs.replace(Policy.default(), rules_only=UNSET)
