"""What people may do: label an event, snooze an alert, send dead letters back, replay a range; told to the audit trail
first."""

from typing import Final, get_args

from features.errors import AssayError, InvalidRecord
from features.events import FraudType, Label, LabelIntake, Marker
from features.records import encode
from models.telemetry_log import Snooze
from streams.alert_desk import message_of
from streams.console.audit import AUDIT_HEADER, Asked, Details
from streams.console.console import Console
from streams.console.desk import Explained
from streams.console.jobs import Job, Report
from streams.console.letters import Source, send_back
from streams.console.replay_run import Replayed, ReplayOrder, run_replay
from streams.dead_letters import Wanted
from streams.publisher import Message
from streams.redrive import Choice

FRAUD_TYPES: Final[tuple[str, ...]] = get_args(FraudType)
"""What an analyst may say of a fraud."""


def label_of(found: Explained, label: str, fraud_type: str, known_at_ms: int) -> LabelIntake:
    """The label that an analyst gives a judged event, in the shape of the contract.

    Raises:
        AssayError: the record was not judged, or the label is none.
    """
    event = found.seen.event
    if isinstance(event, InvalidRecord | Label | Marker) or found.told.verdict is None:
        raise AssayError("only an event with a verdict can be labelled")
    if label not in ("fraud", "legit"):
        raise AssayError("label: expected fraud or legit")
    if fraud_type and (label == "legit" or fraud_type not in FRAUD_TYPES):
        raise AssayError(f"type of fraud: expected one of {', '.join(FRAUD_TYPES)} with the label fraud, or none")
    return LabelIntake(
        judged_event_id=event.event_id,
        account_id=event.account_id,
        label=label,  # type: ignore[arg-type]
        fraud_type=fraud_type or None,  # type: ignore[arg-type]
        known_at_ms=known_at_ms,
        source="analyst",
    )


def give_label(console: Console, asked: Asked, partition: int, intake: LabelIntake) -> bytes:
    """Write a label into the partition of its event; returns its bytes.

    Raises:
        AssayError: the brokers did not take it, or not the audit record before it.
    """
    value = encode(intake)
    headers: list[tuple[str, bytes | None]] = [(AUDIT_HEADER, asked.id.encode())]
    message = Message(f"{console.prefix}labels", partition, intake.account_id.encode(), value, headers)
    asked.then(lambda: console.sender.send(message))
    return value


def give_snooze(console: Console, asked: Asked, snooze: Snooze) -> None:
    """Put a snooze into the telemetry log, where the warm path takes it up.

    Raises:
        AssayError: the brokers did not take it, or not the audit record before it.
    """
    headers: list[tuple[str, bytes | None]] = [(AUDIT_HEADER, asked.id.encode())]
    message = message_of(f"{console.prefix}telemetry", snooze)._replace(headers=headers)
    asked.then(lambda: console.sender.send(message))


def start_redrive(console: Console, asked: Asked, source: Source, wanted: Wanted, by: str) -> Job:
    """Send dead letters back, in a lane of its own.

    Raises:
        AssayError: one is under way.
    """
    known = console.jobs.get("redrive")
    if known is not None and not known.is_over:
        raise AssayError(f"{known.by} sends dead letters back at this moment: wait for its end")
    desk = console.desks["redrive"]

    def told(choice: Choice) -> Details:
        return {"sent": len(choice.letters), **{f"left: {why}": count for why, count in choice.left.items()}}

    def work(report: Report) -> Choice:
        return asked.then(lambda: send_back(desk, source, wanted, report), told)

    return console.jobs.start("redrive", "redrive", "sending dead letters back", work, fresh_s=0.0, by=by)


def start_replay(console: Console, asked: Asked, what: ReplayOrder, by: str, now_ms: int) -> Job:
    """Replay a range, in a lane of its own.

    Raises:
        AssayError: one is under way.
    """
    known = console.jobs.get("replay")
    if known is not None and not known.is_over:
        raise AssayError(f"{known.by} replays a range at this moment: wait for its end, or cancel it")
    desk, most = console.desks["replay"], console.config.whole("console.replay_records")

    def told(replayed: Replayed) -> Details:
        diff = replayed.summary.diff
        return {"verdicts": replayed.summary.verdicts, "changed": 0 if diff is None else diff.changed}

    def work(report: Report) -> Replayed:
        return asked.then(lambda: run_replay(desk, what, most, now_ms, report), told)

    return console.jobs.start("replay", "replay", "replaying", work, fresh_s=0.0, by=by)
