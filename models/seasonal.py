"""Is this hour like the same hour of other weeks? Mix of decisions and volume against robust seasonal bands.

A band is median and median absolute deviation of the same hour of the week over the last weeks: one strange week, a
sale or an outage, moves neither. A sale that brings five times the events with the usual mix is no alarm, because
more events than usual never are. A sale that changes the mix as it did a year ago is none either: an hour that is
outside its band is also compared with the same hour of the week about 52 weeks before.
"""

import math
import statistics
from typing import Literal, NamedTuple

import msgspec

from features.errors import AssayError
from models.decision import OUTCOMES
from models.finding import Finding
from models.watch_limits import SeasonalLimits

HOUR_MS = 3_600_000
WEEK_HOURS = 168
ALERT = "alert"
"""Every decision but `approve`."""

Decisions = tuple[int, int, int, int]
"""Verdicts by decision, mildest first."""

_MEASURES: dict[str, tuple[int, ...]] = {
    ALERT: (1, 2, 3),
    **{outcome: (place,) for place, outcome in enumerate(OUTCOMES) if place},
}
_SPREAD_OF_DEVIATION = 1.4826  # median absolute deviation to standard deviation, of a normal distribution
_YEAR_AROUND = (-1, 0, 1)  # a feast moves by up to a week from year to year


class Band(NamedTuple):
    """What a share usually is.

    Attributes:
        centre: median over the weeks.
        spread: robust standard deviation over the weeks, at least a part of the centre.
    """

    centre: float
    spread: float

    def distance(self, count: int, verdicts: int) -> float:
        """How many spreads `count` of `verdicts` lies above the centre; below it is negative.

        The chance of so few verdicts (binomial) is part of the spread, with at least one event in the hour.

        >>> round(Band(0.05, 0.005).distance(10, 100), 2)
        2.24
        """
        share = min(max(self.centre, 1.0 / verdicts), 1.0)
        spread = math.hypot(self.spread, math.sqrt(share * (1.0 - share) / verdicts))
        return (count / verdicts - self.centre) / spread if spread else 0.0


class Traffic(NamedTuple):
    """What was decided in a minute or an hour.

    Attributes:
        decisions: verdicts by decision, mildest first.
        scored: of them with a score.
        score_sum_micro: sum of the scores in millionths.
    """

    decisions: Decisions
    scored: int = 0
    score_sum_micro: int = 0

    @property
    def verdicts(self) -> int:
        """Verdicts of every decision."""
        return sum(self.decisions)

    def share(self, measure: str) -> float:
        """Share of ``alert``, ``step_up``, ``review`` or ``decline``; there has to be a verdict."""
        return _count(measure, self.decisions) / self.verdicts

    def __add__(self, other: "Traffic") -> "Traffic":  # type: ignore[override]
        """Both together."""
        approve, step_up, review, decline = (
            mine + yours for mine, yours in zip(self.decisions, other.decisions, strict=True)
        )
        return Traffic(
            (approve, step_up, review, decline),
            self.scored + other.scored,
            self.score_sum_micro + other.score_sum_micro,
        )


_NOTHING = Traffic((0, 0, 0, 0))


class _State(msgspec.Struct, forbid_unknown_fields=True):
    schema: Literal[1]
    newest_minute_ms: int
    hours: list[tuple[int, Traffic]]


