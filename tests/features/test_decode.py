"""The door: whatever comes, an event or the reason why not; and never a card number in what is said about it."""

import json
import random
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from features.decode import MAX_AHEAD_MS, decode, decode_label, marked
from features.errors import InvalidRecord
from features.events import Application, Label, LabelIntake, Login, Marker, Payment, ProfileChange
from features.faults import ERROR_CODES
from features.records import dead_letter_headers, dead_letter_json
from tests.features import torture
from tests.features.examples import (
    APPLICATION,
    EVENTS,
    LABEL,
    LOGIN,
    MARKER,
    PAYMENT,
    PROFILE_CHANGE,
    TIME_MS,
    TIMESTAMP_MS,
    encoded,
    payment,
)

ROOT = Path(__file__).resolve().parents[2]
CARDS = (
    "4111111111111111",
    "5500005555555559",
    "378282246310005",
    "6011000990139424",
    "30569309025904",
    "4222222222222",
)


def refused(value: bytes | None, **record: object) -> InvalidRecord:
    """The reason why `value` is refused; fails if it is not."""
    answer = decode(value, **record)  # type: ignore[arg-type]
    assert isinstance(answer, InvalidRecord), f"{answer} was accepted"
    return answer


def assert_says_nothing_personal(error: InvalidRecord) -> None:
    said = f"{error.path} {error.got}"
    assert not re.search(r"[0-9][0-9 \t-]{5,}[0-9]", said), said
    assert "@" not in said
    assert len(said) < 150


@pytest.mark.parametrize("case", torture.CASES, ids=lambda case: case.name)
def test_every_case_of_the_corpus_becomes_what_it_has_to(case: torture.Case) -> None:
    answer = decode(case.value, timestamp_ms=253_402_300_799_999)
    if case.code is None:
        assert not isinstance(answer, InvalidRecord), answer
    else:
        assert isinstance(answer, InvalidRecord), answer
        assert (answer.code, answer.path) == (case.code, case.path)
        assert answer.expected
        assert_says_nothing_personal(answer)


