"""The measures that features are made of, in plain Python: which past events count, and what number they make.

A second, slow way to the numbers of the compiled kernel, for one event at a time. Rows are `EVENT` records.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from features import measures as m
from features.columns import APPLICATION, DECLINED, FAILED, LOGIN, PAYMENT, PROFILE_CHANGE


class Statistic(NamedTuple):
    """How a measure over a window is made: which events count, and what is done with them."""

    what: str
    counts: Callable[[Any], bool]
    number: Callable[[Sequence[Any]], float]


def _amounts(rows: Sequence[Any]) -> list[int]:
    return [int(row["amount_minor"]) for row in rows]


def _is(kind: int, mark: int = 0) -> Callable[[Any], bool]:
    return lambda row: bool(row["kind"] == kind and (row["marks"] & mark) == mark)


def _brings(entity: str) -> Callable[[Any], bool]:
    return lambda row: bool(row[entity] != 0)


def _distinct(entity: str) -> Callable[[Sequence[Any]], float]:
    return lambda rows: float(len({int(row[entity]) for row in rows}))


def _count(rows: Sequence[Any]) -> float:
    return float(len(rows))


def _sum(rows: Sequence[Any]) -> float:
    return float(sum(_amounts(rows)))


def _mean(rows: Sequence[Any]) -> float:
    return sum(_amounts(rows)) / len(rows) if rows else math.nan


def _deviation(rows: Sequence[Any]) -> float:
    return statistics.stdev(_amounts(rows)) if len(rows) > 1 else math.nan


def _least(rows: Sequence[Any]) -> float:
    return float(min(_amounts(rows), default=math.nan))


def _most(rows: Sequence[Any]) -> float:
    return float(max(_amounts(rows), default=math.nan))


def _own_amount(row: Any) -> float:
    has_amount = row["kind"] == PAYMENT or (row["kind"] == APPLICATION and row["amount_minor"] > 0)
    return float(row["amount_minor"]) if has_amount else math.nan


_ENTITIES = ("merchant", "device", "ip", "country", "beneficiary")

WINDOWED = {
    m.COUNT: Statistic("number of payments", _is(PAYMENT), _count),
    m.SUM: Statistic("sum of payment amounts", _is(PAYMENT), _sum),
    m.MEAN: Statistic("mean payment amount", _is(PAYMENT), _mean),
    m.STD: Statistic("sample standard deviation of payment amounts", _is(PAYMENT), _deviation),
    m.MIN: Statistic("smallest payment amount", _is(PAYMENT), _least),
    m.MAX: Statistic("largest payment amount", _is(PAYMENT), _most),
    m.DECLINES: Statistic("number of declined payments", _is(PAYMENT, DECLINED), _count),
    m.LOGINS: Statistic("number of logins", _is(LOGIN), _count),
    m.FAILED_LOGINS: Statistic("number of failed logins", _is(LOGIN, FAILED), _count),
    m.PROFILE_CHANGES: Statistic("number of profile changes", _is(PROFILE_CHANGE), _count),
} | {
    m.MERCHANTS + place: Statistic(f"distinct values of {entity}", _brings(entity), _distinct(entity))
    for place, entity in enumerate(_ENTITIES)
}
"""By the statistic's number: over the events in (t - W, t]."""

LIFETIME = {
    m.LIFETIME_COUNT: Statistic("payments in the whole past", _is(PAYMENT), _count),
    m.LIFETIME_MEAN: Statistic("mean payment amount of the whole past", _is(PAYMENT), _mean),
    m.LIFETIME_STD: Statistic("standard deviation of the amounts of the whole past", _is(PAYMENT), _deviation),
    m.LIFETIME_EVENTS: Statistic("events of every kind in the whole past", lambda _: True, _count),
}
"""By the measure's place: over every event up to t."""

SINCE = {
    m.SINCE_PAYMENT: ("seconds since the latest payment", _is(PAYMENT)),
    m.SINCE_LOGIN: ("seconds since the latest login", _is(LOGIN)),
    m.SINCE_FAILED_LOGIN: ("seconds since the latest failed login", _is(LOGIN, FAILED)),
    m.SINCE_PROFILE_CHANGE: ("seconds since the latest profile change", _is(PROFILE_CHANGE)),
}
"""By the measure's place: which events' latest is meant."""

NEW = {m.NEW_MERCHANT + place: entity for place, entity in enumerate(_ENTITIES)}
"""By the measure's place: the entity that may be new."""

ITSELF: dict[int, tuple[str, Callable[[Any], float]]] = {
    m.AMOUNT: ("amount of the event itself", _own_amount),
    m.IS_PAYMENT: ("whether the event is a payment", lambda row: float(row["kind"] == PAYMENT)),
    m.IS_LOGIN: ("whether the event is a login", lambda row: float(row["kind"] == LOGIN)),
    m.IS_APPLICATION: ("whether the event is an application", lambda row: float(row["kind"] == APPLICATION)),
    m.METHOD: ("method of the event itself", lambda row: float(row["context"] & 15) or math.nan),
    m.CHANNEL: ("channel of the event itself", lambda row: float(row["context"] >> 4) or math.nan),
}
"""By the measure's place: what the event says by itself."""

ELSEWHERE = {
    m.LOCAL_HOUR: "hour of the day where the event happened",
    m.LOCAL_WEEKDAY: "day of the week where the event happened",
    m.DISTANCE_KM: "distance from the latest position",
    m.SPEED_KMH: "speed from the latest position",
}
"""By the measure's place: what is named and not computed a second time."""
