"""The records that the engine writes: verdicts, outcomes, dead letters and alerts, with their bytes.

Field order is the order of the bytes. Nothing here knows a wall clock or a random number: the same record gives the
same bytes wherever and whenever it is written.
"""

import base64
import math
from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from features.card_number import redacted as redacted
from features.errors import InvalidRecord
from features.events import FraudType, LabelSource

_FLAGS: Final = ["cold_start", "late", "approximate", "degraded", "rules_only"]
Decision = Annotated[str, Meta(extra_json_schema={"enum": ["approve", "step_up", "review", "decline"]})]
Flag = Annotated[str, Meta(extra_json_schema={"enum": _FLAGS})]
OutcomeFlag = Annotated[str, Meta(extra_json_schema={"enum": [*_FLAGS, "not_in_history"]})]
Hash16 = Annotated[str, Meta(pattern="^[0-9a-f]{16}$", description="First 16 hexadecimal digits of a sha256.")]
KindName = Annotated[str, Meta(pattern="^[a-z]+(-[a-z]+)*$", description="Kind of alert, the record's key.")]
Score = Annotated[float, Meta(ge=0.0, le=1.0, description="0 to 1, rounded to 6 digits; higher is more suspicious.")]


class Coordinates(Struct, frozen=True, gc=False):
    """Where in the log a record was decided.

    Attributes:
        partition: partition of the events topic.
        offset: offset of the event, or of the label, in it.
        entities_offset: how far the entity profiles were visible at that place; -1 before there are any.
    """

    partition: int
    offset: int
    entities_offset: int = -1


class Reason(Struct, frozen=True, gc=False, kw_only=True):
    """One reason for a decision.

    Attributes:
        code: entry of the reason registry.
        feature: the feature that spoke; null for a rule that looks at none.
        value: what it was; null when it was not known.
        baseline: what is usual; null when it is not known.
        contribution: share in the score, in log-odds.
        text: one line for an analyst.
    """

    code: str
    feature: str | None
    value: float | None
    baseline: float | None
    contribution: float
    text: str


class Verdict(Struct, frozen=True, gc=False, kw_only=True):
    """What the engine says of one event.

    Attributes:
        event_id: the event; one event has one verdict.
        account_id: its account, the record's key.
        time_ms: its time.
        decision: what to do.
        score: the model's probability of fraud; null when none counted (`rules_only`), never a silent 0.
        anomaly: the detector's score; null while it is not yet warm.
        expected_loss_minor: score times amount, in minor units of the base currency; null without a score.
        reasons: most telling first; none for `approve` unless asked for.
        model: hash of the model that decided; under `rules_only` of the one in force.
        policy: hash of its policy.
        at: where it was decided.
        flags: what a reader should know about how it was reached.
        schema: version of this shape.
    """

    event_id: str
    account_id: str
    time_ms: int
    decision: Decision
    score: Score | None
    anomaly: Score | None
    expected_loss_minor: int | None
    reasons: list[Reason]
    model: Hash16
    policy: Hash16
    at: Coordinates
    flags: Sequence[Flag]
    schema: Literal[1] = 1


class Judged(Struct, frozen=True, gc=False, kw_only=True):
    """The verdict that a label speaks of, as the account's history remembers it.

    Attributes:
        time_ms: the event's time.
        offset: the event's offset in its partition.
        decision: what was done; null if it was not judged.
        score: the model's score; null if there was none.
        anomaly: the detector's score; null if it was not yet warm.
        amount_base_minor: the event's amount in minor units of the base currency, 0 if it has none.
    """

    time_ms: int
    offset: int
    decision: Decision | None
    score: Score | None
    anomaly: Score | None
    amount_base_minor: int


class Outcome(Struct, frozen=True, gc=False, kw_only=True):
    """A label joined with the verdict and the features that it judges.

    Attributes:
        event_id: the label record's own id.
        judged_event_id: the event that the label speaks of.
        account_id: its account, the record's key.
        label: what it turned out to be.
        fraud_type: which fraud, when known.
        known_at_ms: when it was learned.
        source: who said so.
        judged: the verdict; null when the event is no longer in the account's history.
        feature_set: hash of the feature set that `features` belongs to.
        features: by name, as they were served; null stands for "not known" (NaN).
        flags: what a reader should know about how it was reached.
        at: place of the label record.
        schema: version of this shape.
    """

    event_id: str
    judged_event_id: str
    account_id: str
    label: Literal["fraud", "legit"]
    fraud_type: FraudType | None
    known_at_ms: int
    source: LabelSource
    judged: Judged | None
    feature_set: Hash16
    features: dict[str, float | None]
    flags: Sequence[OutcomeFlag]
    at: Coordinates
    schema: Literal[1] = 1


