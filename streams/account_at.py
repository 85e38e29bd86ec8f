"""One account at a place of its log: as a state directory has it, or rebuilt out of the log."""

from collections.abc import Callable

import msgspec

from features.store import StateStore
from streams.account_view import AccountView, view_of
from streams.fold_state import stored_state
from streams.time_machine import TimeMachine


class ShownAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account at a place of the log.

    Attributes:
        account_id: the account.
        partition: of the log.
        next_offset: everything before this offset is in it.
        source: where it was read from.
        model: id of the model in force there.
        degraded: whether the log asks there for a model that could not be opened.
        breaker: what is in force there in place of the model's decisions; ``closed``: nothing.
        currency: base currency of its amounts.
        account: what is known of it.
    """

    account_id: str
    partition: int
    next_offset: int
    source: str
    model: str
    degraded: bool
    breaker: str
    currency: str
    account: AccountView


def account_at(
    machine: TimeMachine,
    account_id: str,
    partition: int,
    offset: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> ShownAccount | None:
    """The account out of the log, as it was before the record at `offset`; None if it had no past in this partition.

    Raises:
        AssayError: see `TimeMachine.at`.
    """
    folded = 0

    def count(records: int) -> None:
        nonlocal folded
        folded += records
        progress(folded, offset)

    with machine.at(partition, offset, count) as at:
        view = view_of(account_id, at.account(account_id))
        engine = at.engine
    if not view.event_count:
        return None
    return ShownAccount(
        account_id=account_id,
        partition=partition,
        next_offset=offset,
        source="the log",
        model=engine.model.id,
        degraded=engine.degraded,
        breaker=engine.breaker,
        currency=engine.model.rates.base,
        account=view,
    )


def account_in(store: StateStore, account_id: str, partition: int, currency: str) -> ShownAccount | None:
    """The account as a stored state has it; None if it has no past there.

    Args:
        store: state of the partition.
        account_id: the account.
        partition: for the answer.
        currency: base currency of the amounts, which a state does not name.

    Raises:
        AssayError: another version wrote the state.
    """
    stands = stored_state(store, partition)
    view = view_of(account_id, store.get_accounts([account_id])[0])
    if stands is None or not view.event_count:
        return None
    return ShownAccount(
        account_id=account_id,
        partition=partition,
        next_offset=stands.next_offset,
        source="its state directory, as of the last checkpoint",
        model=stands.model,
        degraded=stands.degraded,
        breaker=stands.standing.breaker,
        currency=currency,
        account=view,
    )