def test_names_in_the_corpus_are_unique() -> None:
    names = [case.name for case in torture.CASES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("record", "kind"),
    list(zip(EVENTS, (Payment, Login, ProfileChange, Application, Label, Marker), strict=True)),
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_full_record_keeps_every_field(record: dict[str, object], kind: type) -> None:
    event = decode(encoded(record), key=b"a-1", timestamp_ms=TIMESTAMP_MS)
    assert type(event) is kind
    assert json.loads(msgspec.json.encode(event)) == record


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, InvalidRecord("null_value", "$", "one JSON object in UTF-8", "no value")),
        (b"x" * 70_000, InvalidRecord("too_large", "$", "at most 64 KiB", "69 KiB")),
        (
            b'{"a":\xff}',
            InvalidRecord("not_json", "$", "one JSON object in UTF-8", "byte 0xff at 5, which is not UTF-8"),
        ),
        (b'{"a":1,}', InvalidRecord("not_json", "$", "one JSON object in UTF-8", "something else at byte 7")),
        (b'{"a":1', InvalidRecord("not_json", "$", "one JSON object in UTF-8", "a text that ends too early")),
        (
            torture.nested(300),
            InvalidRecord("too_deep", "$", "at most 256 levels of arrays and objects", "more levels"),
        ),
        (b"[]", InvalidRecord("wrong_type", "$", "an object", "an array")),
        (b"1" * 5000, InvalidRecord("wrong_type", "$", "an object", "a number out of every range")),
        (
            b"{}",
            InvalidRecord(
                "missing_field",
                "$.type",
                "one of application, label, login, marker, payment, profile_change",
                "nothing",
            ),
        ),
        (
            payment(amount_minor=...),
            InvalidRecord("missing_field", "$.amount_minor", "an integer from 0 to 1000000000000000", "nothing"),
        ),
        (
            payment(amount_minor=-120),
            InvalidRecord("out_of_range", "$.amount_minor", "an integer from 0 to 1000000000000000", "-120"),
        ),
        (
            payment(amount_minor="12.50"),
            InvalidRecord(
                "wrong_type", "$.amount_minor", "an integer from 0 to 1000000000000000", "a string of 5 characters"
            ),
        ),
        (
            payment(method="cash"),
            InvalidRecord("out_of_range", "$.method", "one of bnpl, card, p2p, transfer", '"cash"'),
        ),
        (
            payment(currency="eur"),
            InvalidRecord("currency", "$.currency", "an ISO 4217 code with a minor unit", '"eur"'),
        ),
        (
            payment(mcc="12x4"),
            InvalidRecord("out_of_range", "$.mcc", "a string that matches ^[0-9]{4}$", "a string of 4 characters"),
        ),
        (
            payment(country="Germany"),
            InvalidRecord("out_of_range", "$.country", "a string that matches ^[A-Z]{2}$", "a string of 7 characters"),
        ),
        (payment(lat=91), InvalidRecord("out_of_range", "$.lat", "a number from -90 to 90", "91")),
        (
            payment(session={"keys": True}),
            InvalidRecord("wrong_type", "$.session.keys", "an integer from 0 to 1000000000", "true"),
        ),
        (
            payment(merchant_id="x" * 65),
            InvalidRecord(
                "out_of_range", "$.merchant_id", "a string of 1 to 64 characters", "a string of 65 characters"
            ),
        ),
        (
            payment(card_id="4111 1111 1111 1111"),
            InvalidRecord(
                "card_number", "$.card_id", "a token or a keyed hash", "something that looks like a card number", True
            ),
        ),
    ],
    ids=lambda value: value.code + value.path if isinstance(value, InvalidRecord) else "",
)
def test_a_refusal_says_what_was_expected_and_what_came(value: bytes | None, error: InvalidRecord) -> None:
    assert decode(value) == error


def test_the_record_must_have_its_account_as_key() -> None:
    assert isinstance(decode(payment(), key=b"a-1"), Payment)
    assert refused(payment(), key=b"a-2").code == "key_mismatch"
    assert refused(payment(), key=b"").code == "key_mismatch"
    composed, decomposed = "café".encode(), "cafe\u0301".encode()
    assert isinstance(decode(payment(account_id="café"), key=composed), Payment)
    assert refused(payment(account_id="café"), key=decomposed).code == "key_mismatch"
    assert isinstance(decode(encoded(MARKER), key=b"anything"), Marker)


@pytest.mark.parametrize("record", EVENTS, ids=lambda record: record["type"])
def test_an_event_may_be_5_minutes_ahead_of_its_record(record: dict[str, object]) -> None:
    early = TIME_MS - MAX_AHEAD_MS
    assert not isinstance(decode(encoded(record), timestamp_ms=early), InvalidRecord)
    error = refused(encoded(record), timestamp_ms=early - 1)
    assert (error.code, error.path, error.got) == ("time_ahead", "$.time_ms", "5 minutes ahead")
    assert not isinstance(decode(encoded(record)), InvalidRecord), "without a timestamp there is nothing to compare"


def test_faults_are_found_in_the_order_of_the_contract() -> None:
    value = payment(card_id=CARDS[0], currency="eur", time_ms=TIME_MS)
    codes = [refused(value + b"," + b" " * 70_000).code, refused(value + b",").code, refused(value, key=b"x").code]
    value = payment(card_id=CARDS[0])
    codes += [
        refused(value, key=b"x", timestamp_ms=0).code,
        refused(value, key=b"a-1", timestamp_ms=0).code,
        refused(value, key=b"a-1", timestamp_ms=TIMESTAMP_MS).code,
    ]
    assert codes == ["too_large", "not_json", "currency", "key_mismatch", "time_ahead", "card_number"]


