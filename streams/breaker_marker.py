"""The record that opens or closes the breaker: the same one in every partition of the events log. Pure."""

from features.events import Marker
from models.breaker import Transition
from models.watch_limits import CLOSED, InForce

MOST_REASON = 256
"""Characters of a reason, as the contract has it."""


def in_force_after(transition: Transition) -> InForce:
    """What decides after a change of the breaker.

    Where the settings only want changes told, that is the model; saying so ends what an earlier setting began.

    >>> opened = Transition(before="closed", after="open", minute_ms=0, action="step_up", reason="too many declines")
    >>> in_force_after(opened)
    'step_up'
    """
    return CLOSED if transition.action is None or transition.action == "none" else transition.action


def marker_of(transition: Transition) -> Marker:
    """The marker of a change: made of it alone, so that whoever writes it again writes the same bytes."""
    return Marker(
        event_id=f"breaker-{transition.minute_ms}-{transition.after}",
        time_ms=transition.minute_ms,
        marker="breaker",
        value=in_force_after(transition),
        reason=transition.reason[:MOST_REASON],
    )


def marker_by_hand(in_force: InForce, reason: str, now_ms: int) -> Marker:
    """The marker of an operator."""
    return Marker(event_id=f"breaker-{now_ms}-by-hand", time_ms=now_ms, marker="breaker", value=in_force, reason=reason)
