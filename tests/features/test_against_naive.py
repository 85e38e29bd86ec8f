"""The kernel and the slow, obvious answer give the same features, whatever arrives in whatever order."""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.accounts import Accounts
from features.catalogue import FEATURES
from features.columns import FRAUD, LABEL, record_of
from features.keys import keys_of
from tests import naive
from tests.features.agreement import OF_ACCOUNTS, differences, served
from tests.features.sequences import Arrival, columns, events, histories, seeded_events
from tests.naive import DAY, MINUTE, WINDOWS, NaiveEvent, features_naive

COLD_START, LATE = 1, 2
NOON_MS = 1_710_504_000_000  # Friday, 2024-03-15 12:00 UTC
SEEDS = range(12)


def disagreements(arrivals: list[Arrival]) -> list[str]:
    features, _ = served(arrivals)
    return [
        f"event {row}: {line}"
        for row, (arrival, history) in enumerate(zip(arrivals, histories(arrivals), strict=True))
        for line in differences(features[row], features_naive(history, arrival.event))
    ]


def test_the_naive_answer_has_every_feature_of_the_catalogue() -> None:
    assert set(features_naive([], NaiveEvent(NOON_MS, "login"))) == set(OF_ACCOUNTS)


@settings(max_examples=150, deadline=None)
@given(events())
def test_every_feature_agrees(arrivals: list[Arrival]) -> None:
    assert disagreements(arrivals) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_every_feature_agrees_on_long_histories(seed: int) -> None:
    assert disagreements(seeded_events(seed, 250)) == []


@settings(max_examples=60, deadline=None)
@given(events(min_size=2), st.sets(st.integers(1, 39)))
def test_where_batches_are_cut_changes_nothing(arrivals: list[Arrival], cuts: set[int]) -> None:
    at_once, flags_at_once = served(arrivals)
    in_pieces, flags_in_pieces = served(arrivals, cuts)
    assert at_once.tobytes() == in_pieces.tobytes()
    assert flags_at_once.tobytes() == flags_in_pieces.tobytes()


@settings(max_examples=60, deadline=None)
@given(events(), st.integers(0, 39), events())
def test_no_feature_sees_what_arrives_later(arrivals: list[Arrival], after: int, others: list[Arrival]) -> None:
    features, flags = served(arrivals)
    kept = arrivals[: after + 1]
    features_before_others, flags_before_others = served(kept + others)
    assert features[: len(kept)].tobytes() == features_before_others[: len(kept)].tobytes()
    assert flags[: len(kept)].tobytes() == flags_before_others[: len(kept)].tobytes()


@settings(max_examples=40, deadline=None)
@given(events(min_size=2), st.data())
def test_a_label_is_no_event_and_finds_the_event_as_it_was_judged(arrivals: list[Arrival], data: st.DataObject) -> None:
    keys, records = columns(arrivals)
    labelled = data.draw(st.integers(0, len(arrivals) - 1))
    at = data.draw(st.integers(labelled + 1, len(arrivals)))
    label = record_of(
        time_ms=int(records["time_ms"].max()) + DAY, offset=at, event_hash=2**63 + 5, kind=LABEL, marks=FRAUD, device=77
    )
    records["offset"][at:] += 1
    judged = np.zeros(len(keys) + 1, dtype=np.uint64)
    judged[at] = records["event_hash"][labelled]
    applied = Accounts().apply(
        keys_of([*keys[:at], keys[labelled], *keys[at:]]), np.concatenate([records[:at], label, records[at:]]), judged
    )
    features, flags = served(arrivals)
    assert np.delete(applied.features, at, axis=0).tobytes() == features.tobytes()
    assert np.delete(applied.flags, at).tobytes() == flags.tobytes()
    assert applied.features[at].tobytes() == features[labelled].tobytes()


@settings(max_examples=60, deadline=None)
@given(events())
def test_flags_say_first_late_and_exact(arrivals: list[Arrival]) -> None:
    _, flags = served(arrivals)
    for arrival, history, flag in zip(arrivals, histories(arrivals), flags, strict=True):
        is_late = any(earlier.time_ms > arrival.event.time_ms for earlier in history)
        assert flag == (0 if history else COLD_START) | (LATE if is_late else 0)


def test_an_event_delivered_twice_counts_once() -> None:
    arrivals = [Arrival("a", NaiveEvent(NOON_MS + minute * MINUTE, "payment", 500)) for minute in range(4)]
    _, records = columns(arrivals)
    conflicting = records[1:2].copy()
    conflicting["content_hash"] += 1
    again = np.concatenate([records[:2], records[:2], records[2:], conflicting])
    applied = Accounts().apply(keys_of(["a"] * 7), again)
    assert applied.status.tolist() == [0, 0, 1, 1, 0, 0, 2]
    features, _ = served(arrivals)
    assert applied.features[[0, 1, 4, 5]].tobytes() == features.tobytes()


def _closed_window(earlier: NaiveEvent, event: NaiveEvent, window_ms: int) -> bool:
    return event.time_ms - window_ms <= earlier.time_ms <= event.time_ms


def _without_equal_milliseconds(earlier: NaiveEvent, event: NaiveEvent, window_ms: int) -> bool:
    return event.time_ms - window_ms < earlier.time_ms < event.time_ms


def _seeing_the_future(earlier: NaiveEvent, event: NaiveEvent) -> bool:
    return True


def _population_deviation(amounts: list[int]) -> float:
    return float(np.std(amounts)) if len(amounts) >= 2 else math.nan


def _amounts_of_every_kind(events: list[NaiveEvent]) -> list[int]:
    return [event.amount_minor for event in events]


