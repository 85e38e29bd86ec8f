"""Four things that happen to a platform, as its telemetry shows them: three are told in five minutes, a sale is not."""

from functools import cache

import msgspec
import pytest

from models.minutes import MINUTE_MS, Minute
from models.summary import Counts, Summary
from models.telemetry_log import Tick
from models.watch_limits import WatchLimits
from streams.alert_book import AlertBook
from streams.warm.traffic_watch import WAIT_MS, TrafficWatch
from tests.models.watched_traffic import MODEL, WEEK_MINUTES, Traffic, training

HOUR_MINUTES = 60
START_MS = 4 * WEEK_MINUTES * MINUTE_MS
VOLUME = 10.0
"""Six thousand verdicts a minute, one of eight sampled."""
REPEAT_MS = 4 * 3_600_000


@cache
def warm_states() -> tuple[bytes, bytes]:
    """What a watch remembers after four quiet weeks."""
    watch, traffic = TrafficWatch(lambda _: training(), WatchLimits()), Traffic(seed=11, volume=VOLUME)
    for number in range(0, 4 * WEEK_MINUTES, HOUR_MINUTES):
        minute_ms = number * MINUTE_MS
        put(watch, traffic.minute(minute_ms, minutes=HOUR_MINUTES))
        assert watch.tick(Tick(minute_ms + HOUR_MINUTES * MINUTE_MS + WAIT_MS)).findings == []
    return watch.minutes_state(), watch.watch_state()


def put(watch: TrafficWatch, minute: Minute) -> None:
    at_ms = minute.minute_ms
    watch.summary(Summary(partition=0, number=at_ms, time_ms=at_ms, model=MODEL, counts=minute.counts))


def told(traffic: Traffic, minutes: int, outage: bool = False) -> dict[str, int]:
    """Alerts of some minutes of trouble after the quiet weeks: kind to the minute in which it was told first."""
    watch, book = TrafficWatch(lambda _: training(), WatchLimits()), AlertBook(REPEAT_MS)
    watch.restore(*warm_states())
    found: dict[str, int] = {}
    for number in range(minutes):
        minute_ms = START_MS + number * MINUTE_MS
        minute = traffic.minute(minute_ms)
        put(watch, degraded(minute) if outage else minute)
        judged = watch.tick(Tick(minute_ms + MINUTE_MS + WAIT_MS))
        assert judged.time_ms is not None
        for alert in book.observe(judged.findings, judged.time_ms):
            found.setdefault(alert.alert, number + 1)
    return found


def degraded(minute: Minute) -> Minute:
    """The same while the model that the log asks for cannot be opened."""
    verdicts = minute.counts.verdicts
    counts: Counts = msgspec.structs.replace(minute.counts, flags={"degraded": verdicts}, without_model=verdicts)
    return msgspec.structs.replace(minute, counts=counts)


def test_a_feature_that_drifts_is_told_within_five_minutes() -> None:
    found = told(Traffic(seed=12, volume=VOLUME, shift={"amount": 2}), 10)
    assert found.keys() == {"feature-drift"}
    assert found["feature-drift"] <= 5


def test_a_storm_of_nulls_is_told_within_five_minutes_and_wakes_somebody() -> None:
    found = told(Traffic(seed=13, volume=VOLUME, nulls={"ratio": 1.0}), 10)
    assert found.keys() == {"feature-lost"}
    assert found["feature-lost"] <= 5


def test_a_scoring_outage_is_told_within_five_minutes_by_the_breaker() -> None:
    found = told(Traffic(seed=14, volume=VOLUME), 10, outage=True)
    assert found.keys() == {"breaker-open"}
    assert found["breaker-open"] <= 5


@pytest.mark.parametrize("seed", [15, 16])
def test_a_sale_of_the_whole_platform_is_not_told(seed: int) -> None:
    assert told(Traffic(seed=seed, volume=5 * VOLUME), 24 * HOUR_MINUTES) == {}
