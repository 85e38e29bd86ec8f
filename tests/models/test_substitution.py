"""What the breaker makes of decisions: nobody is turned away where something milder is on offer, nothing is harsher."""

import msgspec
import numpy as np
import pytest
from msgspec import UNSET

from features.columns import APPLICATION, LOGIN, PAYMENT
from models.decision import OUTCOMES
from models.policy import Policy
from models.substitution import substituted

KINDS = {"payment": PAYMENT, "login": LOGIN, "application": APPLICATION}


def policy(name: str, *, step_up: bool, review: bool) -> Policy:
    """The default policy, whose events of one kind have only some treatments."""
    costs = getattr(Policy.default(), name)
    offered = Policy.default().payment
    changed = msgspec.structs.replace(
        costs, step_up=offered.step_up if step_up else None, review=offered.review if review else None
    )
    return msgspec.structs.replace(Policy.default(), rules_only=UNSET, **{name: changed})


def decided(chosen: Policy, kind: int) -> list[str]:
    every = np.arange(len(OUTCOMES), dtype=np.uint8)
    return [OUTCOMES[place] for place in substituted("step_up", chosen, every, np.full(len(every), kind, np.uint8))]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("step_up", "review", "expected"),
    [
        (True, True, ["approve", "step_up", "step_up", "step_up"]),
        (True, False, ["approve", "step_up", "step_up", "step_up"]),
        (False, True, ["approve", "step_up", "review", "review"]),
        (False, False, ["approve", "step_up", "review", "decline"]),
    ],
)
def test_what_is_on_offer_takes_the_place(name: str, step_up: bool, review: bool, expected: list[str]) -> None:
    assert decided(policy(name, step_up=step_up, review=review), KINDS[name]) == expected


def test_each_row_depends_on_its_own_kind() -> None:
    chosen = policy("login", step_up=False, review=False)
    outcome = np.full(3, OUTCOMES.index("decline"), dtype=np.uint8)
    kinds = np.array([PAYMENT, LOGIN, APPLICATION], dtype=np.uint8)
    assert [OUTCOMES[place] for place in substituted("step_up", chosen, outcome, kinds)] == [
        "step_up",
        "decline",
        "step_up",
    ]
    assert substituted("closed", chosen, outcome, kinds) is outcome
    assert substituted("last_good_model", chosen, outcome, kinds) is outcome
