"""An account over time: rows of its history, and where each event is in a drawing. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from models.wording import Money, money_text
from streams.account_at import ShownAccount
from streams.account_view import FoldedAway, PastEvent
from streams.console import words
from streams.console.charts import Scale, Tick
from streams.plain_text import age_text

WIDTH, HEIGHT = 1_080, 230
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 54
MOST_ROWS: Final = 40
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One event of a history, in words; empty where there is nothing."""

    offset: int
    time: str
    age: str
    kind: str
    amount: str
    what: str
    entities: list[tuple[str, str]]
    mark: str
    label: str
    decision: str
    css: str
    score: str


@dataclass(frozen=True, slots=True)
class Dot:
    """One event in the drawing."""

    x: float
    y: float
    size: float
    css: str
    title: str
    offset: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """A drawing of an account.

    Attributes:
        dots: payments by amount, everything else on a line of its own below.
        x_ticks: days.
        y_ticks: amounts, each ten times the one below.
        floor: where events without an amount are.
    """

    dots: list[Dot]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    floor: float
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class AccountPage:
    """What the page shows."""

    account_id: str
    partition: int
    said: str
    figures: list[tuple[str, str]]
    timeline: Timeline
    rows: list[HistoryRow]
    more: int
    folded: str


def account_page(shown: ShownAccount, money: Money) -> AccountPage:
    """The page about one account."""
    account = shown.account
    payments = [event for event in account.events if event.kind == "payment"]
    amounts = [event.amount_minor for event in payments if event.amount_minor is not None]
    not_approved = sum(event.decision not in (None, "approve") for event in account.events)
    frauds = sum(event.label == "fraud" for event in account.events)
    return AccountPage(
        account_id=words.shown_id(shown.account_id),
        partition=shown.partition,
        said=(
            f"As the engine knows it before offset {shown.next_offset:,} of partition {shown.partition}, rebuilt "
            f"out of {shown.source}; model {shown.model[:16]}{', degraded' if shown.degraded else ''}."
        ),
        figures=[
            ("events", f"{account.event_count:,}"),
            ("since", words.moment(account.first_ms)),
            ("payments", f"{len(payments):,}"),
            ("median payment", money_text(sorted(amounts)[len(amounts) // 2], money) if amounts else "–"),
            ("largest payment", money_text(max(amounts), money) if amounts else "–"),
            ("devices", f"{len({event.device for event in account.events if event.device}):,}"),
            ("not approved", f"{not_approved:,}"),
            ("labelled fraud", f"{frauds:,}"),
        ],
        timeline=timeline(account.events, money),
        rows=history_rows(account.events, money, None, MOST_ROWS),
        more=max(0, len(account.events) - MOST_ROWS),
        folded="" if account.folded is None else _folded(account.folded, money),
    )


def history_rows(events: Sequence[PastEvent], money: Money, as_of_ms: int | None, most: int) -> list[HistoryRow]:
    """The newest `most` events, newest first; ages are told as of `as_of_ms`."""
    return [_row(event, money, as_of_ms) for event in events[::-1][:most]]


def timeline(events: Sequence[PastEvent], money: Money) -> Timeline:
    """Where each event is: time to the right, amount upwards in powers of ten."""
    times = [event.time_ms for event in events] or [0]
    first_ms, last_ms = min(times), max(times)
    margin = max(_DAY_MS // 24, (last_ms - first_ms) // 50)
    across = Scale(first_ms - margin, last_ms + margin, LEFT, WIDTH - RIGHT)
    minor = 10**money.digits
    amounts = [event.amount_minor / minor for event in events if event.kind == "payment" and event.amount_minor]
    low = math.floor(math.log10(min(amounts))) if amounts else 0
    high = max(low + 1, math.ceil(math.log10(max(amounts)) - 1e-9)) if amounts else low + 1
    up = Scale(low, high, HEIGHT - BOTTOM, TOP)
    floor = HEIGHT - BOTTOM + 18
    dots = []
    for event in events:
        amount = (event.amount_minor or 0) / minor if event.kind == "payment" else 0.0
        y = up.at(math.log10(amount)) if amount > 0 else floor
        css = event.decision or ("failed" if event.mark == "failed" else "quiet")
        label = f" labelled-{event.label}" if event.label else ""
        dots.append(
            Dot(
                across.at(event.time_ms), y, 5.0 if amount > 0 else 4.0, css + label, _title(event, money), event.offset
            )
        )
    return Timeline(
        dots=dots,
        x_ticks=_day_ticks(first_ms - margin, last_ms + margin, across),
        y_ticks=[Tick(up.at(power), f"{10.0**power:,.10g}") for power in range(low, high + 1)] if amounts else [],
        floor=floor,
    )


def _day_ticks(from_ms: int, to_ms: int, across: Scale) -> list[Tick]:
    days = max(1, math.ceil((to_ms - from_ms) / _DAY_MS / 8))
    first = -(-from_ms // _DAY_MS) * _DAY_MS
    return [Tick(across.at(at), words.moment(at)[5:10]) for at in range(first, to_ms + 1, days * _DAY_MS)]


def _title(event: PastEvent, money: Money) -> str:
    parts = [words.moment(event.time_ms), event.kind.replace("_", " ")]
    if event.amount_minor is not None:
        parts.append(money_text(event.amount_minor, money))
    parts += [part for part in (event.mark, event.decision and words.DECISION_WORDS[event.decision]) if part]
    if event.label:
        parts.append(f"labelled {event.label}")
    return ", ".join(parts)


def _row(event: PastEvent, money: Money, as_of_ms: int | None) -> HistoryRow:
    entities = [
        (name, value)
        for name, value in (
            ("merchant", event.merchant),
            ("device", event.device),
            ("ip", event.ip),
            ("to", event.beneficiary),
        )
        if value
    ]
    what = "/".join(part for part in (event.method, event.channel) if part)
    return HistoryRow(
        offset=event.offset,
        time=words.moment(event.time_ms),
        age="" if as_of_ms is None else age_text(as_of_ms - event.time_ms),
        kind=event.kind.replace("_", " "),
        amount="" if event.amount_minor is None else money_text(event.amount_minor, money),
        what=" ".join(part for part in (what, event.country) if part),
        entities=entities,
        mark=event.mark or "",
        label=event.label or "",
        decision="" if event.decision is None else words.DECISION_WORDS[event.decision],
        css=event.decision or "",
        score="" if event.score is None else words.score(event.score),
    )


def _folded(folded: FoldedAway, money: Money) -> str:
    amounts = "" if folded.mean_minor is None else f", {money_text(folded.mean_minor, money)} on average"
    return (
        f"{folded.events:,} older events from {words.moment(folded.first_ms)} to {words.moment(folded.until_ms)} are "
        f"kept as sums only: {folded.payments:,} payments{amounts}."
    )
