"""Attacks show: as frequent as asked for, and each in its own shape."""

from typing import Any

import numpy as np
import pytest

from streams.simulator import Scenario, Timeline, rows, simulate
from streams.simulator.attacks import ATTACKS as TABLE
from streams.simulator.population import first_free_device
from streams.simulator.scenario import DAY_MS, HOUR_MS
from tests.streams.simulator.selections import ATTACKS, fraudulent, instances, part_of, payments


def share_of(cases: list[bool]) -> float:
    assert cases
    return sum(cases) / len(cases)


def test_fraud_is_as_frequent_as_asked(world: Timeline) -> None:
    none = simulate(Scenario(events=5_000, seed=3, fraud_share=0.0))
    assert not fraudulent(none.events).any()
    assert fraudulent(payments(world.events)).mean() == pytest.approx(0.007, rel=0.15)


def test_each_attack_has_its_share_of_the_fraudulent_payments() -> None:
    timeline = simulate(Scenario(events=60_000, seed=3, fraud_share=0.04))
    paid = payments(timeline.events)
    fraud = paid[fraudulent(paid)]
    assert len(fraud) / len(paid) == pytest.approx(0.04, rel=0.1)
    assert [attack.name for attack in TABLE] == ATTACKS
    assert sum(attack.share for attack in TABLE) == pytest.approx(1.0)
    for attack in TABLE:
        part = fraud[fraud["attack"] == rows.ATTACK_NAMES.index(attack.name)]
        assert len(part) / len(fraud) == pytest.approx(attack.share, rel=0.2), attack.name
        assert len(part) / len(np.unique(part["attack_number"])) == pytest.approx(attack.typical_payments, rel=0.35)


def test_card_testing_tries_many_accounts_loudly_at_one_merchant_or_quietly_from_one_device(world: Timeline) -> None:
    loud = []
    for instance in instances(world, "card_testing"):
        assert len(np.unique(instance["account"])) >= 5
        if len(np.unique(instance["merchant"])) == 1:
            loud.append(instance)
        else:
            assert len(np.unique(instance["device"])) == 1
            assert (instance["authorization"] == rows.DECLINED).mean() < 0.5
    assert 0 < len(loud) < len(list(instances(world, "card_testing")))
    tested, ordinary = np.concatenate(loud), payments(world.events[world.events["attack"] == rows.NONE])
    assert (tested["authorization"] == rows.DECLINED).mean() > 0.25
    assert (ordinary["authorization"] == rows.DECLINED).mean() < 0.05
    assert np.median(tested["cents"]) < 0.5 * np.median(ordinary["cents"])


def test_an_account_is_taken_over_by_a_login_from_elsewhere_before_it_is_drained(world: Timeline) -> None:
    strange, failed, changed, drained = [], [], [], []
    for instance in instances(world, "account_takeover"):
        account = int(instance["account"][0])
        logins = instance[instance["kind"] == rows.LOGIN]
        taken = payments(instance)
        assert len(np.unique(instance["account"])) == 1
        assert logins["time_ms"][logins["success"] == 1].min() <= taken["time_ms"].min()
        strange.append(not np.isin(logins["device"], world.people.device_codes[account]).any())
        failed.append(bool((logins["success"] == 0).any()))
        changed.append(bool((instance["kind"] == rows.PROFILE_CHANGE).any()))
        drained.append(bool((taken["beneficiary"] >= 0).any()))
    assert 0.5 < share_of(strange) < 1.0
    assert 0.3 < share_of(failed) < 1.0
    assert 0.5 < share_of(changed) < 1.0
    assert 0.5 < share_of(drained) < 1.0


def test_a_slow_ramp_creeps_up_over_days(world: Timeline) -> None:
    grows, days = [], []
    for instance in instances(world, "slow_ramp"):
        half = len(instance) // 2
        grows.append(bool(instance["cents"][half:].mean() > 1.2 * instance["cents"][:half].mean()))
        days.append(float(np.ptp(instance["time_ms"]) / DAY_MS))
    assert share_of(grows) > 0.7
    assert np.median(days) > 5


def test_a_bust_out_buys_on_credit_from_its_own_device_within_hours(world: Timeline) -> None:
    for instance in instances(world, "bust_out"):
        account, bought = int(instance["account"][0]), payments(instance)
        assert np.isin(bought["device"], world.people.device_codes[account]).all()
        assert len(bought) >= 4
        assert np.ptp(bought["time_ms"]) < 1.5 * DAY_MS
    assert (payments(part_of(world, "bust_out"))["method"] == rows.BNPL).mean() > 0.5


def test_a_mule_collects_from_many_and_passes_it_on(world: Timeline) -> None:
    for instance in instances(world, "mule"):
        scams = instance[instance["fraud_type"] == rows.SCAM]
        moved = instance[instance["fraud_type"] == rows.MULE]
        mule = np.unique(scams["beneficiary"])
        assert len(mule) == 1
        assert np.unique(moved["account"]) == mule
        assert len(scams) >= 3
        assert 0.75 < moved["cents"].sum() / scams["cents"].sum() < 1.0
        assert moved["time_ms"].max() - scams["time_ms"].max() < 12 * HOUR_MS


def test_a_stolen_card_travels_faster_than_its_owner_could(world: Timeline) -> None:
    impossible, new_device, spans = [], [], []
    for instance in instances(world, "stolen_card"):
        account = int(instance["account"][0])
        spans.append(float(np.ptp(instance["time_ms"]) / HOUR_MS))
        in_shop = instance["channel"] == rows.POS
        if in_shop.any():
            theirs = world.events[world.events["account"] == account]
            at_home = theirs[(theirs["attack"] == rows.NONE) & (theirs["channel"] == rows.POS)]
            first = instance[in_shop][0]
            before = at_home[at_home["time_ms"] <= first["time_ms"]][-1]
            hours = max((first["time_ms"] - before["time_ms"]) / HOUR_MS, 1e-3)
            impossible.append(bool(_kilometres(before, first) / hours > 900))
        else:
            new_device.append(bool((instance["device"] >= first_free_device(world.people)).all()))
    assert share_of(impossible) > 0.2
    assert share_of(new_device) > 0.7
    assert np.median(spans) < 6


def _kilometres(one: Any, other: Any) -> float:
    """Distance on a sphere (haversine)."""
    a, b = np.radians([one["latitude"], other["latitude"]])
    c = np.radians(other["longitude"] - one["longitude"])
    half = np.sin((b - a) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(c / 2) ** 2
    return float(2 * 6371 * np.arcsin(np.sqrt(half)))


def test_invented_people_share_something_and_spend_soon(world: Timeline) -> None:
    shared = []
    for instance in instances(world, "synthetic_identity"):
        asked = instance[instance["kind"] == rows.APPLICATION]
        assert (asked["fraud_type"] == rows.IDENTITY).all()
        assert set(payments(instance)["account"]) == set(asked["account"])
        if len(asked) > 1:
            shared.append(any(len(np.unique(asked[name])) == 1 for name in ("device", "address", "phone")))
    assert share_of(shared) >= 0.5
