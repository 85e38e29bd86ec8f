"""What an event says by itself: amount, kind, context, local time; and how far it is from the last position."""

import math
from typing import Any

import numpy as np

from features import measures as m
from features.branchless import nan_unless
from features.columns import APPLICATION, LOGIN, PAYMENT
from features.compiled import compiled
from features.folded import NEVER_MS
from features.scratch import ONCE
from features.utc_offsets import NO_OFFSET, UTC_OFFSET_MINUTES
from features.windows import DAY_MS, HOUR_MS, MINUTE_MS

EARTH_RADIUS_KM = 6371.0088
_THURSDAY = 3
"""1970-01-01 was one; Monday is 0."""


@compiled
def measure_itself(scratch: Any, event: Any) -> None:
    """Fill the measures that need no history; what is not known is NaN."""
    measures = scratch["measures"]
    kind = event["kind"]
    amount = event["amount_minor"]
    has_amount = (kind == PAYMENT) | ((kind == APPLICATION) & (amount > 0))
    measures[ONCE + m.AMOUNT] = np.float64(amount) + nan_unless(has_amount)
    measures[ONCE + m.IS_PAYMENT] = np.float64(kind == PAYMENT)
    measures[ONCE + m.IS_LOGIN] = np.float64(kind == LOGIN)
    measures[ONCE + m.IS_APPLICATION] = np.float64(kind == APPLICATION)
    method = event["context"] & 15
    channel = event["context"] >> 4
    measures[ONCE + m.METHOD] = np.float64(method) + nan_unless(method > 0)
    measures[ONCE + m.CHANNEL] = np.float64(channel) + nan_unless(channel > 0)
    by_country = np.int64(UTC_OFFSET_MINUTES[event["country"]])
    by_longitude = np.int64(np.rint(np.float64(event["longitude"]) / 15.0)) * 60
    minutes = by_country if np.isnan(event["longitude"]) else by_longitude
    local_ms = event["time_ms"] + minutes * MINUTE_MS
    is_known = nan_unless(minutes != NO_OFFSET)
    measures[ONCE + m.LOCAL_HOUR] = np.float64(local_ms // HOUR_MS % 24) + is_known
    measures[ONCE + m.LOCAL_WEEKDAY] = np.float64((local_ms // DAY_MS + _THURSDAY) % 7) + is_known


@compiled
def measure_travel(scratch: Any, event: Any) -> None:
    """Distance and speed from the account's last position; NaN where either end is not known."""
    measures = scratch["measures"]
    measures[ONCE + m.DISTANCE_KM] = np.nan
    measures[ONCE + m.SPEED_KMH] = np.nan
    if scratch["position_ms"] == NEVER_MS or np.isnan(event["latitude"]) or np.isnan(event["longitude"]):
        return
    distance_km = _distance_km(
        float(scratch["latitude"]), float(scratch["longitude"]), float(event["latitude"]), float(event["longitude"])
    )
    seconds = max((event["time_ms"] - scratch["position_ms"]) / 1000.0, 1.0)
    measures[ONCE + m.DISTANCE_KM] = distance_km
    measures[ONCE + m.SPEED_KMH] = distance_km / seconds * 3600.0


@compiled
def _distance_km(from_latitude: float, from_longitude: float, to_latitude: float, to_longitude: float) -> float:
    """Great-circle distance by the haversine formula, degrees in."""
    radians = math.pi / 180.0
    half_latitude = math.sin((to_latitude - from_latitude) * radians / 2.0)
    half_longitude = math.sin((to_longitude - from_longitude) * radians / 2.0)
    chord = half_latitude * half_latitude + (
        math.cos(from_latitude * radians) * math.cos(to_latitude * radians) * half_longitude * half_longitude
    )
    return 2.0 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, chord)))
