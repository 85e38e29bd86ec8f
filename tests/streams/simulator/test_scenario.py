"""Any scenario that makes sense gives a valid world; one that makes none is refused."""

import re
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.decode import decode
from features.errors import AssayError, InvalidRecord
from streams.simulator import Scenario, simulate
from streams.simulator.known import label_records
from streams.simulator.records import event_records
from streams.simulator.scenario import DAY_MS, DEFAULT_START_MS


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    events=st.integers(100, 4_000),
    seed=st.integers(0, 2**40),
    accounts=st.one_of(st.just(0), st.integers(60, 100)),
    days=st.sampled_from([1, 2, 7, 60, 400]),
    fraud_share=st.sampled_from([0.0, 0.007, 0.2]),
)
def test_any_scenario_gives_valid_events_in_order(
    events: int, seed: int, accounts: int, days: int, fraud_share: float
) -> None:
    scenario = Scenario(events=events, seed=seed, accounts=accounts, days=days, fraud_share=fraud_share)
    timeline = simulate(scenario)
    assert len(timeline.arrival.row) == events
    assert (np.diff(timeline.arrival.at_ms) >= 0).all()
    assert scenario.start_ms - 1_000 < timeline.events["time_ms"].min()
    assert timeline.events["time_ms"].max() < scenario.end_ms
    for record in event_records(timeline):
        assert not isinstance(decode(orjson.dumps(record)), InvalidRecord)
    for record in label_records(timeline):
        assert not isinstance(decode(orjson.dumps(record)), InvalidRecord)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"events": 99}, "events: expected at least 100"),
        ({"events": 1_000, "accounts": 59}, "accounts: expected 0 or at least 60"),
        ({"events": 1_000, "accounts": 1_001}, "no more accounts than events"),
        ({"events": 1_000, "days": 0}, "days: expected 1 to 3650"),
        ({"events": 1_000, "start_ms": -1}, "start: expected a time"),
        ({"events": 1_000, "fraud_share": float("nan")}, "fraud share: expected 0 to 0.2"),
    ],
)
def test_a_scenario_that_makes_no_sense_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(AssayError, match=re.escape(says)):
        Scenario(**wrong)


def test_the_default_start_is_a_fixed_monday() -> None:
    assert (DEFAULT_START_MS // DAY_MS + 3) % 7 == 0
    assert DEFAULT_START_MS % DAY_MS == 0
