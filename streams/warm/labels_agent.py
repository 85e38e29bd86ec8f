"""Labels in: hosts `label_step` in a Faust agent, one record after another in each partition.

A label is put into the events log and acknowledged by the broker before its id is remembered, and both before Faust may
commit its offset. So after a crash it may be put in twice, which the engine notices, and never not at all.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Container
from typing import Any

import faust

from features.errors import AssayError
from streams.log import Headers, LogRecord
from streams.metrics import WarmMetrics
from streams.publisher import Message
from streams.topics import LABEL_IDS
from streams.tracing import UNTRACED, Tracing
from streams.warm.commit_age import CommitAges, Place
from streams.warm.continuity import Continuity
from streams.warm.faust_app import TABLE_OPTIONS
from streams.warm.label_step import LabelStep, LabelTopics, PutIn, Refused

Step = Callable[[LogRecord, int, LabelTopics, Container[bytes]], LabelStep]
"""`label_step` with its keys."""
Send = Callable[[Message], Awaitable[None]]


def sender(app: faust.App) -> Send:
    """Sends one message and waits until the broker has it."""
    topics: dict[str, faust.TopicT] = {}

    async def send(message: Message) -> None:
        topic = topics.setdefault(message.topic, app.topic(message.topic))
        headers = [(name, value) for name, value in message.headers or () if value is not None]
        sent = await topic.send(key=message.key, value=message.value, partition=message.partition, headers=headers)
        await sent

    return send


def add_labels_agent(
    app: faust.App,
    topics: LabelTopics,
    ids_topic: str,
    step: Step,
    send: Send,
    continuity: Continuity,
    ages: CommitAges,
    metrics: WarmMetrics,
    leave: Callable[[BaseException], None],
    tracing: Tracing = UNTRACED,
) -> None:
    """Let the application take labels.

    Args:
        app: it.
        topics: see there.
        ids_topic: where the ids of labels that were put in are kept.
        step: what to do with a record.
        send: see `sender`.
        continuity: sees to it that no record is passed over.
        ages: is told what was worked on.
        metrics: counts.
        leave: ends the process; Faust would acknowledge a record in whose handling an error was raised.
        tracing: makes a span of each record, within the trace that the record is part of.
    """
    known = app.Table(
        LABEL_IDS,
        key_type=bytes,
        value_type=bytes,
        changelog_topic=app.topic(ids_topic, key_type=bytes, value_type=bytes),
        options=dict(TABLE_OPTIONS),  # Faust takes out of it what it has used
    )

    async def take(event: faust.EventT[bytes]) -> None:
        message = event.message
        place = Place(message.topic, message.partition)
        loop = asyncio.get_running_loop()
        hole = await loop.run_in_executor(None, continuity.hole_before, place, message.offset)
        if hole is not None:
            raise AssayError(f"{place.topic}[{place.partition}]: records {hole[0]} to {hole[1]} were passed over")
        taken = step(_record(message), message.partition, topics, known)
        if isinstance(taken, PutIn):
            await send(taken.message)
            known[taken.id] = b"%d" % message.offset
            metrics.labels.labels(taken.label, taken.source).inc()
        elif isinstance(taken, Refused):
            await send(taken.message)
            metrics.dead_letters.labels(taken.error.code).inc()
        else:
            metrics.repeated_labels.inc()
        continuity.worked(place, message.offset + 1)
        ages.worked(place, message.offset + 1, time.monotonic())

    async def forget(*_arguments: Any, **_named: Any) -> None:
        continuity.forget()

    app.on_partitions_revoked.connect(forget, weak=False)

    @app.agent(app.topic(topics.labels, key_type=bytes, value_type=bytes), name="labels", isolated_partitions=True)
    async def labels(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            try:
                message = event.message
                with tracing.record(message.topic, message.partition, message.offset, message.headers or ()):
                    await take(event)
            except Exception as error:
                leave(error)


def _record(message: Any) -> LogRecord:
    """What Faust calls a message; its time is in seconds."""
    headers: Headers = list(message.headers or ())
    return LogRecord(message.offset, message.value, message.key, round(message.timestamp * 1000), headers)
