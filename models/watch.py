"""The watch over a running engine: minutes of telemetry in, findings and the breaker's changes out.

It puts the single tests together and says when each is made: missing values and distributions as soon as there are
rows enough to tell, the breaker every minute, levels every minute once there is a seasonal band, seasons every hour.
What needs labels is apart (`models.cohorts`), because it is asked once a day.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from features.errors import AssayError
from models.breaker import BreakerInput, BreakerState, Transition, step
from models.change import Change, ChangeDetector
from models.finding import Finding
from models.minutes import Minute
from models.reference import Reference
from models.seasonal import ALERT, HOUR_MS, SeasonalHistory, Traffic
from models.stability import drifted, missing_changed
from models.summary import Counts
from models.watch_limits import WatchLimits


class Watched(NamedTuple):
    """What one minute brought to light.

    Attributes:
        findings: what is wrong.
        transition: change of the breaker, if there was one.
    """

    findings: list[Finding]
    transition: Transition | None


class _State(msgspec.Struct, forbid_unknown_fields=True):
    schema: Literal[1]
    model: str
    newest_ms: int | None
    gathered: Counts
    unjudged: Counts
    breaker: BreakerState
    seasons: msgspec.Raw
    score_level: msgspec.Raw
    alert_level: msgspec.Raw


class Watch:
    """Watches all partitions together, against the reference of the model in force.

    Attributes:
        breaker: where the breaker stands.
    """

    def __init__(self, model: str, reference: Reference, limits: WatchLimits) -> None:
        self.breaker = BreakerState()
        self._model, self._reference, self._limits = model, reference, limits
        self._newest_ms: int | None = None
        self._gathered = self._unjudged = Counts()
        self._seasons = SeasonalHistory(limits.seasonal)
        self._score_level = ChangeDetector(limits.change)
        self._alert_level = ChangeDetector(limits.change)

    def judge(
        self,
        minute_ms: int,
        minutes: Sequence[Minute],
        *,
        model_available: bool = True,
        features_present: bool = True,
    ) -> Watched:
        """Judge one minute; one that is not newer than the last changes nothing and finds nothing.

        Give every minute, also one without a summary: that nothing comes is told by the hour without traffic.

        Args:
            minute_ms: where it begins, epoch milliseconds.
            minutes: what `models.minutes.Minutes` took out for it, one for each model; may be empty.
            model_available: see `models.breaker.BreakerInput`.
            features_present: likewise.
        """
        if self._newest_ms is not None and minute_ms <= self._newest_ms:
            return Watched([], None)
        findings = self._end_hours(minute_ms)
        self._newest_ms = minute_ms
        assert all(minute.minute_ms == minute_ms for minute in minutes)
        total = sum((minute.counts.without_sample for minute in minutes), Counts())
        mine = sum((minute.counts for minute in minutes if minute.model == self._model), Counts())
        self._gathered, self._unjudged = self._gathered + mine, self._unjudged + mine
        if self._unjudged.sampled >= self._limits.stability.least_missing_rows:
            findings += missing_changed(self._reference, self._unjudged, self._limits.stability)
            self._unjudged = Counts()
        if self._gathered.sampled >= self._limits.stability.least_rows:
            findings += drifted(self._reference, self._gathered, self._limits.stability)
            self._gathered = Counts()
        findings += self._levels(minute_ms, total)
        _, _, review, decline = total.decisions
        asked = BreakerInput(
            minute_ms,
            total.verdicts,
            decline,
            review,
            self._seasons.band("decline", minute_ms),
            self._seasons.band("review", minute_ms),
            model_available,
            features_present,
        )
        self.breaker, transition = step(self.breaker, asked, self._limits.breaker)
        self._seasons.add(minute_ms, Traffic(total.decisions, total.scored, total.score_sum_micro))
        return Watched(findings, transition)

    def change_model(self, model: str, reference: Reference) -> None:
        """Another model is in force: distributions are compared with its reference, levels begin anew."""
        self._model, self._reference = model, reference
        self._gathered = self._unjudged = Counts()
        self._score_level = ChangeDetector(self._limits.change)
        self._alert_level = ChangeDetector(self._limits.change)

    def state(self) -> bytes:
        """Everything but reference and limits, as JSON."""
        state = _State(
            schema=1,
            model=self._model,
            newest_ms=self._newest_ms,
            gathered=self._gathered,
            unjudged=self._unjudged,
            breaker=self.breaker,
            seasons=msgspec.Raw(self._seasons.state()),
            score_level=msgspec.Raw(self._score_level.state()),
            alert_level=msgspec.Raw(self._alert_level.state()),
        )
        return msgspec.json.encode(state, order="sorted")

    @classmethod
    def restore(cls, model: str, reference: Reference, limits: WatchLimits, data: bytes) -> "Watch":
        """What `state` gave, for the same model and under the same limits.

        Raises:
            AssayError: it is not one, or one of another model.
        """
        try:
            state = msgspec.json.decode(data, type=_State)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise AssayError(f"state of the watch: {error}; remove it, the watch begins anew") from error
        if state.model != model:
            raise AssayError(
                f"state of the watch: expected one of the model {model}, got one of {state.model}; restore it for that "
                "model, then change the model"
            )
        watch = cls(model, reference, limits)
        watch.breaker, watch._newest_ms = state.breaker, state.newest_ms
        watch._gathered, watch._unjudged = state.gathered, state.unjudged
        watch._seasons = SeasonalHistory.restore(limits.seasonal, bytes(state.seasons))
        watch._score_level = ChangeDetector.restore(limits.change, bytes(state.score_level))
        watch._alert_level = ChangeDetector.restore(limits.change, bytes(state.alert_level))
        return watch

    def _end_hours(self, minute_ms: int) -> list[Finding]:
        """Judge the hours that ended before `minute_ms`, also those of which nothing came."""
        if self._newest_ms is None:
            return []
        findings: list[Finding] = []
        for hour in range(self._newest_ms // HOUR_MS, minute_ms // HOUR_MS):
            findings += self._seasons.judge(hour * HOUR_MS)
        return findings

    def _levels(self, minute_ms: int, total: Counts) -> list[Finding]:
        """Changes of the mean score and of the share of alerts, as parts of what the hour of the week gives.

        Parts, because ADWIN's bound is made for values from 0 to 1: shares near 0 would have to change for hours.
        """
        limits = self._limits.change
        band, usual_score = self._seasons.band(ALERT, minute_ms), self._seasons.mean_score(minute_ms)
        if total.verdicts < limits.least_verdicts:
            return []
        findings = []
        if usual_score and total.mean_score is not None:
            part = total.mean_score / usual_score
            findings += _level("mean score", "level:score", self._score_level.update(part), limits.least_change)
        if band and band.centre * total.verdicts >= limits.least_alerts:
            part = total.alerts / total.verdicts / band.centre
            findings += _level("share of alerts", "level:alert", self._alert_level.update(part), limits.least_change)
        return findings


def _level(what: str, name: str, change: Change | None, least_change: float) -> list[Finding]:
    """A new level of what is 1 when all is as usual; a return to the usual is no finding."""
    if change is None or abs(change.after - 1.0) < least_change:
        return []
    text = (
        f"{what}: {change.after:.2f} times the usual of this hour of the week for {change.minutes} minutes, "
        f"before that {change.before:.2f} times"
    )
    return [Finding(name=name, level="warn", value=change.after, expected=change.before, text=text)]
