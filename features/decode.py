"""The only door for records: bytes in, an `Event` or the reason why it is set aside out. Never raises.

One pass of msgspec parses and checks; what is left for Python is what a schema cannot say: digits and capital
letters, the record's key, its clock, and card numbers. About 2 microseconds for a payment of 350 bytes.
"""

import re
from dataclasses import replace
from typing import Any, Final, get_args

import msgspec

from features.card_number import DIGITS_AND_SEPARATORS, looks_like_card_number, mask, record_holds_card_number
from features.errors import InvalidRecord
from features.events import (
    CARD_NUMBER_FIELDS,
    MERCHANT_CATEGORIES,
    Event,
    LabelIntake,
    Marker,
    Payment,
)
from features.faults import MAX_DEPTH, describe, expected_at, not_json, schema_fault, too_deep

MAX_VALUE_BYTES: Final = 64 * 1024
"""Largest value of a record."""
MAX_AHEAD_MS: Final = 5 * 60 * 1000
"""How far an event's time may be ahead of the record's Kafka timestamp."""

_MERCHANT_CATEGORIES: Final = MERCHANT_CATEGORIES | {None}
_CARD_NUMBER_FIELDS: Final = {
    kind: tuple(field for field in kind.__struct_fields__ if field in CARD_NUMBER_FIELDS) for kind in get_args(Event)
}

_NEVER_TOO_DEEP_BYTES: Final = 2 * MAX_DEPTH  # valid JSON closes every bracket that it opens
_decode_event = msgspec.json.Decoder(Event).decode
_decode_intake = msgspec.json.Decoder(LabelIntake).decode
_without_strings = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL).sub
_brackets = re.compile(rb"[\[\]{}]").findall
_REFUSED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode(value: bytes | None, *, key: bytes | None = None, timestamp_ms: int | None = None) -> Event | InvalidRecord:
    """The event that `value` says, or why it cannot be taken.

    Args:
        value: value of the record; ``None`` is a tombstone, which an event log does not have.
        key: key of the record; when given, it must be the event's account (a marker has none).
        timestamp_ms: the record's Kafka timestamp; when given, the event may be at most 5 minutes ahead of it.

    The first fault counts, in this order: no value, size, JSON in UTF-8, schema, key, time, card number. With
    duplicate members the last one counts, as in every JSON parser in use. `InvalidRecord.has_card_number` is set
    when the record may only be stored redacted, whatever it was refused for.

    >>> decode(b'{"event_id":"e1","type":"login","account_id":"a1","time_ms":1700000000000}').event_id
    'e1'
    >>> decode(b'{"event_id":"e1","type":"login","account_id":"a1","time_ms":"today"}').path
    '$.time_ms'
    """
    if value is None or len(value) > MAX_VALUE_BYTES:
        return _size_fault(value)
    try:
        if not value.isascii():
            value.decode()  # msgspec does not look into the strings of fields that it skips
        event: Event = _decode_event(value)
    except _REFUSED as error:
        return marked(value, _refusal(value, error, Event))
    if len(value) > _NEVER_TOO_DEEP_BYTES and _is_too_deep(value):
        return marked(value, too_deep())
    fault = _fault(event, key, timestamp_ms)
    return event if fault is None else marked(value, fault)


def decode_label(
    value: bytes | None, *, key: bytes | None = None, timestamp_ms: int | None = None
) -> LabelIntake | InvalidRecord:
    """The label that a record of the labels topic says, or why it cannot be taken; arguments as for `decode`.

    `known_at_ms` is its time. The log's own form of a label is accepted too.
    """
    if value is None or len(value) > MAX_VALUE_BYTES:
        return _size_fault(value)
    try:
        if not value.isascii():
            value.decode()
        intake: LabelIntake = _decode_intake(value)
    except _REFUSED as error:
        return marked(value, _refusal(value, error, LabelIntake))
    if _is_too_deep(value):
        return marked(value, too_deep())
    fault = _time_fault("$.known_at_ms", intake.known_at_ms, timestamp_ms)
    if key is not None and key != intake.account_id.encode():
        fault = _key_fault()
    return intake if fault is None else marked(value, fault)


