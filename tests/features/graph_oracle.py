"""The slow, obvious answer about the entity graph: every link that ever came is kept, and everything is counted anew.

It shares no code with `features`: plain dictionaries, sorted lists, and networkx for neighbours and components.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import networkx as nx

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
TEN_MINUTES = 10 * MINUTE
REMEMBERED = 64
HUB_ABOVE = {0: 20, 1: 20, 2: 0, 3: 20, 4: 0, 5: 0, 6: 0}
"""By kind: merchants and bins tie nobody together."""
BENEFICIARY = 3
Entity = tuple[int, int]
"""Kind and hash."""


@dataclass(frozen=True)
class PlainLink:
    """One row, as plain integers."""

    account: int
    kind: int
    entity: int
    time_ms: int
    payments: int = 0
    declined: int = 0
    small: int = 0
    amount_minor: int = 0
    source: int = 0
    flush: int = 0


@dataclass
class Oracle:
    """All links, each once, and all labels as (account, fraud, known_at_ms)."""

    links: Iterable[PlainLink]
    labels: Iterable[tuple[int, bool, int]] = ()
    forgotten_before_ms: int | None = None
    """Time of a rebuild, less 90 days; None = there was none."""
    times: dict[Entity, dict[int, list[int]]] = field(init=False)

    def __post_init__(self) -> None:
        self.links = set(self.links)
        self.times = defaultdict(lambda: defaultdict(list))
        for link in self.links:
            self.times[link.kind, link.entity][link.account].append(link.time_ms)
        newest: dict[int, tuple[int, bool]] = {}
        for account, fraud, known_at_ms in self.labels:
            newest[account] = max(newest.get(account, (-1, False)), (known_at_ms, fraud))
        self.frauds = {account for account, (_, fraud) in newest.items() if fraud}

    def newest(self, entity: Entity) -> list[tuple[int, int]]:
        """(newest time, account) of all accounts of an entity that are not forgotten, the newest first."""
        found = sorted(((max(times), account) for account, times in self.times[entity].items()), reverse=True)
        horizon = -1 if self.forgotten_before_ms is None else self.forgotten_before_ms
        return [pair for pair in found if pair[0] > horizon]

    def remembered(self, entity: Entity) -> list[tuple[int, int]]:
        return self.newest(entity)[:REMEMBERED]

    def is_hub(self, entity: Entity) -> bool:
        return len(self.newest(entity)) > HUB_ABOVE[entity[0]]

    def since(self, entity: Entity, as_of_ms: int, window_ms: int) -> tuple[int, int]:
        """Accounts in the window: among those remembered, and among all."""

        def count(pairs: list[tuple[int, int]]) -> int:
            return sum(as_of_ms - window_ms < time_ms <= as_of_ms for time_ms, _ in pairs)

        return count(self.remembered(entity)), count(self.newest(entity))

    def graph(self) -> nx.Graph:
        """Accounts and the entities that tie them together."""
        graph = nx.Graph()
        for entity in self.times:
            if not self.is_hub(entity):
                graph.add_edges_from((entity, ("account", account)) for _, account in self.newest(entity))
        return graph

    def two_hops(self, entity: Entity, graph: nx.Graph) -> set[int]:
        """Accounts that share another entity, not a hub, with a remembered account of this one."""
        first = {account for _, account in self.remembered(entity)}
        found: set[int] = set()
        for account in first:
            if ("account", account) not in graph:
                continue
            for other in set(graph[("account", account)]) - {entity}:
                found |= {name for _, name in graph[other]}
        return found - first

    def component(self, entity: Entity, graph: nx.Graph) -> set[int]:
        """Accounts of an entity's component; none of a hub's."""
        if entity not in graph:
            return set()
        members = nx.node_connected_component(graph, entity)
        return {node[1] for node in members if node[0] == "account"}

    def joined_ms(self) -> dict[int, int]:
        """When each account came into its component: links in the order in which pairs were first seen."""
        pairs = [
            (min(self.times[entity][account]), entity[1], entity[0], account)
            for entity in self.times
            if not self.is_hub(entity)
            for _, account in self.newest(entity)
        ]
        sets: dict[object, set[int]] = {}
        joined: dict[int, int] = {}
        for time_ms, name, kind, account in sorted(pairs):
            ours = sets.setdefault(("account", account), {account})
            theirs = sets.setdefault((kind, name), set())
            joined.setdefault(account, time_ms)
            if ours is theirs:
                continue
            for mover in theirs if len(ours) > len(theirs) else ours:
                joined[mover] = time_ms
            both = ours | theirs
            for key, value in sets.items():
                if value is ours or value is theirs:
                    sets[key] = both
        return joined

    def sums(self, rows: Iterable[PlainLink], as_of_ms: int, window_ms: int) -> list[int]:
        """Payments, declined, small and amount of the tiles that a window touches."""
        first, last = (as_of_ms - window_ms + 1) // TEN_MINUTES, as_of_ms // TEN_MINUTES
        inside = [row for row in rows if first <= row.time_ms // TEN_MINUTES <= last]
        return [sum(getattr(row, name) for row in inside) for name in ("payments", "declined", "small", "amount_minor")]

    def through(self, entity: Entity) -> list[PlainLink]:
        return [link for link in self.links if (link.kind, link.entity) == entity]

    def paid_by(self, account: int) -> list[PlainLink]:
        return [link for link in self.links if link.kind == BENEFICIARY and link.account == account]

    def paid_since(self, account: int, as_of_ms: int, window_ms: int) -> int:
        """Distinct beneficiaries that an account paid, each at its newest time."""
        newest: dict[int, int] = {}
        for link in self.paid_by(account):
            newest[link.entity] = max(newest.get(link.entity, -1), link.time_ms)
        return sum(as_of_ms - window_ms < time_ms <= as_of_ms for time_ms in newest.values())

    def dwell_minutes(self, account: int, as_of_ms: int) -> float:
        """Coin by coin: each unit of money that goes out is the oldest that had come in."""
        first, last = (as_of_ms - 2 * DAY + 1) // TEN_MINUTES, as_of_ms // TEN_MINUTES

        def coins(rows: list[PlainLink]) -> list[int]:
            numbers = [row.time_ms // TEN_MINUTES for row in rows for _ in range(row.amount_minor)]
            return sorted(number for number in numbers if first <= number <= last)

        there = coins(self.through((BENEFICIARY, account)))
        stayed = [
            10 * (number - there.pop(0)) for number in coins(self.paid_by(account)) if there and there[0] <= number
        ]
        return sum(stayed) / len(stayed) if stayed else math.nan
