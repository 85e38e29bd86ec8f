"""The columns of an archive: the record as it was, and beside it what SQL asks for, typed.

`value` holds the record's bytes and is the truth. The typed columns are read out of it as far as that goes: what is
absent, of another type or not JSON at all is null, and refuses nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import pyarrow as pa

_INT64: Final = 1 << 63

RECORD: Final = {
    "partition": pa.int32(),
    "offset": pa.int64(),
    "timestamp_ms": pa.int64(),
    "key": pa.binary(),
    "value": pa.binary(),
    "headers": pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())])),
}
"""Columns that every topic has."""

_TEXTS = pa.list_(pa.string())
_SESSION = pa.struct(
    [
        ("dwell_ms_mean", pa.float64()),
        ("dwell_ms_std", pa.float64()),
        ("flight_ms_mean", pa.float64()),
        ("flight_ms_std", pa.float64()),
        ("keys", pa.int64()),
        ("backspaces", pa.int64()),
        ("pastes", pa.int64()),
        ("mouse_speed_mean", pa.float64()),
        ("mouse_curvature", pa.float64()),
        ("touch_pressure_mean", pa.float64()),
        ("duration_ms", pa.float64()),
        ("pages", pa.int64()),
    ]
)
_REASON = pa.struct(
    [
        ("code", pa.string()),
        ("feature", pa.string()),
        ("value", pa.float64()),
        ("baseline", pa.float64()),
        ("contribution", pa.float64()),
        ("text", pa.string()),
    ]
)
_LABEL = {
    "judged_event_id": pa.string(),
    "account_id": pa.string(),
    "label": pa.string(),
    "fraud_type": pa.string(),
    "known_at_ms": pa.int64(),
    "source": pa.string(),
}
_EVENT = {
    "event_id": pa.string(),
    "type": pa.string(),
    "account_id": pa.string(),
    "time_ms": pa.int64(),
    "amount_minor": pa.int64(),
    "currency": pa.string(),
    "method": pa.string(),
    "merchant_id": pa.string(),
    "mcc": pa.string(),
    "country": pa.string(),
    "channel": pa.string(),
    "device_id": pa.string(),
    "ip": pa.string(),
    "card_id": pa.string(),
    "bin": pa.string(),
    "beneficiary_id": pa.string(),
    "email": pa.string(),
    "lat": pa.float64(),
    "lon": pa.float64(),
    "authorization": pa.string(),
    "session": _SESSION,
    "success": pa.bool_(),
    "field": pa.string(),
    "phone": pa.string(),
    "address": pa.string(),
    "national_id": pa.string(),
    "name": pa.string(),
    "date_of_birth": pa.string(),
    "requested_minor": pa.int64(),
    **_LABEL,
    "marker": pa.string(),
    "marker_value": pa.string(),
    "reason": pa.string(),
}
_VERDICT = {
    "event_id": pa.string(),
    "account_id": pa.string(),
    "time_ms": pa.int64(),
    "decision": pa.string(),
    "score": pa.float64(),
    "anomaly": pa.float64(),
    "expected_loss_minor": pa.int64(),
    "reasons": pa.list_(_REASON),
    "model": pa.string(),
    "policy": pa.string(),
    "event_offset": pa.int64(),
    "entities_offset": pa.int64(),
    "flags": _TEXTS,
}
_OUTCOME = {
    "event_id": pa.string(),
    **_LABEL,
    "judged_time_ms": pa.int64(),
    "judged_offset": pa.int64(),
    "judged_decision": pa.string(),
    "judged_score": pa.float64(),
    "judged_anomaly": pa.float64(),
    "judged_amount_base_minor": pa.int64(),
    "feature_set": pa.string(),
    "features": pa.map_(pa.string(), pa.float64()),
    "flags": _TEXTS,
    "event_offset": pa.int64(),
    "entities_offset": pa.int64(),
}

TYPED: Final[Mapping[str, Mapping[str, Any]]] = {
    "events": _EVENT,
    "labels": _LABEL,
    "verdicts": _VERDICT,
    "outcomes": _OUTCOME,
}
"""Columns read out of `value`, by topic; these are the topics that can be archived."""

PATHS: Final = {
    "marker_value": ("value",),  # its own name is the record's
    "event_offset": ("at", "offset"),
    "entities_offset": ("at", "entities_offset"),
    "judged_time_ms": ("judged", "time_ms"),
    "judged_offset": ("judged", "offset"),
    "judged_decision": ("judged", "decision"),
    "judged_score": ("judged", "score"),
    "judged_anomaly": ("judged", "anomaly"),
    "judged_amount_base_minor": ("judged", "amount_base_minor"),
}
"""Where in the JSON a column is read, if not at the member of its name."""


def schema_of(topic: str) -> Any:
    """Arrow schema of a topic's files (name without the prefix).

    >>> schema_of("labels").names[:7]
    ['partition', 'offset', 'timestamp_ms', 'key', 'value', 'headers', 'judged_event_id']
    """
    return pa.schema([*RECORD.items(), *TYPED[topic].items()])


def column_of(name: str, kind: Any, values: list[dict[str, Any]]) -> Any:
    """One typed column out of parsed JSON objects.

    Args:
        name: of the column.
        kind: its Arrow type.
        values: one object per record, an empty one where the record is none.

    >>> column_of("score", pa.float64(), [{"score": 1}, {"score": "high"}, {}]).to_pylist()
    [1.0, None, None]
    """
    *parents, member = PATHS.get(name, (name,))
    for parent in parents:
        values = [inner if isinstance(inner := value.get(parent), dict) else {} for value in values]
    fitting = _fitting(kind)
    return pa.array([fitting(value.get(member)) for value in values], kind)


def _fitting(kind: Any) -> Callable[[Any], Any]:
    """What turns a JSON value into one of an Arrow type, or None where it is of another."""
    if pa.types.is_string(kind):
        return lambda value: value if isinstance(value, str) else None
    if pa.types.is_boolean(kind):
        return lambda value: value if isinstance(value, bool) else None
    if pa.types.is_int64(kind):
        return lambda value: value if type(value) is int and -_INT64 <= value < _INT64 else None
    if pa.types.is_float64(kind):
        return lambda value: float(value) if type(value) in (int, float) else None
    if pa.types.is_struct(kind):
        members = [(field.name, _fitting(field.type)) for field in kind]
        return lambda value: {name: fit(value.get(name)) for name, fit in members} if isinstance(value, dict) else None
    if pa.types.is_map(kind):
        item = _fitting(kind.item_type)
        return lambda value: [(key, item(each)) for key, each in value.items()] if isinstance(value, dict) else None
    assert pa.types.is_list(kind), kind
    element = _fitting(kind.value_type)
    return lambda value: [element(each) for each in value] if isinstance(value, list) else None
