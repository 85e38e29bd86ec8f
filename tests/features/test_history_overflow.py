"""Beyond the exact history: what is not said to be approximate is exact, and what is keeps its bounds.

The 256 most recent events of an account are held one by one. A window that starts among them is exact, flagged or not.
An older edge cuts a tile of at most a day: what lies in that tile may count too, and nothing else. An event so late
that its own moment was folded away is judged from the tiles alone, and only as far back as there are tiles.
"""

import re
from collections import Counter
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from features.catalogue import FEATURES
from tests.features.agreement import OF_ACCOUNTS, agree, differences, served
from tests.features.sequences import BRIEF_MS, EDGES_MS, Arrival, histories, seeded_events
from tests.naive import DAY, HOUR, MINUTE, WINDOWS, NaiveEvent, amounts_of, features_naive, values_of

COLD_START, LATE, APPROXIMATE = 1, 2, 4
EXACT_EVENTS = 256
"""At least so many of an account's most recent events are held one by one."""
DAILY_TILES = 92
"""How many days back from the newest folded event there are tiles."""
BASE_MS = 1_710_504_000_000

GAPS_MS: dict[str, tuple[int, ...]] = {
    "minutes": (*BRIEF_MS, 11 * MINUTE, 11 * MINUTE, -MINUTE),
    "hours": (0, 1, 40 * MINUTE, 3 * HOUR, 9 * HOUR + 11, -5 * HOUR, 11 * HOUR),
    "days": (0, 9 * HOUR, DAY - 1, DAY, 2 * DAY + 5, -DAY),
    "everything": (*BRIEF_MS, *(HOUR, 7 * HOUR, DAY) * 20, *EDGES_MS[:-6], *(-edge for edge in EDGES_MS)),
    "long pauses": (*BRIEF_MS * 15, 91 * DAY),
}
CORPUS = [(pace, seed) for pace in GAPS_MS for seed in (1, 2)]
WHOLE_PAST = "whole past"
_WINDOWS_IN_NAME = re.compile(r"_(5m|10m|1h|6h|1d|7d|30d|90d)(?=_|$)")


@cache
def corpus(pace: str, seed: int) -> list[Arrival]:
    backs = (0,) * 30 + ((1,) if pace == "long pauses" else (1, 3, 200, 400))
    return seeded_events(seed, 900, account=("a", "a", "a", "a", "b"), back=backs, gap_ms=GAPS_MS[pace])


def read_by(feature: str) -> list[str]:
    """What a feature reads of the past: its windows, else the whole past, else nothing."""
    named = _WINDOWS_IN_NAME.findall(feature)
    if named:
        return list(named)
    return [] if feature.startswith("event_") or feature == "account_amount_minor" else [WHOLE_PAST]


def exact_parts(history: list[NaiveEvent], event: NaiveEvent) -> set[str]:
    """The windows that start among the events that are held one by one."""
    parts = {name for name, length in WINDOWS.items() if arrived_after(history, event.time_ms - length) <= EXACT_EVENTS}
    return parts | ({WHOLE_PAST} if len(history) <= EXACT_EVENTS else set())


def arrived_after(history: list[NaiveEvent], time_ms: int) -> int:
    return sum(1 for earlier in history if earlier.time_ms > time_ms)


def with_cut_tiles(history: list[NaiveEvent], event: NaiveEvent, window: str) -> list[NaiveEvent]:
    """The window and the rest of the days that its edges cut, as far as those days may be held as a tile."""
    start = (event.time_ms - WINDOWS[window]) // DAY * DAY
    end = event.time_ms
    if is_too_late(history, event):
        end = event.time_ms // DAY * DAY + DAY - 1
    return [earlier for earlier in history if start <= earlier.time_ms <= end]


def is_too_late(history: list[NaiveEvent], event: NaiveEvent) -> bool:
    """Whether the event's own moment may be folded away."""
    return arrived_after(history, event.time_ms) >= EXACT_EVENTS


