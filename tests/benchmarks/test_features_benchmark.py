"""The other side of the measurement computes the same features, and a difference would be noticed."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from benchmarks import features as measurement
from benchmarks import stock_windows
from benchmarks.features import Case, features
from benchmarks.stock_windows import NAMES, StockAccount
from tests.features.sequences import Arrival, events, histories
from tests.naive import features_naive


@settings(deadline=None, max_examples=40)
@given(events(max_size=30))
def test_windows_kept_by_hand_are_right_when_nothing_is_late(arrivals: list[Arrival]) -> None:
    ordered = sorted(arrivals, key=lambda arrival: arrival.event.time_ms)
    accounts = {arrival.account: StockAccount() for arrival in ordered}
    for arrival, history in zip(ordered, histories(ordered), strict=True):
        event = arrival.event
        row = accounts[arrival.account].judge(
            event.time_ms, event.kind == "payment", event.amount_minor, event.merchant or 0
        )
        expected = features_naive(history, event)
        for name, got in zip(NAMES, row, strict=True):
            assert got == expected[name] or (math.isnan(got) and math.isnan(expected[name])), name


@pytest.fixture
def small_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = {"few": Case(60, 5, 100), "copies": Case(60, 5, 100, copies=3), "long": Case(60, 30, 100)}
    monkeypatch.setattr(measurement, "CASES", dict(zip(measurement.CASES, cases.values(), strict=True)))


@pytest.mark.usefixtures("small_cases")
def test_both_sides_agree_on_every_event() -> None:
    facts = features(seed=3, repeats=1)
    assert facts["equal"] is True
    assert [facts[f"{case}_compared"] for case in measurement.CASES] == [200, 200, 200]
    assert facts["ratio"] > 0


@pytest.mark.usefixtures("small_cases")
def test_a_difference_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = StockAccount.judge

    def off_by_one(account: StockAccount, *event: Any) -> list[float]:
        row = right(account, *event)
        return [np.nextafter(np.float32(row[0]), np.float32(1e9)), *row[1:]]

    monkeypatch.setattr(stock_windows.StockAccount, "judge", off_by_one)
    assert features(seed=3, repeats=1)["equal"] is False
