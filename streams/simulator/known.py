"""What becomes known and what is true, as records: labels in the contract's shape, and the truth behind each event."""

from collections.abc import Iterator
from typing import Any

from streams.simulator import labels, rows
from streams.simulator.identifiers import account_id, event_id
from streams.simulator.records import CHUNK, Record
from streams.simulator.timeline import Timeline


def label_records(timeline: Timeline) -> Iterator[Record]:
    """Every label as a record of the log, in the order in which they become known."""
    judged = timeline.labels
    accounts = timeline.events["account"][judged["row"]].tolist()
    for number, (label, account) in enumerate(zip(judged.tolist(), accounts, strict=True)):
        known_at_ms, row, name, fraud_type, source = label
        record: dict[str, Any] = {
            "event_id": f"l{number:010d}",
            "type": "label",
            "account_id": account_id(account),
            "time_ms": known_at_ms,
            "judged_event_id": event_id(row),
            "label": labels.NAMES[name],
        }
        if fraud_type >= 0:
            record["fraud_type"] = rows.FRAUD_TYPES[fraud_type]
        record["known_at_ms"] = known_at_ms
        record["source"] = labels.SOURCES[source]
        yield record


def truth_records(timeline: Timeline) -> Iterator[Record]:
    """What each event really is, each event once, in order of first arrival.

    `attack` says what the event is part of; `fraud_type` is not null if the event itself is fraud, whether or not it
    is ever reported.
    """
    numbers = timeline.arrival.row[~timeline.arrival.repeats]
    for start in range(0, len(numbers), CHUNK):
        chunk = numbers[start : start + CHUNK]
        table = timeline.events[chunk]
        columns = [table[name].tolist() for name in ("account", "attack", "attack_number", "fraud_type")]
        for number, account, attack, instance, fraud_type in zip(chunk.tolist(), *columns, strict=True):
            name = rows.ATTACK_NAMES[attack]
            yield {
                "event_id": event_id(number),
                "account_id": account_id(account),
                "attack": name,
                "attack_id": None if attack == rows.NONE else f"{name}-{instance:05d}",
                "fraud_type": None if fraud_type < 0 else rows.FRAUD_TYPES[fraud_type],
            }
