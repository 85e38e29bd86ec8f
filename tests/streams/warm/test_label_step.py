"""What becomes of one record of the labels topic."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.decode import decode
from features.events import Label
from streams.intake import decode_record
from streams.log import LogRecord
from streams.signature import SIGNATURE_HEADER, nobody, signed_by
from streams.warm.label_step import LabelStep, PutIn, Refused, Repeated, label_step, label_topics
from tests.streams.logs import TRACE

TOPICS = label_topics("t.")
KEY = b"internal"
AT_MS = 1_700_000_000_000
SOUND = {
    "judged_event_id": "p1",
    "account_id": "a1",
    "label": "fraud",
    "fraud_type": "card_not_present",
    "known_at_ms": AT_MS,
    "source": "chargeback",
}


def record(value: object, key: bytes | None = b"a1", **headers: bytes) -> LogRecord:
    raw = value if isinstance(value, bytes) or value is None else orjson.dumps(value)
    return LogRecord(7, raw, key, AT_MS, list(headers.items()))


def step(one: LogRecord, known: frozenset[bytes] = frozenset(), internal_key: bytes | None = KEY) -> LabelStep:
    return label_step(one, 3, TOPICS, known, internal_key=internal_key, redaction_key=None)


def test_a_label_takes_its_place_in_the_partition_of_its_number() -> None:
    taken = step(record(SOUND))
    assert isinstance(taken, PutIn)
    assert (taken.message.topic, taken.message.partition, taken.message.key) == ("t.events", 3, b"a1")
    label = decode(taken.message.value, key=b"a1", timestamp_ms=AT_MS)
    assert isinstance(label, Label)
    assert (label.judged_event_id, label.label, label.time_ms, label.source) == ("p1", "fraud", AT_MS, "chargeback")


def test_the_engine_trusts_what_is_put_in_and_only_with_the_key_of_the_engine() -> None:
    taken = step(record(SOUND))
    assert isinstance(taken, PutIn)
    put_in = LogRecord(0, taken.message.value, taken.message.key, AT_MS, taken.message.headers or ())
    assert isinstance(decode_record(put_in, signed_by(KEY)), Label)
    for other in (signed_by(b"another"), nobody):
        assert not isinstance(decode_record(put_in, other), Label)


def test_without_a_key_nothing_is_signed() -> None:
    taken = step(record(SOUND), internal_key=None)
    assert isinstance(taken, PutIn)
    assert taken.message.headers is None


def test_the_trace_goes_along_and_nothing_else_does() -> None:
    taken = step(record(SOUND, traceparent=TRACE[1], secret=b"x"))
    assert isinstance(taken, PutIn)
    assert dict(taken.message.headers or ()).keys() == {"traceparent", SIGNATURE_HEADER}


def test_the_same_version_is_put_in_once_and_another_version_again() -> None:
    first = step(record(SOUND))
    assert isinstance(first, PutIn)
    known = frozenset({first.id})
    assert step(record({**SOUND, "label": "fraud"}), known) == Repeated(first.id)
    for change in ({"label": "legit"}, {"known_at_ms": AT_MS + 1}, {"source": "analyst"}, {"judged_event_id": "p2"}):
        assert isinstance(step(record({**SOUND, **change}), known), PutIn), change


@pytest.mark.parametrize(
    ("value", "key", "code", "path"),
    [
        (None, b"a1", "null_value", "$"),
        (b"{", b"a1", "not_json", "$"),
        ({**SOUND, "label": "maybe"}, b"a1", "out_of_range", "$.label"),
        ({**SOUND, "source": "rumour"}, b"a1", "out_of_range", "$.source"),
        ({**SOUND, "known_at_ms": "today"}, b"a1", "wrong_type", "$.known_at_ms"),
        ({**SOUND, "known_at_ms": AT_MS + 600_000}, b"a1", "time_ahead", "$.known_at_ms"),
        ({name: SOUND[name] for name in SOUND if name != "account_id"}, b"a1", "missing_field", "$.account_id"),
        (SOUND, b"a2", "key_mismatch", "$.account_id"),
        (b" " * 70_000, b"a1", "too_large", "$"),
    ],
)
def test_what_breaks_the_contract_is_set_aside_with_address_and_reason(
    value: object, key: bytes, code: str, path: str
) -> None:
    one = record(value, key, mine=b"1")
    refused = step(one)
    assert isinstance(refused, Refused)
    assert (refused.error.code, refused.error.path) == (code, path)
    message = refused.message
    assert (message.topic, message.partition, message.key, message.value) == ("t.labels.dlq", 3, key, one.value)
    headers = dict(message.headers or ())
    assert headers["mine"] == b"1"
    assert headers["__connect.errors.topic"] == b"t.labels"
    assert headers["__connect.errors.partition"] == b"3"
    assert headers["__connect.errors.offset"] == b"7"
    assert headers["assay-error-code"] == code.encode()


def test_a_card_number_is_not_kept() -> None:
    refused = step(record({**SOUND, "label": "4111 1111 1111 1111"}))
    assert isinstance(refused, Refused)
    assert b"4111" not in (refused.message.value or b"")
    assert not any(b"4111" in (value or b"") for _, value in refused.message.headers or ())


@given(st.binary(max_size=200))
def test_any_bytes_are_put_in_or_set_aside(value: bytes) -> None:
    assert isinstance(step(record(value, None)), PutIn | Refused)
