"""The processes that catch up in the simulated world: each folds a little whenever the world moves, and may fail.

The fold is the real one (`streams/catch_up.py`); the process around it may be slow to start, crash with or without
checkpoints written, outlive the worker that started it for a moment, and it holds the state like any process.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from features.errors import AssayError
from features.store import MemoryStore
from streams.careful import UnprocessableError
from streams.catch_up import fold_gap
from streams.catching_up import Reached
from streams.history import Bounds
from streams.log import LogRecord
from streams.partition import Partition
from streams.signature import everybody
from tests.memory_broker import MemoryBroker
from tests.world_entities import WorldProfiles
from tests.world_process import BrokenPromiseError, Crashed, Disk, OpenState, Process
from tests.world_traffic import fragile_model, open_fragile

_LIKELY_CRASH = 0.1
_LIKELY_STEP = 0.15
_LIKELY_END_OF_AN_ORPHAN = 0.4


class CatchUpPlan(NamedTuple):
    """How a world catches up; drawn beside its plan, so that worlds in which nobody does are what they would be.

    Attributes:
        least_records: gaps from this size on; 0: none.
        processes: at once, for each worker.
        step_records: most records of a step.
        checkpoint_seconds: time between two checkpoints.
    """

    least_records: int
    processes: int
    step_records: int
    checkpoint_seconds: float


def draw_catch_up(source: random.Random) -> CatchUpPlan:
    """A plan."""
    return CatchUpPlan(
        least_records=source.choice((0, 1, 1, 2, 5)),
        processes=source.choice((1, 2)),
        step_records=source.choice((1, 3, 10)),
        checkpoint_seconds=source.choice((0.0, 0.0, 2.0, 1_000.0)),
    )


class CatchUpWorld:
    """All processes that catch up, of all workers.

    Args:
        broker: with the log.
        topic: of the events.
        source: of what happens to them.
        plan: see there.
        tell: see `World.tell`.
        occurred: see `World.occurred`.
    """

    def __init__(
        self,
        broker: MemoryBroker,
        topic: str,
        source: random.Random,
        plan: CatchUpPlan,
        tell: Callable[[str], None],
        occurred: Callable[[str], None],
    ) -> None:
        self.broker, self.topic, self.source, self.plan = broker, topic, source, plan
        self.tell, self.occurred = tell, occurred
        self.crashes = True
        self._folding: list[_Folding] = []

    def step(self) -> None:
        """Every process may go on a little."""
        for folding in list(self._folding):
            if not folding.has_ended and self.source.random() < _LIKELY_STEP:
                folding.step()
        self._folding = [folding for folding in self._folding if not folding.has_ended]

    def of(self, worker: Process) -> "MemoryCatchUp":
        """The port of one worker."""
        return MemoryCatchUp(self, worker)

    def begin(self, worker: Process, partition: int, start: int, end: int) -> "_Folding":
        """A new process."""
        folding = _Folding(self, worker, partition, start, end)
        self._folding.append(folding)
        return folding


class MemoryCatchUp:
    """A `CatchUp` of one worker."""

    def __init__(self, world: CatchUpWorld, worker: Process) -> None:
        self._world = world
        self._worker = worker
        self._waiting: dict[int, tuple[int, int]] = {}
        self._running: dict[int, _Folding] = {}

    def start(self, partition: int, start: int, end: int) -> None:
        """See `CatchUp`."""
        self._waiting[partition] = start, end
        self._launch()

    def reached(self, partition: int) -> Reached | None:
        """See `CatchUp`."""
        self._launch()
        if partition in self._waiting:
            start, end = self._waiting[partition]
            return Reached(start, end)
        folding = self._running[partition]
        if not folding.has_ended:
            return Reached(folding.offset, folding.end)
        del self._running[partition]
        return None

    def stop(self, partitions: Iterable[int]) -> None:
        """See `CatchUp`."""
        for partition in partitions:
            self._waiting.pop(partition, None)
            folding = self._running.pop(partition, None)
            if folding is not None and not folding.has_ended:
                self._world.occurred("killed")
                folding.end_with("is killed")

    def _launch(self) -> None:
        for partition in list(self._waiting):
            if len(self._running) < self._world.plan.processes:
                self._running[partition] = self._world.begin(self._worker, partition, *self._waiting.pop(partition))


class _Folding:
    """One process; the world lets it go on step by step.

    Attributes:
        alive: whether its effects still reach the world.
        has_ended: whether it has let go of the state.
        offset: how far it has come.
        end: how far it has to go.
    """

    def __init__(self, world: CatchUpWorld, worker: Process, partition: int, start: int, end: int) -> None:
        self.name = f"{worker.name} catching up partition {partition}"
        self.offset, self.end = start, end
        self.has_ended = False
        self.disk: Disk = worker.disk
        self._world = world
        self._worker = worker
        self._partition = partition
        self._steps: Iterator[int] | None = None

    def network(self, point: str, request: Callable[[], object], /) -> object:
        """Its effects on the disk; `OpenState` asks for this."""
        if self.has_ended:
            raise Crashed
        self._see_that_it_may()
        self._world.tell(f"{self.name}: {point}")
        return request()

    def step(self) -> None:
        """Fold a little, or end."""
        source = self._world.source
        if not self._worker.alive and source.random() < _LIKELY_END_OF_AN_ORPHAN:
            self._world.occurred("orphaned")
            self.end_with("has lost its worker")
        elif self._world.crashes and source.random() < _LIKELY_CRASH:
            self._world.occurred("crashed")
            self.end_with("crashes")
        else:
            try:
                if self._steps is None:
                    self._steps = self._begin()
                self.offset = next(self._steps)
            except StopIteration:
                self._world.occurred("done")
                self.end_with("is done")
            except (AssayError, UnprocessableError) as error:
                self._world.occurred("failed")
                self.end_with(f"fails: {error}")

    def end_with(self, what: str) -> None:
        """It is gone, and the state is free."""
        self._world.tell(f"{self.name} {what}")
        self.has_ended = True
        if self.disk.holders.get(self._partition) is self:
            del self.disk.holders[self._partition]

    def _begin(self) -> Iterator[int]:
        if self.disk.holders.setdefault(self._partition, self) is not self:
            raise AssayError("the state is held by another process")
        self.disk.states.setdefault(self._partition, MemoryStore())  # the disk may have been lost meanwhile
        store = OpenState(self, self._partition)
        profiles = WorldProfiles(self._world.source)
        partition = Partition(self._partition, store, fragile_model(1), open_fragile, profiles=profiles)
        if partition.next_offset != self.offset:
            raise AssayError(f"the state stands at {partition.next_offset}, not at {self.offset}")
        plan, broker = self._world.plan, self._world.broker
        history = _MemoryHistory(broker, self._world.topic, plan.step_records)
        every_s = plan.checkpoint_seconds
        return fold_gap(partition, history, self.end, everybody, clock=lambda: broker.now_s, checkpoint_s=every_s)

    def _see_that_it_may(self) -> None:
        """Once its worker has handed the partition over, or lost it, the state is somebody else's."""
        log = self._worker.log
        if self._worker.alive and log is not None and self._partition not in log.owned:
            raise BrokenPromiseError(f"{self.name} goes on, but the partition is not its worker's any more")


class _MemoryHistory:
    """A `History` of a topic in memory, some records at a time."""

    def __init__(self, broker: MemoryBroker, topic: str, records: int) -> None:
        self._broker, self._topic, self._records = broker, topic, records

    def partitions(self) -> list[int]:
        return self._broker.partitions(self._topic)

    def bounds(self, partition: int) -> Bounds:
        return Bounds(0, self._broker.stable_end(self._topic, partition))

    def offset_at(self, partition: int, time_ms: int) -> int:
        raise AssertionError("a gap has offsets, nobody asks for a time")

    def read(self, partition: int, start: int, end: int) -> Iterator[Sequence[LogRecord]]:
        while records := self._broker.read(self._topic, partition, start, self._records):
            wanted = [record for record in records if record.offset < end]
            if wanted:
                yield wanted
            if len(wanted) < len(records):
                return
            start = records[-1].offset + 1
