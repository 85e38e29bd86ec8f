"""The first page: what the engine does now. Rates, mix, latency, lag, alerts in force. Pure."""

from dataclasses import dataclass
from typing import Final

from features.events import Marker
from models.decision import OUTCOMES
from models.watch_limits import CLOSED
from models.wording import duration_text
from streams.console import words
from streams.console.alert_shelf import InForce
from streams.console.charts import Chart, Series, line_chart, stacked_chart
from streams.console.lag import Lag, LagHistory
from streams.console.picture import Picture
from streams.console.telemetry_book import STEP_MS, Step

SHOWN_MS: Final = 15 * 60_000
NOW_MS: Final = 60_000
"""What "now" means in a number: the last minute."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its name, and one more line about it."""

    name: str
    value: str
    note: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class LagRow:
    """One partition.

    Attributes:
        name: topic and partition.
        lag: records still to come.
        arriving: a second.
        working: a second.
        catch_up: in words.
        state: ``good``, ``behind`` (it is catching up) or ``losing`` (it is not).
    """

    name: str
    lag: str
    arriving: str
    working: str
    catch_up: str
    state: str


@dataclass(frozen=True, slots=True)
class MixRow:
    """One decision, over a quarter of an hour."""

    name: str
    css: str
    count: str
    share: str
    part: float


@dataclass(frozen=True, slots=True)
class Live:
    """What the page shows."""

    figures: list[Figure]
    charts: list[Chart]
    mix: list[MixRow]
    engine: list[LagRow]
    warm: list[LagRow]
    alerts: list[InForce]
    said: str


def live_view(picture: Picture, now_ms: int) -> Live:
    """The page as of `now_ms`."""
    end_ms = now_ms // STEP_MS * STEP_MS
    start_ms = end_ms - SHOWN_MS
    steps = picture.telemetry.steps(start_ms, end_ms)
    last_minute = picture.telemetry.steps(end_ms - NOW_MS, end_ms)
    engine = lag_rows(picture.engine_lag)
    alerts = picture.alerts.in_force()
    return Live(
        figures=[
            _rate(last_minute),
            _held(steps),
            _latency(picture, now_ms),
            _behind(picture.engine_lag),
            _alarm(alerts),
            _breaker(picture.in_force.get("breaker"), now_ms),
        ],
        charts=[_rate_chart(steps, start_ms, end_ms), _mix_chart(steps, start_ms, end_ms),
                _latency_chart(picture, start_ms, now_ms), _score_chart(steps, start_ms, end_ms)],
        mix=_mix(steps),
        engine=engine,
        warm=lag_rows(picture.warm_lag),
        alerts=alerts,
        said=_said(picture, now_ms),
    )  # fmt: skip


def lag_rows(history: LagHistory) -> list[LagRow]:
    """Every partition of a group."""
    return [
        LagRow(
            name=f"{lag.place.topic} [{lag.place.partition}]",
            lag=f"{lag.lag:,}",
            arriving=words.rate(lag.arriving_per_s),
            working=words.rate(lag.working_per_s),
            catch_up=catch_up_text(lag),
            state="good" if lag.lag == 0 else "losing" if lag.catch_up_s is None else "behind",
        )
        for lag in history.now()
    ]


def catch_up_text(lag: Lag) -> str:
    """When nothing will be left.

    >>> from streams.console.lag import Place
    >>> catch_up_text(Lag(Place("t", 0), 100, 10.0, 30.0, True)), catch_up_text(Lag(Place("t", 0), 0, 1.0, 1.0, True))
    ('in 5 seconds', 'caught up')
    >>> catch_up_text(Lag(Place("t", 0), 9, 3.0, 1.0, True)), catch_up_text(Lag(Place("t", 0), 9, 3.0, 0.0, True))
    ('never at this rate', 'never: it does not move')
    """
    if lag.lag == 0:
        return "caught up"
    if lag.arriving_per_s is None:
        return "–"
    if not lag.has_committed:
        return "never: nothing was ever committed"
    if not lag.working_per_s:
        return "never: it does not move"
    if lag.catch_up_s is None:
        return "never at this rate"
    return f"in {duration_text(max(1, round(lag.catch_up_s)))}"


def _said(picture: Picture, now_ms: int) -> str:
    if picture.telemetry.newest_ms is None:
        return "No telemetry within the last hour: no worker runs, or telemetry.sample_one_in is 0."
    return f"Newest telemetry {words.ago(picture.telemetry.newest_ms, now_ms)}."


def _rate(steps: list[Step]) -> Figure:
    verdicts = sum(step.verdicts for step in steps)
    return Figure("verdicts a second", words.rate(verdicts / (NOW_MS / 1_000)), "over the last minute")


def _held(steps: list[Step]) -> Figure:
    verdicts = sum(step.verdicts for step in steps)
    approved = sum(step.decisions[0] for step in steps)
    return Figure("not approved", words.share(verdicts - approved, verdicts), f"of {verdicts:,} verdicts in 15 minutes")


