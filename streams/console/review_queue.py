"""What an analyst should look at next: where a look is expected to save most, one entry an account. Pure.

An event that nobody looks at is taken to pass as its decision lets it: a held one passes, of a stepped-up one passes
what gets through the step-up. A look lets pass what the policy says of its review, and costs what it says. So with the
expected loss E of the verdict (what is lost on average if it passes) a look is worth

    review    E * (1 - review.fraud_pass_share) - review.cost
    step_up   E * (step_up.fraud_pass_share - review.fraud_pass_share) - review.cost

in minor units. The shares are those of payments, because a verdict does not say of which kind its event is. What is
worth nothing is left out.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from features.records import Verdict
from models.policy import APPROVE, Costs

WAITING: Final = ("review", "step_up")
"""Decisions that somebody may still look at."""


class Entry(NamedTuple):
    """One account to look at.

    Attributes:
        verdict: the one where a look is worth most.
        value_minor: what the look is expected to save.
        others: further verdicts of the account that wait.
    """

    verdict: Verdict
    value_minor: float
    others: int


class Queue(NamedTuple):
    """What to look at today.

    Attributes:
        entries: the most valuable first, at most what is left of the day's capacity.
        capacity: looks a day.
        looked_at: events that analysts labelled today.
        waiting: accounts that wait, also beyond the capacity.
        beyond_minor: what looks at the accounts beyond the capacity would save.
        worthless: verdicts that wait where a look costs more than it saves.
    """

    entries: list[Entry]
    capacity: int
    looked_at: int
    waiting: int
    beyond_minor: float
    worthless: int


def value_of_a_look(verdict: Verdict, costs: Costs) -> float:
    """What a look at this verdict is expected to save, minor units; negative if it costs more than it saves.

    >>> from features.records import Coordinates
    >>> from models.policy import Policy
    >>> held = Verdict(event_id="e", account_id="a", time_ms=0, decision="review", score=0.2, anomaly=None,
    ...     expected_loss_minor=10_000, reasons=[], model="m", policy="p", at=Coordinates(0, 0), flags=[])
    >>> value_of_a_look(held, Policy.default().payment)
    9100.0
    """
    if verdict.decision not in WAITING or verdict.expected_loss_minor is None or costs.review is None:
        return 0.0
    step_up = costs.step_up or APPROVE
    passes = 1.0 if verdict.decision == "review" else step_up.fraud_pass_share
    return verdict.expected_loss_minor * (passes - costs.review.fraud_pass_share) - costs.review.cost_minor


def review_queue(
    verdicts: Iterable[Verdict],
    is_labelled: Callable[[Verdict], bool],
    costs_of: Callable[[Verdict], Costs],
    *,
    capacity: int,
    looked_at: int,
) -> Queue:
    """Order what waits.

    Args:
        verdicts: not approved, each event once.
        is_labelled: whether it is known already what the event was.
        costs_of: costs of the policy that gave a verdict.
        capacity: looks a day.
        looked_at: looks that today has already seen.
    """
    by_account: dict[str, list[tuple[float, Verdict]]] = {}
    worthless = 0
    for verdict in verdicts:
        if verdict.decision not in WAITING or is_labelled(verdict):
            continue
        value = value_of_a_look(verdict, costs_of(verdict))
        by_rule = verdict.decision == "review" and verdict.expected_loss_minor is None
        if value > 0 or by_rule:  # what a look at a review without a score is worth is not known: last, but not lost
            by_account.setdefault(verdict.account_id, []).append((value, verdict))
        else:
            worthless += 1
    entries = []
    for waiting in by_account.values():
        value, best = max(waiting, key=lambda each: (each[0], -each[1].time_ms, each[1].event_id))
        entries.append(Entry(best, value, len(waiting) - 1))
    entries.sort(key=lambda entry: (-entry.value_minor, entry.verdict.time_ms, entry.verdict.account_id))
    left = max(0, capacity - looked_at)
    return Queue(
        entries=entries[:left],
        capacity=capacity,
        looked_at=looked_at,
        waiting=len(entries),
        beyond_minor=sum(entry.value_minor for entry in entries[left:]),
        worthless=worthless,
    )
