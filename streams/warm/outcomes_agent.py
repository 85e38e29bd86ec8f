"""Outcomes in, what they say of verdicts into the telemetry log: hosts `outcome_step` in a Faust agent.

Every partition's outcomes meet in the one partition of the telemetry log, where one fold counts them. A record is
acknowledged by the broker before Faust may commit its offset: after a crash it may be put in twice, which the fold
notices, and never not at all.
"""

import logging
import time
from collections.abc import Callable

import faust
import msgspec

from streams.metrics import WarmMetrics
from streams.tracing import UNTRACED, Tracing
from streams.warm.commit_age import CommitAges, Place
from streams.warm.labels_agent import Send
from streams.warm.outcome_step import outcome_step

_log = logging.getLogger("assay.warm")


def add_outcomes_agent(
    app: faust.App,
    outcomes: str,
    telemetry: str,
    send: Send,
    ages: CommitAges,
    metrics: WarmMetrics,
    leave: Callable[[BaseException], None],
    tracing: Tracing = UNTRACED,
) -> None:
    """Let the application take outcomes.

    Args:
        app: it.
        outcomes: full name of their topic.
        telemetry: full name of the topic of the telemetry log.
        send: see `streams.warm.labels_agent.sender`.
        ages: is told what was worked on.
        metrics: counts.
        leave: ends the process; Faust would acknowledge a record in whose handling an error was raised.
        tracing: makes a span of each record, within the trace that the record is part of.
    """

    async def take(event: faust.EventT[bytes]) -> None:
        message = event.message
        try:
            found = outcome_step(message.value or b"", telemetry)
        except msgspec.MsgspecError as error:  # not written by the engine: it must not stop the watch
            _log.error("%s[%d], offset %d: no outcome: %s", message.topic, message.partition, message.offset, error)
            metrics.dead_letters.labels("outcome").inc()
        else:
            if found is not None:
                await send(found)
            metrics.outcomes.labels("unjudged" if found is None else "judged").inc()
        ages.worked(Place(message.topic, message.partition), message.offset + 1, time.monotonic())

    @app.agent(app.topic(outcomes, key_type=bytes, value_type=bytes), name="outcomes", isolated_partitions=True)
    async def work(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            try:
                message = event.message
                with tracing.record(message.topic, message.partition, message.offset, message.headers or ()):
                    await take(event)
            except Exception as error:
                leave(error)
