"""What looks like a card number, what only looks so at first sight, and what is left when it is gone."""

import hashlib
import hmac
import random
import re
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.card_number import (
    looks_like_card_number,
    mask,
    may_hold_card_number,
    record_holds_card_number,
    redacted,
)

# Numbers that card schemes publish for tests: Visa 16 and 13, Mastercard, 2-series, Amex, Discover, Diners, JCB,
# UnionPay 19, Maestro.
CARDS = [
    *("4111111111111111", "4222222222222", "5500005555555559", "2223003122003222", "378282246310005"),
    *("6011000990139424", "30569309025904", "3530111333300000", "6205500000000000004", "6759649826438453"),
]
patient = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def luhn_total(digits: str) -> int:
    """The textbook: from the right, every second digit doubled, the digits of the result added."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        total += sum(map(int, str(int(digit) * 2))) if place % 2 else int(digit)
    return total


def with_check_digit(start: str) -> str:
    return next(start + digit for digit in "0123456789" if luhn_total(start + digit) % 10 == 0)


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize(
    "form",
    [
        lambda card: card,
        lambda card: f"{card[:4]} {card[4:8]} {card[8:12]} {card[12:]}",
        lambda card: f"{card[:4]}-{card[4:10]}-{card[10:]}",
        lambda card: " ".join(card),
        lambda card: f"{card[:8]} - {card[8:]}",
        lambda card: f"card{card}",
        lambda card: f"tok_{card}",
        lambda card: f"x{card}y",
        lambda card: f"PAN:{card} 12/27",
        lambda card: f"{card} 123",
        lambda card: f"2026-01-31 {card}",
        lambda card: f"Jo Doe, {card}, 12 Main Street",
        lambda card: "~" * 240 + card,
        lambda card: f"café {card}",
    ],
)
def test_card_numbers_are_found(card: str, form) -> None:
    assert looks_like_card_number(form(card))


@pytest.mark.parametrize("card", CARDS)
def test_one_wrong_digit_is_enough_to_be_something_else(card: str) -> None:
    for place in range(len(card)):
        wrong = card[:place] + str((int(card[place]) + 1) % 10) + card[place + 1 :]
        assert not looks_like_card_number(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "411111111111",  # 12 digits
        "41111111111111111111",  # 20 digits
        "tok_18072e8c35bf992d",
        "+49 151 1234 5678 901",
        "+4111111111111111",
        "12 Main Street, 10115 Berlin",
        "411111/1111111111",
        "4111.1111.1111.1111",
        "4111111111111111abcd",  # 20 hexadecimal digits
        "deadbeef4111111111111111",
    ],
)
def test_other_things_are_left_alone(text: str) -> None:
    assert not looks_like_card_number(text)


def test_hashes_and_uuids_are_never_card_numbers_and_other_tokens_hardly_ever() -> None:
    order = random.Random(7)
    for _ in range(20_000):
        assert not looks_like_card_number(str(uuid.UUID(int=order.getrandbits(128))))
        for length in (32, 40, 64):
            assert not looks_like_card_number(f"{order.getrandbits(4 * length):0{length}x}")
    tokens = [f"tok_{order.getrandbits(64):016x}" for _ in range(20_000)]
    assert sum(map(looks_like_card_number, tokens)) < 10


@patient
@given(st.from_regex(r"[0-9]{12,18}", fullmatch=True), st.text(alphabet="0123456789 -abcxyz.", max_size=12))
def test_whatever_passes_luhn_is_found_wherever_it_stands(start: str, around: str) -> None:
    card = with_check_digit(start)
    text = f"{around}~{card}~{around}"
    assert looks_like_card_number(text)
    assert may_hold_card_number(text)
    assert may_hold_card_number(card)


@patient
@given(st.text(alphabet="0123456789 -\tabcxyz_é", max_size=40))
def test_the_fast_negative_never_contradicts_the_slow_search(text: str) -> None:
    runs = re.findall(r"[0-9](?:[ \t-]*[0-9]){12,}", text)
    if runs:
        assert may_hold_card_number(text)
    else:
        assert not looks_like_card_number(text)


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize(
    "raw",
    [
        '{"card":CARD}',
        '{"anything":"CARD"}',
        '{"CARD":1}',
        '{"account_id":"a","note":"CARD"',
        '{"account_id":"a" CARD',
        "CARD",
        "a,CARD,12/27",
        '{"lines":["x","CARD"]}',
        '{"account_id":"' + "x" * 65 + 'CARD"}',
        '{"a":"CARD\\n"}',
    ],
)
def test_card_numbers_in_refused_records_are_found(raw: str, card: str) -> None:
    text = raw.replace("CARD", card)
    for value in (
        text.encode(),
        text.encode("utf-16"),
        text.encode() + b"\xff\xfe",
        text.replace(card, "".join(f"\\u003{digit}" for digit in card)).encode(),
        text.replace(card, f"{card[:4]}\\t{card[4:]}").encode(),
    ):
        assert record_holds_card_number(value), value


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0" * 1000,
        b'{"account_id":"4111111111111111","merchant_id":"4111111111111111","event_id":"4111111111111111"}',
        b'{"account_id" : "4111111111111111" , "beneficiary_id":4111111111111111}',
        b'{"sent_ms":1767225600000,"sent_us":1767225600000008,"sent_ns":1767225600000000004}',
        b'{"lat":13.4111111111111111,"x":-0.4111111111111111e-05}',
        b'{"hash":"deadbeef4111111111111111","id":"41111111-1111-4111-a111-111111111111"}',
        b"1" * 5000,
        b"[" * 50_000,
    ],
)
def test_long_numbers_that_are_something_else_are_no_card_numbers(raw: bytes) -> None:
    assert not record_holds_card_number(raw)


def test_times_since_1970_are_no_card_numbers_by_chance() -> None:
    for time_ms in range(1_767_225_600_000, 1_767_225_600_200):
        assert not record_holds_card_number(b'{"sent":%d}' % time_ms)
    assert sum(luhn_total(str(time_ms)) % 10 == 0 for time_ms in range(1_767_225_600_000, 1_767_225_600_200)) == 20


def test_what_is_too_long_to_look_at_is_taken_for_one() -> None:
    assert not record_holds_card_number(b"x" * (1 << 20))
    assert record_holds_card_number(b"x" * ((1 << 20) + 1))


@pytest.mark.parametrize(
    "hostile",
    [
        b"1 " * 20_000,
        b"1" * 100_000,
        b"-" * 100_000,
        b"1" * 12 + b" " * 100_000 + b"x",
        b'"event_id":"' * 9_000,
        b"\\u0031" * 15_000,
        b"1.1" * 30_000,
        b"a1" * 50_000,
        b"12345678-1234-" * 7_000,
    ],
    ids=lambda value: value[:14].decode(),
)
@pytest.mark.timeout(60)
def test_hostile_records_are_searched_in_linear_time(hostile: bytes) -> None:
    assert not record_holds_card_number(hostile)


def test_a_redaction_keeps_the_length_and_a_keyed_hash() -> None:
    raw = b'{"card":"4111111111111111"}'
    expected = hmac.new(b"secret", raw, hashlib.sha256).hexdigest()
    assert redacted(raw, b"secret") == f"[redacted 27 bytes, hmac-sha256 {expected}]".encode()
    assert redacted(raw, b"other") != redacted(raw, b"secret")
    assert redacted(raw) == b"[redacted 27 bytes]"
    assert redacted(raw, b"") == b"[redacted 27 bytes]", "an empty key would be no secret"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("4111111111111111", "[16 digits]"),
        ("4111 1111 1111 1111", "[16 digits]"),
        ("call 030-123456-78", "call [11 digits]"),
        ("123456", "123456"),
        ("1234567", "[7 digits]"),
        ("-4111111111111111", "-[16 digits]"),
        ("jo@example.org", "[e-mail]"),
        ("mail 'jo@example.org' now", "mail '[e-mail]' now"),
        ("jo.o'neill+x@sub.example.org,", "jo.o'[e-mail]"),
        ("@", "@"),
        ("a@", "a@"),
        ("one of bnpl, card", "one of bnpl, card"),
    ],
)
def test_messages_are_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


@patient
@given(st.text(alphabet="0123456789 -@.ab", max_size=60))
def test_masked_messages_hold_no_long_number_and_stay_as_they_are(text: str) -> None:
    assert not re.search(r"[0-9](?:[ \t-]*[0-9]){6,}", mask(text))
    assert mask(mask(text)) == mask(text)
