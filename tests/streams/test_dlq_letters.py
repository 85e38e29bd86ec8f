"""A dead letter as its topic holds it: read back from its headers, found by what is asked for, shown without values."""

import dataclasses
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InvalidRecord
from features.records import dead_letter_headers, redacted
from streams.dead_letter_view import masked_value, printable, shown_headers, shown_key
from streams.dead_letters import Address, Letter, Redriven, Wanted, is_redacted, item_of, redrives_of
from streams.log import LogRecord
from tests.streams.logs import START_MS, payment

CARD = "4111111111111111"


def letter(value: bytes | None = b"{}", *more: tuple[str, bytes | None], **changes: Any) -> Letter:
    """A letter as the engine writes it, read back."""
    error = InvalidRecord("currency", "$.currency", "an ISO 4217 code", '"EURO"')
    headers = [*more, *dead_letter_headers(error, "fraud.events", 3, 88_121)]
    item = item_of(1, LogRecord(17, value, b"a1", START_MS, headers))
    assert isinstance(item, Letter)
    return dataclasses.replace(item, **changes)


def test_what_the_engine_writes_is_read_back() -> None:
    found = letter(b"value", ("assay-redrive-count", b"2"))
    assert found.source == Address("fraud.events", 3, 88_121)
    assert str(found.source) == "fraud.events[3]@88121"
    assert (found.code, found.path, found.expected, found.got) == (
        "currency", "$.currency", "an ISO 4217 code", '"EURO"',
    )  # fmt: skip
    assert (found.place, found.redrives, found.record.value) == ("1:17", 2, b"value")


@pytest.mark.parametrize("name", ["__connect.errors.partition", "__connect.errors.offset"])
@pytest.mark.parametrize("wrong", [None, b"", b"-1", b"1_0", b"\xff", b"9" * 30])
def test_a_record_without_an_address_is_no_letter(name: str, wrong: bytes | None) -> None:
    headers = [(key, wrong if key == name else value) for key, value in letter().record.headers]
    assert item_of(0, LogRecord(0, b"{}", None, START_MS, headers)) is None


@given(st.binary(), st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3))
def test_rubbish_is_neither_letter_nor_mark(value: bytes, headers: list[tuple[str, bytes | None]]) -> None:
    assert item_of(0, LogRecord(0, value, None, None, headers)) is None


def test_a_producer_cannot_forge_a_mark() -> None:
    """A refused record that looks like a mark is a letter: it carries the address that the engine gave it."""
    mark = msgspec.json.encode(Redriven("fraud.events", 3, [88_121]))
    assert isinstance(item_of(0, LogRecord(5, mark)), Redriven)
    assert isinstance(item_of(0, LogRecord(5, mark, None, START_MS, letter().record.headers)), Letter)


@pytest.mark.parametrize("header", [b"", b"-3", b"+3", b"three", b"1e3", b"3 ", b"12345678", "٣".encode()])
def test_a_count_that_is_none_is_zero(header: bytes) -> None:
    assert redrives_of(header) == 0


@given(st.binary(), st.none() | st.binary(min_size=1))
def test_what_redaction_leaves_is_known_as_such(raw: bytes, key: bytes | None) -> None:
    assert is_redacted(redacted(raw, key))


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[redacted x bytes]", b"[redacted 5 bytes] ", b'["redacted"]'])
def test_other_values_are_not_redacted(value: bytes | None) -> None:
    assert not is_redacted(value)


@pytest.mark.parametrize(
    ("matching", "other"),
    [
        ({"codes": frozenset({"currency", "conflict"})}, {"codes": frozenset({"conflict"})}),
        ({"account": b"a1"}, {"account": b"a"}),
        ({"from_ms": START_MS}, {"from_ms": START_MS + 1}),
        ({"to_ms": START_MS + 1}, {"to_ms": START_MS}),
        ({"source_partition": 3}, {"source_partition": 1}),
        ({"first_offset": 88_121}, {"first_offset": 88_122}),
        ({"last_offset": 88_121}, {"last_offset": 88_120}),
    ],
)
def test_each_filter_lets_pass_what_it_names_and_nothing_else(matching: dict[str, Any], other: dict[str, Any]) -> None:
    assert Wanted().matches(letter())
    assert Wanted(**matching).matches(letter())
    assert not Wanted(**other).matches(letter())
    assert not Wanted(**{**matching, "account": b"nobody"}).matches(letter())


def test_a_masked_record_shows_structure_and_harmless_words() -> None:
    value = payment(
        1, "acc-1", START_MS, currency="EURO", ip="10.1.2.3", lat=52.5, session={"keys": 7, "note": ["x"]}, extra=None
    )
    assert dict(masked_value(letter(value))) == {
        "$": f"{len(value)} bytes, an object of 11 members",
        "$.event_id": "a string of 2 characters",
        "$.type": '"payment"',
        "$.account_id": "a string of 5 characters",
        "$.time_ms": f"{START_MS} (2025-06-15T15:06:40.000Z)",
        "$.amount_minor": "1200",
        "$.currency": '"EURO"',
        "$.method": '"card"',
        "$.ip": "a string of 8 characters",
        "$.lat": "a number",
        "$.session": "an object of 2 members",
        "$.session.keys": "an integer",
        "$.session.note": "an array of 1",
        "$.extra": "null",
    }


@given(st.sampled_from(["type", "currency", "time_ms", "amount_minor", "ip", "name", "anything"]), st.booleans())
def test_a_card_number_is_not_shown_in_any_field(name: str, as_number: bool) -> None:
    value = orjson.dumps({name: int(CARD) if as_number else CARD, CARD: {CARD: 1}, "jo@example.org": 1})
    said = repr(masked_value(letter(value)))
    assert CARD not in said
    assert "jo@" not in said


def test_what_is_not_an_object_is_only_measured() -> None:
    assert masked_value(letter(None)) == [("$", "no value")]
    assert masked_value(letter(b"secret")) == [("$", "6 bytes that are not one JSON text")]
    assert masked_value(letter(b'["secret"]')) == [("$", "10 bytes, an array of 1")]
    assert masked_value(letter(b"[" * 5_000 + b"]" * 5_000))[0][0] == "$"
    assert "it held a card number" in masked_value(letter(redacted(b"x", b"key")))[0][1]


def test_headers_of_others_are_only_measured() -> None:
    found = letter(b"{}", ("x-user", b"jo@example.org"), ("x\n", None), ("traceparent", b"00-ab-cd-01"))
    shown = dict(shown_headers(found))
    assert shown["x-user"] == "14 bytes"
    assert shown["x\\n"] == "no value"
    assert shown["traceparent"] == "00-ab-cd-01"
    assert shown["assay-error-code"] == "currency"


def test_a_key_is_shown_unless_it_is_personal() -> None:
    assert shown_key(b"acc-1") == "acc-1"
    assert shown_key(b"123456789012") == "123456789012"
    assert CARD not in shown_key(CARD.encode())
    assert shown_key(b"jo@example.org") == "[e-mail]"
    assert shown_key(b"\xff\x1b[2J") == "\\xff\\x1b[2J"


@given(st.text(max_size=300))
def test_a_terminal_gets_nothing_to_obey(text: str) -> None:
    assert printable(text).isprintable()
