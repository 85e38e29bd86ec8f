"""What takes the place of a model's decisions while the breaker is open.

Under `step_up`, where the model reviews or declines, the customer is asked to prove who they are. So a broken model
turns nobody away and floods no queue, and what it lets pass it still lets pass. Where the policy offers no step-up for
that kind of event, a decline becomes a review; where it offers neither, the decision stays: approving what a model
declines is nothing that a policy has ever allowed.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from features.columns import APPLICATION, LOGIN, PAYMENT
from models.decision import OUTCOMES
from models.policy import Costs, Policy
from models.watch_limits import CLOSED, LAST_GOOD_MODEL, InForce

_STEP_UP, _REVIEW, _DECLINE = (OUTCOMES.index(name) for name in ("step_up", "review", "decline"))


def substituted(
    in_force: InForce, policy: Policy, outcome: NDArray[np.uint8], kind: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """What is decided instead of `outcome`, row by row; the same array where a model decides by itself.

    Args:
        in_force: what acts: under `closed` and `last_good_model` nothing takes the place of a model's decisions.
        policy: says what is on offer.
        outcome: uint8[n], index into `OUTCOMES`, as model and policy have it.
        kind: uint8[n], codes of `features.columns`; judged kinds only.

    >>> every = np.arange(4, dtype=np.uint8)
    >>> payments, logins = (np.full(4, kind, dtype=np.uint8) for kind in (PAYMENT, LOGIN))
    >>> [OUTCOMES[place] for place in substituted("step_up", Policy.default(), every, payments)]
    ['approve', 'step_up', 'step_up', 'step_up']
    >>> substituted(CLOSED, Policy.default(), every, logins) is every
    True
    """
    return outcome if in_force in (CLOSED, LAST_GOOD_MODEL) else _table(policy)[kind, outcome]


def mildest_guard(costs: Costs) -> int:
    """Index of the mildest outcome on offer that does not simply let an event pass.

    >>> [OUTCOMES[mildest_guard(costs)] for costs in (Policy.default().payment, Policy.default().application)]
    ['step_up', 'step_up']
    """
    if costs.step_up is not None:
        return _STEP_UP
    return _DECLINE if costs.review is None else _REVIEW


@lru_cache(maxsize=16)
def _table(policy: Policy) -> NDArray[np.uint8]:
    """By kind and outcome, the outcome that takes its place."""
    table = np.tile(np.arange(len(OUTCOMES), dtype=np.uint8), (1 + max(PAYMENT, LOGIN, APPLICATION), 1))
    for kind, costs in ((PAYMENT, policy.payment), (LOGIN, policy.login), (APPLICATION, policy.application)):
        table[kind, [_REVIEW, _DECLINE]] = _instead(costs)
    table.flags.writeable = False
    return table


def _instead(costs: Costs) -> tuple[int, int]:
    """What takes the place of a review and of a decline."""
    guard = mildest_guard(costs)
    return min(guard, _REVIEW), guard
