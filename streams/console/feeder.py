"""Keeps the picture up to date: follows topics, asks where groups stand, and samples latencies.

What waits for a broker runs in threads; the picture itself is touched from the event loop's thread alone.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from features.errors import AssayError
from streams.config import Config
from streams.console.latency import Landed, latencies
from streams.console.picture import HOUR_MS, Picture, followed
from streams.console.positions import Positions
from streams.console.tail import Tail
from streams.topic_reader import TopicReader

_log = logging.getLogger("assay.console")
_POLL_S: Final = 0.5
_LAG_S: Final = 3.0
_LATENCY_S: Final = 5.0
_TROUBLE_S: Final = 3.0
_SAMPLED_OFFSETS: Final = 200
"""Events of one partition that are read again for a sample of latencies, at most."""


class Feeder:
    """Three tasks; each goes on after trouble, and says in the picture that there is some.

    Args:
        config: settings in force.
        settings: connection settings of a client.
        picture: to keep up to date.
    """

    def __init__(self, config: Config, settings: Mapping[str, Any], picture: Picture) -> None:
        self._config, self._settings, self._picture = config, settings, picture
        self._prefix = config.text("topics.prefix")
        topics = followed(int(config.number("console.history_hours") * HOUR_MS), config.whole("console.verdicts"))
        self._tail = Tail(settings, self._prefix, topics)
        self._positions = Positions(settings)
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; within a running event loop."""
        steps = (("records", self._follow, 0.0), ("lag", self._ask, _LAG_S), ("latency", self._sample, _LATENCY_S))
        self._tasks = [asyncio.create_task(self._again(*step)) for step in steps]

    async def stop(self) -> None:
        """End once each task has finished its step: a client must not be closed while a thread is inside of it."""
        self._over.set()
        await asyncio.gather(*self._tasks)
        await asyncio.to_thread(self._tail.close)
        await asyncio.to_thread(self._positions.close)

    async def _again(self, what: str, step: Any, pause_s: float) -> None:
        while not self._over.is_set():
            try:
                await step()
                if what == "records":
                    self._picture.fault = None
                await self._rest(pause_s)
            except AssayError as error:
                if what == "records":
                    self._picture.fault = str(error)
                _log.warning("%s: %s", what, error)
                await self._rest(_TROUBLE_S)
            except Exception:  # a mistake of ours must not end what the other pages live on
                _log.exception("%s", what)
                await self._rest(_TROUBLE_S)

    async def _rest(self, pause_s: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), pause_s)

    async def _follow(self) -> None:
        for batch in await asyncio.to_thread(self._tail.poll, _POLL_S):
            self._picture.take(*batch)

    async def _ask(self) -> None:
        def samples() -> tuple[Any, Any]:
            engine = self._positions.of(self._config.text("kafka.group"), [f"{self._prefix}events"])
            warm_topics = [f"{self._prefix}labels", f"{self._prefix}telemetry"]
            return engine, self._positions.of(self._config.text("warm.group"), warm_topics)

        engine, warm = await asyncio.to_thread(samples)
        self._picture.engine_lag.take(engine)
        self._picture.warm_lag.take(warm)

    async def _sample(self) -> None:
        landed = list(self._picture.landed)
        self._picture.landed.clear()
        if landed:
            self._picture.latency.take(await asyncio.to_thread(self._latencies, landed))

    def _latencies(self, landed: list[Landed]) -> list[tuple[int, int]]:
        """Of each partition the newest stretch: when its events were taken, and when their verdicts."""
        found: list[tuple[int, int]] = []
        topic = f"{self._prefix}events"
        with TopicReader(self._settings) as reader:
            for partition in {one.partition for one in landed}:
                here = [one for one in landed if one.partition == partition]
                end = max(one.event_offset for one in here) + 1
                start = max(min(one.event_offset for one in here), end - _SAMPLED_OFFSETS)
                taken_ms = {
                    record.offset: record.timestamp_ms
                    for records in reader.read(topic, partition, start, end)
                    for record in records
                    if record.timestamp_ms is not None
                }
                found += latencies(here, taken_ms)
        return found
