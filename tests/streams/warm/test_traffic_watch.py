"""The telemetry log is folded into findings: the same ones, however often it is read and wherever a worker dies."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import AssayError
from models.finding import Finding
from models.minutes import MINUTE_MS
from models.reference import Reference
from models.summary import Summary
from models.telemetry_log import Tick
from models.watch_limits import WatchLimits
from streams.warm.traffic_watch import WAIT_MS, Judged, TrafficWatch
from tests.models.watched_traffic import MODEL, Traffic, training

START_MS = 1_750_000_020_000 // MINUTE_MS * MINUTE_MS
OTHER = "fedcba9876543210"
Log = list[Summary | Tick]


def open_reference(model: str) -> Reference:
    if model not in (MODEL, OTHER):
        raise AssayError(f"model {model}: there is none")
    return training()


def new_watch() -> TrafficWatch:
    return TrafficWatch(open_reference, WatchLimits())


def log_of(traffic: Traffic, minutes: int, first_ms: int = START_MS, model: str = MODEL) -> Log:
    """Summaries of two partitions in each minute, and six ticks."""
    log: Log = []
    for minute_ms in range(first_ms, first_ms + minutes * MINUTE_MS, MINUTE_MS):
        for partition in (0, 1):
            counts = traffic.minute(minute_ms).counts
            at_ms = minute_ms + 20_000 + partition
            log.append(Summary(partition=partition, number=at_ms, time_ms=at_ms, model=model, counts=counts))
        log += [Tick(minute_ms + second * 1_000) for second in range(25, 61, 7)]
    return log


def fold(watch: TrafficWatch, log: Sequence[Summary | Tick]) -> list[Judged]:
    judged = []
    for record in log:
        if isinstance(record, Summary):
            watch.summary(record)
        else:
            found = watch.tick(record)
            if found.time_ms is not None:
                judged.append(found)
    return judged


def findings(judged: Sequence[Judged]) -> list[Finding]:
    return [finding for one in judged for finding in one.findings]


def in_trouble(minutes: int = 12) -> Log:
    """Five sound minutes, then a feature that is always missing."""
    traffic = Traffic(seed=4)
    log = log_of(traffic, 5)
    traffic.nulls = {"ratio": 1.0}
    return log + log_of(traffic, minutes - 5, START_MS + 5 * MINUTE_MS)


def test_a_null_storm_is_found_within_five_minutes() -> None:
    judged = fold(new_watch(), in_trouble())
    first = next(one for one in judged if one.findings)
    assert {finding.name for finding in first.findings} == {"missing:ratio"}
    assert first.time_ms is not None
    assert first.time_ms - (START_MS + 5 * MINUTE_MS) <= 5 * MINUTE_MS


def test_a_minute_is_judged_once_it_has_been_over_for_a_while() -> None:
    watch = new_watch()
    log = [record for record in log_of(Traffic(seed=1), 1) if isinstance(record, Summary)]
    fold(watch, log)
    assert watch.tick(Tick(START_MS + MINUTE_MS + WAIT_MS - 1)).time_ms is None
    assert watch.tick(Tick(START_MS + MINUTE_MS + WAIT_MS)).time_ms is not None
    assert watch.tick(Tick(START_MS + MINUTE_MS + WAIT_MS)).time_ms is None


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_records_that_come_again_change_nothing(seed: int) -> None:
    source = random.Random(seed)
    log = in_trouble(8)
    again: Log = []
    for place, record in enumerate(log):
        again.append(record)
        if source.random() < 0.1:  # a worker died: what was not committed is read again
            again += log[max(0, place - source.randrange(20)) : place + 1]
    assert findings(fold(new_watch(), again)) == findings(fold(new_watch(), log))


@given(st.integers(0, 10_000))
def test_a_worker_may_die_between_any_two_writes(seed: int) -> None:
    """The small state is stored with every record, the large one before it; one of them may be missing."""
    source = random.Random(seed)
    log = in_trouble(8)
    expected = {finding.name for finding in findings(fold(new_watch(), log))}
    watch, found = new_watch(), set()
    minutes_state: bytes | None = None
    watch_state: bytes | None = None
    place = 0
    while place < len(log):
        judged = fold(watch, log[place : place + 1])
        found |= {finding.name for finding in findings(judged)}
        dies = source.random() < 0.05
        if judged and not (dies and source.random() < 0.3):
            watch_state = watch.watch_state()
            if not (dies and source.random() < 0.5):
                minutes_state = watch.minutes_state()
        elif not judged:
            minutes_state = watch.minutes_state()
        place += 1
        if dies:
            watch = new_watch()
            watch.restore(minutes_state, watch_state)
            place -= min(place, source.randrange(3))
    assert found == expected


def test_minutes_without_any_summary_are_judged() -> None:
    watch = new_watch()
    fold(watch, log_of(Traffic(seed=1), 3))
    judged = watch.tick(Tick(START_MS + 60 * MINUTE_MS))
    assert judged.time_ms is not None
    assert watch.tick(Tick(START_MS + 59 * MINUTE_MS)).time_ms is None


def test_another_model_is_watched_against_its_own_reference() -> None:
    watch = new_watch()
    fold(watch, log_of(Traffic(seed=1), 3))
    fold(watch, log_of(Traffic(seed=2), 3, START_MS + 3 * MINUTE_MS, OTHER))
    again = new_watch()
    again.restore(watch.minutes_state(), watch.watch_state())
    assert again.watch_state() == watch.watch_state()
    assert again._model == OTHER


def test_a_model_that_nobody_knows_is_told_every_minute_and_the_rest_is_still_watched() -> None:
    judged = fold(new_watch(), log_of(Traffic(seed=1), 4, model="0" * 16))
    assert {finding.name for finding in findings(judged)} == {f"model-unknown:{'0' * 16}"}
    assert len(findings(judged)) >= 3


def test_a_state_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(AssayError, match="begins anew"):
        new_watch().restore(None, b"{}")
    with pytest.raises(AssayError, match="begins anew"):
        new_watch().restore(b"{}", None)


def test_nothing_is_judged_before_the_first_summary() -> None:
    watch = new_watch()
    assert watch.tick(Tick(START_MS)).time_ms is None
    restored = new_watch()
    restored.restore(watch.minutes_state(), watch.watch_state())
    assert restored.watch_state() == watch.watch_state()
