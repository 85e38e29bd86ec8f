"""From the bytes of a batch to decoded events, and from events to columns."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest as _digest

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
_INTERNAL = (Label, Marker)
_NO_ACCOUNT = (InvalidRecord, Marker)
_WITH_MONEY = (Payment, Application)


@dataclass(slots=True)
class Decoded:
    """A batch after decoding: `events[i]` is what `records[i]` says, or why it was refused."""

    records: Sequence[LogRecord]
    events: list[Event | InvalidRecord]

    def account_ids(self) -> list[str]:
        """Accounts that folding this batch touches; with repetitions."""
        return [event.account_id for event in self.events if not isinstance(event, _NO_ACCOUNT)]

    def model_references(self) -> list[str]:
        """Models that markers in this batch put in force."""
        return [event.value for event in self.events if isinstance(event, Marker) and event.marker == "model"]


def decode_batch(records: Sequence[LogRecord], trusted: Trust) -> Decoded:
    """Decode each record; an internal kind from someone who may not write it is refused."""
    events: list[Event | InvalidRecord] = []
    for record in records:
        event = decode(record.value, key=record.key, timestamp_ms=record.timestamp_ms)
        if isinstance(event, _INTERNAL) and not trusted(record):
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
    if isinstance(event, _WITH_MONEY) and event.currency is not None and not rates.has(event.currency):
        if isinstance(event, Application) and event.requested_minor is None:
            return None
        return InvalidRecord("rate_missing", "$.currency", "a currency in the model's rates", event.currency)
    return None


def _row(event: Event, record: LogRecord, rates: Rates) -> bytes:
    """One `EVENT` record. Payments are most of a log: theirs is written out, because each call would count."""
    if type(event) is not Payment:
        return _other_row(event, record, rates)
    merchant, device, ip, payee = event.merchant_id, event.device_id, event.ip, event.beneficiary_id
    latitude, longitude = event.lat, event.lon
    if latitude is None or longitude is None:
        latitude = longitude = _NAN
    channel = event.channel
    return _PACK(
        event.time_ms,
        record.offset,
        _digest(event.event_id.encode()) or 1,
        rates.to_base_minor(event.amount_minor, event.currency),
        0 if merchant is None else _digest(merchant.encode()) or 1,
        0 if device is None else _digest(device.encode()) or 1,
        0 if ip is None else _digest(ip.encode()) or 1,
        0 if payee is None else _digest(payee.encode()) or 1,
        _digest(record.value or b"") & _CONTENT_MASK,
        int(event.bin or 0),
        NO_SCORE,
        NO_SCORE,
        latitude,
        longitude,
        country_code(event.country),
        int(event.mcc or 0),
        PAYMENT,
        DECLINED if event.authorization == "declined" else 0,
        NOT_JUDGED,
        METHODS[event.method] if channel is None else METHODS[event.method] | CHANNELS[channel] << 4,
    )


def _other_row(event: Event, record: LogRecord, rates: Rates) -> bytes:
    amount = country = marks = device = ip = 0
    if isinstance(event, Login):
        code = LOGIN
        country = country_code(event.country)
        if event.success is False:
            marks = FAILED
    elif isinstance(event, ProfileChange):
        code = PROFILE_CHANGE
    elif isinstance(event, Application):
        code = APPLICATION
        if event.requested_minor is not None and event.currency is not None:
            amount = rates.to_base_minor(event.requested_minor, event.currency)
    else:
        assert isinstance(event, Label), f"a {type(event).__name__} has no columns"
        code = LABEL
        marks = FRAUD if event.label == "fraud" else LEGIT
    if not isinstance(event, Label):
        device = 0 if event.device_id is None else hash64(event.device_id)
        ip = 0 if event.ip is None else hash64(event.ip)
    content = _digest(record.value or b"") & _CONTENT_MASK
    return _PACK(
        event.time_ms,
        record.offset,
        hash64(event.event_id),
        amount,
        0,
        device,
        ip,
        0,
        content,
        0,
        NO_SCORE,
        NO_SCORE,
        _NAN,
        _NAN,
        country,
        0,
        code,
        marks,
        NOT_JUDGED,
        0,
    )
