"""What a demo shows: verdicts with their reasons, and how many of each attack were caught."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import orjson

from features.records import Verdict
from models.decision import OUTCOMES

SHOWN_PER_DECISION = 3


class _Truth(msgspec.Struct):
    event_id: str
    attack: str
    attack_id: str | None = None
    fraud_type: str | None = None


@dataclass(slots=True)
class AttackRow:
    """One kind of attack in the judged part of the log.

    Attributes:
        payments: fraudulent payments.
        caught: of them, not approved.
        by_decision: verdicts by decision.
        instances: attacks of this kind, by id.
        stopped: attacks of which at least one payment was caught.
    """

    payments: int = 0
    caught: int = 0
    by_decision: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    instances: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)


@dataclass(slots=True)
class DemoReport:
    """The tables of a demo.

    Attributes:
        attacks: by name of the attack.
        legitimate: judged events that are no fraud, by name of the crowd they belong to ("none" or "sale").
        stopped_legitimate: of them, not approved.
        examples: some verdicts per decision, those of fraud first.
    """

    attacks: dict[str, AttackRow] = field(default_factory=lambda: defaultdict(AttackRow))
    legitimate: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    stopped_legitimate: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    examples: list[tuple[Verdict, str]] = field(default_factory=list)


def report(verdicts: Iterable[bytes], truth: Path) -> DemoReport:
    """Compare verdicts with what the events really were."""
    known = _read_truth(truth)
    result = DemoReport()
    examples: dict[str, list[tuple[Verdict, str]]] = {name: [] for name in OUTCOMES}
    decode = msgspec.json.Decoder(Verdict).decode
    for value in verdicts:
        verdict = decode(value)
        event = known[verdict.event_id]
        if event.fraud_type is not None:
            row = result.attacks[event.attack]
            row.payments += 1
            row.by_decision[verdict.decision] += 1
            row.instances.add(event.attack_id or event.event_id)
            if verdict.decision != "approve":
                row.caught += 1
                row.stopped.add(event.attack_id or event.event_id)
            if len(examples[verdict.decision]) < SHOWN_PER_DECISION:
                examples[verdict.decision].append((verdict, event.attack))
        else:
            crowd = "sale" if event.attack == "sale" else "none"
            result.legitimate[crowd] += 1
            result.stopped_legitimate[crowd] += verdict.decision != "approve"
    result.examples = [example for name in reversed(OUTCOMES) for example in examples[name]]
    return result


def lines_of(*paths: Path) -> Iterator[bytes]:
    """Lines of several files, one after another."""
    for path in paths:
        with path.open("rb") as file:
            yield from file


def to_json(result: DemoReport) -> dict[str, Any]:
    """The report for machines."""
    return {
        "attacks": {
            name: {
                "payments": row.payments,
                "caught": row.caught,
                "attacks": len(row.instances),
                "attacks_stopped": len(row.stopped),
                **row.by_decision,
            }
            for name, row in sorted(result.attacks.items())
        },
        "legitimate": dict(result.legitimate),
        "stopped_legitimate": dict(result.stopped_legitimate),
        "examples": [orjson.loads(msgspec.json.encode(verdict)) for verdict, _ in result.examples],
    }


def _read_truth(path: Path) -> dict[str, _Truth]:
    decode = msgspec.json.Decoder(_Truth).decode
    with path.open("rb") as file:
        return {event.event_id: event for event in map(decode, file)}
