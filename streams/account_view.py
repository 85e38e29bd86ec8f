"""An account's state for people: its exact history as rows, and the summary of what was folded away.

Identifiers are shown by the first digits of their hashes: a history keeps nothing else of them.
"""

import math
from typing import Any

import msgspec

from features.columns import (
    CHANNELS,
    DECLINED,
    FAILED,
    FRAUD,
    KIND_NAMES,
    LEGIT,
    LOGIN,
    METHODS,
    NO_SCORE,
    NOT_JUDGED,
    PAYMENT,
    Events,
)
from features.folded import HOURLY_TILES, NEVER_MS, Folded
from features.packing import unpack
from models.decision import OUTCOMES

_METHOD_NAMES = {code: name for name, code in METHODS.items()}
_CHANNEL_NAMES = {code: name for name, code in CHANNELS.items()}
_ENTITIES = ("merchants", "devices", "ips", "countries", "beneficiaries")
_HASH_DIGITS = 8


class PastEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of an exact history; null is "not known" or "there is none".

    Attributes:
        offset: its place in the log.
        time_ms: its own time.
        kind: what it is.
        amount_minor: minor units of the base currency; null where the kind has no amount.
        merchant: first digits of the hash of its merchant, as for the other identifiers.
        device: likewise.
        ip: likewise.
        beneficiary: likewise.
        country: ISO 3166.
        method: of a payment.
        channel: of a payment.
        mark: ``declined`` (by the issuer) or ``failed`` (a login).
        label: ``fraud`` or ``legit``, once it is known.
        decision: the verdict on it; null if it got none.
        score: of that verdict.
        anomaly: of that verdict.
    """

    offset: int
    time_ms: int
    kind: str
    amount_minor: int | None
    merchant: str | None
    device: str | None
    ip: str | None
    beneficiary: str | None
    country: str | None
    method: str | None
    channel: str | None
    mark: str | None
    label: str | None
    decision: str | None
    score: float | None
    anomaly: float | None


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of the events of one hour or one day."""

    start_ms: int
    hours: int
    payments: int
    amount_minor: int
    declines: int
    logins: int
    failed_logins: int
    profile_changes: int


class FoldedAway(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of the events that no longer fit the exact history.

    Attributes:
        events: how many.
        payments: of them.
        mean_minor: of the payments' amounts; null without payments.
        std_minor: their sample standard deviation; null below two payments.
        first_ms: time of the earliest.
        until_ms: time of the latest: windows that reach back to it are approximate.
        known: how many merchants, devices, ips, countries and beneficiaries are remembered.
        forgotten: those sorts of which some had to make room.
        tiles: by hour for the latest, by day for the others; earliest first.
    """

    events: int
    payments: int
    mean_minor: float | None
    std_minor: float | None
    first_ms: int
    until_ms: int
    known: dict[str, int]
    forgotten: list[str]
    tiles: list[Tile]


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """An account as the fold holds it.

    Attributes:
        last_offset: of the last record that was applied to it; -1 if there was none.
        events: its exact history, by time.
        folded: what was folded away; null if nothing was.
    """

    last_offset: int
    events: list[PastEvent]
    folded: FoldedAway | None

    @property
    def event_count(self) -> int:
        """Events of its whole past."""
        return len(self.events) + (self.folded.events if self.folded else 0)

    @property
    def first_ms(self) -> int | None:
        """Time of its earliest event."""
        times = [event.time_ms for event in self.events[:1]]
        return min([*times, self.folded.first_ms] if self.folded else times, default=None)


def view_of(account_id: str, packed: bytes | None) -> AccountView:
    """A packed account for people; None is an account without a past.

    Raises:
        AssayError: see `features.packing.unpack`.

    >>> view_of("a1", None).event_count
    0
    """
    if packed is None:
        return AccountView(last_offset=-1, events=[], folded=None)
    account = unpack(account_id, packed)
    folded = None if account.folded is None else _folded(account.folded)
    return AccountView(last_offset=account.last_offset, events=past_events(account.events), folded=folded)


def past_events(events: Events) -> list[PastEvent]:
    """Rows of a history, in its order."""
    return [_past_event(row) for row in events]


def hash_digits(hashed: int) -> str | None:
    """How the hash of an identifier is shown; None for an absent one.

    >>> hash_digits(0x0123456789ABCDEF), hash_digits(0)
    ('01234567', None)
    """
    return f"{hashed:016x}"[:_HASH_DIGITS] if hashed else None


def country_of(code: int) -> str | None:
    """Two letters of a country's number; the way back of `features.columns.country_code`.

    >>> country_of(1), country_of(676), country_of(0)
    ('AA', 'ZZ', None)
    """
    return chr(65 + (code - 1) // 26) + chr(65 + (code - 1) % 26) if code else None


def _past_event(row: Any) -> PastEvent:
    kind, marks, context = int(row["kind"]), int(row["marks"]), int(row["context"])
    amount_minor = int(row["amount_minor"])
    decision = int(row["decision"])
    mark = None
    if kind == PAYMENT and marks & DECLINED:
        mark = "declined"
    elif kind == LOGIN and marks & FAILED:
        mark = "failed"
    return PastEvent(
        offset=int(row["offset"]),
        time_ms=int(row["time_ms"]),
        kind=KIND_NAMES[kind],
        amount_minor=amount_minor if kind == PAYMENT or amount_minor else None,
        merchant=hash_digits(int(row["merchant"])),
        device=hash_digits(int(row["device"])),
        ip=hash_digits(int(row["ip"])),
        beneficiary=hash_digits(int(row["beneficiary"])),
        country=country_of(int(row["country"])),
        method=_METHOD_NAMES.get(context & 15),
        channel=_CHANNEL_NAMES.get(context >> 4),
        mark=mark,
        label="fraud" if marks & FRAUD else "legit" if marks & LEGIT else None,
        decision=None if decision == NOT_JUDGED else OUTCOMES[decision],
        score=_score(int(row["score_micro"])),
        anomaly=_score(int(row["anomaly_micro"])),
    )


def _score(micro: int) -> float | None:
    return None if micro == NO_SCORE else micro / 1_000_000


def _folded(folded: Folded) -> FoldedAway:
    summary = folded.summaries[0]
    payments = int(summary["payments"])
    known = {name: int((folded.keys[0, place] != 0).sum()) for place, name in enumerate(_ENTITIES)}
    tiles = [
        Tile(
            start_ms=int(tile["start_ms"]),
            hours=1 if place < HOURLY_TILES else 24,
            payments=int(tile["payments"]),
            amount_minor=int(tile["sum_minor"]),
            declines=int(tile["declines"]),
            logins=int(tile["logins"]),
            failed_logins=int(tile["failed_logins"]),
            profile_changes=int(tile["profile_changes"]),
        )
        for place, tile in enumerate(folded.tiles[0])
        if tile["start_ms"] != NEVER_MS
    ]
    return FoldedAway(
        events=int(summary["events"]),
        payments=payments,
        mean_minor=float(summary["mean"]) if payments else None,
        std_minor=math.sqrt(float(summary["squares"]) / (payments - 1)) if payments > 1 else None,
        first_ms=int(summary["first_ms"]),
        until_ms=int(summary["until_ms"]),
        known=known,
        forgotten=[name for place, name in enumerate(_ENTITIES) if folded.evicted[0, place]],
        tiles=sorted(tiles, key=lambda tile: tile.start_ms),
    )
