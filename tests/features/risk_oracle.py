"""Entity risk the slow way: sets of rows and dictionaries of events, everything counted anew whenever it is asked."""

import struct
from collections import defaultdict
from collections.abc import Iterable
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.risk_rows import OUTCOME, VOLUME

DAY = 86_400_000
START = 20_000
"""The first day of stories."""


class Outcome(NamedTuple):
    event: int
    entity: int
    parent: int
    event_time_ms: int
    known_at_ms: int
    label: int
    kind: int
    fraud: bool


class Volume(NamedTuple):
    entity: int
    parent: int
    flush: int
    day: int
    payments: int
    source: int
    kind: int


class Step(NamedTuple):
    """What is received, and the time of the question that follows."""

    outcomes: list[Outcome]
    volumes: list[Volume]
    now_ms: int


class Answer(NamedTuple):
    rate_7d: float
    rate_30d: float
    rate_90d: float
    payments_30d: int
    frauds_30d: int
    as_of_ms: int


Entity = tuple[int, int]


class Oracle:
    """Keeps everything for ever. Delays (by kind), weight and root rate are given; other settings are the defaults."""

    def __init__(self, delays: tuple[int, ...], weight: float, root: float) -> None:
        self.delays, self.weight, self.root = delays, weight, root
        self.outcomes: set[Outcome] = set()
        self.volumes: set[Volume] = set()
        self.published: dict[Entity, Answer] = {}
        self.compared: dict[Entity, tuple[set[Outcome], set[Volume]]] = {}
        self.compared_at_ms = 0

    def receive(self, outcomes: Iterable[Outcome], volumes: Iterable[Volume]) -> None:
        self.outcomes |= set(outcomes)
        self.volumes |= set(volumes)

    def newest(self, now_ms: int) -> set[Outcome]:
        """For each event and kind the row of the newest label that is known."""
        of_event: dict[tuple[int, int], Outcome] = {}
        for row in self.outcomes:
            if row.known_at_ms <= now_ms:
                name = (row.event, row.kind)
                of_event[name] = max(of_event.get(name, row), row, key=lambda one: (one.known_at_ms, one.label))
        return set(of_event.values())

    def answers(self, now_ms: int) -> dict[Entity, Answer]:
        newest = self.newest(now_ms)
        parents: dict[Entity, tuple[int, int]] = {}
        for row in newest:
            name = (row.kind, row.entity)
            parents[name] = max(parents.get(name, (-1, 0)), (row.event_time_ms // DAY, row.parent))
        for volume in self.volumes:
            name = (volume.kind, volume.entity)
            parents[name] = max(parents.get(name, (-1, 0)), (volume.day, volume.parent))
        return {
            (kind, entity): answer
            for (kind, entity), (_, parent) in parents.items()
            if (answer := self.answer(newest, kind, entity, parent, now_ms)) is not None
        }

    def answer(self, newest: set[Outcome], kind: int, entity: int, parent: int, now_ms: int) -> Answer | None:
        last = now_ms // DAY - self.delays[kind]
        rates, counts = [], []
        for width in (7, 30, 90):
            frauds = [r for r in newest if r.kind == kind and r.fraud and last - width <= r.event_time_ms // DAY < last]
            volumes = [v for v in self.volumes if v.kind == kind and last - width <= v.day < last]
            rate, _ = self.rate(self.root, frauds, volumes)
            if parent:
                rate, _ = self.rate(
                    rate, [r for r in frauds if r.parent == parent], [v for v in volumes if v.parent == parent]
                )
            rate, count = self.rate(
                rate, [r for r in frauds if r.entity == entity], [v for v in volumes if v.entity == entity]
            )
            rates.append(struct.unpack("f", struct.pack("f", rate))[0])
            counts.append(count)
        frauds_30d = len(self.frauds_30d(newest, kind, entity, last))
        return Answer(*rates, counts[1], frauds_30d, now_ms) if counts[2] else None

    def rate(self, prior: float, frauds: list[Outcome], volumes: list[Volume]) -> tuple[float, int]:
        count = max(len(frauds), sum(volume.payments for volume in volumes))
        return (len(frauds) + self.weight * prior) / (count + self.weight), count

    def frauds_30d(self, newest: set[Outcome], kind: int, entity: int, last: int) -> list[Outcome]:
        mine = [row for row in newest if (row.kind, row.entity) == (kind, entity) and row.fraud]
        return [row for row in mine if last - 30 <= row.event_time_ms // DAY < last]

    def changes(self, now_ms: int) -> tuple[dict[Entity, Answer], set[Entity]]:
        """What to publish, and what is gone."""
        oldest = now_ms // DAY - max(self.delays) - 91
        rows: dict[Entity, tuple[set[Outcome], set[Volume]]] = defaultdict(lambda: (set(), set()))
        for row in self.newest(now_ms):
            if row.event_time_ms // DAY >= oldest:
                rows[row.kind, row.entity][0].add(row)
        for volume in self.volumes:
            if volume.day >= oldest:
                rows[volume.kind, volume.entity][1].add(volume)
        is_new_day = now_ms // DAY > self.compared_at_ms // DAY
        compared = {name for name in rows if is_new_day or rows[name] != self.compared.get(name)}
        if is_new_day:
            compared |= set(self.published)
        self.compared, self.compared_at_ms = dict(rows), now_ms
        answers = self.answers(now_ms)
        new = {
            name: answers[name]
            for name in compared & set(answers)
            if name not in self.published or self.differs(self.published[name], answers[name])
        }
        gone = (compared & set(self.published)) - set(answers)
        self.published = {name: last for name, last in self.published.items() if name not in gone} | new
        return new, gone

    @staticmethod
    def differs(last: Answer, now: Answer) -> bool:
        moved = any(
            abs(after - before) > 0.1 * before and abs(after - before) > 0.0005
            for before, after in zip(last[:3], now[:3], strict=True)
        )
        return moved or last.payments_30d < 20 <= now.payments_30d or now.as_of_ms - last.as_of_ms >= DAY


def rows_of(outcomes: Iterable[Outcome], volumes: Iterable[Volume]) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """As the product takes them."""
    return np.array([tuple(row) for row in outcomes], OUTCOME), np.array([tuple(row) for row in volumes], VOLUME)


def story(random: Random, events: int = 14, flushes: int = 10, steps: int = 8) -> list[Step]:
    """Labels and flushes over some 200 days, each once or twice, in any order; the rows of a label come together."""
    groups: list[tuple[list[Outcome], list[Volume]]] = []
    for event in range(1, events + 1):
        time_ms = (START + random.randrange(110)) * DAY + random.randrange(DAY)
        merchant, category, device = random.randint(1, 3), random.randint(0, 2), random.randint(1, 2)
        known_at_ms = time_ms
        for number in range(random.randint(1, 3)):
            known_at_ms += random.choice([0, 1, random.randrange(40 * DAY)])
            label, fraud = 4 * random.getrandbits(8) + number, random.random() < 0.7  # ids differ within an event
            rows = [
                Outcome(event, merchant, category, time_ms, known_at_ms, label, 0, fraud),
                Outcome(event, device, 0, time_ms, known_at_ms, label, 1, fraud),
            ]
            groups.append((rows, []))
    for number in range(flushes):
        source, flush = number % 2, number // 2 + random.choice([0, 0, 50 * number])
        first, width = START + random.randrange(110), random.randint(1, 4)
        counted = [
            Volume(merchant, random.randint(0, 2), flush, first + day, random.randrange(15), source, 0)
            for day in range(width)
            for merchant in random.sample([1, 2, 3], 2)
        ]
        counted += [Volume(1, 0, flush, first + day, random.randrange(15), source, 1) for day in range(width)]
        groups.append(([], counted))
    seen: set[tuple[int, int]] = set()
    kept = []
    for outcomes, volumes in groups:  # two flushes of one name would be one flush
        name = (volumes[0].source, volumes[0].flush) if volumes else None
        if name is None or name not in seen:
            kept.append((outcomes, volumes))
        seen |= {name} if name else set()
    nows = sorted(
        (START + random.choice([5, 40, 41, 90, 120, 200])) * DAY + random.randrange(DAY) for _ in range(steps)
    )
    told: list[Step] = [Step([], [], now_ms) for now_ms in nows]
    for outcomes, volumes in kept:
        for _ in range(random.choice([1, 1, 2])):
            step = random.choice(told)
            step.outcomes.extend(outcomes)
            step.volumes.extend(volumes)
    return told
