"""The circuit breaker: when too much is declined or reviewed, or nothing can be scored, something simpler decides.

A pure state machine over minutes. `closed`: the model in force decides. `open`: the action of the settings does, by
default a step-up instead of a decline, so that a broken model turns nobody away. `probing`: the model decides again and
is watched; one bad minute opens the breaker again.

It never flaps: it takes several bad minutes in a row to open, several good ones to leave that state again, and each
failed probe, or a new trip within a day, doubles the wait. It is never silent: every change comes with its reason.
A sale does not trip it: it looks at shares, against their seasonal bands, and upwards only. That too little is declined
is an alarm of `models.seasonal`; making everyone prove who they are would be no answer to it.
"""

from typing import Literal, NamedTuple

import msgspec

from models.seasonal import Band
from models.watch_limits import BreakerAction, BreakerSettings

Phase = Literal["closed", "open", "probing"]
_MINUTE_MS = 60_000


class BreakerInput(NamedTuple):
    """What one minute showed, over all partitions.

    Attributes:
        minute_ms: where it begins, epoch milliseconds.
        verdicts: how many.
        declines: how many would be declined if the breaker were closed. While it is open the caller has to count what
            the model would have decided: what the breaker's own action decides says nothing about the model.
        reviews: how many would be reviewed, likewise.
        decline_band: seasonal band of the share of declines; None if there is none yet.
        review_band: of reviews.
        model_available: the model in force can be asked.
        features_present: the feed behind the features is alive.
    """

    minute_ms: int
    verdicts: int
    declines: int
    reviews: int
    decline_band: Band | None = None
    review_band: Band | None = None
    model_available: bool = True
    features_present: bool = True


class BreakerState(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the breaker stands; small enough to be published with every change.

    Attributes:
        phase: see the module.
        since_ms: the minute in which it came into this phase; None: it was never anywhere else.
        newest_ms: the newest minute that was applied; None before the first.
        out_of_band: bad minutes in a row.
        without_model: of them, minutes in a row without model or features.
        good: good minutes in a row.
        minutes_to_probe: good minutes that the next probe takes; None: those of the settings.
    """

    phase: Phase = "closed"
    since_ms: int | None = None
    newest_ms: int | None = None
    out_of_band: int = 0
    without_model: int = 0
    good: int = 0
    minutes_to_probe: int | None = None


class Transition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A change of phase.

    Attributes:
        before: phase that it left.
        after: phase that it is in now.
        minute_ms: the minute that decided it.
        action: what decides from now on; None: the model in force.
        reason: why, in words.
    """

    before: Phase
    after: Phase
    minute_ms: int
    action: BreakerAction | None
    reason: str


def step(
    state: BreakerState, minute: BreakerInput, settings: BreakerSettings
) -> tuple[BreakerState, Transition | None]:
    """Apply one minute; a minute that is not newer than the last one changes nothing.

    A minute with too few verdicts is neither good nor bad, unless the model or the features are away.

    >>> state, settings = BreakerState(), BreakerSettings(minutes_to_trip=2)
    >>> state, nothing = step(state, BreakerInput(0, 1_000, 400, 0), settings)
    >>> state, transition = step(state, BreakerInput(60_000, 1_000, 400, 0), settings)
    >>> state.phase, transition.action
    ('open', 'step_up')
    >>> transition.reason
    'for 2 minutes: 40.0% of 1,000 events would be declined, at most 20.0% while there is no seasonal band'
    """
    if state.newest_ms is not None and minute.minute_ms <= state.newest_ms:
        return state, None
    away = _away(minute)
    faults = away or _out_of_band(minute, settings)
    if faults:
        out_of_band, without_model, good = state.out_of_band + 1, state.without_model + 1 if away else 0, 0
    elif minute.verdicts < settings.least_verdicts:
        out_of_band, without_model, good = state.out_of_band, state.without_model, state.good
    else:
        out_of_band, without_model, good = 0, 0, state.good + 1
    counted = msgspec.structs.replace(
        state, newest_ms=minute.minute_ms, out_of_band=out_of_band, without_model=without_model, good=good
    )
    wait = state.minutes_to_probe or settings.minutes_to_probe
    if state.phase == "closed":
        if out_of_band >= settings.minutes_to_trip or without_model >= settings.minutes_without_model:
            calm_ms = settings.calm_minutes * _MINUTE_MS
            soon = state.since_ms is not None and minute.minute_ms - state.since_ms < calm_ms
            wait = _longer(wait, settings) if soon else settings.minutes_to_probe
            return _changed(counted, "open", wait, settings, f"for {out_of_band} minutes: {'; '.join(faults)}")
    elif state.phase == "open":
        if good >= wait:
            return _changed(counted, "probing", wait, settings, f"{good} good minutes")
    elif faults:
        return _changed(counted, "open", _longer(wait, settings), settings, f"while probing: {'; '.join(faults)}")
    elif good >= settings.minutes_to_return:
        return _changed(counted, "closed", wait, settings, f"{good} good minutes with the model")
    return counted, None


def _longer(wait: int, settings: BreakerSettings) -> int:
    return max(min(2 * wait, settings.most_minutes_to_probe), settings.minutes_to_probe)


def _changed(
    state: BreakerState, phase: Phase, wait: int, settings: BreakerSettings, reason: str
) -> tuple[BreakerState, Transition]:
    assert state.newest_ms is not None
    after = BreakerState(phase=phase, since_ms=state.newest_ms, newest_ms=state.newest_ms, minutes_to_probe=wait)
    action = settings.action if phase == "open" else None
    return after, Transition(before=state.phase, after=phase, minute_ms=state.newest_ms, action=action, reason=reason)


def _away(minute: BreakerInput) -> list[str]:
    """What the model needs and does not have, in words."""
    faults = []
    if not minute.model_available:
        faults.append("the model in force is not available")
    if not minute.features_present:
        faults.append("the feed behind the features is silent")
    return faults


def _out_of_band(minute: BreakerInput, settings: BreakerSettings) -> list[str]:
    """Shares that are too high, in words."""
    if minute.verdicts < settings.least_verdicts:
        return []
    faults = []
    for what, count, band in (
        ("declined", minute.declines, minute.decline_band),
        ("reviewed", minute.reviews, minute.review_band),
    ):
        share = count / minute.verdicts
        told = f"{share:.1%} of {minute.verdicts:,} events would be {what}"
        if band is None:
            if share > settings.ceiling:
                faults.append(f"{told}, at most {settings.ceiling:.1%} while there is no seasonal band")
        elif share - band.centre >= settings.least_rise:
            distance = band.distance(count, minute.verdicts)
            if distance > settings.spreads:
                faults.append(f"{told}, usually {band.centre:.1%} at this hour ({distance:.1f} spreads)")
    return faults