def _absent_counts_as_a_value(events: list[NaiveEvent], entity: str) -> set[object]:
    return {getattr(event, entity) for event in events}


def _flat_earth(a: NaiveEvent, b: NaiveEvent) -> float:
    assert a.latitude is not None
    assert b.latitude is not None
    return abs(a.latitude - b.latitude) * 111.2


STORY = [
    Arrival("a", NaiveEvent(NOON_MS, "payment", 1_000, device=21, latitude=52.5, longitude=13.4)),
    Arrival("a", NaiveEvent(NOON_MS, "login", ip=31, device=22)),
    Arrival("a", NaiveEvent(NOON_MS, "payment", 3_000, device=21)),
    Arrival("a", NaiveEvent(NOON_MS + 5 * MINUTE - 1, "payment", 4_000, device=22)),
    Arrival("a", NaiveEvent(NOON_MS + 5 * MINUTE, "payment", 5_000, latitude=48.1, longitude=11.6, country="NP")),
    Arrival("a", NaiveEvent(NOON_MS + MINUTE, "payment", 2_000, device=23, country="NP")),
]
"""At minute 5 the first three are exactly 5 minutes old; the last event is late."""


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("is_inside", _closed_window),
        ("is_inside", _without_equal_milliseconds),
        ("is_past", _seeing_the_future),
        ("deviation", _population_deviation),
        ("amounts_of", _amounts_of_every_kind),
        ("values_of", _absent_counts_as_a_value),
        ("distance_km", _flat_earth),
    ],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_the_comparison_has_two_sides(name: str, wrong: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    assert disagreements(STORY) == []
    monkeypatch.setattr(naive, name, wrong)
    assert disagreements(STORY) != []


def test_both_sides_agree_with_pencil_and_paper() -> None:
    features, _ = served(STORY)
    told = [
        (4, "account_payment_count_5m", 1),  # the first three are 5 minutes old: outside
        (4, "account_payment_count_10m", 3),
        (4, "account_amount_minor_sum_10m", 8_000),
        (4, "account_amount_minor_std_10m", 1_527.5252),  # of 1000, 3000, 4000
        (4, "account_amount_z_7d", 1.5275252),  # (5000 - 8000 / 3) / 1527.5252
        (4, "account_amount_to_mean_ratio_30d", 1.875),
        (4, "account_device_distinct_1h", 2),
        (4, "account_seconds_since_last_new_device", 300),
        (4, "account_distance_km_from_last", 505.6),  # Berlin to Munich
        (4, "account_speed_kmh_from_last", 6_068),
        (4, "event_local_hour", 13),  # 11.6 degrees east: the position is used before the country
        (5, "account_payment_count_1h", 2),  # a late event does not see what happened after it
        (5, "account_age_seconds", 60),
        (5, "account_device_is_new", 1),
        (5, "event_local_hour", 17),  # 12:01 + 5:45
        (5, "event_local_weekday", 4),
    ]
    for row, name, value in told:
        expected = features_naive(histories(STORY)[row], STORY[row].event)[name]
        assert expected == pytest.approx(value, rel=1e-3), (row, name)
        assert features[row, FEATURES.index[name]] == pytest.approx(value, rel=1e-3), (row, name)


@pytest.mark.parametrize("amount_minor", [999, 10**12 + 1, 10**15 - 1])
def test_equal_amounts_have_no_deviation(amount_minor: int) -> None:
    every_day = [Arrival("a", NaiveEvent(NOON_MS + day * DAY, "payment", amount_minor)) for day in range(30)]
    assert disagreements(every_day) == []


def alternating(amount_minor: int) -> list[Arrival]:
    """Every hour a payment, every other one of them larger by one."""
    return [
        Arrival("a", NaiveEvent(NOON_MS + hour * 60 * MINUTE, "payment", amount_minor + hour % 2)) for hour in range(30)
    ]


@pytest.mark.parametrize("amount_minor", [1_000, 10**6, 10**9])
def test_a_small_deviation_of_a_large_amount_is_not_lost(amount_minor: int) -> None:
    assert disagreements(alternating(amount_minor)) == []


@pytest.mark.parametrize("amount_minor", [10**12, 10**15 - 1])
def test_the_deviation_of_huge_amounts_loses_only_what_float64_rounds_off_their_mean(amount_minor: int) -> None:
    arrivals = alternating(amount_minor)
    features, _ = served(arrivals)
    for row, history in list(enumerate(histories(arrivals)))[2:]:
        expected = features_naive(history, arrivals[row].event)
        for name in ("account_amount_minor_std_1d", "account_amount_minor_std_90d"):
            assert abs(features[row, FEATURES.index[name]] - expected[name]) <= amount_minor * np.finfo(np.float64).eps


def test_what_is_generated_reaches_every_edge() -> None:
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        arrivals = seeded_events(seed, 250)
        for arrival, history in zip(arrivals, histories(arrivals), strict=True):
            event = arrival.event
            ages = {event.time_ms - earlier.time_ms for earlier in history}
            seen["late"] += min(ages, default=0) < 0
            seen["equal milliseconds"] += 0 in ages
            for name, length in WINDOWS.items():
                seen[f"just inside {name}"] += length - 1 in ages
                seen[f"just outside {name}"] += length in ages
            seen[event.kind] += 1
            seen["declined"] += event.declined
            seen["failed login"] += event.failed
            seen["no device"] += event.device is None
            seen["no position"] += event.latitude is None or event.longitude is None
            seen["unlisted country"] += event.country == "AA" and event.longitude is None
    assert len(seen) == 9 + 2 * len(WINDOWS) + 2
    assert min(seen.values()) > 20, seen
