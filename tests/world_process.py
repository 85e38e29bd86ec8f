"""What a worker's process is in the simulated world: a worker, its disk, and that it can be gone at any moment."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from features.errors import AssayError
from features.store import MemoryStore, StateStore
from streams.fold_state import stored_state
from streams.history import Bounds
from streams.worker import Worker
from tests.memory_log import MemoryEventsLog, RefusedError
from tests.world_helper import WorldHelper

Answer = TypeVar("Answer")


class Crashed(BaseException):
    """The process is gone; nothing in it can catch this."""


class BrokenPromiseError(BaseException):
    """The world saw what must never be; nothing in a worker can catch this."""


class Disk:
    """States of partitions; what was written survives the process.

    Args:
        name: for the story.
        written: told (partition, next offset) of each state that was written.
    """

    def __init__(self, name: str, written: Callable[[int, int], None]) -> None:
        self.name = name
        self.written = written
        self.states: dict[int, MemoryStore] = {}
        self.older: dict[int, MemoryStore] = {}
        self.holders: dict[int, Holder] = {}

    def lose(self, partition: int) -> None:
        """The disk was replaced by an empty one."""
        self.states.pop(partition, None)
        self.older.pop(partition, None)

    def fall_back(self, partition: int) -> None:
        """What was written last is gone, as after a torn log of the database: whole, but older."""
        if partition in self.older:
            self.states[partition] = self.older.pop(partition)


class Holder(Protocol):
    """Who has a state open: a worker, or a process that catches up (`tests/world_catch_up.py`)."""

    @property
    def name(self) -> str:
        """For the story."""
        ...

    @property
    def disk(self) -> Disk:
        """Where its states are."""
        ...

    @property
    def network(self) -> Callable[..., Any]:
        """How its effects come about."""
        ...


class Request(Protocol):
    """The world's way of carrying out an effect of a process, or not."""

    def __call__(self, process: "Process", point: str, send: Callable[[], Answer], /) -> Answer:
        """Carry out the effect at `point`; its answer."""
        ...


class Process:
    """One start of a worker.

    Args:
        number: counts starts.
        slot: which of the workers.
        disk: what it finds and leaves.
        request: see `Request`.
    """

    def __init__(self, number: int, slot: int, disk: Disk, request: Request) -> None:
        self.name = f"#{number} (slot {slot})"
        self.slot = slot
        self.disk = disk
        self.alive = True
        self.asleep = False
        self.worker: Worker | None = None
        self.log: MemoryEventsLog | None = None
        self.writer: WorldHelper | None = None
        self._request = request

    def network(self, point: str, request: Callable[[], Answer], /) -> Answer:
        """An effect of this process."""
        return self._request(self, point, request)

    def die(self) -> None:
        """Let go of what only a living process can hold."""
        if self.alive and self.writer is not None:
            self.writer.die()
        self.alive = False
        for partition in [number for number, holder in self.disk.holders.items() if holder is self]:
            del self.disk.holders[partition]


class DiskStates:
    """A `StateKeeper` on a disk of the world."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def open(self, partition: int, committed: int | None, bounds: Bounds) -> StateStore:
        """See `StateKeeper`."""
        try:
            return self._process.network("open", partial(self._open, partition))
        except RefusedError:
            raise AssayError(f"state of partition {partition} cannot be read") from None

    def describe(self, partition: int) -> str:
        """See `StateKeeper`."""
        return f"the state on {self._process.disk.name}"

    def checkpointed(self, partition: int, state: StateStore) -> None:
        """See `StateKeeper`."""

    def close(self) -> None:
        """See `StateKeeper`."""

    def _open(self, partition: int) -> StateStore:
        disk = self._process.disk
        if disk.holders.setdefault(partition, self._process) is not self._process:
            raise AssayError(f"state of partition {partition} is held by another process")
        disk.states.setdefault(partition, MemoryStore())
        return OpenState(self._process, partition)


class OpenState:
    """A `StateStore` that one process holds.

    Args:
        process: whose effects its writes are.
        partition: number of the partition.
    """

    def __init__(self, process: Holder, partition: int) -> None:
        self._process = process
        self._partition = partition
        self._is_open = True

    @property
    def _content(self) -> MemoryStore:
        if not self._is_open:
            raise BrokenPromiseError(f"{self._process.name} uses a store that it has closed")
        return self._process.disk.states[self._partition]

    def get_accounts(self, keys: Sequence[str]) -> list[bytes | None]:
        return self._content.get_accounts(keys)

    def get_value(self, name: str) -> bytes | None:
        return self._content.get_value(name)

    def accounts(self) -> Iterator[tuple[str, bytes]]:
        return self._content.accounts()

    def write(self, accounts: Iterable[tuple[str, bytes]], values: Mapping[str, bytes]) -> None:
        try:
            self._process.network("write", partial(self._write, list(accounts), dict(values)))
        except RefusedError:
            raise AssayError(f"state of partition {self._partition} is on a full disk") from None

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._process.network("close", self._close)

    def _write(self, accounts: list[tuple[str, bytes]], values: dict[str, bytes]) -> None:
        content, disk = self._content, self._process.disk
        older = MemoryStore()
        names = [name for name in values if content.get_value(name) is not None]
        older.write(content.accounts(), {name: content.get_value(name) or b"" for name in names})
        disk.older[self._partition] = older
        content.write(accounts, values)
        stored = stored_state(content, self._partition)
        disk.written(self._partition, 0 if stored is None else stored.next_offset)

    def _close(self) -> None:
        if self._process.disk.holders.get(self._partition) is self._process:
            del self._process.disk.holders[self._partition]
