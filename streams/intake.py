"""From the bytes of a batch to decoded events, and from events to columns."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from features.columns import (
    APPLICATION,
    CHANNELS,
    DECLINED,
    EVENT,
    FAILED,
    FRAUD,
    LABEL,
    LEGIT,
    LOGIN,
    METHODS,
    NO_SCORE,
    NOT_JUDGED,
    PAYMENT,
    PROFILE_CHANGE,
    Events,
    country_code,
)
from features.decode import decode, marked
from features.errors import InvalidRecord
from features.events import Application, Event, Label, Login, Marker, Payment, ProfileChange
from features.identity import hash64
from features.money import Rates
from streams.log import LogRecord

Trust = Callable[[LogRecord], bool]
"""Whether a record of an internal kind (label, marker) comes from someone who may write it."""

_PACK = struct.Struct("<qqQqQQQQIIiiffHHBBBB").pack
assert struct.calcsize("<qqQqQQQQIIiiffHHBBBB") == EVENT.itemsize
_NAN = float("nan")
_CONTENT_MASK = 0xFFFFFFFF


@dataclass(slots=True)
class Decoded:
    """A batch after decoding: `events[i]` is what `records[i]` says, or why it was refused."""

    records: Sequence[LogRecord]
    events: list[Event | InvalidRecord]

    def account_ids(self) -> list[str]:
        """Accounts that folding this batch touches; with repetitions."""
        return [event.account_id for event in self.events if not isinstance(event, InvalidRecord | Marker)]

    def model_references(self) -> list[str]:
        """Models that markers in this batch put in force."""
        return [event.value for event in self.events if isinstance(event, Marker) and event.marker == "model"]


def decode_batch(records: Sequence[LogRecord], trusted: Trust) -> Decoded:
    """Decode each record; an internal kind from someone who may not write it is refused."""
    events: list[Event | InvalidRecord] = []
    for record in records:
        event = decode(record.value, key=record.key, timestamp_ms=record.timestamp_ms)
        if isinstance(event, Label | Marker) and not trusted(record):
            expected = "a judged kind; labels and markers need a valid assay-signature header"
            kind = "label" if isinstance(event, Label) else "marker"
            event = marked(record.value or b"", InvalidRecord("not_authorized", "$.type", expected, kind))
        events.append(event)
    return Decoded(records, events)


def columns_of(
    events: Sequence[Event], records: Sequence[LogRecord], rates: Rates
) -> tuple[Events, NDArray[np.uint64]]:
    """Columns of decoded events: `EVENT`[n] and, for labels, the hash of the event each judges, uint64[n].

    Every currency must be in `rates` (see `rate_missing`); markers have no columns.
    """
    rows = [_row(event, record, rates) for event, record in zip(events, records, strict=True)]
    columns = np.frombuffer(bytearray(b"".join(rows)), dtype=EVENT)
    judged = [hash64(event.judged_event_id) if type(event) is Label else 0 for event in events]
    return columns, np.array(judged, dtype=np.uint64)


def rate_missing(event: Event, rates: Rates) -> InvalidRecord | None:
    """Why an event's amount cannot be converted, None if it can or there is none."""
    if isinstance(event, Payment | Application) and event.currency is not None and not rates.has(event.currency):
        if isinstance(event, Application) and event.requested_minor is None:
            return None
        return InvalidRecord("rate_missing", "$.currency", "a currency in the model's rates", event.currency)
    return None


def _row(event: Event, record: LogRecord, rates: Rates) -> bytes:
    amount = merchant = device = ip = beneficiary = issuer = country = category = marks = context = 0
    latitude = longitude = _NAN
    kind = type(event)
    if kind is Payment:
        assert isinstance(event, Payment)
        code = PAYMENT
        amount = rates.to_base_minor(event.amount_minor, event.currency)
        context = METHODS[event.method]
        if event.merchant_id is not None:
            merchant = hash64(event.merchant_id)
        if event.beneficiary_id is not None:
            beneficiary = hash64(event.beneficiary_id)
        if event.bin is not None:
            issuer = int(event.bin)
        if event.country is not None:
            country = country_code(event.country)
        if event.mcc is not None:
            category = int(event.mcc)
        if event.channel is not None:
            context |= CHANNELS[event.channel] << 4
        if event.lat is not None and event.lon is not None:
            latitude, longitude = event.lat, event.lon
        if event.authorization == "declined":
            marks = DECLINED
    elif kind is Login:
        assert isinstance(event, Login)
        code = LOGIN
        country = country_code(event.country)
        if event.success is False:
            marks = FAILED
    elif kind is ProfileChange:
        code = PROFILE_CHANGE
    elif kind is Application:
        assert isinstance(event, Application)
        code = APPLICATION
        if event.requested_minor is not None and event.currency is not None:
            amount = rates.to_base_minor(event.requested_minor, event.currency)
    else:
        assert isinstance(event, Label), f"a {kind.__name__} has no columns"
        code = LABEL
        marks = FRAUD if event.label == "fraud" else LEGIT
    if not isinstance(event, Label | Marker):
        if event.device_id is not None:
            device = hash64(event.device_id)
        if event.ip is not None:
            ip = hash64(event.ip)
    content = xxh3_64_intdigest(record.value or b"") & _CONTENT_MASK
    return _PACK(
        event.time_ms,
        record.offset,
        hash64(event.event_id),
        amount,
        merchant,
        device,
        ip,
        beneficiary,
        content,
        issuer,
        NO_SCORE,
        NO_SCORE,
        latitude,
        longitude,
        country,
        category,
        code,
        marks,
        NOT_JUDGED,
        context,
    )
