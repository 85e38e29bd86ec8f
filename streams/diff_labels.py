"""Which attack an event turned out to be: the newest label on it, out of the log or out of a file."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from features.events import Label, LabelIntake
from features.identity import EventName
from models.labels import known_labels
from streams.history import History
from streams.intake import Trust, decode_batch
from streams.log_range import PartitionRange
from streams.training_rows import read_labels

Attacks = Mapping[EventName, str]
"""Judged event to fraud type, ``fraud`` where the label names none, or ``legit``."""
AttacksOf = Callable[[PartitionRange], Attacks]
"""What is known about the events of a range."""

UNLABELLED = "unlabelled"


def attacks_in_log(history: History, trusted: Trust) -> AttacksOf:
    """Labels of the log itself, from the start of a range to the end of the log: labels come weeks late."""

    def of(part: PartitionRange) -> Attacks:
        return _attacks(_labels(history, trusted, part))

    return of


def attacks_in_file(path: Path) -> AttacksOf:
    """Labels of a file, as the intake sends them.

    Raises:
        AssayError: it cannot be read, or a line is no label.
    """
    known = _attacks(read_labels(path))
    return lambda _: known


def _attacks(labels: Iterable[LabelIntake]) -> Attacks:
    known = known_labels(labels, cutoff_ms=None)
    return {event: "legit" if label.label == "legit" else label.fraud_type or "fraud" for event, label in known.items()}


def _labels(history: History, trusted: Trust, part: PartitionRange) -> Iterable[LabelIntake]:
    for records in history.read(part.partition, part.start, history.bounds(part.partition).high):
        for event in decode_batch(records, trusted).others.values():
            if isinstance(event, Label):
                yield LabelIntake(
                    judged_event_id=event.judged_event_id,
                    account_id=event.account_id,
                    label=event.label,
                    known_at_ms=event.known_at_ms,
                    source=event.source,
                    fraud_type=event.fraud_type,
                )
