"""How late labels come: the share of the fraud labels of a day that is in after so many days, and a feed that died.

Of yesterday's frauds only those are known whose label took a day: delays are cut off on the right by the present.
Counting what is there would make labels look quick. So each delay is compared only with events old enough to have
shown it: of the labels that came within d days, for events at least d days old, which share took exactly d days?
Multiplied up from the longest delay downwards these give the distribution of the delay, within the horizon.

Sources: S. Lagakos, L. Barraj, V. De Gruttola, "Nonparametric analysis of truncated survival data, with application to
AIDS", Biometrika 1988 (the reverse-time product limit); the same is the chain ladder of insurers.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.finding import Finding
from models.label_book import DAY_MS, Entry
from models.watch_limits import CohortLimits


class ArrivalCurve(NamedTuple):
    """Share of fraud labels that are in by age.

    Attributes:
        share: float64[horizon + 1]; ``share[d]`` is the share that came within d days, counted from the event's day
            (UTC) to the label's; 1 at the end: what comes later than the horizon is not known of.
        labels: labels that it follows from.
    """

    share: NDArray[np.float64]
    labels: int

    def by_age(self, days: int) -> float:
        """Share that is in when the event's day is `days` days ago; 0 before it."""
        return 0.0 if days < 0 else float(self.share[min(days, len(self.share) - 1)])

    def mature_after_days(self, mature_share: float) -> int:
        """Smallest age with at least `mature_share` of the labels in."""
        return int(np.argmax(self.share >= mature_share))


def day_of(time_ms: int) -> int:
    """Days since 1970-01-01 UTC.

    >>> day_of(DAY_MS - 1), day_of(DAY_MS)
    (0, 1)
    """
    return time_ms // DAY_MS


def arrival_curve(entries: Iterable[Entry], today: int, limits: CohortLimits) -> ArrivalCurve | None:
    """Estimate how late labels come from those that came before the day `today`, which itself is not over.

    Only what first said fraud counts, and only within the horizon. None below the least labels, and until a whole
    horizon has been watched: the longest delays cannot be guessed from short ones.

    Args:
        entries: of a `LabelBook`.
        today: day of the present, see `day_of`.
        limits: horizon and least labels.
    """
    horizon = limits.horizon_days
    triangle = np.zeros((horizon + 1, horizon + 1), dtype=np.int64)  # oldest age that is watched, delay
    oldest_age = -1
    for entry in entries:
        if entry.first_fraud_ms is None or day_of(entry.first_fraud_ms) >= today:
            continue
        day = day_of(entry.newest.time_ms)
        age, delay = today - 1 - day, max(day_of(entry.first_fraud_ms) - day, 0)
        oldest_age = max(oldest_age, age)
        if delay <= horizon and age <= 2 * horizon:
            triangle[min(age, horizon), delay] += 1
    labels = int(triangle.sum())
    if labels < limits.least_labels or oldest_age < horizon:
        return None
    share = np.ones(horizon + 1)
    for delay in range(horizon, 0, -1):
        old_enough = triangle[delay:]
        within = int(old_enough[:, : delay + 1].sum())
        exactly = int(old_enough[:, delay].sum())
        share[delay - 1] = share[delay] * (1.0 - exactly / within if within else 1.0)
    return ArrivalCurve(share, labels)


def feed_slower_than_curve(
    curve: ArrivalCurve, entries: Iterable[Entry], verdicts: Mapping[int, int], today: int, limits: CohortLimits
) -> list[Finding]:
    """Whether far fewer labels came in the last days than curve and traffic let expect: a feed that died.

    What is expected: verdicts of each day, times frauds for each verdict in mature days, times the share of labels that
    is due in these days.

    Args:
        curve: how late labels come, from before the trouble: a curve that has learnt of it expects too little.
        entries: of a `LabelBook`.
        verdicts: day to verdicts of events of that day.
        today: day of the present, which is not over and does not count.
        limits: days to compare, and what is too few.
    """
    first_day = today - limits.feed_days
    mature = curve.mature_after_days(limits.mature_share)
    mature_days = {day for day in verdicts if mature <= first_day - 1 - day <= 2 * limits.horizon_days}
    arrived = frauds = 0
    for entry in entries:
        if entry.first_fraud_ms is not None:
            day, known = day_of(entry.newest.time_ms), day_of(entry.first_fraud_ms)
            arrived += first_day <= known < today and known - day <= limits.horizon_days
            frauds += day in mature_days and known < first_day
    due_of_mature = sum(verdicts[day] * curve.by_age(first_day - 1 - day) for day in mature_days)
    if frauds < limits.least_labels or not due_of_mature:
        return []
    due = sum(
        count * (curve.by_age(today - 1 - day) - curve.by_age(first_day - 1 - day)) for day, count in verdicts.items()
    )
    expected = due * frauds / due_of_mature
    chance = poisson_at_most(arrived, expected)
    if chance > limits.feed_chance or arrived >= (1.0 - limits.feed_share) * expected:
        return []
    text = (
        f"{arrived:,} fraud labels in {limits.feed_days} days where {expected:,.0f} were due "
        f"(chance {chance:.1g}): is a feed of labels down?"
    )
    return [Finding(name="labels", level="act", value=float(arrived), expected=expected, text=text)]


def poisson_at_most(count: int, expected: float) -> float:
    """Chance of at most `count` events where `expected` are.

    >>> round(poisson_at_most(1, 2.0), 6)
    0.406006
    """
    if expected <= 0.0:
        return 1.0
    terms = (math.exp(k * math.log(expected) - expected - math.lgamma(k + 1)) for k in range(count + 1))
    return min(math.fsum(terms), 1.0)