def marked(raw: bytes, fault: InvalidRecord) -> InvalidRecord:
    """`fault`, with `has_card_number` set if the record `raw` holds what looks like one, whatever it is refused for.

    `decode` has done this with what it returns; a fault that is found later needs it before the record is stored.
    """
    if not fault.has_card_number and record_holds_card_number(raw):
        return replace(fault, has_card_number=True)
    return fault


def _fault(event: Event, key: bytes | None, timestamp_ms: int | None) -> InvalidRecord | None:
    """What a schema cannot say about `event`, in the order of the contract."""
    # Written out field by field: this runs for every event, and each call or loop would cost as much as a check.
    if isinstance(event, Payment):
        if event.mcc not in _MERCHANT_CATEGORIES:
            return _form_fault(event, "mcc")
        if event.bin is not None and not (event.bin.isdecimal() and event.bin.isascii()):
            return _form_fault(event, "bin")
        card_id, device_id = event.card_id, event.device_id  # below: may_hold_card_number, in place
        is_suspect = (
            (
                card_id is not None
                and len(card_id) > 12
                and not card_id[len(card_id) - 13 : 13].lstrip(DIGITS_AND_SEPARATORS)
            )
            or (
                device_id is not None
                and len(device_id) > 12
                and not device_id[len(device_id) - 13 : 13].lstrip(DIGITS_AND_SEPARATORS)
            )
            or event.email is not None
        )
    elif isinstance(event, Marker):
        return _time_fault("$.time_ms", event.time_ms, timestamp_ms)
    else:
        is_suspect = True
    if key is not None and key != event.account_id.encode():
        return _key_fault()
    if timestamp_ms is not None and event.time_ms > timestamp_ms + MAX_AHEAD_MS:
        return _time_fault("$.time_ms", event.time_ms, timestamp_ms)
    return _card_number_fault(event) if is_suspect else None


def _card_number_fault(event: Event) -> InvalidRecord | None:
    for field in _CARD_NUMBER_FIELDS[type(event)]:
        text = getattr(event, field)
        if text is not None and looks_like_card_number(text):
            got = "something that looks like a card number"
            return InvalidRecord("card_number", f"$.{field}", "a token or a keyed hash", got, has_card_number=True)
    return None


def _form_fault(event: Event, field: str) -> InvalidRecord:
    path = f"$.{field}"
    expected = expected_at(Event, {"type": type(event).__struct_config__.tag}, path)
    return InvalidRecord("out_of_range", path, expected, describe(getattr(event, field)))


def _key_fault() -> InvalidRecord:
    return InvalidRecord("key_mismatch", "$.account_id", "the record's key", "another account")


def _time_fault(path: str, time_ms: int, timestamp_ms: int | None) -> InvalidRecord | None:
    if timestamp_ms is None or time_ms <= timestamp_ms + MAX_AHEAD_MS:
        return None
    got = mask(f"{(time_ms - timestamp_ms) // 60_000} minutes ahead")
    return InvalidRecord("time_ahead", path, "at most 5 minutes ahead of the record's Kafka timestamp", got)


def _refusal(raw: bytes, error: Exception, kind: Any) -> InvalidRecord:
    # First the depth, so that it is never the size of the interpreter's stack that decides.
    if isinstance(error, RecursionError) or _is_too_deep(raw):
        return too_deep()
    if isinstance(error, msgspec.ValidationError):
        return schema_fault(raw, error, kind)
    return not_json(error)


def _size_fault(value: bytes | None) -> InvalidRecord:
    if value is None:
        return InvalidRecord("null_value", "$", "one JSON object in UTF-8", "no value")
    fault = InvalidRecord("too_large", "$", f"at most {MAX_VALUE_BYTES // 1024} KiB", f"{-(-len(value) // 1024)} KiB")
    return marked(value, fault)


def _is_too_deep(raw: bytes) -> bool:
    """Whether arrays and objects nest more than `MAX_DEPTH` deep; brackets in strings do not count."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return False
    depth = deepest = 0
    for bracket in _brackets(_without_strings(b"", raw)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest > MAX_DEPTH
