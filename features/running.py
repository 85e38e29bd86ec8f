"""Running totals of a walk from the newest event to the oldest, and the measures that they become.

Windows are nested, so the totals when the walk leaves a window are that window's; at the end they are the lifetime's.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import measures as m
from features.columns import DECLINED, FAILED, LOGIN, PAYMENT, PROFILE_CHANGE
from features.compiled import compiled
from features.folded import ENTITIES, NEVER_MS, Folded, add_to_moments, merge_moments

RUNNING = np.dtype(
    [
        ("events", np.int64),
        ("payments", np.int64),
        ("sum_minor", np.int64),
        ("mean", np.float64),
        ("squares", np.float64),  # sum of squared distances from the mean
        ("low", np.float64),
        ("high", np.float64),
        ("declines", np.int64),
        ("logins", np.int64),
        ("failed_logins", np.int64),
        ("profile_changes", np.int64),
        ("first_ms", np.int64),  # the earliest event; the others are the latest of their kind, NEVER_MS if none
        ("payment_ms", np.int64),
        ("login_ms", np.int64),
        ("failed_login_ms", np.int64),
        ("profile_change_ms", np.int64),
        ("position_ms", np.int64),
        ("latitude", np.float32),
        ("longitude", np.float32),
    ]
)


@compiled
def reset(running: Any) -> None:
    """Totals of nothing."""
    running["events"] = 0
    running["payments"] = 0
    running["sum_minor"] = 0
    running["mean"] = 0.0
    running["squares"] = 0.0
    running["low"] = np.nan
    running["high"] = np.nan
    running["declines"] = 0
    running["logins"] = 0
    running["failed_logins"] = 0
    running["profile_changes"] = 0
    running["first_ms"] = NEVER_MS
    running["payment_ms"] = NEVER_MS
    running["login_ms"] = NEVER_MS
    running["failed_login_ms"] = NEVER_MS
    running["profile_change_ms"] = NEVER_MS
    running["position_ms"] = NEVER_MS
    running["latitude"] = np.nan
    running["longitude"] = np.nan


@compiled
def add(running: Any, past: Any) -> None:
    """Count one event, not later than those before it."""
    time_ms = past["time_ms"]
    running["events"] += 1
    running["first_ms"] = time_ms
    kind = past["kind"]
    if kind == PAYMENT:
        _add_payment(running, past)
    elif kind == LOGIN:
        if running["logins"] == 0:
            running["login_ms"] = time_ms
        running["logins"] += 1
        if past["marks"] & FAILED:
            if running["failed_logins"] == 0:
                running["failed_login_ms"] = time_ms
            running["failed_logins"] += 1
    elif kind == PROFILE_CHANGE:
        if running["profile_changes"] == 0:
            running["profile_change_ms"] = time_ms
        running["profile_changes"] += 1
    if running["position_ms"] == NEVER_MS and not (np.isnan(past["latitude"]) or np.isnan(past["longitude"])):
        running["position_ms"] = time_ms
        running["latitude"] = past["latitude"]
        running["longitude"] = past["longitude"]


@compiled
def _add_payment(running: Any, past: Any) -> None:
    amount = past["amount_minor"]
    value = float(amount)
    if running["payments"] == 0:
        running["payment_ms"] = past["time_ms"]
        running["low"] = value
        running["high"] = value
    running["payments"] += 1
    running["sum_minor"] += amount
    running["mean"], running["squares"] = add_to_moments(
        running["payments"], running["mean"], running["squares"], value
    )
    running["low"] = min(running["low"], value)
    running["high"] = max(running["high"], value)
    if past["marks"] & DECLINED:
        running["declines"] += 1


@compiled
def leave_window(
    out: NDArray[np.float64], moments: NDArray[np.float64], running: Any, distinct: NDArray[np.int64], window: int
) -> None:
    """What is running now is what `window` holds; `moments`, float64[windows, 2], takes its mean and squares."""
    n = m.N_WINDOWS
    out[m.COUNT * n + window] = running["payments"]
    out[m.SUM * n + window] = running["sum_minor"]
    out[m.MIN * n + window] = running["low"]
    out[m.MAX * n + window] = running["high"]
    out[m.DECLINES * n + window] = running["declines"]
    out[m.LOGINS * n + window] = running["logins"]
    out[m.FAILED_LOGINS * n + window] = running["failed_logins"]
    out[m.PROFILE_CHANGES * n + window] = running["profile_changes"]
    moments[window, 0] = running["mean"]
    moments[window, 1] = running["squares"]
    for entity in range(ENTITIES):
        out[(m.MERCHANTS + entity) * n + window] = distinct[entity]


@compiled
def add_summary(running: Any, folded: Folded, index: int, time_ms: int) -> None:
    """Add what was folded away to the lifetime totals; a last time counts if it is not after `time_ms`."""
    summary = folded.summaries[index]
    running["mean"], running["squares"] = merge_moments(
        running["payments"],
        running["mean"],
        running["squares"],
        summary["payments"],
        summary["mean"],
        summary["squares"],
    )
    running["payments"] += summary["payments"]
    running["events"] += summary["events"]
    first_ms = summary["first_ms"]
    if first_ms <= time_ms and (running["first_ms"] == NEVER_MS or first_ms < running["first_ms"]):
        running["first_ms"] = first_ms
    if summary["payment_ms"] <= time_ms:
        running["payment_ms"] = max(running["payment_ms"], summary["payment_ms"])
    if summary["login_ms"] <= time_ms:
        running["login_ms"] = max(running["login_ms"], summary["login_ms"])
    if summary["failed_login_ms"] <= time_ms:
        running["failed_login_ms"] = max(running["failed_login_ms"], summary["failed_login_ms"])
    if summary["profile_change_ms"] <= time_ms:
        running["profile_change_ms"] = max(running["profile_change_ms"], summary["profile_change_ms"])
    if running["position_ms"] < summary["position_ms"] <= time_ms:
        running["position_ms"] = summary["position_ms"]
        running["latitude"] = summary["latitude"]
        running["longitude"] = summary["longitude"]


@compiled
def _seconds_since(time_ms: int, past_ms: int) -> float:
    return (time_ms - past_ms) / 1000.0 if past_ms != NEVER_MS else np.nan


@compiled
def finish(out: NDArray[np.float64], moments: NDArray[np.float64], running: Any, time_ms: int) -> None:
    """Means and deviations per window, the lifetime, and the times since."""
    n = m.N_WINDOWS
    for window in range(n):
        payments = out[m.COUNT * n + window]
        out[m.MEAN * n + window] = out[m.SUM * n + window] / payments if payments > 0 else np.nan
        out[m.STD * n + window] = math.sqrt(moments[window, 1] / (payments - 1)) if payments > 1 else np.nan
    payments = float(running["payments"])
    out[m.LIFETIME_COUNT] = payments
    out[m.LIFETIME_MEAN] = running["mean"] if payments > 0 else np.nan
    out[m.LIFETIME_STD] = math.sqrt(running["squares"] / (payments - 1)) if payments > 1 else np.nan
    out[m.LIFETIME_EVENTS] = running["events"]
    out[m.SINCE_FIRST] = _seconds_since(time_ms, running["first_ms"])
    out[m.SINCE_PAYMENT] = _seconds_since(time_ms, running["payment_ms"])
    out[m.SINCE_LOGIN] = _seconds_since(time_ms, running["login_ms"])
    out[m.SINCE_FAILED_LOGIN] = _seconds_since(time_ms, running["failed_login_ms"])
    out[m.SINCE_PROFILE_CHANGE] = _seconds_since(time_ms, running["profile_change_ms"])