def tiles_reach(history: list[NaiveEvent], event: NaiveEvent, window: str) -> bool:
    """Whether every day of the window surely has its tile."""
    newest_folded_at_most = sorted(earlier.time_ms for earlier in history)[-EXACT_EVENTS - 1]
    return newest_folded_at_most // DAY - (event.time_ms - WINDOWS[window]) // DAY < DAILY_TILES


def is_allowed(name: str, got: float, expected: float, history: list[NaiveEvent], event: NaiveEvent) -> bool:
    """Whether cut tiles explain the value of a feature that is not the exact one."""
    too_late = is_too_late(history, event)
    if any(part in name for part in ("_ratio_", "_share_", "_z_")):
        return True  # of two windows that are checked by themselves
    if read_by(name) == [WHOLE_PAST]:
        return too_late and (
            expected <= got <= features_at_the_end_of(history)[name]
            if name.endswith("_lifetime")
            else np.isnan(got) or got >= expected or "_from_last" in name
        )
    (window,) = read_by(name)
    most = with_cut_tiles(history, event, window)
    amounts = amounts_of(most)
    complete = not too_late or tiles_reach(history, event, window)
    if "_sum_" in name:
        return (expected if complete else 0) * (1 - 1e-7) <= got <= sum(amounts) * (1 + 1e-7)
    if "_distinct_" in name:
        return (0 if too_late else expected) <= got <= len(values_of(history if too_late else most, name.split("_")[1]))
    if "_count_" in name:
        return (expected if complete else 0) <= got <= count_of(name, most)
    if np.isnan(got):
        return not complete
    if "_std_" in name:
        return 0 <= got <= max(amounts) - min(amounts)
    return min(amounts) * (1 - 1e-7) <= got <= max(amounts) * (1 + 1e-7)


def count_of(name: str, events: list[NaiveEvent]) -> float:
    """What the counting feature would say if its window held exactly these events."""
    at_once = [NaiveEvent(0, event.kind, declined=event.declined, failed=event.failed) for event in events]
    return features_naive(at_once, NaiveEvent(0, "login"))[name]


def features_at_the_end_of(history: list[NaiveEvent]) -> dict[str, float]:
    return features_naive(history, NaiveEvent(max(earlier.time_ms for earlier in history), "login"))


def wrong(row: NDArray[np.float32], history: list[NaiveEvent], event: NaiveEvent) -> list[str]:
    """One line for each feature of a flagged event that neither is exact nor may be otherwise."""
    exact, expected = exact_parts(history, event), features_naive(history, event)
    return [
        f"{name}: kernel {got!r}, naive {expected[name]!r}"
        for name, got in zip(OF_ACCOUNTS, row.tolist()[: len(OF_ACCOUNTS)], strict=True)
        if not agree(name, got, expected[name])
        and (exact.issuperset(read_by(name)) or not is_allowed(name, got, expected[name], history, event))
    ]


@pytest.mark.parametrize(("pace", "seed"), CORPUS)
def test_what_is_not_flagged_is_exact(pace: str, seed: int) -> None:
    arrivals = corpus(pace, seed)
    features, flags = served(arrivals)
    for row, history in enumerate(histories(arrivals)):
        if not flags[row] & APPROXIMATE and (len(history) > EXACT_EVENTS or row % 10 == 0):
            assert differences(features[row], features_naive(history, arrivals[row].event)) == [], row


@pytest.mark.parametrize(("pace", "seed"), CORPUS)
def test_a_history_that_fits_is_never_flagged(pace: str, seed: int) -> None:
    arrivals = corpus(pace, seed)
    _, flags = served(arrivals)
    for history, flag in zip(histories(arrivals), flags, strict=True):
        assert len(history) > EXACT_EVENTS or not flag & APPROXIMATE


@pytest.mark.parametrize(("pace", "seed"), CORPUS)
def test_what_is_flagged_is_exact_in_short_windows_and_keeps_its_bounds_in_long_ones(pace: str, seed: int) -> None:
    arrivals = corpus(pace, seed)
    features, flags = served(arrivals)
    for row, history in enumerate(histories(arrivals)):
        if flags[row] & APPROXIMATE and (row % 3 == 0 or flags[row] & LATE):
            assert wrong(features[row], history, arrivals[row].event) == [], row


