"""Records that are right in every way, to be varied by tests."""

import json
from typing import Any

TIME_MS = 1_767_225_600_000  # 2026-01-01
TIMESTAMP_MS = TIME_MS + 250

PAYMENT: dict[str, Any] = {
    "event_id": "p-1",
    "type": "payment",
    "account_id": "a-1",
    "time_ms": TIME_MS,
    "amount_minor": 1999,
    "currency": "EUR",
    "method": "card",
    "merchant_id": "m-77",
    "mcc": "5411",
    "country": "DE",
    "channel": "ecom",
    "device_id": "d-3f2a",
    "ip": "203.0.113.7",
    "card_id": "tok_18072e8c35bf992d",
    "bin": "411111",
    "beneficiary_id": "b-9",
    "email": "5f1d7a84db00d2fce00b31a7fc73224f@example.com",
    "lat": 52.52,
    "lon": 13.405,
    "authorization": "approved",
    "session": {
        "dwell_ms_mean": 91.5,
        "dwell_ms_std": 20,
        "flight_ms_mean": -12.25,
        "flight_ms_std": 33.0,
        "keys": 41,
        "backspaces": 2,
        "pastes": 0,
        "mouse_speed_mean": 1.5,
        "mouse_curvature": -0.2,
        "touch_pressure_mean": 0.4,
        "duration_ms": 31000,
        "pages": 3,
    },
}
LOGIN: dict[str, Any] = {
    "event_id": "l-1",
    "type": "login",
    "account_id": "a-1",
    "time_ms": TIME_MS,
    "device_id": "d-3f2a",
    "ip": "203.0.113.7",
    "country": "DE",
    "success": True,
    "method": "passkey",
    "session": {"keys": 12},
}
PROFILE_CHANGE: dict[str, Any] = {
    "event_id": "c-1",
    "type": "profile_change",
    "account_id": "a-1",
    "time_ms": TIME_MS,
    "field": "email",
    "device_id": "d-3f2a",
    "ip": "2001:db8:1::7",
}
APPLICATION: dict[str, Any] = {
    "event_id": "n-1",
    "type": "application",
    "account_id": "a-1",
    "time_ms": TIME_MS,
    "email": "5f1d7a84db00d2fce00b31a7fc73224f@Example.org",
    "phone": "c0ffee00c0ffee00c0ffee00c0ffee00",
    "address": "00ab",
    "national_id": "01cd",
    "name": "José Ünal",
    "date_of_birth": "1984-02-29",
    "requested_minor": 500_000,
    "currency": "JPY",
    "device_id": "d-3f2a",
    "ip": "203.0.113.7",
}
LABEL: dict[str, Any] = {
    "event_id": "label-1",
    "type": "label",
    "account_id": "a-1",
    "time_ms": TIME_MS,
    "judged_event_id": "p-1",
    "label": "fraud",
    "fraud_type": "card_testing",
    "known_at_ms": TIME_MS,
    "source": "chargeback",
}
MARKER: dict[str, Any] = {
    "event_id": "marker-1",
    "type": "marker",
    "time_ms": TIME_MS,
    "marker": "model",
    "value": "ab" * 32,
    "reason": "it passed the gate",
}
EVENTS = [PAYMENT, LOGIN, PROFILE_CHANGE, APPLICATION, LABEL, MARKER]
MINIMAL_PAYMENT = {
    name: PAYMENT[name] for name in ("event_id", "type", "account_id", "time_ms", "amount_minor", "currency", "method")
}


def encoded(record: object) -> bytes:
    """`record` as JSON, compact, non-ASCII as it is."""
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()


def payment(**changes: object) -> bytes:
    """A minimal payment with `changes`; a field changed to ``...`` is left out."""
    return encoded({name: value for name, value in (MINIMAL_PAYMENT | changes).items() if value is not ...})
