"""Sequences of events for the tests of the kernel: drawn by hypothesis or from a seed, from the same small pools.

A step says when an event happens relative to one of its account's earlier events, so that window edges, equal
milliseconds and late events are common rather than lucky.
"""

import bisect
import dataclasses
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from features.columns import (
    APPLICATION,
    DECLINED,
    FAILED,
    KIND_NAMES,
    LOGIN,
    PAYMENT,
    PROFILE_CHANGE,
    Events,
    country_code,
    empty_events,
)
from tests.naive import CHANNELS, DAY, HOUR, METHODS, MINUTE, SECOND, WINDOWS, NaiveEvent

KINDS = {KIND_NAMES[kind]: kind for kind in (PAYMENT, LOGIN, PROFILE_CHANGE, APPLICATION)}
BASES_MS = (1_709_164_800_000, 1_735_689_599_999, 200 * DAY + 12_345_678)
"""A midnight in a leap year, the last millisecond of a year, an odd moment of 1970."""

EDGES_MS = tuple(length + delta for length in WINDOWS.values() for delta in (-1, 0, 1))
BRIEF_MS = (0, 0, 1, 2, SECOND - 1, SECOND, 17 * SECOND, 40 * SECOND, 90 * SECOND, 4 * MINUTE)
LONG_MS = (25 * MINUTE, HOUR - 7, 5 * HOUR, 9 * HOUR + 11, DAY + 13, 3 * DAY, 11 * DAY, 40 * DAY)
MIXED_MS = (
    *BRIEF_MS * 2,
    *EDGES_MS,
    *LONG_MS,
    *(-edge for edge in EDGES_MS[::3]),
    *(-brief for brief in BRIEF_MS),
    -5 * HOUR,
    -(2 * DAY),
)
"""From an earlier event of the account to the next one, milliseconds; negative makes it late."""


@dataclass(frozen=True)
class Step:
    """What is drawn for one event."""

    account: str
    back: int
    """Which of the account's events the gap starts from: 0 the newest by time, 1 the one before, ..."""
    gap_ms: int
    event: NaiveEvent
    """With `time_ms` still 0."""


@dataclass(frozen=True)
class Arrival:
    """One event as it arrives: the account's id and the event with its time."""

    account: str
    event: NaiveEvent


EVENT_POOLS: dict[str, tuple[Any, ...]] = {
    "kind": ("payment", "payment", "payment", "login", "profile_change", "application"),
    "amount_minor": (0, 1, 999, 1_000, 1_000, 1_001, 2_500, 49_900, 123_456, 10**9, 10**15),
    "declined": (False, False, True),
    "failed": (False, True),
    "merchant": (None, 11, 12, 13, 2**64 - 1),
    "device": (None, 21, 22, 23, 24),
    "ip": (None, 31, 32, 33),
    "country": (None, "DE", "US", "NP", "AA"),
    "beneficiary": (None, None, 41, 42),
    "latitude": (None, 52.52, 52.5201, -33.87, 0.0, 89.9),
    "longitude": (None, 13.405, 13.41, 151.2, -7.5, 22.5, 180.0, -180.0),
    "method": tuple(METHODS),
    "channel": (None, *CHANNELS),
}
STEP_POOLS: dict[str, tuple[Any, ...]] = {
    "account": ("a", "a", "b", "c"),
    "back": (0, 0, 0, 1, 2, 5, 20),
    "gap_ms": MIXED_MS,
}


def events(min_size: int = 1, max_size: int = 40) -> st.SearchStrategy[list[Arrival]]:
    """Strategy: events of a few accounts in order of arrival."""
    event = st.builds(NaiveEvent, st.just(0), **{name: st.sampled_from(pool) for name, pool in EVENT_POOLS.items()})
    step = st.builds(Step, **{name: st.sampled_from(pool) for name, pool in STEP_POOLS.items()}, event=event)
    return st.builds(placed, st.lists(step, min_size=min_size, max_size=max_size), st.sampled_from(BASES_MS))


def seeded_events(seed: int, size: int, **pools: Sequence[Any]) -> list[Arrival]:
    """The same from a seed, any length; `pools` replace what a field of a step or an event is chosen from."""
    generator = random.Random(seed)
    chosen_from = {**EVENT_POOLS, **STEP_POOLS, **pools}
    steps = []
    for _ in range(size):
        drawn = {name: generator.choice(pool) for name, pool in chosen_from.items()}
        event = NaiveEvent(0, **{name: drawn[name] for name in EVENT_POOLS})
        steps.append(Step(**{name: drawn[name] for name in STEP_POOLS}, event=event))
    return placed(steps, generator.choice(BASES_MS))


def placed(steps: list[Step], base_ms: int) -> list[Arrival]:
    """Give every step its time, and take away what an event of its kind does not have."""
    of_account: dict[str, list[int]] = defaultdict(list)
    arrivals = []
    for step in steps:
        times = of_account[step.account]
        time_ms = max(times[-1 - min(step.back, len(times) - 1)] + step.gap_ms, 0) if times else base_ms
        bisect.insort(times, time_ms)
        arrivals.append(Arrival(step.account, _as_its_kind(dataclasses.replace(step.event, time_ms=time_ms))))
    return arrivals


def histories(arrivals: list[Arrival]) -> list[list[NaiveEvent]]:
    """For each arrival, what of its account arrived before it."""
    of_account: dict[str, list[NaiveEvent]] = defaultdict(list)
    before = []
    for arrival in arrivals:
        before.append(list(of_account[arrival.account]))
        of_account[arrival.account].append(arrival.event)
    return before


def columns(arrivals: list[Arrival]) -> tuple[list[str], Events]:
    """The same as the kernel takes it: account ids and `EVENT` records, every `event_hash` another."""
    records = empty_events(len(arrivals))
    for row, arrival in enumerate(arrivals):
        event = arrival.event
        records[row]["time_ms"] = event.time_ms
        records[row]["offset"] = row
        records[row]["event_hash"] = (row + 1) * 0x9E3779B97F4A7C15 % 2**64  # odd factor: no two alike
        records[row]["content_hash"] = row % 7
        records[row]["amount_minor"] = event.amount_minor
        for entity in ("merchant", "device", "ip", "beneficiary"):
            records[row][entity] = getattr(event, entity) or 0
        for part in ("latitude", "longitude"):
            if getattr(event, part) is not None:
                records[row][part] = getattr(event, part)
        records[row]["country"] = country_code(event.country)
        records[row]["kind"] = KINDS[event.kind]
        records[row]["marks"] = DECLINED * event.declined | FAILED * event.failed
        records[row]["context"] = METHODS.get(event.method or "", 0) + 16 * CHANNELS.get(event.channel or "", 0)
    return [arrival.account for arrival in arrivals], records


def _as_its_kind(event: NaiveEvent) -> NaiveEvent:
    if event.kind == "payment":
        return dataclasses.replace(event, failed=False)
    other = dataclasses.replace(event, declined=False, method=None, channel=None)
    return dataclasses.replace(
        other,
        amount_minor=event.amount_minor if event.kind == "application" else 0,
        failed=event.failed and event.kind == "login",
    )
