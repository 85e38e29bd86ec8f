"""An account's state as text."""

from collections.abc import Iterator, Sequence

from features.money import EXPONENTS
from models.watch_limits import CLOSED
from models.wording import Money, money_text
from streams.account_at import ShownAccount
from streams.account_view import AccountView, FoldedAway, PastEvent, Tile
from streams.plain_text import age_text, aligned, time_text

_HEAD = (
    "time", "age", "kind", "amount", "merchant", "device", "ip", "to", "country", "method", "mark", "label",
    "decision", "score", "offset",
)  # fmt: skip


def history_table(events: Sequence[PastEvent], money: Money, *, as_of_ms: int | None, most: int) -> Iterator[str]:
    """The newest `most` events of a history, newest first, and how many more there are.

    Args:
        events: by time.
        money: base currency.
        as_of_ms: ages are told as of this time; None tells none.
        most: so many rows.
    """
    if not events:
        yield "  (no events)"
        return
    shown = events[::-1][:most]
    rows = [_row(event, money, as_of_ms) for event in shown]
    used = [column for column in range(len(_HEAD)) if any(row[column] != "-" for row in rows)]
    yield from aligned([[row[column] for column in used] for row in (_HEAD, *rows)])
    if len(events) > len(shown):
        yield f"  and {len(events) - len(shown)} older ones (--events shows more)"


def account_text(account: AccountView, money: Money, *, as_of_ms: int | None, most: int) -> Iterator[str]:
    """History and summary; arguments as for `history_table`."""
    yield from history_table(account.events, money, as_of_ms=as_of_ms, most=most)
    if account.folded is not None:
        yield from _folded_text(account.folded, money)


def shown_text(shown: ShownAccount, *, most_events: int) -> Iterator[str]:
    """Lines about an account; the newest `most_events` of its history."""
    money = Money(shown.currency, EXPONENTS[shown.currency])
    account = shown.account
    stands = (", degraded" if shown.degraded else "") + ("" if shown.breaker == CLOSED else ", breaker open")
    yield f"account {shown.account_id}, partition {shown.partition} before offset {shown.next_offset} ({shown.source})"
    first = "" if account.first_ms is None else f", the first at {time_text(account.first_ms)}"
    yield (
        f"{account.event_count} events{first}; the last record applied is at offset {account.last_offset}; "
        f"model {shown.model[:16]}{stands}"
    )
    yield from account_text(account, money, as_of_ms=None, most=most_events)
    if account.folded is not None and account.folded.tiles:
        yield "  tiles, the newest first:"
        yield from _tiles_table(account.folded.tiles[::-1], money)


def _tiles_table(tiles: Sequence[Tile], money: Money) -> Iterator[str]:
    head = ("from", "hours", "payments", "amount", "declined", "logins", "failed", "profile changes")
    rows = [
        (
            time_text(tile.start_ms),
            str(tile.hours),
            str(tile.payments),
            money_text(tile.amount_minor, money),
            str(tile.declines),
            str(tile.logins),
            str(tile.failed_logins),
            str(tile.profile_changes),
        )
        for tile in tiles
    ]
    yield from aligned([head, *rows], indent="    ")


def _row(event: PastEvent, money: Money, as_of_ms: int | None) -> list[str]:
    cells = (
        time_text(event.time_ms),
        None if as_of_ms is None else age_text(as_of_ms - event.time_ms),
        event.kind,
        None if event.amount_minor is None else money_text(event.amount_minor, money),
        event.merchant,
        event.device,
        event.ip,
        event.beneficiary,
        event.country,
        "/".join(part for part in (event.method, event.channel) if part) or None,
        event.mark,
        event.label,
        event.decision,
        None if event.score is None else f"{event.score:.6f}",
        str(event.offset),
    )
    return ["-" if cell is None else cell for cell in cells]


def _folded_text(folded: FoldedAway, money: Money) -> Iterator[str]:
    amounts = "" if folded.mean_minor is None else f", {money_text(folded.mean_minor, money)} on average"
    yield (
        f"  folded away: {folded.events} events from {time_text(folded.first_ms)} to {time_text(folded.until_ms)}, "
        f"{folded.payments} payments{amounts}, in {len(folded.tiles)} tiles"
    )
    known = ", ".join(f"{count} {name}" for name, count in folded.known.items() if count)
    if known:
        forgotten = f" (some {' and '.join(folded.forgotten)} had to be forgotten)" if folded.forgotten else ""
        yield f"  still known of them: {known}{forgotten}"
