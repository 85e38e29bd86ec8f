"""The records of the telemetry topic: what the watch folds, in one order, so that the same log gives the same alerts.

Beside summaries of the engine it holds what else the watch has to know: the time, what labels say, what people asked
for, and what was found elsewhere.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.skew import FeatureSkew
from models.summary import Summary

KindName = Annotated[str, Meta(pattern="^[a-z]+(-[a-z]+)*$", max_length=64, description="Kind of alert.")]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Subject = Annotated[str, Meta(max_length=200)]
Words = Annotated[str, Meta(min_length=1, max_length=200)]


class Tick(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="tick"):
    """What time it is: minutes of which no summary came are judged too.

    Attributes:
        time_ms: epoch milliseconds.
    """

    time_ms: int


class Snooze(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="snooze"):
    """Somebody knows of an alert and does not want to hear of it for a while.

    Attributes:
        kind: of alert.
        subject: which one of the kind; null: all, also those that are yet to come.
        until_ms: first moment at which it is told again, epoch milliseconds; one of the past ends a snooze.
        by: who wants it.
        reason: why, for the others to see.
    """

    kind: KindName
    subject: Subject | None
    until_ms: int
    by: Words
    reason: Words


class LabelSeen(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="label"):
    """What a label says of a verdict: an outcome, reduced to what can be counted.

    Attributes:
        event: digest of account and id of the judged event.
        time_ms: when the event happened, epoch milliseconds.
        known_at_ms: when the label was learnt.
        label: digest of the label record's id; with `known_at_ms` it decides which label is in force.
        is_fraud: what it says.
        decision: what was decided of the event.
    """

    event: Digest
    time_ms: int
    known_at_ms: int
    label: Digest
    is_fraud: bool
    decision: Literal["approve", "step_up", "review", "decline"]


class Compared(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="compared"):
    """Served features of all partitions were compared with those of the log.

    The newest comparison holds: what it does not name does not differ any more.

    Attributes:
        rows: compared.
        features: those that differ.
    """

    rows: Annotated[int, Meta(ge=1)]
    features: list[FeatureSkew]


TelemetryRecord = Summary | Tick | Snooze | LabelSeen | Compared
decode_telemetry = msgspec.json.Decoder(TelemetryRecord).decode
"""Reads a record; raises `msgspec.MsgspecError` if it is none."""
