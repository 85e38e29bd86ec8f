"""From bytes to decoded events, and from events to the columns that the kernel reads."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from features.columns import (
    CHANNELS,
    DECLINED,
    EVENT,
    FAILED,
    FRAUD,
    LEGIT,
    METHODS,
    NO_SCORE,
    NOT_JUDGED,
    country_code,
    empty_events,
)
from features.conversion import to_base_minor, without_rate
from features.email_domain import domain_of
from features.errors import InvalidRecord
from features.event_rows import event_row
from features.events import Application, Event, Label, Login, Marker, Payment, ProfileChange
from features.identity import hash64
from features.money import Rates
from features.network import network_of
from streams.intake import decode_batch
from streams.log import LogRecord
from streams.signature import everybody, nobody
from tests.streams.logs import START_MS, label, model_marker, payment, records

RATES = Rates(base="EUR", as_of="2025-01-01", source="test", rates={"JPY": "160", "KWD": "0.32", "USD": "1.25"})
HASHED = ("event_hash", "merchant", "device", "ip", "beneficiary")

PAYMENT = Payment(
    event_id="p1", account_id="a1", time_ms=1_234, amount_minor=500, currency="EUR", method="p2p", merchant_id="m",
    mcc="0742", country="DE", channel="atm", device_id="d", ip="1.2.3.4", card_id="c", bin="00412345",
    beneficiary_id="b", email="e@x.org", lat=1.5, lon=-2.5, authorization="declined",
)  # fmt: skip
LOGIN = Login(event_id="s1", account_id="a1", time_ms=5, device_id="d", ip="i", country="FR", success=False)
CHANGE = ProfileChange(event_id="c1", account_id="a1", time_ms=6, field="email", device_id="d", ip="i")
APPLICATION = Application(
    event_id="o1", account_id="a1", time_ms=7, requested_minor=900, currency="EUR", device_id="d", ip="i"
)
LABEL = Label(
    event_id="l1", account_id="a1", time_ms=8, judged_event_id="p1", label="fraud", known_at_ms=8, source="analyst"
)


def row_of(event: Event, offset: int = 7, value: bytes | None = b"value") -> dict[str, Any]:
    columns, currency, _ = event_row(event, offset, value or b"")
    assert columns.dtype == EVENT
    columns["amount_minor"] = to_base_minor(columns["amount_minor"], np.array([currency], dtype=np.uint8), RATES)
    return {name: columns[name][0].item() for name in EVENT.names or ()}


def expected(**fields: Any) -> dict[str, Any]:
    """A row in which everything else is absent; identifiers are given as text."""
    absent = {name: empty_events(1)[name][0].item() for name in EVENT.names or ()}
    content = xxh3_64_intdigest(b"value") & 0xFFFFFFFF
    given_fields = {name: hash64(value) if name in HASHED else value for name, value in fields.items()}
    return {**absent, "offset": 7, "content_hash": content, **given_fields}


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Equal, NaN included."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value == other[name] or (value != value and other[name] != other[name]), name


def test_a_payment_fills_every_column() -> None:
    row = row_of(PAYMENT)
    same(
        row,
        expected(
            time_ms=1_234, event_hash="p1", amount_minor=500, merchant="m", device="d", ip="1.2.3.4", beneficiary="b",
            bin=412_345, latitude=1.5, longitude=-2.5, country=country_code("DE"), category=742, kind=1, marks=DECLINED,
            context=METHODS["p2p"] + 16 * CHANNELS["atm"], network=network_of("1.2.3.9"),
            email_domain=domain_of("other@x.org"),
        ),
    )  # fmt: skip
    absent = expected()
    left_alone = {name for name, value in row.items() if value == absent[name]}
    assert left_alone == {"offset", "content_hash", "score_micro", "anomaly_micro", "decision"}


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (
            Payment(event_id="p", account_id="a", time_ms=1, amount_minor=0, currency="EUR", method="card"),
            {"time_ms": 1, "event_hash": "p", "kind": 1, "context": METHODS["card"]},
        ),
        (msgspec.structs.replace(PAYMENT, authorization="approved", lon=None), {"marks": 0, "latitude": math.nan}),
        (msgspec.structs.replace(PAYMENT, authorization=None, lat=None), {"marks": 0, "longitude": math.nan}),
        (
            LOGIN,
            {
                "time_ms": 5, "event_hash": "s1", "device": "d", "ip": "i", "country": country_code("FR"), "kind": 2,
                "marks": FAILED,
            },
        ),
        (msgspec.structs.replace(LOGIN, success=True), {"marks": 0}),
        (msgspec.structs.replace(LOGIN, success=None, country=None), {"marks": 0, "country": 0}),
        (CHANGE, {"time_ms": 6, "event_hash": "c1", "device": "d", "ip": "i", "kind": 3}),
        (msgspec.structs.replace(CHANGE, device_id=None, ip=None), {"device": 0, "ip": 0, "kind": 3}),
        (APPLICATION, {"time_ms": 7, "event_hash": "o1", "device": "d", "ip": "i", "kind": 4, "amount_minor": 900}),
        (msgspec.structs.replace(APPLICATION, requested_minor=None), {"amount_minor": 0}),
        (msgspec.structs.replace(APPLICATION, currency=None), {"amount_minor": 0}),
        (LABEL, {"time_ms": 8, "event_hash": "l1", "kind": 5, "marks": FRAUD}),
        (msgspec.structs.replace(LABEL, label="legit"), {"kind": 5, "marks": LEGIT}),
    ],
)  # fmt: skip
def test_every_kind_becomes_its_columns(event: Event, fields: dict[str, Any]) -> None:
    row = row_of(event)
    if "kind" in fields and "time_ms" in fields:
        same(row, expected(**fields))
    else:  # a variation: only what it is about
        wanted = {name: hash64(value) if isinstance(value, str) else value for name, value in fields.items()}
        same({name: row[name] for name in fields}, wanted)


@pytest.mark.parametrize("event", [PAYMENT, LOGIN, CHANGE, APPLICATION, LABEL], ids=lambda event: type(event).__name__)
def test_a_new_row_is_not_judged_yet(event: Event) -> None:
    row = row_of(event)
    assert (row["decision"], row["score_micro"], row["anomaly_micro"]) == (NOT_JUDGED, NO_SCORE, NO_SCORE)


@pytest.mark.parametrize(
    ("amount_minor", "currency", "base_minor"),
    [
        (1_234, "EUR", 1_234),
        (1_000, "JPY", 625),  # 1,000 yen at 160 to the euro
        (1, "JPY", 1),  # 0.625 cents
        (1_000, "KWD", 312),  # 1.000 dinar at 0.32: 312.5 cents, half to even
        (3_000, "KWD", 938),  # 937.5 cents, half to even
        (125, "USD", 100),
        (10**15, "KWD", 3125 * 10**11),
        (10**15, "JPY", 625 * 10**12),
    ],
)
def test_amounts_are_minor_units_of_the_base_currency(amount_minor: int, currency: str, base_minor: int) -> None:
    paid = msgspec.structs.replace(PAYMENT, amount_minor=amount_minor, currency=currency)
    asked = msgspec.structs.replace(APPLICATION, requested_minor=amount_minor, currency=currency)
    assert row_of(paid)["amount_minor"] == row_of(asked)["amount_minor"] == base_minor


text = st.text(min_size=1, max_size=8)
payments = st.builds(
    Payment,
    event_id=text,
    account_id=text,
    time_ms=st.integers(0, 253_402_300_799_999),
    amount_minor=st.integers(0, 10**15),
    currency=st.sampled_from(["EUR", "JPY", "KWD", "USD"]),
    method=st.sampled_from(list(METHODS)),
    merchant_id=st.none() | text,
    mcc=st.none() | st.integers(0, 9_999).map("{:04}".format),
    country=st.none() | st.text("ABCXYZ", min_size=2, max_size=2),
    channel=st.none() | st.sampled_from(list(CHANNELS)),
    device_id=st.none() | text,
    ip=st.none() | text,
    bin=st.none() | st.integers(0, 99_999_999).map("{:08}".format),
    beneficiary_id=st.none() | text,
    lat=st.none() | st.floats(-90, 90, width=32),
    lon=st.none() | st.floats(-180, 180, width=32),
    authorization=st.none() | st.sampled_from(["approved", "declined"]),
)


@settings(deadline=None)
@given(event=payments, offset=st.integers(0, 2**62), value=st.binary(max_size=50))
def test_what_goes_into_a_row_comes_out_of_it(event: Payment, offset: int, value: bytes) -> None:
    row = row_of(event, offset, value)
    assert (row["time_ms"], row["offset"], row["kind"]) == (event.time_ms, offset, 1)
    assert row["event_hash"] == hash64(event.event_id)
    assert row["amount_minor"] == RATES.to_base_minor(event.amount_minor, event.currency)
    identifiers = {
        "merchant": event.merchant_id, "device": event.device_id, "ip": event.ip, "beneficiary": event.beneficiary_id,
    }  # fmt: skip
    for name, identifier in identifiers.items():
        assert row[name] == (0 if identifier is None else hash64(identifier))
    assert row["bin"] == int(event.bin or 0)
    assert row["category"] == int(event.mcc or 0)
    assert row["country"] == country_code(event.country)
    assert row["context"] % 16 == METHODS[event.method]
    assert row["context"] // 16 == (CHANNELS[event.channel] if event.channel else 0)
    assert bool(row["marks"]) == (event.authorization == "declined")
    if event.lat is None or event.lon is None:
        assert math.isnan(row["latitude"])
        assert math.isnan(row["longitude"])
    else:
        assert (row["latitude"], row["longitude"]) == (event.lat, event.lon)
    assert row["content_hash"] == xxh3_64_intdigest(value) & 0xFFFFFFFF


def test_rows_stand_in_the_order_of_the_batch_and_labels_name_what_they_judge() -> None:
    log = [payment(1, "a1", START_MS), label(2, "p1", "a2", START_MS), payment(3, "a1", START_MS)]
    batch = decode_batch(records(log), everybody)
    assert batch.columns["kind"].tolist() == [1, 5, 1]
    assert batch.columns["offset"].tolist() == [0, 1, 2]
    assert batch.judged.dtype == np.uint64
    assert batch.judged.tolist() == [0, hash64("p1"), 0]


def test_nothing_becomes_no_rows() -> None:
    batch = decode_batch([], everybody)
    assert (len(batch.columns), batch.columns.dtype, len(batch.judged)) == (0, EVENT, 0)


def test_a_marker_has_no_columns() -> None:
    marker = Marker(event_id="m", time_ms=1, marker="model", value="x")
    with pytest.raises(AssertionError, match="a Marker has no columns"):
        event_row(marker, 0, b"")


@pytest.mark.parametrize(
    ("event", "is_known"),
    [
        (msgspec.structs.replace(PAYMENT, currency="CHF"), False),
        (msgspec.structs.replace(APPLICATION, currency="CHF"), False),
        (msgspec.structs.replace(APPLICATION, currency="CHF", requested_minor=None), True),
        (msgspec.structs.replace(APPLICATION, currency=None), True),
        (PAYMENT, True),
        (APPLICATION, True),
        (LOGIN, True),
        (CHANGE, True),
        (LABEL, True),
    ],
)
def test_only_an_amount_without_a_rate_cannot_be_converted(event: Event, is_known: bool) -> None:
    currency = np.array([event_row(event, 0, b"").currency], dtype=np.uint8)
    assert (len(without_rate(currency, RATES)) == 0) == is_known
    if is_known:
        row_of(event)


def test_a_batch_is_decoded_record_by_record() -> None:
    log = [payment(1, "a1", START_MS), b"rubbish", label(2, "p1", "a2", START_MS), model_marker(3, "f" * 64, START_MS)]
    batch = decode_batch(records(log), everybody)
    assert {row: type(event) for row, event in batch.others.items()} == {1: InvalidRecord, 2: Label, 3: Marker}
    assert batch.has_row.tolist() == [True, False, True, False]
    assert batch.account_ids() == ["a1", "a2"]
    assert batch.model_references() == ["f" * 64]


def test_only_internal_kinds_need_trust() -> None:
    log = [payment(1, "a1", START_MS), label(2, "p1", "a1", START_MS), model_marker(3, "f" * 64, START_MS)]
    batch = decode_batch(records(log), nobody)
    refused = dict(batch.refused())
    assert {row: (error.code, error.got) for row, error in refused.items()} == {
        1: ("not_authorized", "label"),
        2: ("not_authorized", "marker"),
    }
    assert batch.account_ids() == ["a1"]
    assert batch.model_references() == []


def test_key_and_clock_of_the_record_are_checked() -> None:
    value = payment(1, "a1", START_MS)
    batch = decode_batch(
        [
            LogRecord(0, value, key=b"a1", timestamp_ms=START_MS),
            LogRecord(1, value, key=b"a2"),
            LogRecord(2, None),
            LogRecord(3, value, timestamp_ms=START_MS - 600_000),
        ],
        everybody,
    )
    codes = {row: error.code for row, error in batch.refused()}
    assert codes == {1: "key_mismatch", 2: "null_value", 3: "time_ahead"}
