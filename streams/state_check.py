"""Reads a state to its end and says what is wrong with it."""

from collections.abc import Callable
from typing import NamedTuple

from features.errors import AssayError
from features.packing import hash_text, unpack
from features.rocks_store import RocksStore
from streams.fold_state import stored_state

_MOST_DAMAGES = 20
_PROGRESS_EVERY = 1_000


class Checked(NamedTuple):
    """What there is in a state.

    Attributes:
        next_offset: where its fold stands; None if that cannot be read.
        accounts: accounts that were read.
        events: events in their histories.
        values: named values that were read.
        damages: one line each, no more than twenty; empty if the state is whole.
    """

    next_offset: int | None
    accounts: int
    events: int
    values: int
    damages: list[str]


def check(store: RocksStore, partition: int, progress: Callable[[int, int], None] = lambda *_: None) -> Checked:
    """Read every account and value; every checksum of RocksDB and every packed record is looked at.

    Account ids appear in no message, only their hashes.

    Args:
        store: opened; it is only read.
        partition: its number, for messages.
        progress: told accounts read, and about how many there are.
    """
    damages: list[str] = []
    next_offset: int | None = None
    accounts = events = values = 0
    try:
        estimate = store.estimated_accounts()
        state = stored_state(store, partition)
        if state is None:
            damages.append("nothing says where its fold stands: no checkpoint was ever stored")
        else:
            next_offset = state.next_offset
        for _ in store.values():
            values += 1
        for key, packed in store.accounts():
            accounts += 1
            if accounts % _PROGRESS_EVERY == 0:
                progress(accounts, max(accounts, estimate))
            try:
                account = unpack(key, packed)
            except AssayError as error:
                damages.append(str(error))
            else:
                events += len(account.events)
                if next_offset is not None and account.last_offset >= next_offset:
                    damages.append(
                        f"account hash {hash_text(key)}: expected offsets below {next_offset}, got "
                        f"{account.last_offset}: it does not belong to this checkpoint"
                    )
            if len(damages) >= _MOST_DAMAGES:
                break
    except AssayError as error:  # RocksDB's own checksums: the rest cannot be read
        damages.append(str(error))
    return Checked(next_offset, accounts, events, values, damages)
