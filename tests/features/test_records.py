"""What the engine writes: the bytes of verdicts and outcomes, and dead letters."""

import base64
import json

import msgspec
import pytest

from features.errors import InvalidRecord
from features.records import (
    DEAD_LETTER_HEADERS,
    Coordinates,
    DeadLetter,
    Outcome,
    Verdict,
    dead_letter_headers,
    dead_letter_json,
    encode,
    redacted,
    six_digits,
)
from tests.streams.test_schema import OUTCOME, VERDICT

ERROR = InvalidRecord("out_of_range", "$.amount_minor", "an integer from 0 to 1000000000000000", "-120")


def test_a_verdict_has_the_bytes_of_the_contract() -> None:
    assert encode(VERDICT) == (
        b'{"event_id":"p-1","account_id":"a-1","time_ms":1,"decision":"review","score":0.25,"anomaly":null,'
        b'"expected_loss_minor":12,"reasons":[{"code":"VEL01","feature":"account_payment_count_10m","value":7.0,'
        b'"baseline":null,"contribution":1.23,"text":"7 payments in 10 minutes"}],"model":"0123456789abcdef",'
        b'"policy":"fedcba9876543210","at":{"partition":3,"offset":88121,"entities_offset":5120},'
        b'"flags":["late","degraded"],"schema":1}'
    )


def test_an_outcome_has_the_bytes_of_the_contract() -> None:
    assert encode(OUTCOME) == (
        b'{"event_id":"label-1","judged_event_id":"p-1","account_id":"a-1","label":"legit","fraud_type":null,'
        b'"known_at_ms":9,"source":"reversal","judged":{"time_ms":1,"offset":2,"decision":null,"score":0.5,'
        b'"anomaly":null,"amount_base_minor":99},"feature_set":"0123456789abcdef",'
        b'"features":{"account_payment_count_1h":3.0,"account_amount_z_30d":null},"flags":["approximate"],'
        b'"at":{"partition":3,"offset":4,"entities_offset":-1},"schema":1}'
    )


@pytest.mark.parametrize(("record", "kind"), [(VERDICT, Verdict), (OUTCOME, Outcome)])
def test_written_records_can_be_read_again(record: msgspec.Struct, kind: type) -> None:
    data = encode(record)
    assert encode(msgspec.json.decode(data, type=kind)) == data


def test_coordinates_say_when_no_entity_profile_was_read() -> None:
    assert Coordinates(1, 2).entities_offset == -1


@pytest.mark.parametrize(
    ("number", "written"),
    [(0.12345678, 0.123457), (1.0, 1.0), (-0.0, 0.0), (-4e-7, 0.0), (float("nan"), None), (float("inf"), None)],
)
def test_numbers_are_rounded_to_six_digits(number: float, written: float | None) -> None:
    assert repr(six_digits(number)) == repr(written)


def test_dead_letter_headers_have_kafka_connects_names_and_plain_text() -> None:
    assert dead_letter_headers(ERROR, "fraud.events", 3, 88121) == [
        ("__connect.errors.topic", b"fraud.events"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"88121"),
        ("__connect.errors.exception.class.name", b"InvalidRecord"),
        (
            "__connect.errors.exception.message",
            b"out_of_range at $.amount_minor: expected an integer from 0 to 1000000000000000, got -120",
        ),
        ("assay-error-code", b"out_of_range"),
        ("assay-error-path", b"$.amount_minor"),
        ("assay-error-expected", b"an integer from 0 to 1000000000000000"),
        ("assay-error-got", b"-120"),
    ]
    assert len(DEAD_LETTER_HEADERS) == 9


def letter(value: bytes | None, error: InvalidRecord = ERROR, **more: bytes | None) -> dict[str, object]:
    line = dead_letter_json(
        error, topic="fraud.events", partition=0, offset=7, value=value, **({"redaction_key": None} | more)
    )
    assert b"\n" not in line
    assert msgspec.json.decode(line, type=DeadLetter).offset == 7
    answer: dict[str, object] = json.loads(line)
    return answer


def test_a_dead_letter_keeps_the_record_byte_for_byte() -> None:
    assert letter(b'{"amount_minor":-120}', key=b"a-1") == {
        "topic": "fraud.events",
        "partition": 0,
        "offset": 7,
        "code": "out_of_range",
        "path": "$.amount_minor",
        "expected": "an integer from 0 to 1000000000000000",
        "got": "-120",
        "key": "a-1",
        "value": '{"amount_minor":-120}',
    }
    for value in (b"", b'{"a":"\\u0000\n\t"}', "né\u2028".encode(), b"\0\x7f"):
        assert str(letter(value)["value"]).encode() == value
    for value in (b"\xff\xfe", b"\0\xc3\x28"):
        assert base64.b64decode(str(letter(value)["value_base64"])) == value
        assert "value" not in letter(value)


def test_a_dead_letter_of_a_tombstone_has_no_value() -> None:
    assert not {"value", "value_base64", "redacted", "key"} & letter(None).keys()


def test_a_dead_letter_with_a_card_number_is_redacted() -> None:
    error = InvalidRecord("card_number", "$.card_id", "a token", "a look-alike", has_card_number=True)
    value = b'{"card_id":"4111111111111111"}'
    stored = letter(value, error, redaction_key=b"secret")
    assert stored["redacted"] == redacted(value, b"secret").decode()
    assert not {"value", "value_base64"} & stored.keys()
    assert letter(value, error)["redacted"] == "[redacted 30 bytes]"
    assert "redacted" not in letter(None, error)


def test_a_key_that_is_not_utf8_is_shown_escaped() -> None:
    assert letter(b"{}", key=b"a\xff")["key"] == "a\\xff"