def test_depth_is_limited_alike_however_deep_the_interpreter_is() -> None:
    def deep_in_the_stack(levels: int, value: bytes) -> object:
        return decode(value) if levels == 0 else deep_in_the_stack(levels - 1, value)

    for value in (torture.nested(256), torture.nested(257), torture.nested(700), b"[" * 700, payment(amount_minor="x")):
        assert deep_in_the_stack(500, value) == decode(value)


STRING_FIELDS = [
    (record, field)
    for record in (PAYMENT, LOGIN, PROFILE_CHANGE, APPLICATION)
    for field in ("card_id", "device_id", "email", "phone", "address", "name")
    if field in record
]


@pytest.mark.parametrize(("record", "field"), STRING_FIELDS, ids=lambda v: v if isinstance(v, str) else v["type"])
@pytest.mark.parametrize("card", CARDS)
def test_a_card_number_is_refused_and_leaves_no_trace(record: dict[str, object], field: str, card: str) -> None:
    value = encoded(record | {field: card})
    error = refused(value)
    assert (error.code, error.path, error.has_card_number) == ("card_number", f"$.{field}", True)
    assert_leaves_no_trace(error, value, card)


def assert_leaves_no_trace(error: InvalidRecord, value: bytes, card: str) -> None:
    assert card not in repr(error)
    line = dead_letter_json(error, topic="t", partition=0, offset=1, value=value, redaction_key=b"secret")
    headers = dead_letter_headers(error, "t", 0, 1)
    assert card.encode() not in line + b"".join(text for _, text in headers)
    assert "redacted" in json.loads(line)


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize(
    "text",
    [
        '{"type":"payment","card_id":"CARD"}',
        '{"type":"payment","pan":"CARD","account_id":"a"}',
        '{"type":"payment","card":{"number":CARD}}',
        '{"type":"payment","number": "CARD"',
        '{"card_number":"CA RD"',
        '{"CARD":1}',
        "p-1,CARD,12/27",
        '["CARD"]',
        '"CARD"',
        "CARD",
        '{"amount_minor":CARD,"type":"payment"}',
        '{"type":"payment","currency":"CARD"}',
        '{"type":"CARD"}',
        '{"note":"CARD 12/27 123","type":"login"}\0',
        '{"account_id":"a-1", CARD}',
    ],
)
def test_a_record_refused_for_something_else_is_redacted_too(text: str, card: str) -> None:
    spaced = f"{card[:4]} {card[4:8]}-{card[8:]}"
    unterminated = text.replace("CARD", card).replace("CA RD", spaced)
    for value in (unterminated.encode(), unterminated.replace(card[0], f"\\u003{card[0]}", 1).encode()):
        error = refused(value)
        assert error.has_card_number, error
        assert_leaves_no_trace(error, value, card)


def test_a_refused_record_without_a_card_number_is_kept_byte_for_byte() -> None:
    order = random.Random(5)
    for _ in range(300):
        numbers = {
            "event_id": "4111111111111111",
            "merchant_id": "5500005555555559",
            "beneficiary_id": "378282246310005",
            "trace": f"{order.getrandbits(128):032x}",
            "sent_ms": TIME_MS + order.randrange(10**10),
            "sent_us": (TIME_MS + order.randrange(10**10)) * 1000,
            "lat": order.uniform(-90, 90) / 3,
            "lon": order.uniform(-180, 180) / 7,
        }
        assert not refused(payment(currency="eur", **numbers)).has_card_number


def test_a_fault_that_is_found_later_is_marked_too() -> None:
    fault = InvalidRecord("conflict", "$.event_id", "the same content", "other content")
    assert marked(payment(), fault) is fault
    hidden = payment(pan=CARDS[0])
    assert isinstance(decode(hidden), Payment), "fields that the contract does not name are ignored"
    assert marked(hidden, fault).has_card_number


