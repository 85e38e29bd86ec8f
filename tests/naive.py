"""The slow, obvious answer: every feature of one event, written from the definitions alone.

Pure Python over plain lists, exact integers and fractions. It shares no code with `features`; from there it takes only
the table of UTC offsets, which is data. A history is the list of the account's events in the order of their arrival.
"""

import math
import statistics
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

from features.utc_offsets import NO_OFFSET, UTC_OFFSET_MINUTES

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
WINDOWS = {
    "1m": MINUTE,
    "5m": 5 * MINUTE,
    "10m": 10 * MINUTE,
    "1h": HOUR,
    "6h": 6 * HOUR,
    "1d": DAY,
    "7d": 7 * DAY,
    "30d": 30 * DAY,
    "90d": 90 * DAY,
}
"""Window name to its length in milliseconds."""

PAYMENT_WINDOWS = ("5m", "10m", "1h", "6h", "1d", "7d", "30d", "90d")
DISTINCT_WINDOWS = ("1h", "1d", "7d", "30d")
ENTITIES = ("merchant", "device", "ip", "country", "beneficiary")
METHODS = {"card": 1, "bnpl": 2, "p2p": 3, "transfer": 4}
CHANNELS = {"ecom": 1, "app": 2, "pos": 3, "atm": 4, "api": 5}
EARTH_RADIUS_KM = 6371.0088
NAN = math.nan


@dataclass(frozen=True)
class NaiveEvent:
    """One event of one account; None is absent."""

    time_ms: int
    kind: str
    amount_minor: int = 0
    declined: bool = False
    failed: bool = False
    merchant: int | None = None
    device: int | None = None
    ip: int | None = None
    country: str | None = None
    beneficiary: int | None = None
    latitude: float | None = None
    longitude: float | None = None
    method: str | None = None
    channel: str | None = None


def features_naive(history: list[NaiveEvent], event: NaiveEvent) -> dict[str, float]:
    """Every feature of `event`, by name, given what arrived before it. NaN where there is no value."""
    past = [earlier for earlier in history if is_past(earlier, event)]
    inside = {
        name: [earlier for earlier in past if is_inside(earlier, event, length)] for name, length in WINDOWS.items()
    }
    return (
        _payments(inside)
        | _distinct(inside)
        | _other_counts(inside)
        | _velocity(inside)
        | _since(past, event)
        | _novelty(past, event)
        | _amount(past, inside, event)
        | _lifetime(past, event)
        | _place(past, event)
        | _itself(event)
    )


def is_past(earlier: NaiveEvent, event: NaiveEvent) -> bool:
    """Whether what arrived before also happened no later: a late event does not see what happened after it."""
    return earlier.time_ms <= event.time_ms


def is_inside(earlier: NaiveEvent, event: NaiveEvent, window_ms: int) -> bool:
    """Whether the time lies in (t - W, t]."""
    return event.time_ms - window_ms < earlier.time_ms <= event.time_ms


def deviation(amounts: list[int]) -> float:
    """Sample standard deviation, NaN below two amounts."""
    return statistics.stdev(amounts) if len(amounts) >= 2 else NAN


def amounts_of(events: Iterable[NaiveEvent]) -> list[int]:
    """Amounts of all payments, declined ones included."""
    return [event.amount_minor for event in events if event.kind == "payment"]


def values_of(events: Iterable[NaiveEvent], entity: str) -> set[int | str]:
    """Distinct present values of an entity over events of every kind."""
    return {getattr(event, entity) for event in events} - {None}


