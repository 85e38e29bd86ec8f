"""From counts of days to smoothed rates, and from two profiles of an entity to whether the newer one is worth telling.

A rate is ``(frauds + a * prior) / (payments + a)``: the mean of a Beta distribution, with the prior worth `a` payments.
The prior is the rate of the entity's parent, whose prior is the rate of everything of the kind, whose prior is a
constant. So an entity of which little is known has the rate of its like, and many payments speak for themselves.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.risk_days import Days, find
from features.risk_settings import LONGEST_WINDOW_DAYS, RiskSettings

_WEEK, _MONTH = 7, 30
RATES = ("rate_7d", "rate_30d", "rate_90d")


@compiled
def _sums(days: Days, slot: int, last_days: NDArray[np.int64], sums: NDArray[np.int64]) -> None:
    """Payments and frauds of an entity in windows of 7, 30 and 90 days that end with its kind's last day, int64[3, 2].

    A fraud is a payment, even if nobody has counted it yet: payments are never fewer than frauds.
    """
    sums[:] = 0
    last_day = last_days[days.slots[slot]["kind"]]
    tile = days.slots[slot]["newest"]
    while tile >= 0:
        age = last_day - days.tiles[tile]["day"]
        if age >= LONGEST_WINDOW_DAYS:
            break
        if age >= 0:
            for window in range(0 if age < _WEEK else 1 if age < _MONTH else 2, 3):
                sums[window, 0] += days.tiles[tile]["payments"]
                sums[window, 1] += days.tiles[tile]["frauds"]
        tile = days.tiles[tile]["older"]
    for window in range(3):
        sums[window, 0] = max(sums[window, 0], sums[window, 1])


@compiled
def _smoothed(sums: NDArray[np.int64], window: int, prior: float, prior_payments: float) -> float:
    rate: float = (sums[window, 1] + prior_payments * prior) / (sums[window, 0] + prior_payments)
    return rate


@compiled
def group_rates(
    groups: Days, last_days: NDArray[np.int64], root_rate: float, prior_payments: float, rates: NDArray[np.float64]
) -> None:
    """Smoothed rates of groups, float64[slots, 3] by slot; the group 0 of a kind is everything of it."""
    sums = np.empty((3, 2), dtype=np.int64)
    for slot in range(len(rates)):
        if groups.slots[slot]["entity"] == 0:
            _sums(groups, slot, last_days, sums)
            for window in range(3):
                rates[slot, window] = _smoothed(sums, window, root_rate, prior_payments)
    for slot in range(len(rates)):
        if groups.slots[slot]["entity"] != 0:
            root = find(groups, groups.slots[slot]["kind"], np.uint64(0))
            _sums(groups, slot, last_days, sums)
            for window in range(3):
                rates[slot, window] = _smoothed(sums, window, rates[root, window], prior_payments)


@compiled
def measure(
    entities: Days,
    slots: NDArray[np.int64],
    groups: Days,
    rates: NDArray[np.float64],
    last_days: NDArray[np.int64],
    as_of_ms: int,
    prior_payments: float,
    profiles: NDArray[np.void],
    is_known: NDArray[np.bool_],
) -> None:
    """Write the profile of each of `slots`, and whether any matured payment is known of it.

    Args:
        entities: their counts.
        slots: int64[n], which of them.
        groups: counts of parents and of whole kinds.
        rates: float64[groups, 3], what `group_rates` gave.
        last_days: int64[kinds], the newest day that counts.
        as_of_ms: for the profiles.
        prior_payments: see `RiskSettings`.
        profiles: `PROFILE` records[n], written.
        is_known: bool[n], written; the rates of the others are 0 and mean nothing.
    """
    sums = np.empty((3, 2), dtype=np.int64)
    for row in range(len(slots)):
        slot = slots[row]
        kind: Any = entities.slots[slot]["kind"]
        profiles[row]["kind"] = kind
        profiles[row]["entity"] = entities.slots[slot]["entity"]
        profiles[row]["as_of_ms"] = as_of_ms
        _sums(entities, slot, last_days, sums)
        profiles[row]["payments_30d"] = sums[1, 0]
        profiles[row]["frauds_30d"] = sums[1, 1]
        is_known[row] = sums[2, 0] > 0
        if not is_known[row]:
            continue
        # whatever counts for an entity counts for its groups too, so there is one
        group = find(groups, kind, entities.tiles[entities.slots[slot]["newest"]]["parent"])
        profiles[row]["rate_7d"] = _smoothed(sums, 0, rates[group, 0], prior_payments)
        profiles[row]["rate_30d"] = _smoothed(sums, 1, rates[group, 1], prior_payments)
        profiles[row]["rate_90d"] = _smoothed(sums, 2, rates[group, 2], prior_payments)


def is_material(last: NDArray[Any], now: NDArray[Any], settings: RiskSettings) -> NDArray[np.bool_]:
    """Whether profiles have to be published again, bool[n]: a function of what was published and what is so now.

    Args:
        last: records with the columns of `PROFILE`, as published.
        now: the same entities now.
        settings: what counts as a change.
    """
    changed: NDArray[np.bool_] = now["as_of_ms"] - last["as_of_ms"] >= settings.published_for_ms
    enough = settings.enough_payments
    changed |= (last["payments_30d"] < enough) & (now["payments_30d"] >= enough)
    for name in RATES:
        before = last[name].astype(np.float64)
        moved = np.abs(now[name].astype(np.float64) - before)
        changed |= (moved > settings.changed_share * before) & (moved > settings.changed_rate)
    return changed
