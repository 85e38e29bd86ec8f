"""What the engine publishes, as types: verdicts, outcomes and dead letters."""

from typing import Literal

import msgspec
from msgspec import Struct

from features.card_number import redact
from features.errors import InvalidRecord


class Reason(Struct, frozen=True, gc=False):
    code: str
    feature: str
    value: float | None
    baseline: float | None
    contribution: float
    text: str


class Coordinates(Struct, frozen=True, gc=False):
    partition: int
    offset: int
    entities_offset: int = -1


class Verdict(Struct, frozen=True, gc=False):
    event_id: str
    account_id: str
    time_ms: int
    decision: str
    score: float
    anomaly: float | None
    expected_loss_minor: int
    reasons: list[Reason]
    model: str
    policy: str
    at: Coordinates
    flags: list[str]
    schema: Literal[1] = 1


class Judged(Struct, frozen=True):
    time_ms: int
    offset: int
    decision: str | None
    score: float | None
    anomaly: float | None
    amount_base_minor: int


class Outcome(Struct, frozen=True):
    event_id: str
    judged_event_id: str
    account_id: str
    label: str
    fraud_type: str | None
    known_at_ms: int
    source: str
    judged: Judged | None
    feature_set: str
    features: dict[str, float | None]
    flags: list[str]
    at: Coordinates
    schema: Literal[1] = 1


def dead_letter_headers(error: InvalidRecord, topic: str, partition: int, offset: int) -> list[tuple[str, bytes]]:
    return [("__connect.errors.topic", topic.encode()), ("__connect.errors.partition", str(partition).encode()),
            ("__connect.errors.offset", str(offset).encode()), ("assay-error-code", error.code.encode())]


def redacted(value: bytes, key: bytes | None) -> bytes:
    return redact(value, key)


def dead_letter_json(error, *, topic, partition, offset, value, redaction_key):
    return msgspec.json.encode({"topic": topic, "partition": partition, "offset": offset, "code": error.code, "path": error.path, "expected": error.expected, "got": error.got, "value": (value or b"").decode("utf-8", "replace")})