def test_codes_that_the_engine_adds_are_in_the_registry() -> None:
    sources = [path for package in ("features", "streams") for path in (ROOT / package).rglob("*.py")]
    used = {code for path in sources for code in re.findall(r'InvalidRecord\(\s*"(\w+)"', path.read_text())}
    assert {"card_number", "conflict", "too_large"} <= used
    assert used <= ERROR_CODES.keys()


def test_every_code_of_this_module_is_shown_by_a_case() -> None:
    shown = {case.code for case in torture.CASES if case.code} | {"key_mismatch", "time_ahead"}
    assert shown == ERROR_CODES.keys() - {"not_authorized", "conflict", "rate_missing", "marker", "poison"}


def test_labels_are_decoded_as_feeds_send_them() -> None:
    intake = {name: LABEL[name] for name in LABEL if name not in ("event_id", "type", "time_ms")}
    label = decode_label(encoded(intake), key=b"a-1", timestamp_ms=TIMESTAMP_MS)
    assert isinstance(label, LabelIntake)
    assert json.loads(msgspec.json.encode(label)) == intake
    assert decode_label(encoded(LABEL)) == label, "the log's own form is fine"

    def fault(value: bytes | None, **record: object) -> tuple[str, str]:
        answer = decode_label(value, **record)  # type: ignore[arg-type]
        assert isinstance(answer, InvalidRecord)
        return answer.code, answer.path

    assert fault(None) == ("null_value", "$")
    assert fault(b"[" * 600) == ("too_deep", "$")
    assert fault(encoded({**intake, "extra": [[]] * 200 + [json.loads("[" * 257 + "]" * 257)]})) == ("too_deep", "$")
    assert fault(encoded(intake | {"label": "maybe"})) == ("out_of_range", "$.label")
    assert fault(encoded(intake | {"source": ""})) == ("out_of_range", "$.source")
    assert fault(encoded({**intake, "known_at_ms": None})) == ("wrong_type", "$.known_at_ms")
    assert fault(encoded({k: v for k, v in intake.items() if k != "source"})) == ("missing_field", "$.source")
    assert fault(encoded(intake), key=b"a-2") == ("key_mismatch", "$.account_id")
    assert fault(encoded(intake), timestamp_ms=TIME_MS - MAX_AHEAD_MS - 1) == ("time_ahead", "$.known_at_ms")
    assert fault(encoded(intake) + b" " * 65_536) == ("too_large", "$")


patient = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80) | st.sampled_from(CARDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
field_names = st.sampled_from(sorted({name for record in EVENTS for name in record} | {"pan", "extra"}))


def assert_keeps_the_promises(value: bytes) -> None:
    answer = decode(value)
    assert decode(value) == answer
    if isinstance(answer, InvalidRecord):
        assert answer.code in ERROR_CODES
        assert answer.path.startswith("$")
        assert_says_nothing_personal(answer)
    else:
        assert decode(msgspec.json.encode(answer)) == answer
    label = decode_label(value)
    if isinstance(label, InvalidRecord):
        assert label.code in ERROR_CODES
        assert_says_nothing_personal(label)


@patient
@given(st.binary(max_size=300))
@example(b"\xff\xfe")
def test_any_bytes_are_answered(value: bytes) -> None:
    assert_keeps_the_promises(value)


@patient
@given(st.sampled_from(EVENTS), st.dictionaries(field_names, json_values, max_size=3), st.sets(field_names, max_size=2))
def test_any_change_of_fields_is_answered(record: dict, changes: dict, absent: set) -> None:
    changed = {name: value for name, value in (record | changes).items() if name not in absent}
    assert_keeps_the_promises(json.dumps(changed).encode())


@patient
@given(st.data())
def test_any_damage_to_bytes_is_answered(data: st.DataObject) -> None:
    value = bytearray(encoded(data.draw(st.sampled_from(EVENTS))))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(value)))
        length = data.draw(st.integers(0, 8))
        value[start : start + length] = data.draw(
            st.binary(max_size=8) | st.sampled_from([b'"', b"\\", b"[", b"4" * 16])
        )
    assert_keeps_the_promises(bytes(value))
