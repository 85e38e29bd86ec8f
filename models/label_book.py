"""What is known of the truth so far: for each labelled event the label in force, and when the first one came.

A book may be told the same label any number of times, and labels in any order: it comes out the same.
"""

from typing import NamedTuple

DAY_MS = 86_400_000


class JudgedLabel(NamedTuple):
    """A label beside the verdict that it judges.

    Attributes:
        event: which event; the same text for the same event, and for no other.
        time_ms: when the event happened, epoch milliseconds.
        known_at_ms: when this label was learnt.
        label_id: the label record's own id; decides between labels of one millisecond.
        is_fraud: what it says.
        outcome: what was decided, index into `models.decision.OUTCOMES`.
    """

    event: str
    time_ms: int
    known_at_ms: int
    label_id: str
    is_fraud: bool
    outcome: int


class Entry(NamedTuple):
    """What is known of one event.

    Attributes:
        newest: the label in force: of the latest `known_at_ms`, then of the largest id.
        first_fraud_ms: when a label first said fraud; None if none ever did.
    """

    newest: JudgedLabel
    first_fraud_ms: int | None


class LabelBook:
    """Labels of the events of the last months.

    >>> fraud = JudgedLabel("p1 of a1", 0, 500, "l1", True, 0)
    >>> book = LabelBook()
    >>> book.add(fraud), book.add(fraud), book.add(fraud._replace(known_at_ms=900, label_id="l2", is_fraud=False))
    (True, False, True)
    >>> [(entry.newest.is_fraud, entry.first_fraud_ms) for entry in book.entries()]
    [(False, 500)]
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def add(self, label: JudgedLabel) -> bool:
        """Take a label; False if it changes nothing."""
        before = self._entries.get(label.event)
        newest, first = label, label.known_at_ms if label.is_fraud else None
        if before is not None:
            newest = max(before.newest, label, key=lambda one: (one.known_at_ms, one.label_id))
            known = [at for at in (before.first_fraud_ms, first) if at is not None]
            first = min(known) if known else None
        after = Entry(newest, first)
        self._entries[label.event] = after
        return after != before

    def entry(self, event: str) -> Entry:
        """What is known of one event; a `KeyError` if nothing is."""
        return self._entries[event]

    def put(self, entry: Entry) -> None:
        """Take an entry as another book had it."""
        self._entries[entry.newest.event] = entry

    def entries(self) -> list[Entry]:
        """All entries, by time of the event, then by its name."""
        return sorted(self._entries.values(), key=lambda entry: (entry.newest.time_ms, entry.newest.event))

    def forget(self, before_ms: int) -> list[str]:
        """Drop events that happened before `before_ms`; which they were.

        Keep two horizons and a few days, see `models.arrivals`.
        """
        gone = [event for event, entry in self._entries.items() if entry.newest.time_ms < before_ms]
        for event in gone:
            del self._entries[event]
        return gone