class SeasonalHistory:
    """Traffic of each hour of a little more than a year, 9,000 hours of six numbers.

    >>> history = SeasonalHistory(SeasonalLimits())
    >>> for week in range(8):
    ...     _ = history.add(week * WEEK_HOURS * HOUR_MS, Traffic((940, 40, 15, 5)))
    >>> history.band("alert", 8 * WEEK_HOURS * HOUR_MS)
    Band(centre=0.06, spread=0.006)
    """

    def __init__(self, limits: SeasonalLimits) -> None:
        self._limits = limits
        self._hours: dict[int, Traffic] = {}
        self._newest_minute_ms = -(2**63)

    def add(self, minute_ms: int, traffic: Traffic) -> bool:
        """Add one minute; False if it, or a later one, was added before."""
        if minute_ms <= self._newest_minute_ms:
            return False
        self._newest_minute_ms = minute_ms
        hour = minute_ms // HOUR_MS
        if hour not in self._hours:
            oldest = hour - (self._limits.year_weeks + 2) * WEEK_HOURS
            self._hours = {at: kept for at, kept in self._hours.items() if at >= oldest}
        self._hours[hour] = self._hours.get(hour, _NOTHING) + traffic
        return True

    def band(self, measure: str, time_ms: int) -> Band | None:
        """What the share of `measure` usually is in the hour of the week that `time_ms` lies in.

        Args:
            measure: ``alert``, ``step_up``, ``review`` or ``decline``.
            time_ms: epoch milliseconds; only earlier weeks are looked at.

        Returns:
            None while fewer weeks than the least have enough verdicts in that hour.
        """
        shares = [past.share(measure) for past in self._enough(time_ms)]
        if len(shares) < self._limits.least_weeks:
            return None
        centre = statistics.median(shares)
        deviation = statistics.median(abs(share - centre) for share in shares)
        return Band(centre, max(_SPREAD_OF_DEVIATION * deviation, self._limits.relative_floor * centre))

    def mean_score(self, time_ms: int) -> float | None:
        """What the mean score usually is in that hour of the week: the median; None as for `band`."""
        means = [past.score_sum_micro / 1e6 / past.scored for past in self._enough(time_ms) if past.scored]
        return statistics.median(means) if len(means) >= self._limits.least_weeks else None

    def judge(self, hour_ms: int) -> list[Finding]:
        """What is unusual about the hour that begins at `hour_ms`, once it is over; nothing while there is no band."""
        hour = hour_ms // HOUR_MS
        traffic = self._hours.get(hour, _NOTHING)
        found = self._volume(hour, traffic.verdicts)
        if traffic.verdicts >= self._limits.least_verdicts:
            for measure in _MEASURES:
                found += self._share(measure, hour, traffic)
        return found

    def state(self) -> bytes:
        """Everything, as JSON: equal states are equal bytes."""
        return msgspec.json.encode(_State(1, self._newest_minute_ms, sorted(self._hours.items())), order="sorted")

    @classmethod
    def restore(cls, limits: SeasonalLimits, data: bytes) -> "SeasonalHistory":
        """What `state` gave.

        Raises:
            AssayError: it is not one.
        """
        try:
            state = msgspec.json.decode(data, type=_State)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise AssayError(f"state of the seasons: {error}; remove it, bands come back after some weeks") from error
        history = cls(limits)
        history._hours, history._newest_minute_ms = dict(state.hours), state.newest_minute_ms
        return history

    def _past(self, hour: int) -> list[Traffic]:
        """The same hour of the weeks before, where it had traffic."""
        places = (hour - week * WEEK_HOURS for week in range(1, self._limits.weeks + 1))
        return [self._hours[place] for place in places if place in self._hours]

    def _enough(self, time_ms: int) -> list[Traffic]:
        """Of these the ones with enough verdicts to tell a share."""
        return [past for past in self._past(time_ms // HOUR_MS) if past.verdicts >= self._limits.least_verdicts]

    def _a_year_before(self, hour: int) -> list[Traffic]:
        places = (hour - (self._limits.year_weeks + week) * WEEK_HOURS for week in _YEAR_AROUND)
        return [self._hours[place] for place in places if place in self._hours]

    def _volume(self, hour: int, verdicts: int) -> list[Finding]:
        volumes = [past.verdicts for past in self._past(hour)]
        if len(volumes) < self._limits.least_weeks:
            return []
        usual, least = statistics.median(volumes), self._limits.volume_drop
        if usual < self._limits.least_verdicts or verdicts >= least * usual:
            return []
        if any(verdicts >= least * past.verdicts for past in self._a_year_before(hour)):
            return []
        text = f"{verdicts:,} verdicts in an hour that usually has {usual:,.0f}: is a feed of events down?"
        return [Finding(name="volume", level="act", value=float(verdicts), expected=float(usual), text=text)]

    def _share(self, measure: str, hour: int, traffic: Traffic) -> list[Finding]:
        band, count, verdicts = self.band(measure, hour * HOUR_MS), _count(measure, traffic.decisions), traffic.verdicts
        if band is None or not self._is_out(band, count, verdicts):
            return []
        for past in self._a_year_before(hour):
            if past.verdicts >= self._limits.least_verdicts:
                centre = past.share(measure)
                if not self._is_out(Band(centre, self._limits.relative_floor * centre), count, verdicts):
                    return []  # as a year ago
        share = count / verdicts
        text = (
            f"{share:.2%} {measure} in this hour, usually {band.centre:.2%}: "
            f"{band.distance(count, verdicts):+.1f} spreads, and not as a year ago"
        )
        return [Finding(name=f"share:{measure}", level="act", value=share, expected=band.centre, text=text)]

    def _is_out(self, band: Band, count: int, verdicts: int) -> bool:
        by_events = abs(count - band.centre * verdicts) >= self._limits.least_events
        return by_events and abs(band.distance(count, verdicts)) > self._limits.spreads


def _count(measure: str, decisions: Decisions) -> int:
    return sum(decisions[place] for place in _MEASURES[measure])
