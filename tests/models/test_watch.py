"""The whole watch over simulated weeks: planted trouble is found in time, and quiet weeks are quiet."""

from collections.abc import Iterator

import msgspec
import pytest

from features.errors import AssayError
from models.minutes import MINUTE_MS, Minute
from models.summary import Counts
from models.watch import Watch, Watched
from models.watch_limits import WatchLimits
from tests.models.watched_traffic import MODEL, WEEK_MINUTES, Traffic, minutes_from, training

LIMITS = WatchLimits()
HOUR_MS = 60 * MINUTE_MS
WARM_WEEKS = 4
START_MS = WARM_WEEKS * WEEK_MINUTES * MINUTE_MS


def warm_watch(traffic: Traffic) -> Watch:
    """A watch that has seen four weeks, an hour at a time."""
    watch = Watch(MODEL, traffic.reference, LIMITS)
    for minute_ms in range(0, START_MS, HOUR_MS):
        watch.judge(minute_ms, [traffic.minute(minute_ms, minutes=60)])
    return watch


def watched(watch: Watch, traffic: Traffic, start_ms: int, count: int) -> Iterator[tuple[int, Watched]]:
    for minute_ms in minutes_from(start_ms, count):
        yield minute_ms, watch.judge(minute_ms, [traffic.minute(minute_ms)])


def names_in(watch: Watch, traffic: Traffic, start_ms: int, count: int) -> list[str]:
    return [finding.name for _, seen in watched(watch, traffic, start_ms, count) for finding in seen.findings]


def minutes_until(name: str, watch: Watch, traffic: Traffic, start_ms: int, count: int) -> int | None:
    """In which minute after `start_ms` something of that name is found first."""
    for minute_ms, seen in watched(watch, traffic, start_ms, count):
        if any(finding.name == name for finding in seen.findings):
            return (minute_ms - start_ms) // MINUTE_MS + 1
    return None


def test_a_stationary_week_gives_at_most_one_alarm() -> None:
    traffic = Traffic(seed=1)
    watch = warm_watch(traffic)
    found = list(watched(watch, traffic, START_MS, WEEK_MINUTES))
    assert sum(len(seen.findings) for _, seen in found) <= 1
    assert [seen.transition for _, seen in found if seen.transition] == []


@pytest.mark.parametrize("hour_of_day", [4, 15], ids=["night", "day"])
@pytest.mark.parametrize("lost", [1.0, 0.5])
def test_a_null_storm_is_found_within_five_minutes(lost: float, hour_of_day: int) -> None:
    traffic = Traffic(seed=2)
    watch = warm_watch(traffic)
    start_ms = START_MS + hour_of_day * HOUR_MS
    assert names_in(watch, traffic, START_MS, hour_of_day * 60) == []
    traffic.nulls = {"ratio": lost}
    minutes = minutes_until("missing:ratio", watch, traffic, start_ms, 30)
    assert minutes is not None
    assert minutes <= 5


@pytest.mark.parametrize(("volume", "within"), [(1.0, 60), (10.0, 5)])
def test_a_feature_that_moves_is_named_as_soon_as_there_are_rows_enough_to_tell(volume: float, within: int) -> None:
    """About 75 sampled rows a minute, and 750."""
    traffic = Traffic(seed=3, volume=volume)
    watch = warm_watch(traffic)
    traffic.shift = {"amount": 2}
    assert set(names_in(watch, traffic, START_MS, within)) == {"psi:amount"}


def test_a_constant_that_is_another_constant_is_found() -> None:
    traffic = Traffic(seed=3)
    watch = warm_watch(traffic)
    traffic.shift = {"constant": 1}
    assert set(names_in(watch, traffic, START_MS, 61)) == {"psi:constant"}


def test_twice_as_many_alerts_are_found_by_season_and_by_level() -> None:
    traffic = Traffic(seed=4)
    watch = warm_watch(traffic)
    assert names_in(watch, traffic, START_MS, 600) == []
    traffic.alerts = 2.0
    names = set(names_in(watch, traffic, START_MS + 600 * MINUTE_MS, 121))
    assert {"share:alert", "share:step_up", "level:alert"} <= names
    assert "level:score" not in names


def test_a_sale_is_no_alarm_and_trips_nothing() -> None:
    """Five times the volume for a day, the mix unchanged; and the week after, back to normal, is none either."""
    traffic = Traffic(seed=5)
    watch = warm_watch(traffic)
    traffic.volume = 5.0
    found = list(watched(watch, traffic, START_MS, 1_440))
    traffic.volume = 1.0
    found += list(watched(watch, traffic, START_MS + 1_440 * MINUTE_MS, 1_440))
    assert [finding.text for _, seen in found for finding in seen.findings] == []
    assert [seen.transition for _, seen in found if seen.transition] == []


