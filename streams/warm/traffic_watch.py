"""What the telemetry log says of the running engine: a fold of summaries and ticks into findings. Pure.

Time comes from the log too: a tick is a record that says what time it is, so that minutes without any summary are
judged, and so that the same log gives the same findings whoever folds it, and whenever.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec

from features.errors import AssayError
from models.breaker import Transition
from models.finding import Finding
from models.minutes import MINUTE_MS, Minute, Minutes
from models.reference import Reference
from models.summary import Summary
from models.telemetry_log import Tick
from models.watch import Watch
from models.watch_limits import WatchLimits
from streams.alert_kinds import breaker_findings

_log = logging.getLogger("assay.warm")
WAIT_MS = 30_000
"""A minute is judged so long after its end: partitions that lag a little still count in it."""

OpenReference = Callable[[str], Reference]
"""What a model was trained on, by the first 16 digits of its id; raises AssayError."""


class Judged(NamedTuple):
    """What a record brought to light.

    Attributes:
        time_ms: of the judgement; None: nothing was judged.
        findings: what is wrong; also that the breaker is not closed.
        transition: the newest change of the breaker, if there was one.
    """

    time_ms: int | None
    findings: list[Finding]
    transition: Transition | None = None


NOTHING = Judged(None, [])


class _State(msgspec.Struct, forbid_unknown_fields=True):
    schema: Literal[1]
    model: str | None
    next_ms: int | None
    breaker_reason: str
    watch: msgspec.Raw


class TrafficWatch:
    """Gathers summaries into minutes and judges each minute once, against the model that judged most of its events.

    Two states, because one changes with every record and is small, the other with every minute and is large. The larger
    one is to be stored first: a minute that is judged again finds nothing.

    Args:
        open_reference: see there; a model whose reference cannot be opened is a finding.
        limits: thresholds.
    """

    def __init__(self, open_reference: OpenReference, limits: WatchLimits) -> None:
        self._open_reference = open_reference
        self._limits = limits
        self._minutes = Minutes()
        self._watch: Watch | None = None
        self._model: str | None = None
        self._next_ms: int | None = None
        self._breaker_reason = ""

    def summary(self, summary: Summary) -> bool:
        """Count a summary; False if it was counted before."""
        return self._minutes.add(summary)

    def tick(self, tick: Tick) -> Judged:
        """Judge the minutes that are over; a tick that is not newer than another one judges nothing."""
        until_ms = (tick.time_ms - WAIT_MS) // MINUTE_MS * MINUTE_MS
        taken = self._minutes.take(until_ms)
        if self._next_ms is None:
            if not taken:
                return NOTHING
            self._next_ms = taken[0].minute_ms
        by_minute: dict[int, list[Minute]] = {}
        for minute in taken:
            by_minute.setdefault(minute.minute_ms, []).append(minute)
        findings: list[Finding] = []
        transition: Transition | None = None
        judged = False
        for minute_ms in range(self._next_ms, until_ms, MINUTE_MS):
            watch, found = self._watch_of(by_minute.get(minute_ms, []))
            findings += found
            if watch is not None:
                minutes = by_minute.get(minute_ms, [])
                watched = watch.judge(minute_ms, minutes, model_available=_has_model(minutes))
                findings += watched.findings
                if watched.transition is not None:
                    transition = watched.transition
                    self._breaker_reason = transition.reason
                findings += breaker_findings(
                    watch.breaker, self._limits.breaker.action, self._breaker_reason, is_held=_is_held(minutes)
                )
            judged = True
        self._next_ms = max(self._next_ms, until_ms)
        return Judged(tick.time_ms, findings, transition) if judged else NOTHING

    def _watch_of(self, minutes: list[Minute]) -> tuple[Watch | None, list[Finding]]:
        """The watch of the model that judged most of a minute; what is wrong if its reference cannot be opened."""
        if not minutes:
            return self._watch, []
        model = max(minutes, key=lambda minute: (minute.counts.verdicts, minute.model)).model
        if self._watch is not None and model == self._model:
            return self._watch, []
        try:
            reference = self._open_reference(model)
        except AssayError as error:
            _log.warning("model %s cannot be watched: %s", model, error)
            text = f"model {model} judges, but what it was trained on cannot be read: its features are not watched"
            return self._watch, [
                Finding(name=f"model-unknown:{model}", level="warn", value=1.0, expected=0.0, text=text)
            ]
        if self._watch is None:
            self._watch = Watch(model, reference, self._limits)
        else:
            self._watch.change_model(model, reference)
        self._model = model
        return self._watch, []

    def minutes_state(self) -> bytes:
        """The small state, which every record changes."""
        return self._minutes.state()

    def watch_state(self) -> bytes:
        """The large state, which judging changes; store it before the small one."""
        watch = b"null" if self._watch is None else self._watch.state()
        return msgspec.json.encode(_State(1, self._model, self._next_ms, self._breaker_reason, msgspec.Raw(watch)))

    def restore(self, minutes_state: bytes | None, watch_state: bytes | None) -> None:
        """Go on from what was stored; None where nothing was.

        Raises:
            AssayError: it cannot be read, or the reference of its model cannot.
        """
        if watch_state is not None:
            try:
                state = msgspec.json.decode(watch_state, type=_State)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise AssayError(f"state of the traffic watch: {error}; remove it, the watch begins anew") from error
            self._model, self._next_ms, self._breaker_reason = state.model, state.next_ms, state.breaker_reason
            if state.model is not None:
                reference = self._open_reference(state.model)
                self._watch = Watch.restore(state.model, reference, self._limits, bytes(state.watch))
        if minutes_state is not None:
            self._minutes = Minutes.restore(minutes_state)


def _has_model(minutes: Sequence[Minute]) -> bool:
    """Whether most events of a minute were judged by the model that should be in force; also if there were none."""
    verdicts = sum(minute.counts.verdicts for minute in minutes)
    without = sum(max(minute.counts.verdicts - minute.counts.scored, minute.counts.without_model) for minute in minutes)
    return 2 * without <= verdicts


def _is_held(minutes: Sequence[Minute]) -> bool:
    """Whether most events of a minute were decided by the breaker: they are degraded, and not for want of a model."""
    verdicts = sum(minute.counts.verdicts for minute in minutes)
    held = sum(minute.counts.flags.get("degraded", 0) - minute.counts.without_model for minute in minutes)
    return 2 * held > verdicts
