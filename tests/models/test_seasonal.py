"""Seasons: bands against a slow answer, strange weeks that move nothing, and this year's sale against last year's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import AssayError
from models.seasonal import HOUR_MS, WEEK_HOURS, Band, SeasonalHistory, Traffic
from models.watch_limits import SeasonalLimits

LIMITS = SeasonalLimits()
NORMAL, SALE, SHIFTED = (9_600, 250, 100, 50), (48_000, 1_250, 500, 250), (9_000, 700, 200, 100)
SALE_MIX, WORSE = (46_000, 2_700, 900, 400), (8_000, 1_500, 350, 150)
WEEK_MS = WEEK_HOURS * HOUR_MS


def history_of(weeks: dict[int, tuple[int, int, int, int]]) -> SeasonalHistory:
    """One hour of the week, by week."""
    history = SeasonalHistory(LIMITS)
    for week, decisions in sorted(weeks.items()):
        history.add(week * WEEK_MS, Traffic(decisions))
    return history


def names(history: SeasonalHistory, week: int) -> list[str]:
    return [finding.name for finding in history.judge(week * WEEK_MS)]


def quiet(weeks: int) -> dict[int, tuple[int, int, int, int]]:
    return dict.fromkeys(range(weeks), NORMAL)


@settings(max_examples=60)
@given(st.lists(st.integers(500, 20_000), min_size=1, max_size=12), st.integers(0, 1_000))
def test_a_band_is_numpys_median_and_deviation(volumes: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    weeks = {week: tuple(random.multinomial(n, [0.9, 0.05, 0.03, 0.02]).tolist()) for week, n in enumerate(volumes)}
    band = history_of(weeks).band("review", len(volumes) * WEEK_MS)
    shares = np.array([row[2] / sum(row) for row in weeks.values()][-8:])
    if len(shares) < 3:
        assert band is None
        return
    assert band is not None
    centre = np.median(shares)
    assert band.centre == pytest.approx(centre)
    assert band.spread == pytest.approx(max(1.4826 * np.median(np.abs(shares - centre)), 0.1 * centre))
    assert not np.isclose(band.spread, shares.std())  # the comparison can fail: another spread is another number


def test_a_shift_of_the_mix_is_found_and_a_usual_hour_is_not() -> None:
    assert names(history_of({**quiet(8), 8: NORMAL}), 8) == []
    assert names(history_of({**quiet(8), 8: SHIFTED}), 8) == [
        "share:alert",
        "share:step_up",
        "share:review",
        "share:decline",
    ]


def test_a_sale_with_the_usual_mix_is_no_alarm_nor_is_the_week_after() -> None:
    history = history_of({**quiet(8), 8: SALE, 9: NORMAL})
    assert names(history, 8) == names(history, 9) == []


@pytest.mark.parametrize("weeks_later", [51, 52, 53])
def test_next_years_same_sale_with_its_own_mix_is_no_alarm(weeks_later: int) -> None:
    """The first such sale is one, for someone to look at; a year later it is known, and a worse one is told again."""
    year = {**quiet(60), 5: SALE_MIX}
    assert "share:alert" in names(history_of({**quiet(5), 5: SALE_MIX}), 5)
    assert names(history_of({**year, 5 + weeks_later: SALE_MIX}), 5 + weeks_later) == []
    assert "share:alert" in names(history_of({**year, 5 + weeks_later: WORSE}), 5 + weeks_later)
    assert "share:alert" in names(history_of({**quiet(60), 58: SALE_MIX}), 58)


def test_one_strange_week_in_eight_moves_no_band() -> None:
    plain, strange = history_of(quiet(8)), history_of({**quiet(8), 3: SHIFTED})
    assert plain.band("alert", 8 * WEEK_MS) == strange.band("alert", 8 * WEEK_MS)


def test_an_hour_with_a_tenth_of_its_traffic_or_none_is_told() -> None:
    history = history_of({**quiet(8), 8: (960, 25, 10, 5)})
    assert names(history, 8) == ["volume"]
    assert names(history_of(quiet(8)), 8) == ["volume"]


def test_a_feast_that_was_as_quiet_a_year_ago_is_no_alarm() -> None:
    quiet_day = (960, 25, 10, 5)
    assert names(history_of({**quiet(60), 5: quiet_day, 57: quiet_day}), 57) == []


def test_without_three_weeks_nothing_is_judged() -> None:
    assert names(history_of({0: NORMAL, 1: NORMAL, 2: SHIFTED}), 2) == []
    assert names(history_of({0: NORMAL, 1: NORMAL, 2: NORMAL, 3: SHIFTED}), 3) != []


def test_a_handful_of_events_is_no_shift() -> None:
    rare = dict.fromkeys(range(8), (1_000, 0, 0, 0))
    assert names(history_of({**rare, 8: (995, 0, 0, 5)}), 8) == []
    assert "share:decline" in names(history_of({**rare, 8: (950, 0, 0, 50)}), 8)


def test_binomial_hours_are_rarely_out_of_their_bands() -> None:
    """A thousand hours of 2,000 verdicts with shares that vary by 3 per cent: none is told."""
    random = np.random.default_rng(7)
    told = 0
    for _ in range(1_000):
        weeks = {
            week: tuple(
                random.multinomial(2_000, [0.96, 0.02, 0.012, 0.008] * random.lognormal(0, 0.03, 4) / 1.2).tolist()
            )
            for week in range(9)
        }
        told += bool(names(history_of(weeks), 8))
    assert told == 0


def test_minutes_count_once_and_the_state_comes_back() -> None:
    history = SeasonalHistory(LIMITS)
    assert history.add(60_000, Traffic(NORMAL, 10_000, 5_000_000))
    assert not history.add(60_000, Traffic(NORMAL))
    assert not history.add(0, Traffic(NORMAL))
    for week in range(1, 5):
        history.add(week * WEEK_MS, Traffic(NORMAL, 10_000, 100_000_000 * week))
    again = SeasonalHistory.restore(LIMITS, history.state())
    assert again.state() == history.state()
    assert again.mean_score(5 * WEEK_MS) == history.mean_score(5 * WEEK_MS) == 0.02
    assert not again.add(4 * WEEK_MS, Traffic(NORMAL))


def test_more_than_a_year_is_forgotten() -> None:
    history = history_of(quiet(120))
    assert len(history._hours) == 55


def test_a_state_that_is_none_is_refused() -> None:
    with pytest.raises(AssayError, match="state of the seasons"):
        SeasonalHistory.restore(LIMITS, b"{}")


def test_a_share_of_everything_has_a_distance_too() -> None:
    assert Band(1.0, 0.0).distance(100, 100) == 0.0
    assert Band(0.0, 0.0).distance(50, 100) > 5.0
