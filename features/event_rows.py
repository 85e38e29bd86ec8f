"""A decoded event as one `EVENT` record: the readable way, for labels and for records that are not plain.

`features/plain.py` fills the same columns without making an event first; the tests hold one to the other.
"""

from typing import NamedTuple

import numpy as np
from xxhash import xxh3_64_intdigest

from features.columns import (
    APPLICATION,
    CHANNELS,
    DECLINED,
    FAILED,
    FRAUD,
    LABEL,
    LEGIT,
    LOGIN,
    METHODS,
    PAYMENT,
    PROFILE_CHANGE,
    Events,
    country_code,
    record_of,
)
from features.email_domain import NO_DOMAIN, domain_of
from features.events import Application, Event, Label, Login, Marker, Payment, ProfileChange
from features.identity import hash64
from features.money import CURRENCY_CODES
from features.network import NO_NETWORK, network_of

_CONTENT_MASK = 0xFFFFFFFF


class EventRow(NamedTuple):
    """The columns of one event.

    Attributes:
        event: `EVENT`[1]; an amount is in its own currency.
        currency: `features.money.CURRENCY_CODES` of the amount, 0 if there is none.
        judged: for a label the hash of the event that it judges, else 0.
    """

    event: Events
    currency: int
    judged: int


def event_row(event: Event, offset: int, value: bytes) -> EventRow:
    """Columns of `event`, which is what the record `value` at `offset` says.

    Raises:
        AssertionError: a marker, which has no columns.
    """
    assert not isinstance(event, Marker), "a Marker has no columns"
    row = record_of(
        time_ms=event.time_ms,
        offset=offset,
        event_hash=hash64(event.event_id),
        content_hash=xxh3_64_intdigest(value) & _CONTENT_MASK,
    )
    currency = judged = 0
    if not isinstance(event, Label):
        row["device"] = _hash(event.device_id)
        row["ip"] = _hash(event.ip)
        row["network"] = NO_NETWORK if event.ip is None else network_of(event.ip)
    match event:
        case Payment():
            currency = CURRENCY_CODES[event.currency]
            _fill_payment(row, event)
        case Login():
            row["kind"] = LOGIN
            row["country"] = country_code(event.country)
            row["marks"] = FAILED if event.success is False else 0
        case ProfileChange():
            row["kind"] = PROFILE_CHANGE
        case Application():
            row["kind"] = APPLICATION
            row["email_domain"] = _domain(event.email)
            if event.requested_minor is not None and event.currency is not None:
                row["amount_minor"] = event.requested_minor
                currency = CURRENCY_CODES[event.currency]
        case Label():
            row["kind"] = LABEL
            row["marks"] = FRAUD if event.label == "fraud" else LEGIT
            judged = hash64(event.judged_event_id)
    return EventRow(row, currency, judged)


def _hash(identifier: str | None) -> np.uint64:
    return np.uint64(0 if identifier is None else hash64(identifier))


def _domain(email: str | None) -> int:
    return NO_DOMAIN if email is None else domain_of(email)


def _fill_payment(row: Events, event: Payment) -> None:
    row["kind"] = PAYMENT
    row["amount_minor"] = event.amount_minor
    row["merchant"] = _hash(event.merchant_id)
    row["beneficiary"] = _hash(event.beneficiary_id)
    row["bin"] = int(event.bin or 0)
    row["category"] = int(event.mcc or 0)
    row["email_domain"] = _domain(event.email)
    row["country"] = country_code(event.country)
    row["marks"] = DECLINED if event.authorization == "declined" else 0
    row["context"] = METHODS[event.method] | (0 if event.channel is None else CHANNELS[event.channel] << 4)
    if event.lat is not None and event.lon is not None:  # half a position is none
        row["latitude"] = event.lat
        row["longitude"] = event.lon
