"""The compiled reader of plain records against the door: it may leave a record alone, never see it differently."""

import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.columns import EVENT, KIND_NAMES
from features.decode import MAX_AHEAD_MS, MAX_VALUE_BYTES, decode
from features.errors import InvalidRecord
from features.event_rows import event_row
from features.events import Label, Marker
from features.identity import hash64
from features.plain import Plain, new_plain, new_scratch, read_plain
from features.words import SLACK_BYTES
from tests.features import torture
from tests.features.examples import APPLICATION, EVENTS, LOGIN, PAYMENT, PROFILE_CHANGE, TIME_MS, encoded

PLAIN_EVENTS = [PAYMENT, LOGIN, PROFILE_CHANGE, {**APPLICATION, "name": "Jose Unal"}]
NO_LIMIT = np.iinfo(np.int64).max


def read(value: bytes, key: bytes | None = None, timestamp_ms: int | None = None) -> tuple[Plain, bytes]:
    """One record at offset 7, between bytes that are not its own."""
    data = b'"}' + value + (key or b"") + b"9" * SLACK_BYTES
    plain = new_plain(1)
    read_plain(
        np.frombuffer(data, dtype=np.uint8),
        np.array([2]),
        np.array([len(value)]),
        np.array([2 + len(value)]),
        np.array([-1 if key is None else len(key)]),
        np.array([7]),
        np.array([NO_LIMIT if timestamp_ms is None else timestamp_ms + MAX_AHEAD_MS]),
        new_scratch(),
        plain,
    )
    return plain, data


def text(data: bytes, start: np.ndarray[Any, Any], length: np.ndarray[Any, Any]) -> str:
    return data[start[0] : start[0] + length[0]].decode()


def agrees(value: bytes, **record: Any) -> bool:
    """Whether the record is plain; if it is, it has to be to the door what it is to the reader."""
    plain, data = read(value, **record)
    if not plain.is_plain[0]:
        return False
    event = decode(value, **record)
    assert not isinstance(event, InvalidRecord | Label | Marker), (value, event)
    row = event_row(event, 7, value)
    assert plain.events.tobytes() == row.event.tobytes(), (value, plain.events, row.event)
    assert plain.spans["currency"][0] == row.currency
    assert text(data, plain.spans["event_start"], plain.spans["event_length"]) == event.event_id
    assert text(data, plain.spans["account_start"], plain.spans["account_length"]) == event.account_id
    assert text(data, plain.spans["account_text_start"], plain.spans["account_text_length"]) == event.account_id
    assert plain.spans["account_hash"][0] == hash64(event.account_id)
    return True


@pytest.mark.parametrize("event", PLAIN_EVENTS, ids=lambda event: str(event["type"]))
def test_the_usual_record_is_plain(event: dict[str, object]) -> None:
    assert agrees(encoded(event))
    assert agrees(json.dumps(event, indent=1).encode())
    assert agrees(encoded(dict(reversed(event.items()))), key=b"a-1", timestamp_ms=TIME_MS)


@pytest.mark.parametrize("event", [event for event in EVENTS if event["type"] in ("label", "marker")])
def test_an_internal_kind_is_not(event: dict[str, object]) -> None:
    assert not agrees(encoded(event))


@pytest.mark.parametrize(
    "case",
    [case for case in torture.CASES if case.value and len(case.value) <= MAX_VALUE_BYTES],
    ids=lambda case: case.name,
)
def test_the_corpus_of_trouble(case: torture.Case) -> None:
    agrees(case.value or b"")


def test_key_and_clock() -> None:
    value = encoded(PAYMENT)
    assert not agrees(value, key=b"a-2")
    assert not agrees(value, key=b"a-")
    assert not agrees(value, key=b"")
    assert agrees(value, timestamp_ms=TIME_MS - MAX_AHEAD_MS)
    assert not agrees(value, timestamp_ms=TIME_MS - MAX_AHEAD_MS - 1)


def test_every_prefix_and_every_changed_byte() -> None:
    chance = random.Random(1)
    for event in PLAIN_EVENTS:
        value = encoded(event)
        for end in range(len(value)):
            assert not agrees(value[:end])
        for place in range(len(value)):
            for byte in (*b'"\\{}[],:0129-.eE tfn\x00\x7f\x80', chance.randrange(256)):
                agrees(value[:place] + bytes([byte]) + value[place + 1 :])
                agrees(value[:place] + bytes([byte]) + value[place:])
            agrees(value[:place] + value[place + 1 :])


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-5, 1000),
    st.floats(),
    st.decimals(-200, 200, allow_nan=False, places=6).map(float),
    st.text(max_size=70),
    st.text("0123456789 -", max_size=20),
    st.sampled_from(
        [
            "EUR",
            "a@b.org",
            "@",
            "2001:db8::7",
            "::ffff:1.2.3.4",
            "10.1.2.3",
            "eur",
            "card",
            "ecom",
            "approved",
            "declined",
            "password",
            "email",
            "DE",
            "XX",
            "",
        ]
    ),
    st.dictionaries(
        st.sampled_from([*PAYMENT["session"], "other"]), st.floats() | st.integers() | st.none(), max_size=3
    ),
    st.lists(st.integers(), max_size=2),
)
NAMES = st.sampled_from(sorted({name for event in PLAIN_EVENTS for name in event})) | st.text(max_size=8)


