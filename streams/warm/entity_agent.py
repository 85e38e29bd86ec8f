"""Links in, profiles of entities out: hosts `EntityStep` in a Faust agent, and tells the log what is visible.

Profiles of a record are acknowledged before the next record is taken, and before a marker speaks of them. What the step
remembers is written to a file now and then; after a crash it goes on from there and reads again what lies between, and
what was published before is not published again, so that no profile goes back in time.

The numbers of the flushes are the check that nothing was left out: Faust may pass over records while workers come and
go, and then these are read from the topic itself.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import faust
import msgspec

from features.entity_fold import MissingFlushError
from features.entity_profile import source_of
from features.errors import AssayError
from streams.history import Bounds
from streams.log import LogRecord
from streams.metrics import WarmMetrics
from streams.publisher import Message
from streams.warm.commit_age import CommitAges, Place
from streams.warm.entity_copies import EntityCopies
from streams.warm.entity_file import EntityFile
from streams.warm.entity_step import EntityStep

_log = logging.getLogger("assay.warm")
MARK_EVERY_S = 0.1
_TAIL_RECORDS = 1_000
"""So far back the flush of the newest profile is looked for: profiles that were taken away name none."""


class EntityTopics(NamedTuple):
    """Full names: of what partitions tell, and of profiles."""

    links: str
    entities: str


class Reader(Protocol):
    """Ranges of topics, see `streams.topic_reader.TopicReader`."""

    def bounds(self, topic: str, partition: int) -> Bounds:
        """What there is of a partition."""
        ...

    def read(self, topic: str, partition: int, start: int, end: int) -> Iterator[Sequence[LogRecord]]:
        """Records of a range, some at a time."""
        ...


class EntityAgent:
    """The agent of one application.

    Args:
        app: it.
        topics: see there.
        reader: of both topics.
        file: where the step's state is kept.
        copies: where it is kept for other machines; None: nowhere.
        publish: sends messages to one partition, waits until the broker has them; offset of the last one. Is called
            outside of the event loop.
        mark: tells every partition of the log that profiles up to an offset are visible, as of a time.
        ages: is told what was worked on.
        metrics: counts.
        leave: ends the process; Faust would acknowledge a record in whose handling an error was raised.
    """

    def __init__(
        self,
        app: faust.App,
        topics: EntityTopics,
        reader: Reader,
        file: EntityFile,
        copies: EntityCopies | None,
        publish: Callable[[Sequence[Message]], int],
        mark: Callable[[int, int], Awaitable[None]],
        ages: CommitAges,
        metrics: WarmMetrics,
        leave: Callable[[BaseException], None],
    ) -> None:
        self._topics = topics
        self._reader = reader
        self._file = file
        self._copies = copies
        self._publish = publish
        self._mark = mark
        self._ages = ages
        self._metrics = metrics
        self._leave = leave
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="assay-entities")
        self._step: EntityStep | None = None
        self._published: tuple[int, int] | None = None
        self._begun_at = 0
        self._visible = self._marked = -1
        app.agent(app.topic(topics.links, key_type=bytes, value_type=bytes), name="entities")(self._work)
        app.timer(MARK_EVERY_S)(self._mark_visible)
        app.on_partitions_revoked.connect(self._forget)

    async def _work(self, stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            try:
                await self._take(event.message.offset, event.message.value or b"")
            except Exception as error:
                self._leave(error)

    async def _take(self, offset: int, value: bytes) -> None:
        if self._step is None:
            self._step = await self._beside(self._begin)
            await self._take_between(self._step, offset)
        step = self._step
        try:
            await self._beside(self._fold, step, offset, value)
        except MissingFlushError as error:
            _log.warning("%s; reading what lies between", error)
            await self._take_between(step, offset)
            await self._beside(self._fold, step, offset, value)
        self._ages.worked(Place(self._topics.links, 0), offset + 1, time.monotonic())
        if self._file.is_due(time.monotonic()):
            await self._beside(self._keep, step)

    def _keep(self, step: EntityStep) -> None:
        """Write the state down, and let it be copied."""
        state = step.state()
        self._file.write(state)
        if self._copies is not None:
            self._copies.offer(step.next_offset, state, time.monotonic())

    def _fold(self, step: EntityStep, offset: int, value: bytes) -> None:
        """Fold one record and publish what it gives, unless that was published before."""
        try:
            messages = step.take(offset, value)
        except (ValueError, msgspec.DecodeError) as error:
            _log.error("%s[0], offset %d: no record of links: %s", self._topics.links, offset, error)
            self._metrics.dead_letters.labels("links").inc()
            return
        if self._published is not None:
            if offset < self._begun_at and not step.fold.has_taken(*self._published):
                return
            self._published = None  # of this record some may be published and some not: the same bytes again
        if messages:
            self._visible = self._publish(messages)
            self._metrics.entity_profiles.inc(len(messages))

    async def _take_between(self, step: EntityStep, end: int) -> None:
        """Fold what the topic holds from where the step stands until `end`."""
        low = (await self._beside(self._reader.bounds, self._topics.links, 0)).low
        ranges = self._reader.read(self._topics.links, 0, max(low, step.next_offset), end)
        while records := await self._beside(next, ranges, None):
            for record in records:
                await self._beside(self._fold, step, record.offset, record.value or b"")

    def _begin(self) -> EntityStep:
        """A step that stands where file or copy says (the further one) or at the beginning; and what was published."""
        step = EntityStep(self._topics.entities)
        stored = self._file.read()
        if stored is not None:
            _restore(step, stored, str(self._file.path))
        if self._copies is not None:
            copied = self._copies.newest(beyond=step.next_offset)
            if copied is not None:
                _restore(step, copied, self._copies.where)
        self._begun_at = self._reader.bounds(self._topics.links, 0).high
        if step.next_offset > self._begun_at:
            raise AssayError(
                f"{self._file.path}: it stands at {step.next_offset} of {self._topics.links}, which ends at "
                f"{self._begun_at}: the topic was made anew; remove the file, and the profiles are made anew too"
            )
        low, high = self._reader.bounds(self._topics.entities, 0)
        self._visible, self._marked = high - 1, -1
        self._published = None
        for records in self._reader.read(self._topics.entities, 0, max(low, high - _TAIL_RECORDS), high):
            for record in records:
                if record.value is not None:
                    self._published = source_of(record.value)
        if self._published is not None and step.fold.has_taken(*self._published):
            self._published = None
        _log.info("entities: links from %d on, profiles up to %d", step.next_offset, self._visible)
        return step

    async def _mark_visible(self) -> None:
        if self._step is not None and self._visible > self._marked:
            visible = self._visible
            await self._mark(visible, self._step.fold.clock_ms)
            self._marked = visible

    async def _forget(self, *_arguments: Any, **_named: Any) -> None:
        """Partitions were taken away: another worker may go on with this one before it comes back."""
        self._step = None

    async def _beside(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Outside of the event loop, which has to go on sending heartbeats; one call after the other."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)


def _restore(step: EntityStep, state: bytes, where: str) -> None:
    try:
        step.restore(state)
    except AssayError as error:
        raise AssayError(
            f"{where}: {error}; move it aside, and the profiles are worked out anew from all links that are kept"
        ) from error
