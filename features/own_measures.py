"""What an event says by itself: amount, kind, context, local time; and how far it is from the last position."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import measures as m
from features.columns import APPLICATION, LOGIN, PAYMENT
from features.compiled import compiled
from features.folded import NEVER_MS
from features.utc_offsets import NO_OFFSET, UTC_OFFSET_MINUTES
from features.windows import DAY_MS, HOUR_MS, MINUTE_MS

EARTH_RADIUS_KM = 6371.0088
_THURSDAY = 3
"""1970-01-01 was one; Monday is 0."""


@compiled
def measure_itself(out: NDArray[np.float64], event: Any) -> None:
    """Fill the measures that need no history."""
    kind = event["kind"]
    amount = event["amount_minor"]
    has_amount = kind == PAYMENT or (kind == APPLICATION and amount > 0)
    out[m.AMOUNT] = float(amount) if has_amount else np.nan
    out[m.IS_PAYMENT] = 1.0 if kind == PAYMENT else 0.0
    out[m.IS_LOGIN] = 1.0 if kind == LOGIN else 0.0
    out[m.IS_APPLICATION] = 1.0 if kind == APPLICATION else 0.0
    method = event["context"] & 15
    channel = event["context"] >> 4
    out[m.METHOD] = float(method) if method > 0 else np.nan
    out[m.CHANNEL] = float(channel) if channel > 0 else np.nan
    minutes = np.int64(UTC_OFFSET_MINUTES[event["country"]])
    if not np.isnan(event["longitude"]):
        minutes = np.int64(np.rint(np.float64(event["longitude"]) / 15.0)) * 60
    if minutes == NO_OFFSET:
        out[m.LOCAL_HOUR] = np.nan
        out[m.LOCAL_WEEKDAY] = np.nan
    else:
        local_ms = event["time_ms"] + minutes * MINUTE_MS
        out[m.LOCAL_HOUR] = float(local_ms // HOUR_MS % 24)
        out[m.LOCAL_WEEKDAY] = float((local_ms // DAY_MS + _THURSDAY) % 7)


@compiled
def measure_travel(out: NDArray[np.float64], event: Any, running: Any) -> None:
    """Distance and speed from the account's last position; NaN where either end is not known."""
    out[m.DISTANCE_KM] = np.nan
    out[m.SPEED_KMH] = np.nan
    if running["position_ms"] == NEVER_MS or np.isnan(event["latitude"]) or np.isnan(event["longitude"]):
        return
    distance_km = _distance_km(
        float(running["latitude"]), float(running["longitude"]), float(event["latitude"]), float(event["longitude"])
    )
    seconds = max((event["time_ms"] - running["position_ms"]) / 1000.0, 1.0)
    out[m.DISTANCE_KM] = distance_km
    out[m.SPEED_KMH] = distance_km / seconds * 3600.0


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
