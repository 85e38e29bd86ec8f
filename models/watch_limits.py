"""Every threshold of the watch over a running engine, in one place; `docs/drift.md` says why each is what it is.

Shares are numbers from 0 to 1. A spread is a robust standard deviation (1.4826 times the median absolute deviation).
"""

from dataclasses import dataclass, field
from typing import Final, Literal

InForce = Literal["closed", "step_up", "last_good_model", "rules_only"]
"""What a breaker marker in the log can put in force; `closed`: the model decides."""
IN_FORCE: Final[tuple[InForce, ...]] = ("closed", "step_up", "last_good_model", "rules_only")
CLOSED: Final[InForce] = "closed"
STEP_UP: Final[InForce] = "step_up"
LAST_GOOD_MODEL: Final[InForce] = "last_good_model"
RULES_ONLY: Final[InForce] = "rules_only"

BreakerAction = Literal["step_up", "last_good_model", "rules_only", "none"]
"""What decides while the breaker is open; `none`: the model goes on, it is only told."""
BREAKER_ACTIONS: Final[tuple[BreakerAction, ...]] = ("step_up", "last_good_model", "rules_only", "none")


@dataclass(frozen=True, slots=True)
class StabilityLimits:
    """When a distribution is no longer that of training.

    Attributes:
        psi_warn: population stability index, without its bias, from which a feature or the score has moved.
        psi_act: from which it has moved so far that the model should not be trusted.
        least_rows: rows with a value before an index is told at all.
        least_reference_share: neighbouring score bins are joined until each holds this share of training.
        missing_warn: change of the share of missing values that counts as one.
        missing_act: change from which the feed of a feature is taken for broken.
        missing_z: standard errors that the change has to exceed too.
        least_missing_rows: rows before the share of missing values is compared.
    """

    psi_warn: float = 0.1
    psi_act: float = 0.25
    least_rows: int = 1_000
    least_reference_share: float = 0.05
    missing_warn: float = 0.05
    missing_act: float = 0.25
    missing_z: float = 6.0
    least_missing_rows: int = 100


@dataclass(frozen=True, slots=True)
class SeasonalLimits:
    """What the same hour of other weeks says about this one.

    Attributes:
        weeks: past weeks that are compared.
        least_weeks: of them with traffic before there is a band at all.
        year_weeks: weeks between an hour and the same hour of the same season, one year before.
        spreads: half width of a band.
        relative_floor: a band's spread is at least this part of its centre.
        least_verdicts: verdicts of an hour before its mix is compared.
        least_events: events by which a decision has to be off besides: a handful says nothing.
        volume_drop: an hour with less than this part of the usual volume is an alarm.
    """

    weeks: int = 8
    least_weeks: int = 3
    year_weeks: int = 52
    spreads: float = 5.0
    relative_floor: float = 0.1
    least_verdicts: int = 500
    least_events: int = 10
    volume_drop: float = 0.2


@dataclass(frozen=True, slots=True)
class ChangeLimits:
    """ADWIN over values of a minute, each as a part of what is usual (Bifet and Gavaldà, 2007).

    Attributes:
        delta: chance of a false cut that ADWIN aims at.
        most_values: minutes that are kept; then the older half is forgotten.
        least_verdicts: verdicts of a minute before it counts.
        least_change: a change to a level this near to the usual is not told: ADWIN sees what hours differ by anyway.
        least_alerts: alerts that are usual in as many verdicts, before the share of alerts of a minute counts.
    """

    delta: float = 0.0001
    most_values: int = 20_160
    least_verdicts: int = 100
    least_alerts: int = 5
    least_change: float = 0.3


@dataclass(frozen=True, slots=True)
class CohortLimits:
    """When labels may be believed.

    Attributes:
        mature_share: a day is mature when this share of its fraud labels is expected to be in.
        horizon_days: a label later than this is not waited for (Visa allows 120 days for most disputes).
        least_labels: fraud labels before there is a curve, or a measure of a cohort.
        cohort_days: newest mature days that are measured together: whole weeks.
        feed_days: days over which the arrival of labels is compared with the curve.
        feed_chance: chance of so few labels if the feed were healthy, at or below which it is an alarm.
        feed_share: part of the expected labels that has to be missing besides; real feeds vary more than chance.
        calibration_ratio: frauds over expected frauds, up or down, from which calibration is off.
    """

    mature_share: float = 0.95
    horizon_days: int = 120
    least_labels: int = 50
    cohort_days: int = 28
    feed_days: int = 3
    feed_chance: float = 1e-6
    feed_share: float = 0.5
    calibration_ratio: float = 1.1


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When the breaker opens and closes. Minutes are minutes with enough verdicts to tell.

    Attributes:
        spreads: a share is out of its band this many spreads above the seasonal centre.
        least_rise: and at least this far above it.
        ceiling: highest share while there is no seasonal band yet.
        least_verdicts: verdicts of a minute before its shares are judged.
        minutes_to_trip: minutes in a row with a share out of its band, until the breaker opens.
        minutes_without_model: minutes in a row without model or feature feed, until it opens.
        minutes_to_probe: good minutes in a row, until an open breaker probes.
        minutes_to_return: good minutes in a row, until a probing breaker closes.
        most_minutes_to_probe: each failed probe doubles the minutes to the next one, up to these.
        calm_minutes: a breaker that trips again sooner than this after it closed counts that as a failed probe.
        action: what decides while it is open.
    """

    spreads: float = 5.0
    least_rise: float = 0.02
    ceiling: float = 0.2
    least_verdicts: int = 200
    minutes_to_trip: int = 5
    minutes_without_model: int = 2
    minutes_to_probe: int = 10
    minutes_to_return: int = 15
    most_minutes_to_probe: int = 160
    calm_minutes: int = 1_440
    action: BreakerAction = "step_up"


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """All of them."""

    stability: StabilityLimits = field(default_factory=StabilityLimits)
    seasonal: SeasonalLimits = field(default_factory=SeasonalLimits)
    change: ChangeLimits = field(default_factory=ChangeLimits)
    cohorts: CohortLimits = field(default_factory=CohortLimits)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