def _latency(picture: Picture, now_ms: int) -> Figure:
    found = picture.latency.over(now_ms - SHOWN_MS, now_ms + NOW_MS)
    if found is None:
        return Figure("event to verdict", "–", "no sample within 15 minutes")
    note = f"median; 99 %: {words.milliseconds(found.p99_ms)} of {found.samples:,} in 15 minutes"
    return Figure("event to verdict", words.milliseconds(found.median_ms), note)


def _behind(history: LagHistory) -> Figure:
    lags = history.now()
    if not lags:
        return Figure("records behind", "–", "the broker has not told yet")
    total = sum(lag.lag for lag in lags)
    worst = max(lags, key=lambda lag: (lag.lag, -lag.place.partition))
    if total == 0:
        return Figure("records behind", "0", f"all {len(lags)} partitions are caught up", "good")
    losing = any(lag.catch_up_s is None for lag in lags)
    note = f"most in partition {worst.place.partition}: {catch_up_text(worst)}"
    return Figure("records behind", f"{total:,}", note, "losing" if losing else "behind")


def _alarm(alerts: list[InForce]) -> Figure:
    if not alerts:
        return Figure("alerts in force", "0", "nothing is wrong that the watch can see", "good")
    pages = sum(alert.newest.severity == "page" for alert in alerts)
    note = "one of them wakes somebody" if pages == 1 else f"{pages} of them wake somebody"
    return Figure("alerts in force", str(len(alerts)), note, "losing" if pages else "behind")


def _breaker(newest: Marker | None, now_ms: int) -> Figure:
    """What the control topic says; the alert of the breaker tells what the watch thinks of it."""
    if newest is None or newest.value == CLOSED:
        note = "the breaker is closed, as ever" if newest is None else f"again, {words.ago(newest.time_ms, now_ms)}"
        return Figure("who decides", "the model", note, "good")
    note = f"in the model's place, {words.ago(newest.time_ms, now_ms)}"
    return Figure("who decides", newest.value.replace("_", " "), note, "losing")


def _rate_chart(steps: list[Step], start_ms: int, end_ms: int) -> Chart:
    seconds = STEP_MS / 1_000
    points = [(step.start_ms, step.verdicts / seconds) for step in steps]
    line = Series("verdicts a second", "one", points)
    said = "Verdicts a second in steps of ten seconds, over the last 15 minutes."
    return line_chart("rate", "Rate", said, [line], start_ms, end_ms, words.rate)


def _mix_chart(steps: list[Step], start_ms: int, end_ms: int) -> Chart:
    width = 6  # steps to a point: fewer verdicts than that jump about
    groups = [steps[place : place + width] for place in range(0, len(steps), width)]
    series = []
    for number, name in list(enumerate(OUTCOMES))[1:]:
        points = []
        for group in groups:
            verdicts = sum(step.verdicts for step in group)
            points.append((group[0].start_ms, 100 * sum(step.decisions[number] for step in group) / max(1, verdicts)))
        series.append(Series(words.DECISION_WORDS[name], name, points))
    said = "Share of verdicts that are not approved, by decision and minute, over the last 15 minutes."
    return stacked_chart("mix", "Not approved", said, series, start_ms, end_ms, lambda value: f"{value:.2g} %")


def _latency_chart(picture: Picture, start_ms: int, end_ms: int) -> Chart:
    steps = picture.latency.steps(start_ms, end_ms)
    series = [
        Series("99 %", "two", _with_gaps([(step.start_ms, step.p99_ms) for step in steps])),
        Series("median", "one", _with_gaps([(step.start_ms, step.median_ms) for step in steps])),
    ]
    said = (
        "Milliseconds from the moment the log took an event to the moment the verdict was published, of a sample, "
        "over the last 15 minutes."
    )
    return line_chart("latency", "Event to verdict", said, series, start_ms, end_ms, words.milliseconds)


def _with_gaps(points: list[tuple[int, float]]) -> list[tuple[int, float | None]]:
    """A line is broken where there was no sample for a minute."""
    found: list[tuple[int, float | None]] = []
    for at_ms, value in points:
        if found and at_ms - found[-1][0] > NOW_MS:
            found.append((found[-1][0] + 1, None))
        found.append((at_ms, value))
    return found


def _score_chart(steps: list[Step], start_ms: int, end_ms: int) -> Chart:
    points = [(step.start_ms, step.score_sum_micro / 1e6 / step.scored if step.scored else None) for step in steps]
    said = "Mean score of the model in steps of ten seconds, over the last 15 minutes."
    line = Series("mean score", "one", points)
    return line_chart("score", "Mean score", said, [line], start_ms, end_ms, lambda value: f"{value:.3g}")


def _mix(steps: list[Step]) -> list[MixRow]:
    counts = [sum(step.decisions[number] for step in steps) for number in range(len(OUTCOMES))]
    whole = sum(counts)
    return [
        MixRow(
            words.DECISION_WORDS[name], name, f"{count:,}", words.share(count, whole), count / whole if whole else 0.0
        )
        for name, count in zip(OUTCOMES, counts, strict=True)
    ]
