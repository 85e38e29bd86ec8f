"""Telemetry in, alerts and breaker markers out: hosts `TelemetryFold` in a Faust agent, and puts the time into its log.

What the fold remembers is in a table, row by row. When its partition comes from elsewhere it is read from there; while
it stays, memory and table are the same.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import faust
import msgspec

from features.records import Alert
from models.breaker import Transition
from models.telemetry_log import Tick
from streams.metrics import WarmMetrics
from streams.publisher import Message
from streams.topics import WATCH_STATES
from streams.tracing import UNTRACED, Span, Tracing
from streams.warm.commit_age import CommitAges, Place
from streams.warm.faust_app import TABLE_OPTIONS
from streams.warm.telemetry_step import TelemetryFold, alert_message

_log = logging.getLogger("assay.warm")
TICK_EVERY_S = 10.0
_tick_json = msgspec.json.Encoder().encode


class TelemetryTopics(NamedTuple):
    """Full names: of summaries and ticks, of alerts, of the table's own topic."""

    telemetry: str
    alerts: str
    states: str


def telemetry_topics(prefix: str) -> TelemetryTopics:
    """Topics of a prefix.

    >>> telemetry_topics("fraud.").states
    'fraud.warm.watch-states'
    """
    return TelemetryTopics(f"{prefix}telemetry", f"{prefix}alerts", f"{prefix}warm.{WATCH_STATES}")


class TelemetryAgent:
    """The agent of one application.

    Args:
        app: it.
        topics: see there.
        new_fold: a fold that has read nothing.
        markers: records that put a change of the breaker in force.
        send: sends one message and waits until the broker has it.
        tell: is told of each alert that was published.
        ages: is told what was worked on.
        metrics: counts.
        leave: ends the process; Faust would acknowledge a record in whose handling an error was raised.
        tracing: makes a span of each record; an alert carries its context.
        wall_clock: seconds since 1970.
    """

    def __init__(
        self,
        app: faust.App,
        topics: TelemetryTopics,
        new_fold: Callable[[], TelemetryFold],
        markers: Callable[[Transition], list[Message]],
        send: Callable[[Message], Awaitable[None]],
        tell: Callable[[Alert], None],
        ages: CommitAges,
        metrics: WarmMetrics,
        leave: Callable[[BaseException], None],
        tracing: Tracing = UNTRACED,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._topics = topics
        self._new_fold = new_fold
        self._markers = markers
        self._send = send
        self._tell = tell
        self._ages = ages
        self._metrics = metrics
        self._leave = leave
        self._tracing = tracing
        self._wall_clock = wall_clock
        self._fold: TelemetryFold | None = None
        self._states = app.Table(
            WATCH_STATES,
            key_type=bytes,
            value_type=bytes,
            partitions=1,
            changelog_topic=app.topic(topics.states, key_type=bytes, value_type=bytes),
            options=dict(TABLE_OPTIONS),
        )
        source = app.topic(topics.telemetry, key_type=bytes, value_type=bytes)
        app.agent(source, name="telemetry")(self._work)
        app.timer(TICK_EVERY_S)(self._tick)
        app.on_partitions_revoked.connect(self._forget)

    async def _work(self, stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            try:
                message = event.message
                headers = message.headers or ()
                with self._tracing.record(message.topic, message.partition, message.offset, headers) as span:
                    await self._take(event, span)
            except Exception as error:
                self._leave(error)

    async def _take(self, event: faust.EventT[bytes], span: Span) -> None:
        message = event.message
        if self._fold is None:
            self._fold = self._new_fold()
            self._fold.restore(dict(self._states.items()))
        try:
            step = self._fold.step(message.value or b"")
        except msgspec.MsgspecError as error:  # written by none of us: it must not stop the watch
            _log.error("%s[%d], offset %d: no telemetry: %s", message.topic, message.partition, message.offset, error)
            self._metrics.dead_letters.labels("telemetry").inc()
        else:
            if step.transition is not None:
                for marker in self._markers(step.transition):
                    await self._send(marker)
                _log.warning("breaker %s: %s", step.transition.after, step.transition.reason)
            for alert in step.alerts:
                await self._send(alert_message(self._topics.alerts, alert, span.headers))
                self._tell(alert)
            for row, state in step.rows:
                if state is None:
                    self._states.pop(row, None)
                else:
                    self._states[row] = state
            self._metrics.show_alerts(self._fold.book.count_by_kind(), step.alerts)
            self._metrics.show_cohort(self._fold.labels.cohort)
        self._ages.worked(Place(message.topic, message.partition), message.offset + 1, time.monotonic())

    async def _tick(self) -> None:
        """Whoever has the partition puts the time into it."""
        has_it = any(place.topic == self._topics.telemetry for place in self._app.consumer.assignment())
        if has_it and not self._app.rebalancing:
            tick = Tick(int(self._wall_clock() * 1000))
            await self._send(Message(self._topics.telemetry, 0, b"tick", _tick_json(tick), None))

    async def _forget(self, *_arguments: Any, **_named: Any) -> None:
        """Partitions were taken away: another worker may go on with this one before it comes back."""
        self._fold = None
