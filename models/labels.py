"""What was known about which event at some moment: labels come late, and later ones replace earlier ones."""

from collections.abc import Iterable

from features.events import LabelIntake
from features.identity import EventName


def known_labels(labels: Iterable[LabelIntake], cutoff_ms: int | None) -> dict[EventName, LabelIntake]:
    """The label in force of each judged event at `cutoff_ms`.

    A later label for the same event replaces the earlier one, by `known_at_ms`; of two labels of the same millisecond
    the one that comes later in `labels` wins. Labels that were learnt after the cut-off do not exist yet.

    Args:
        labels: in any order.
        cutoff_ms: epoch milliseconds, inclusive; None: everything ever learnt.

    Returns:
        Judged event to its label, in order of first appearance.

    >>> def label(what, known_at_ms):
    ...     return LabelIntake(
    ...         judged_event_id="p1", account_id="a1", label=what, known_at_ms=known_at_ms, source="chargeback"
    ...     )
    >>> both = [label("legit", 900), label("fraud", 500)]
    >>> p1 = EventName("p1", "a1")
    >>> known_labels(both, 600)[p1].label, known_labels(both, None)[p1].label, known_labels(both, 499)
    ('fraud', 'legit', {})
    """
    known: dict[EventName, LabelIntake] = {}
    for label in labels:
        if cutoff_ms is not None and label.known_at_ms > cutoff_ms:
            continue
        judged = EventName(label.judged_event_id, label.account_id)
        earlier = known.get(judged)
        if earlier is None or label.known_at_ms >= earlier.known_at_ms:
            known[judged] = label
    return known
