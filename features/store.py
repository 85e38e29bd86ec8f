"""Where packed accounts live when they are not hot: the promises of a store, and a store in memory that keeps them.

A store belongs to one partition of the log. Everything written together becomes visible together, after a crash too:
the accounts of a checkpoint, the detector and the offset up to which they are true are one write. `RocksStore` keeps
the same promises on disk; `tests/features/test_store.py` holds both to them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol


class StateStore(Protocol):
    """Accounts and named partition values of one partition."""

    def get_accounts(self, keys: Sequence[str]) -> list[bytes | None]:
        """Packed accounts in the order of `keys`; None for an account that was never written."""
        ...

    def get_value(self, name: str) -> bytes | None:
        """A named value of the partition (offset, model in force, detector); None if it was never written."""
        ...

    def write(self, accounts: Iterable[tuple[str, bytes]], values: Mapping[str, bytes]) -> None:
        """Write all of it or nothing of it."""
        ...

    def accounts(self) -> Iterator[tuple[str, bytes]]:
        """Every account, by key; raises rather than stopping early if the store is damaged."""
        ...

    def close(self) -> None:
        """Release what is held; closing twice is harmless."""
        ...


class MemoryStore:
    """A store that forgets everything with the process: for tests, and for scoring a file without `--state`."""

    def __init__(self) -> None:
        self._accounts: dict[str, bytes] = {}
        self._values: dict[str, bytes] = {}

    def get_accounts(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `StateStore`."""
        return [self._accounts.get(key) for key in keys]

    def get_value(self, name: str) -> bytes | None:
        """See `StateStore`."""
        return self._values.get(name)

    def write(self, accounts: Iterable[tuple[str, bytes]], values: Mapping[str, bytes]) -> None:
        """See `StateStore`."""
        pending = dict(accounts)  # an error while the accounts are produced must leave nothing written
        self._accounts.update(pending)
        self._values.update(values)

    def accounts(self) -> Iterator[tuple[str, bytes]]:
        """See `StateStore`."""
        return iter(sorted(self._accounts.items()))

    def close(self) -> None:
        """See `StateStore`."""