@given(st.sampled_from(PLAIN_EVENTS), st.dictionaries(NAMES, VALUES, max_size=3), st.randoms(use_true_random=False))
@settings(max_examples=1_500)
def test_any_change_of_any_member(event: dict[str, object], changes: dict[str, object], chance: random.Random) -> None:
    items = list((event | changes).items())
    chance.shuffle(items)
    for separators in ((",", ":"), (" ,\n", " :\t")):
        agrees(json.dumps(dict(items), separators=separators, ensure_ascii=chance.random() < 0.5).encode())


@given(st.sampled_from(PLAIN_EVENTS), st.integers(0, 2), st.sampled_from(["event_id", "lat", "ip", "type", "session"]))
def test_a_member_twice(event: dict[str, object], at: int, name: str) -> None:
    value = encoded(event)
    again = b'"%s":%s' % (name.encode(), (b'"b"', b"1", b"null")[at])
    agrees(value[:-1] + b"," + again + b"}")
    agrees(b"{" + again + b"," + value[1:])


def numbers() -> Iterator[str]:
    yield from ("0", "-0", "0.0", "-0.0", "00", "01", "1.", ".1", "1e1", "1E-3", "+1", "--1", "-", "1_0", "0x1", "90")
    yield from ("90.0", "90.1", "-90", "1.0", "9007199254740993", "0.1234567890123456789", "89.99999999999999999")
    chance = random.Random(2)
    for _ in range(300):
        yield f"{chance.uniform(-95, 95):.{chance.randrange(16)}f}"


@pytest.mark.parametrize("number", list(numbers()))
def test_numbers_as_producers_write_them(number: str) -> None:
    for name in ("lat", "amount_minor", "unknown"):
        agrees(
            encoded(PAYMENT | {name: 1}).replace(
                b'"%s":1' % name.encode(), b'"%s":%s' % (name.encode(), number.encode()), 1
            )
        )


@pytest.mark.parametrize("amount", [0, 1, 10**15, 10**15 + 1, 10**18, 10**19, -1])
def test_the_ends_of_a_range(amount: int) -> None:
    assert agrees(encoded(PAYMENT | {"amount_minor": amount})) == (0 <= amount <= 10**15)


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65])
def test_the_ends_of_a_length(length: int) -> None:
    assert agrees(encoded(PAYMENT | {"merchant_id": "m" * length})) == (1 <= length <= 64)


def test_what_looks_like_a_card_number_is_left_to_the_door() -> None:
    for card in ("4111111111111111", "4111 1111 1111 1111", "x4111-1111-1111-1111"):
        for name in ("card_id", "device_id", "email"):
            assert not agrees(encoded(PAYMENT | {name: card}))
    assert agrees(encoded(PAYMENT | {"beneficiary_id": "4111111111111111"}))


def test_half_a_position_is_none() -> None:
    plain, _ = read(encoded({name: value for name, value in PAYMENT.items() if name != "lon"}))
    assert plain.is_plain[0]
    assert np.isnan(plain.events["latitude"][0])


def test_a_row_keeps_nothing_of_the_row_before() -> None:
    both = encoded(PAYMENT), encoded({name: LOGIN[name] for name in ("event_id", "type", "account_id", "time_ms")})
    plain = new_plain(2)
    length = np.array([len(value) for value in both])
    data = np.frombuffer(b"".join(both) + bytes(SLACK_BYTES), dtype=np.uint8)
    none = np.full(2, -1)
    read_plain(
        data,
        np.cumsum(length) - length,
        length,
        none,
        none,
        np.array([7, 7]),
        np.full(2, NO_LIMIT),
        new_scratch(),
        plain,
    )
    assert plain.is_plain.all()
    for row, value in enumerate(both):
        assert plain.events[row].tobytes() == read(value)[0].events[0].tobytes()
    assert [KIND_NAMES[kind] for kind in plain.events["kind"].tolist()] == ["payment", "login"]
    assert plain.events.dtype == EVENT


def test_the_comparison_has_two_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = event_row
    monkeypatch.setattr("tests.features.test_plain.event_row", lambda event, offset, _: honest(event, offset, b""))
    with pytest.raises(AssertionError):
        agrees(encoded(PAYMENT))