@pytest.mark.parametrize(("pace", "seed"), CORPUS)
def test_every_value_lies_in_its_declared_range(pace: str, seed: int) -> None:
    features, _ = served(corpus(pace, seed))
    for feature, values in zip(FEATURES.of_accounts, features.T[: len(OF_ACCOUNTS)], strict=True):
        assert feature.nan or not np.isnan(values).any(), feature.name
        known = values[~np.isnan(values)]
        assert feature.low <= known.min(initial=feature.low), feature.name
        assert known.max(initial=feature.low) <= np.float32(feature.high), feature.name


@pytest.mark.parametrize("pace", GAPS_MS)
def test_where_batches_are_cut_changes_nothing_beyond_the_exact_history(pace: str) -> None:
    arrivals = corpus(pace, 1)
    at_once, flags_at_once = served(arrivals)
    in_pieces, flags_in_pieces = served(arrivals, cuts=(1, 2, 250, 320, 321, 322, 400, 401, 555, 777, 899))
    assert at_once.tobytes() == in_pieces.tobytes()
    assert flags_at_once.tobytes() == flags_in_pieces.tobytes()


def logins(devices: list[int], every_ms: int) -> list[Arrival]:
    return [
        Arrival("a", NaiveEvent(BASE_MS + row * every_ms, "login", device=device)) for row, device in enumerate(devices)
    ]


def test_an_event_before_everything_that_was_folded_has_no_age() -> None:
    arrivals = [*logins([1] * 325, HOUR), Arrival("a", NaiveEvent(BASE_MS - DAY, "login", device=1))]
    features, _ = served(arrivals)
    assert np.isnan(features[-1, FEATURES.index["account_age_seconds"]])


def test_a_late_event_does_not_hide_a_folded_device() -> None:
    """The device is in the window by a folded event; that it was also there long before must not matter."""
    devices = [1] * 326
    devices[20] = 99
    *most, last = logins(devices, 30 * MINUTE)
    arrivals = [*most, Arrival("a", NaiveEvent(BASE_MS - 30 * DAY, "login", device=99)), last]
    features, _ = served(arrivals)
    assert features[-1, FEATURES.index["account_device_distinct_7d"]] == 2


def test_more_devices_than_are_remembered_are_flagged() -> None:
    """Device 25 came with the first minutes and was forgotten: when it was introduced is then not exact."""
    *most, again, last = logins([1 + row % 60 if row < 200 else 500 for row in range(602)], MINUTE)
    later_ms = 100 * DAY
    arrivals = [
        *most,
        Arrival("a", NaiveEvent(again.event.time_ms + later_ms, "login", device=25)),
        Arrival("a", NaiveEvent(last.event.time_ms + later_ms, "login", device=500)),
    ]
    features, flags = served(arrivals)
    for row, history in list(enumerate(histories(arrivals)))[-2:]:
        assert (
            flags[row] & APPROXIMATE or differences(features[row], features_naive(history, arrivals[row].event)) == []
        )


def test_the_corpus_overflows_in_every_way() -> None:
    seen: Counter[str] = Counter()
    for pace, seed in CORPUS:
        arrivals = corpus(pace, seed)
        _, flags = served(arrivals)
        for arrival, history, flag in zip(arrivals, histories(arrivals), flags, strict=True):
            if len(history) <= EXACT_EVENTS:
                continue
            late = "late" if flag & LATE else "in order"
            too_late = ", own moment folded" if is_too_late(history, arrival.event) else ""
            seen[f"{late}{too_late}, {'approximate' if flag & APPROXIMATE else 'exact'}"] += 1
            if flag & APPROXIMATE:
                exact = exact_parts(history, arrival.event)
                seen["with an exact window"] += bool(exact)
                seen["with a cut window"] += len(exact) < len(WINDOWS)
    expected = {
        "in order, approximate", "in order, exact", "late, approximate", "late, exact",
        "late, own moment folded, approximate", "with an exact window", "with a cut window",
    }  # fmt: skip
    assert {case for case, times in seen.items() if times > 20} >= expected, seen
