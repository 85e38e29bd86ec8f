"""From what the walk has noted to measures: counts, amounts and moments per window, the lifetime, and times since."""

import math
from typing import Any

import numpy as np

from features import measures as m
from features.branchless import nan_unless
from features.columns import FAILED, LOGIN, PAYMENT, PROFILE_CHANGE
from features.compiled import compiled
from features.folded import NEVER_MS, Folded, merge_moments
from features.packed_counts import (
    COUNT_BITS,
    DECLINES,
    FAILED_LOGINS,
    LOGINS,
    PAYMENTS,
    PROFILE_CHANGES,
    count_of,
)
from features.scratch import ONCE, ROOM, WHOLE_PAST


@compiled
def unpack(scratch: Any) -> None:
    """Measure what the walk has counted, per window and over the whole exact history."""
    measures = scratch["measures"]
    counts = scratch["counts"]
    distinct = scratch["distinct"]
    room = scratch["room"]
    for window in range(room):
        packed = counts[window]
        measures[m.COUNT * ROOM + window] = count_of(packed, PAYMENTS)
        measures[m.DECLINES * ROOM + window] = count_of(packed, DECLINES)
        measures[m.LOGINS * ROOM + window] = count_of(packed, LOGINS)
        measures[m.FAILED_LOGINS * ROOM + window] = count_of(packed, FAILED_LOGINS)
        measures[m.PROFILE_CHANGES * ROOM + window] = count_of(packed, PROFILE_CHANGES)
    for window in range(room):
        packed = distinct[window]
        measures[m.MERCHANTS * ROOM + window] = count_of(packed, 0)
        measures[m.DEVICES * ROOM + window] = count_of(packed, COUNT_BITS)
        measures[m.IPS * ROOM + window] = count_of(packed, 2 * COUNT_BITS)
        measures[m.COUNTRIES * ROOM + window] = count_of(packed, 3 * COUNT_BITS)
        measures[m.BENEFICIARIES * ROOM + window] = count_of(packed, 4 * COUNT_BITS)
    for window in range(room):
        payments = measures[m.COUNT * ROOM + window]
        low, high = measures[m.MIN * ROOM + window], measures[m.MAX * ROOM + window]
        measures[m.MIN * ROOM + window] = low if payments > 0.0 else np.nan
        measures[m.MAX * ROOM + window] = high if payments > 0.0 else np.nan
    _find_latest(scratch)


@compiled
def _find_latest(scratch: Any) -> None:
    """The latest event of each kind, whatever its marks."""
    sort_ms = scratch["sort_ms"]
    scratch["payment_ms"] = _latest_ms(sort_ms, PAYMENT)
    scratch["login_ms"] = _latest_ms(sort_ms, LOGIN)
    scratch["failed_login_ms"] = max(sort_ms[LOGIN * 4 + FAILED], sort_ms[LOGIN * 4 + FAILED + 1])
    scratch["profile_change_ms"] = _latest_ms(sort_ms, PROFILE_CHANGE)


@compiled
def _latest_ms(sort_ms: Any, kind: int) -> Any:
    first = kind * 4
    return max(max(sort_ms[first], sort_ms[first + 1]), max(sort_ms[first + 2], sort_ms[first + 3]))


@compiled
def add_summary(scratch: Any, folded: Folded, index: int, time_ms: int) -> None:
    """Add what was folded away to the lifetime totals; a last time counts if it is not after `time_ms`."""
    summary = folded.summaries[index]
    measures = scratch["measures"]
    mean = scratch["mean"]
    squares = scratch["squares"]
    payments = int(measures[m.COUNT * ROOM + WHOLE_PAST])
    mean[WHOLE_PAST], squares[WHOLE_PAST] = merge_moments(
        payments, mean[WHOLE_PAST], squares[WHOLE_PAST], summary["payments"], summary["mean"], summary["squares"]
    )
    measures[m.COUNT * ROOM + WHOLE_PAST] = payments + summary["payments"]
    scratch["events"] += summary["events"]
    first_ms = summary["first_ms"]
    if first_ms <= time_ms and (scratch["first_ms"] == NEVER_MS or first_ms < scratch["first_ms"]):
        scratch["first_ms"] = first_ms
    if summary["payment_ms"] <= time_ms:
        scratch["payment_ms"] = max(scratch["payment_ms"], summary["payment_ms"])
    if summary["login_ms"] <= time_ms:
        scratch["login_ms"] = max(scratch["login_ms"], summary["login_ms"])
    if summary["failed_login_ms"] <= time_ms:
        scratch["failed_login_ms"] = max(scratch["failed_login_ms"], summary["failed_login_ms"])
    if summary["profile_change_ms"] <= time_ms:
        scratch["profile_change_ms"] = max(scratch["profile_change_ms"], summary["profile_change_ms"])
    if scratch["position_ms"] < summary["position_ms"] <= time_ms:
        scratch["position_ms"] = summary["position_ms"]
        scratch["latitude"] = summary["latitude"]
        scratch["longitude"] = summary["longitude"]


@compiled
def _seconds_since(time_ms: int, past_ms: int) -> float:
    return (time_ms - past_ms) / 1000.0 + nan_unless(past_ms != NEVER_MS)


@compiled
def finish(scratch: Any, time_ms: int) -> None:
    """Means and deviations per window, the lifetime, and the times since; NaN takes the place of a missing divisor."""
    measures = scratch["measures"]
    squares = scratch["squares"]
    room = scratch["room"]
    for window in range(room):
        payments = measures[m.COUNT * ROOM + window]
        mean = measures[m.SUM * ROOM + window] / (payments if payments > 0.0 else np.nan)
        measures[m.MEAN * ROOM + window] = mean
    for window in range(room):
        payments = measures[m.COUNT * ROOM + window]
        variance = squares[window] / (payments - 1.0 if payments > 1.0 else np.nan)
        measures[m.STD * ROOM + window] = math.sqrt(variance)
    payments = measures[m.COUNT * ROOM + WHOLE_PAST]
    measures[ONCE + m.LIFETIME_COUNT] = payments
    measures[ONCE + m.LIFETIME_MEAN] = scratch["mean"][WHOLE_PAST] + nan_unless(payments > 0.0)
    measures[ONCE + m.LIFETIME_STD] = measures[m.STD * ROOM + WHOLE_PAST]
    measures[ONCE + m.LIFETIME_EVENTS] = scratch["events"]
    measures[ONCE + m.SINCE_FIRST] = _seconds_since(time_ms, scratch["first_ms"])
    measures[ONCE + m.SINCE_PAYMENT] = _seconds_since(time_ms, scratch["payment_ms"])
    measures[ONCE + m.SINCE_LOGIN] = _seconds_since(time_ms, scratch["login_ms"])
    measures[ONCE + m.SINCE_FAILED_LOGIN] = _seconds_since(time_ms, scratch["failed_login_ms"])
    measures[ONCE + m.SINCE_PROFILE_CHANGE] = _seconds_since(time_ms, scratch["profile_change_ms"])