class DeadLetter(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A record that was set aside, as one JSON object: for files, where there are no headers.

    At most one of `value`, `value_base64` and `redacted` is there; none for a record without a value.

    Attributes:
        topic: where the record was.
        partition: where the record was.
        offset: where the record was.
        code: error code.
        path: JSON path of the fault.
        expected: what the contract asks for.
        got: what came; never a value that may be personal.
        key: the record's key.
        value: the record, byte for byte, when it is UTF-8.
        value_base64: the record in base64, when it is not UTF-8.
        redacted: length and keyed hash in place of a record that holds a card number.
    """

    topic: str
    partition: int
    offset: int
    code: str
    path: str
    expected: str
    got: str
    key: str | None = None
    value: str | None = None
    value_base64: str | None = None
    redacted: str | None = None


class Alert(Struct, frozen=True, gc=False, kw_only=True):
    """Something that somebody should look at, or the word that it is over.

    It speaks of features, shares and counts, never of one event or account, so it holds no personal data.

    Attributes:
        alert: kind of alert, the record's key.
        subjects: what it is about, for example names of features, sorted; empty for a kind that has no more than one.
        status: `firing` when it begins or is told again, `resolved` once it was not seen any more.
        severity: `page` for somebody who is woken, `ticket` for working hours.
        text: one line for whoever is on call, about the worst of the subjects.
        value: what was measured of the worst; null when that is no number.
        expected: what it was compared with, in the same unit; null when that is no number.
        since_ms: when the first of the subjects began, epoch milliseconds.
        at_ms: the look that gave this record, epoch milliseconds.
        runbook: page of the repository that says what to do.
        schema: version of this shape.
    """

    alert: KindName
    subjects: list[str]
    status: Literal["firing", "resolved"]
    severity: Literal["page", "ticket"]
    text: str
    value: float | None
    expected: float | None
    since_ms: int
    at_ms: int
    runbook: str
    schema: Literal[1] = 1


DEAD_LETTER_HEADERS: Final = {
    "topic": "__connect.errors.topic",
    "partition": "__connect.errors.partition",
    "offset": "__connect.errors.offset",
    "class": "__connect.errors.exception.class.name",
    "message": "__connect.errors.exception.message",
    "code": "assay-error-code",
    "path": "assay-error-path",
    "expected": "assay-error-expected",
    "got": "assay-error-got",
}
"""Names of the headers of a dead letter; the first five are Kafka Connect's, so that its tools can read them."""

_encode = msgspec.json.Encoder().encode


def encode(record: Struct) -> bytes:
    """Compact JSON of `record` in UTF-8, fields in their declared order; NaN and infinities become null.

    >>> encode(Coordinates(3, 88121))
    b'{"partition":3,"offset":88121,"entities_offset":-1}'
    """
    return _encode(record)


def six_digits(number: float) -> float | None:
    """`number` as records carry it: rounded to 6 decimal digits, never -0.0; NaN and infinities become None.

    >>> six_digits(0.12345649), six_digits(-1e-9), six_digits(float("nan"))
    (0.123456, 0.0, None)
    """
    return round(number, 6) + 0.0 if math.isfinite(number) else None


def dead_letter_headers(error: InvalidRecord, topic: str, partition: int, offset: int) -> list[tuple[str, bytes]]:
    """The headers that a dead letter has beside the record's own: its address and the reason, in plain UTF-8."""
    texts = {
        "topic": topic,
        "partition": str(partition),
        "offset": str(offset),
        "class": "InvalidRecord",
        "message": f"{error.code} at {error.path}: expected {error.expected}, got {error.got}",
        "code": error.code,
        "path": error.path,
        "expected": error.expected,
        "got": error.got,
    }
    return [(header, texts[name].encode()) for name, header in DEAD_LETTER_HEADERS.items()]


def dead_letter_json(
    error: InvalidRecord,
    *,
    topic: str,
    partition: int,
    offset: int,
    value: bytes | None,
    redaction_key: bytes | None,
    key: bytes | None = None,
) -> bytes:
    """One line of a file of dead letters: a `DeadLetter` as JSON, without the line's end.

    `value` and `key` are the record's; `redaction_key` is the secret of the keyed hash of a redacted record.
    """
    form: dict[str, str] = {}
    if value is not None and error.has_card_number:
        form["redacted"] = redacted(value, redaction_key).decode()
    elif value is not None:
        try:
            form["value"] = value.decode()
        except UnicodeDecodeError:
            form["value_base64"] = base64.b64encode(value).decode()
    letter = DeadLetter(
        topic=topic,
        partition=partition,
        offset=offset,
        code=error.code,
        path=error.path,
        expected=error.expected,
        got=error.got,
        key=None if key is None else key.decode("utf-8", "backslashreplace"),
        **form,
    )
    return _encode(letter)
