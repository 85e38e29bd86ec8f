"""Which accounts met which devices, addresses and beneficiaries: the newest pairs of the links topic. Pure.

Accounts and entities are hashes there; who they are is known only where an id that hashes to them passes by.
"""

from collections import OrderedDict
from typing import Final, NamedTuple

import msgspec

from features.entities import ENTITY_KINDS
from features.links import Flushes, flushes_of

MOST_PAIRS: Final = 200_000


class Pair(NamedTuple):
    """What happened between an account and an entity when they first met.

    Attributes:
        account: hash of its id.
        time_ms: of their newest event in that flush.
        payments: how many.
        declined: of these, by the issuer.
        amount_minor: sum, base currency.
    """

    account: int
    time_ms: int
    payments: int
    declined: int
    amount_minor: int


class Entity(NamedTuple):
    """One entity: its kind by name, and the hash of its identifier."""

    kind: str
    hashed: int


class LinkBook:
    """Remembers pairs, the oldest make room; and accounts with an event that a label calls fraud."""

    def __init__(self, most: int = MOST_PAIRS) -> None:
        self._most = most
        self._pairs: OrderedDict[tuple[Entity, int], Pair] = OrderedDict()
        self._of_entity: dict[Entity, dict[int, None]] = {}
        self._fraud: OrderedDict[int, None] = OrderedDict()

    def take(self, value: bytes) -> None:
        """A record of the topic; one that is no record of links is passed over."""
        try:
            _, flushes = flushes_of(value)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OverflowError, RecursionError):
            return
        self.add(flushes)

    def add(self, flushes: Flushes) -> None:
        """Pairs and marks of some flushes."""
        for link in flushes.links:
            entity = Entity(ENTITY_KINDS[int(link["kind"])], int(link["entity"]))
            account = int(link["account"])
            pair = Pair(
                account,
                int(link["time_ms"]),
                int(link["payments"]),
                int(link["declined"]),
                int(link["amount_minor"]),
            )
            self._pairs[entity, account] = pair
            self._of_entity.setdefault(entity, {})[account] = None
        for mark in flushes.marks:
            account = int(mark["account"])
            if mark["fraud"]:
                self._fraud[account] = None
        while len(self._pairs) > self._most:
            (entity, account), _ = self._pairs.popitem(last=False)
            del self._of_entity[entity][account]
            if not self._of_entity[entity]:
                del self._of_entity[entity]
        while len(self._fraud) > self._most:
            self._fraud.popitem(last=False)

    def accounts_of(self, entity: Entity) -> list[Pair]:
        """Accounts that met an entity, the newest first."""
        pairs = [self._pairs[entity, account] for account in self._of_entity.get(entity, ())]
        return sorted(pairs, key=lambda pair: (-pair.time_ms, pair.account))

    def is_fraud(self, account: int) -> bool:
        """Whether a label calls an event of this account fraud."""
        return account in self._fraud

    def __len__(self) -> int:
        return len(self._pairs)
