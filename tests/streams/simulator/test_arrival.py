"""How many events there are, when they happen by whose clock, and in which order they arrive."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from streams.simulator import Timeline, clock, geography, rows
from streams.simulator.scenario import HOUR_MS, MINUTE_MS
from tests.streams.simulator.selections import payments


def test_the_event_file_has_exactly_the_records_asked_for(world: Timeline, records: list[dict[str, Any]]) -> None:
    assert len(records) == world.scenario.events == 120_000
    assert len({record["account_id"] for record in records}) > 0.95 * world.scenario.accounts


def test_one_record_in_a_thousand_repeats_an_earlier_one_exactly(records: list[dict[str, Any]]) -> None:
    first: dict[str, dict[str, Any]] = {}
    repeated = [record for record in records if first.setdefault(record["event_id"], record) is not record]
    assert len(repeated) == 120
    assert all(record == first[record["event_id"]] for record in repeated)


def test_records_stand_in_order_of_arrival_a_few_of_them_late(world: Timeline) -> None:
    arrival = world.arrival
    delay_ms = arrival.at_ms - world.events["time_ms"][arrival.row]
    delay_ms = delay_ms[~arrival.repeats]
    late = delay_ms >= clock.LATE_AFTER_MS
    assert (np.diff(arrival.at_ms) >= 0).all()
    assert delay_ms.min() >= 0
    assert late.mean() == pytest.approx(0.005, rel=0.3)
    assert delay_ms[late].min() < MINUTE_MS
    assert HOUR_MS < delay_ms[late].max() <= clock.LATEST_MS
    assert np.quantile(delay_ms[~late], 0.999) < 2_500  # clocks cut to a second included


def test_times_lie_within_the_scenario_and_no_account_acts_before_it_is_opened(world: Timeline) -> None:
    events = world.events
    assert world.scenario.start_ms <= events["time_ms"].min()
    assert events["time_ms"].max() < world.scenario.end_ms
    # whole seconds and the mirrored end of the scenario may move an event by moments
    early_ms = world.people.opened_ms[events["account"]] - events["time_ms"]
    assert early_ms.max() <= 1_000


def test_an_account_opened_within_the_scenario_begins_with_its_application(world: Timeline) -> None:
    events = world.events
    opened = events[events["kind"] == rows.APPLICATION]
    assert sorted(opened["account"]) == np.flatnonzero(world.people.is_new).tolist()


def test_clocks_are_coarse_here_and_there(world: Timeline) -> None:
    events = world.events
    whole = events["time_ms"] % 1_000 == 0
    at_coarse = (events["merchant"] >= 0) & world.merchants.coarse_clock[np.maximum(events["merchant"], 0)]
    assert whole[at_coarse].all()
    assert whole[~at_coarse & (events["channel"] != rows.API)].mean() < 0.005
    moments = Counter(zip(events["account"].tolist(), events["time_ms"].tolist(), strict=True))
    assert sum(count > 1 for count in moments.values()) > 100


def test_people_sleep(world: Timeline) -> None:
    ordinary = payments(world.events[world.events["attack"] == rows.NONE])
    home = world.people.city[ordinary["account"]]
    hour = (ordinary["time_ms"] // HOUR_MS + geography.CITY_UTC_OFFSET_HOURS[home]) % 24
    assert 8 * (hour == 4).sum() < (hour == 15).sum()