def test_a_model_that_declines_everyone_opens_the_breaker_in_five_minutes() -> None:
    traffic = Traffic(seed=6)
    watch = warm_watch(traffic)
    traffic.alerts = 6.0
    transitions = [seen.transition for _, seen in watched(watch, traffic, START_MS, 5) if seen.transition]
    assert [(one.before, one.after, one.action) for one in transitions] == [("closed", "open", "step_up")]
    assert transitions[0].minute_ms == START_MS + 4 * MINUTE_MS
    assert "for 5 minutes" in transitions[0].reason


def test_silence_is_told_at_the_end_of_the_hour() -> None:
    traffic = Traffic(seed=7)
    watch = warm_watch(traffic)
    found = [watch.judge(minute_ms, []) for minute_ms in minutes_from(START_MS, 61)]
    assert [finding.name for seen in found for finding in seen.findings] == ["volume"]


def test_a_minute_that_comes_again_changes_nothing() -> None:
    traffic = Traffic(seed=8)
    watch = Watch(MODEL, traffic.reference, LIMITS)
    minute = traffic.minute(60_000)
    watch.judge(60_000, [minute])
    before = watch.state()
    assert watch.judge(60_000, [minute]) == Watched([], None)
    assert watch.judge(0, [traffic.minute(0)]) == Watched([], None)
    assert watch.state() == before


def test_a_restored_watch_goes_on_as_the_one_that_was_stored() -> None:
    traffic = Traffic(seed=9)
    watch = warm_watch(traffic)
    list(watched(watch, traffic, START_MS, 90))
    again = Watch.restore(MODEL, traffic.reference, LIMITS, watch.state())
    traffic.alerts, traffic.nulls = 6.0, {"count": 0.4}
    minutes = [traffic.minute(minute_ms) for minute_ms in minutes_from(START_MS + 90 * MINUTE_MS, 90)]
    expected = [watch.judge(minute.minute_ms, [minute]) for minute in minutes]
    assert [again.judge(minute.minute_ms, [minute]) for minute in minutes] == expected
    assert any(seen.findings for seen in expected)
    assert any(seen.transition for seen in expected)
    assert again.state() == watch.state()


def test_rows_of_another_model_are_not_compared_with_this_ones_training() -> None:
    traffic = Traffic(seed=10)
    watch = warm_watch(traffic)
    traffic.nulls = {"ratio": 1.0}
    for minute_ms in minutes_from(START_MS, 10):
        other = msgspec.structs.replace(traffic.minute(minute_ms), model="f" * 16)
        assert watch.judge(minute_ms, [other]).findings == []
    watch.change_model("f" * 16, training())
    following = minutes_from(START_MS + 10 * MINUTE_MS, 5)
    seen = [watch.judge(at, [msgspec.structs.replace(traffic.minute(at), model="f" * 16)]) for at in following]
    assert {finding.name for one in seen for finding in one.findings} == {"missing:ratio"}


def test_a_state_of_another_model_or_none_at_all_is_refused() -> None:
    watch = Watch(MODEL, training(1_000), LIMITS)
    with pytest.raises(AssayError, match="expected one of the model 00ff, got one of 0123456789abcdef"):
        Watch.restore("00ff", training(1_000), LIMITS, watch.state())
    with pytest.raises(AssayError, match="state of the watch"):
        Watch.restore(MODEL, training(1_000), LIMITS, b"{}")


def test_a_minute_under_another_time_is_our_own_mistake() -> None:
    watch = Watch(MODEL, training(1_000), LIMITS)
    with pytest.raises(AssertionError):
        watch.judge(60_000, [Minute(minute_ms=0, model=MODEL, counts=Counts())])


def test_a_minute_in_which_the_model_changes_is_judged() -> None:
    """Bins of two models are of different widths: they cannot be added, and decisions can."""
    watch, traffic = Watch(MODEL, training(), WatchLimits()), Traffic(seed=3)
    one = traffic.minute(0)
    fewer = tuple(bins[:-1] for bins in one.counts.bins)
    other = Minute(minute_ms=0, model="f" * 16, counts=msgspec.structs.replace(one.counts, bins=fewer))
    assert watch.judge(0, [one, other]).transition is None
    assert watch.breaker.newest_ms == 0
