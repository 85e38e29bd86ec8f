"""What was published as the verdict of which event, and which of it to keep while all of it passes by."""

import hashlib
import heapq
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import msgspec

from features.identity import EventName


class Published(NamedTuple):
    """A verdict as it stands in a topic or in a file.

    Attributes:
        partition: of the topic; None in a file.
        offset: place in the topic; number of the line in a file, from 0.
        key: the record's key; None in a file.
        value: its bytes.
    """

    partition: int | None
    offset: int
    key: bytes | None
    value: bytes


class Claim(NamedTuple):
    """Everything that was published as the verdict of one event, in the order in which it was found.

    Attributes:
        event: whose verdict it is said to be; without an account if the verdict names none, or nothing was found.
        copies: what was published.
    """

    event: EventName
    copies: list[Published]


class Chosen(Protocol):
    """Which verdicts to keep while all pass by; each copy of a kept one is kept too."""

    def add(self, event: EventName, published: Published) -> None:
        """A verdict passes."""
        ...

    def claims(self) -> list[Claim]:
        """Those that were kept."""
        ...


class Named:
    """The verdicts of events whose ids are given, of every account that has the id; one without any has no copies."""

    def __init__(self, event_ids: Iterable[str]) -> None:
        self._copies: dict[str, dict[EventName, list[Published]]] = {event_id: {} for event_id in event_ids}

    def add(self, event: EventName, published: Published) -> None:
        """See `Chosen`."""
        if event.event_id in self._copies:
            self._copies[event.event_id].setdefault(event, []).append(published)

    def claims(self) -> list[Claim]:
        """See `Chosen`; in the order in which they were asked for."""
        return [
            Claim(event, copies)
            for event_id, found in self._copies.items()
            for event, copies in (found or {EventName(event_id, ""): []}).items()
        ]


class Everything:
    """Every verdict."""

    def __init__(self) -> None:
        self._copies: dict[EventName, list[Published]] = {}

    def add(self, event: EventName, published: Published) -> None:
        """See `Chosen`."""
        self._copies.setdefault(event, []).append(published)

    def claims(self) -> list[Claim]:
        """See `Chosen`."""
        return [Claim(event, copies) for event, copies in self._copies.items()]


class Sample:
    """An even sample of events: those whose keyed hash is smallest.

    Each event is as likely as any other, wherever it stands, however often its verdict was published and however many
    accounts have its id, and every copy of a chosen one is seen. The same seed over the same verdicts chooses the same
    events.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._key = seed.to_bytes(8, "big", signed=True)
        self._copies: dict[EventName, list[Published]] = {}
        self._ranks: list[tuple[int, EventName]] = []  # a heap, the largest rank first

    def add(self, event: EventName, published: Published) -> None:
        """See `Chosen`."""
        if event in self._copies:
            self._copies[event].append(published)
            return
        name = msgspec.json.encode(event)  # a list of two, so no two names have the same bytes
        digest = hashlib.blake2b(name, digest_size=8, key=self._key).digest()
        rank = (-int.from_bytes(digest, "big"), event)
        if len(self._ranks) < self._size:
            heapq.heappush(self._ranks, rank)
        elif rank > self._ranks[0]:
            _, dropped = heapq.heapreplace(self._ranks, rank)
            del self._copies[dropped]
        else:
            return
        self._copies[event] = [published]

    def claims(self) -> list[Claim]:
        """See `Chosen`; by partition and offset."""
        claims = [Claim(event, copies) for event, copies in self._copies.items()]
        return sorted(claims, key=lambda claim: (claim.copies[0].partition or 0, claim.copies[0].offset))


class Scan(NamedTuple):
    """What passed during a search.

    Attributes:
        verdicts: how many.
        unreadable: records that are no verdict at all.
    """

    verdicts: int
    unreadable: list[Published]


class _Named(msgspec.Struct):
    event_id: str
    account_id: str = ""


_named = msgspec.json.Decoder(_Named).decode
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoders raise for bytes that are no record of the expected shape."""


def choose(published: Iterable[Published], chosen: Chosen) -> Scan:
    """Let verdicts pass by, and keep those that `chosen` wants."""
    verdicts = 0
    unreadable = []
    for record in published:
        try:
            named = _named(record.value)
        except NOT_JSON:
            unreadable.append(record)
            continue
        verdicts += 1
        chosen.add(EventName(named.event_id, named.account_id), record)
    return Scan(verdicts, unreadable)
