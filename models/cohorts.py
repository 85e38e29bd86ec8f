"""How good decisions of a day were, told only once its labels are in: precision, recall and calibration.

A day is mature when the arrival curve says that 95 % of its fraud labels came. Before that its measures are not 0 and
not preliminary, they are None: "not measurable yet". An event without a label on a mature day counts as legitimate.

What cannot be corrected here: a declined payment gets no chargeback, so its fraud is seen only where an analyst or a
customer says so. Precision and recall are of what labels can reach. (River's precision and recall give 0 where nothing
can be said, which is why they are not used.)
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from models.arrivals import ArrivalCurve, day_of
from models.decision import OUTCOMES
from models.finding import Finding
from models.label_book import Entry
from models.watch_limits import CohortLimits

Z_95 = 1.959964
"""Half width of a 95 per cent interval, in standard errors."""


class DayTotals(NamedTuple):
    """What was decided about the events of one day, from telemetry.

    Attributes:
        decisions: verdicts by decision, mildest first.
        score_sum_micro: sum of their scores in millionths: the number of frauds that the model expects.
    """

    decisions: tuple[int, int, int, int]
    score_sum_micro: int


class Estimate(NamedTuple):
    """A share with its 95 per cent interval (Wilson, 1927).

    Attributes:
        share: as counted.
        low: lower end.
        high: upper end.
    """

    share: float
    low: float
    high: float


class Cohort(msgspec.Struct, frozen=True, kw_only=True):
    """Measures of the mature ones of some days.

    Attributes:
        days: days that are mature.
        waiting_days: days that are not yet.
        verdicts: of the mature days.
        frauds: of them fraud by the label in force.
        precision: share of fraud among what was not approved; None without any.
        recall: share of the frauds that was not approved; None without any.
        by_outcome: outcome to the share of fraud among its events; None without any.
        expected_frauds: sum of the scores, less the share of labels that is not in yet.
        calibration: frauds over expected frauds with its 95 per cent interval (square root of a Poisson count); above
            1 the model sees too little fraud.
    """

    days: int
    waiting_days: int
    verdicts: int
    frauds: int
    precision: Estimate | None
    recall: Estimate | None
    by_outcome: dict[str, Estimate | None]
    expected_frauds: float
    calibration: Estimate | None


def measure(
    entries: Iterable[Entry],
    totals: Mapping[int, DayTotals],
    curve: ArrivalCurve | None,
    days: Sequence[int],
    today: int,
    limits: CohortLimits,
) -> Cohort:
    """Measure the mature ones of `days`; without a curve none is.

    Args:
        entries: of a `LabelBook`.
        totals: day to what was decided about its events.
        curve: how late labels come.
        days: distinct days to look at, see `models.arrivals.day_of`; those without totals are left out.
        today: day of the present.
        limits: when a day is mature, and the least frauds for a measure.
    """
    known = [day for day in days if day in totals]
    mature = {day: curve.by_age(today - 1 - day) for day in known} if curve else {}
    mature = {day: share for day, share in mature.items() if share >= limits.mature_share}
    verdicts = [sum(totals[day].decisions[place] for day in mature) for place in range(len(OUTCOMES))]
    frauds = [0] * len(OUTCOMES)
    for entry in entries:
        if entry.newest.is_fraud and day_of(entry.newest.time_ms) in mature:
            frauds[entry.newest.outcome] += 1
    expected = math.fsum(totals[day].score_sum_micro / 1e6 * share for day, share in mature.items())
    enough = sum(frauds) >= limits.least_labels
    return Cohort(
        days=len(mature),
        waiting_days=len(known) - len(mature),
        verdicts=sum(verdicts),
        frauds=sum(frauds),
        precision=share_of(sum(frauds[1:]), sum(verdicts[1:])) if enough else None,
        recall=share_of(sum(frauds[1:]), sum(frauds)) if enough else None,
        by_outcome={
            outcome: share_of(fraud, count) if enough else None
            for outcome, fraud, count in zip(OUTCOMES, frauds, verdicts, strict=True)
        },
        expected_frauds=expected,
        calibration=_ratio(sum(frauds), expected) if enough and expected > 0.0 else None,
    )


def miscalibrated(cohort: Cohort, limits: CohortLimits) -> list[Finding]:
    """Whether frauds are far from what the scores expect: by the ratio, and by its whole interval."""
    ratio, most = cohort.calibration, limits.calibration_ratio
    if ratio is None or (ratio.low <= most and ratio.high >= 1.0 / most):
        return []
    text = (
        f"{cohort.frauds:,} frauds in {cohort.days} mature days where scores add up to {cohort.expected_frauds:,.0f}: "
        f"{ratio.share:.2f} times as many (95 %: {ratio.low:.2f} to {ratio.high:.2f}); calibrate the model anew"
    )
    return [Finding(name="calibration", level="warn", value=ratio.share, expected=1.0, text=text)]


def share_of(count: int, total: int) -> Estimate | None:
    """`count` of `total` with Wilson's interval; None of nothing.

    >>> [round(number, 3) for number in share_of(8, 10)]
    [0.8, 0.49, 0.943]
    """
    assert count <= total, f"expected at most {total}, got {count}: a label without its verdict"
    if not total:
        return None
    share, z_squared = count / total, Z_95**2
    middle = (share + z_squared / (2 * total)) / (1 + z_squared / total)
    half = Z_95 * math.sqrt(share * (1 - share) / total + z_squared / (4 * total**2)) / (1 + z_squared / total)
    return Estimate(share, max(middle - half, 0.0), min(middle + half, 1.0))


def _ratio(count: int, expected: float) -> Estimate:
    """The square root of a Poisson count has standard deviation 1/2, whatever the count."""
    low, high = max(math.sqrt(count) - Z_95 / 2, 0.0) ** 2, (math.sqrt(count) + Z_95 / 2) ** 2
    return Estimate(count / expected, low / expected, high / expected)