def distance_km(a: NaiveEvent, b: NaiveEvent) -> float:
    """Great-circle distance: the angle between the two directions from the centre of the Earth."""
    (ax, ay, az), (bx, by, bz) = _direction(a), _direction(b)
    cross = math.hypot(ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    return EARTH_RADIUS_KM * math.atan2(cross, ax * bx + ay * by + az * bz)


def utc_offset_minutes(event: NaiveEvent) -> int | None:
    """By longitude where there is one, 15 degrees an hour, half-way to the even hour; else by country; else None."""
    if event.longitude is not None:
        return round(Fraction(as_float32(event.longitude)) / 15) * 60
    if event.country is not None:
        first, second = (ord(letter) - ord("A") for letter in event.country)
        listed = int(UTC_OFFSET_MINUTES[first * 26 + second + 1])
        return None if listed == NO_OFFSET else listed
    return None


def as_float32(number: float) -> float:
    """The nearest number that single precision can hold: positions are stored so."""
    nearest: float = struct.unpack("<f", struct.pack("<f", number))[0]
    return nearest


def _payments(inside: dict[str, list[NaiveEvent]]) -> dict[str, float]:
    features: dict[str, float] = {}
    for window in PAYMENT_WINDOWS:
        amounts = amounts_of(inside[window])
        features |= {
            f"account_payment_count_{window}": len(amounts),
            f"account_amount_minor_sum_{window}": sum(amounts),
            f"account_amount_minor_mean_{window}": _mean(amounts),
            f"account_amount_minor_std_{window}": deviation(amounts),
            f"account_amount_minor_min_{window}": min(amounts, default=NAN),
            f"account_amount_minor_max_{window}": max(amounts, default=NAN),
        }
    return features


def _distinct(inside: dict[str, list[NaiveEvent]]) -> dict[str, float]:
    return {
        f"account_{entity}_distinct_{window}": len(values_of(inside[window], entity))
        for entity in ENTITIES
        for window in DISTINCT_WINDOWS
    }


def _other_counts(inside: dict[str, list[NaiveEvent]]) -> dict[str, float]:
    counted: tuple[tuple[str, tuple[str, ...], Callable[[NaiveEvent], bool]], ...] = (
        ("declined", ("1h", "1d", "7d", "30d"), _is_declined),
        ("failed_login", ("1h", "1d", "7d"), _is_failed_login),
        ("login", ("1h", "1d", "30d"), lambda earlier: earlier.kind == "login"),
        ("profile_change", ("1d", "7d", "30d"), lambda earlier: earlier.kind == "profile_change"),
    )
    features: dict[str, float] = {
        f"account_{what}_count_{window}": sum(1 for earlier in inside[window] if counts(earlier))
        for what, windows, counts in counted
        for window in windows
    }
    for window in ("1d", "30d"):
        features[f"account_declined_share_{window}"] = _ratio(
            sum(1 for earlier in inside[window] if _is_declined(earlier)), len(amounts_of(inside[window]))
        )
    return features


def _velocity(inside: dict[str, list[NaiveEvent]]) -> dict[str, float]:
    features: dict[str, float] = {}
    for short, long in (("5m", "1h"), ("1h", "1d"), ("1h", "30d"), ("1d", "7d"), ("1d", "30d"), ("7d", "90d")):
        recent, usual = amounts_of(inside[short]), amounts_of(inside[long])
        spans = Fraction(WINDOWS[long], WINDOWS[short])
        features[f"account_payment_count_ratio_{short}_{long}"] = _ratio(spans * len(recent), len(usual))
        features[f"account_amount_ratio_{short}_{long}"] = _ratio(spans * sum(recent), sum(usual))
    return features


def _since(past: list[NaiveEvent], event: NaiveEvent) -> dict[str, float]:
    introduced: dict[int, int] = {}
    for earlier in past:
        if earlier.device is not None:
            introduced[earlier.device] = min(earlier.time_ms, introduced.get(earlier.device, earlier.time_ms))
    times = {
        "payment": [earlier.time_ms for earlier in past if earlier.kind == "payment"],
        "login": [earlier.time_ms for earlier in past if earlier.kind == "login"],
        "failed_login": [earlier.time_ms for earlier in past if _is_failed_login(earlier)],
        "profile_change": [earlier.time_ms for earlier in past if earlier.kind == "profile_change"],
        "new_device": list(introduced.values()),
    }
    return {
        f"account_seconds_since_last_{what}": (event.time_ms - max(when)) / SECOND if when else NAN
        for what, when in times.items()
    }


def _novelty(past: list[NaiveEvent], event: NaiveEvent) -> dict[str, float]:
    features: dict[str, float] = {}
    for entity in ENTITIES:
        brought = getattr(event, entity)
        is_new = NAN if brought is None else float(brought not in values_of(past, entity))
        features[f"account_{entity}_is_new"] = is_new
    return features


def _amount(past: list[NaiveEvent], inside: dict[str, list[NaiveEvent]], event: NaiveEvent) -> dict[str, float]:
    has_amount = event.kind == "payment" or (event.kind == "application" and event.amount_minor > 0)
    amount = event.amount_minor if has_amount else None
    month, quarter = amounts_of(inside["30d"]), amounts_of(inside["90d"])
    return {
        "account_amount_minor": NAN if amount is None else amount,
        "account_amount_z_7d": _deviations(amount, amounts_of(inside["7d"])),
        "account_amount_z_30d": _deviations(amount, month),
        "account_amount_z_90d": _deviations(amount, quarter),
        "account_amount_z_lifetime": _deviations(amount, amounts_of(past)),
        "account_amount_to_mean_ratio_30d": NAN if amount is None else _ratio(amount * len(month), sum(month)),
        "account_amount_to_mean_ratio_90d": NAN if amount is None else _ratio(amount * len(quarter), sum(quarter)),
        "account_amount_to_max_ratio_90d": NAN if amount is None else _ratio(amount, max(quarter, default=0)),
    }


def _lifetime(past: list[NaiveEvent], event: NaiveEvent) -> dict[str, float]:
    return {
        "account_payment_count_lifetime": len(amounts_of(past)),
        "account_event_count_lifetime": len(past),
        "account_age_seconds": (event.time_ms - min(e.time_ms for e in past)) / SECOND if past else NAN,
    }


def _place(past: list[NaiveEvent], event: NaiveEvent) -> dict[str, float]:
    distance, speed = NAN, NAN
    placed = [(earlier.time_ms, arrival) for arrival, earlier in enumerate(past) if _has_position(earlier)]
    if placed and _has_position(event):
        _, arrival = max(placed)  # of equal times, the later arrived
        last = past[arrival]
        distance = distance_km(last, event)
        speed = distance / max((event.time_ms - last.time_ms) / SECOND, 1) * 3600
    return {"account_distance_km_from_last": distance, "account_speed_kmh_from_last": speed}


def _itself(event: NaiveEvent) -> dict[str, float]:
    offset = utc_offset_minutes(event)
    local_ms = None if offset is None else event.time_ms + offset * MINUTE
    return {
        "event_is_payment": float(event.kind == "payment"),
        "event_is_login": float(event.kind == "login"),
        "event_is_application": float(event.kind == "application"),
        "event_method": METHODS[event.method] if event.kind == "payment" and event.method else NAN,
        "event_channel": CHANNELS[event.channel] if event.channel else NAN,
        "event_local_hour": NAN if local_ms is None else local_ms // HOUR % 24,
        "event_local_weekday": NAN if local_ms is None else (local_ms // DAY + 3) % 7,  # 1970-01-01 was a Thursday
    }


def _is_declined(event: NaiveEvent) -> bool:
    return event.kind == "payment" and event.declined


def _is_failed_login(event: NaiveEvent) -> bool:
    return event.kind == "login" and event.failed


def _has_position(event: NaiveEvent) -> bool:
    return event.latitude is not None and event.longitude is not None


def _mean(amounts: list[int]) -> float:
    return float(Fraction(sum(amounts), len(amounts))) if amounts else NAN


def _ratio(numerator: int | Fraction, denominator: int) -> float:
    return float(Fraction(numerator) / denominator) if denominator else NAN


def _deviations(amount: int | None, amounts: list[int]) -> float:
    spread = deviation(amounts)
    if amount is None or math.isnan(spread) or spread == 0:
        return NAN
    return float(amount - Fraction(sum(amounts), len(amounts))) / spread


def _direction(event: NaiveEvent) -> tuple[float, float, float]:
    assert event.latitude is not None
    assert event.longitude is not None
    latitude = math.radians(as_float32(event.latitude))
    longitude = math.radians(as_float32(event.longitude))
    return (
        math.cos(latitude) * math.cos(longitude),
        math.cos(latitude) * math.sin(longitude),
        math.sin(latitude),
    )
