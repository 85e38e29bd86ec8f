"""What becomes of one record of the outcomes topic: what it says of a verdict, for the telemetry log. Pure."""

from hashlib import blake2b

import msgspec

from features.records import Outcome
from models.telemetry_log import LabelSeen
from streams.publisher import Message

_decode = msgspec.json.Decoder(Outcome).decode
_encode = msgspec.json.Encoder().encode


def outcome_step(value: bytes, telemetry: str) -> Message | None:
    """The record to put into the telemetry log; None where the label is of no verdict: nothing is measured by it.

    Identifiers become digests, because the telemetry log and the states of the watch hold nothing of one account.

    Args:
        value: of the outcome.
        telemetry: full name of the topic.

    Raises:
        msgspec.MsgspecError: it is no outcome.
    """
    outcome: Outcome = _decode(value)
    judged = outcome.judged
    if judged is None or judged.decision is None:
        return None
    seen = LabelSeen(
        event=_digest(outcome.account_id, outcome.judged_event_id),
        time_ms=judged.time_ms,
        known_at_ms=outcome.known_at_ms,
        label=_digest(outcome.account_id, outcome.event_id),
        is_fraud=outcome.label == "fraud",
        decision=judged.decision,  # type: ignore[arg-type]  # the engine writes no other
    )
    return Message(telemetry, 0, b"label", _encode(seen), None)


def _digest(account_id: str, event_id: str) -> str:
    """Equal for equal pairs only: the length keeps the two apart."""
    account = account_id.encode()
    return blake2b(b"%d:%s%s" % (len(account), account, event_id.encode()), digest_size=16).hexdigest()
