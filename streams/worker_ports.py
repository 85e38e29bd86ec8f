"""What a worker is given besides log and publisher: the shapes that the tests stand in for."""

from typing import Protocol

from features.store import StateStore
from streams.history import Bounds
from streams.profiles import Profiles


class StateKeeper(Protocol):
    """Where partitions' states are; `streams/state_keeper.py` keeps them on disk."""

    def open(self, partition: int, committed: int | None, bounds: Bounds) -> StateStore:
        """The state of a partition: the local one, else a snapshot that is not ahead of `committed`, else a fresh one.

        Raises:
            AssayError: it is damaged, held by another process, or cannot be read.
        """
        ...

    def describe(self, partition: int) -> str:
        """Where it is, for messages."""
        ...

    def checkpointed(self, partition: int, state: StateStore) -> None:
        """A checkpoint was just written: the moment for a snapshot, if one is due."""
        ...

    def close(self) -> None:
        """Finish what is in hand."""
        ...


class ProfilesOnTopic(Profiles, Protocol):
    """Profiles of entities that are read on; `streams/topic_profiles.py` reads them from Kafka."""

    def __len__(self) -> int:
        """Versions in memory."""
        ...

    def read_on(self) -> None:
        """Take in what is there, without waiting."""
        ...

    def let_go(self, seen_from: int) -> None:
        """Versions are needed no more that nobody sees to whom at least `seen_from` is visible."""
        ...
