"""Attacks still hide: honest people look like them, names give nothing away, no one threshold is enough."""

import re
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.simulator import Timeline, geography, merchants, money, rows
from streams.simulator.known import truth_records
from streams.simulator.population import first_free_device
from streams.simulator.scenario import HOUR_MS
from tests.streams.simulator.selections import fraudulent, payments


def test_ordinary_life_looks_like_fraud_now_and_then(world: Timeline) -> None:
    """What attacks do, honest people do too: new devices, mistyped passwords, many payers, journeys, new payees."""
    ordinary = world.events[world.events["attack"] == rows.NONE]
    paid = payments(ordinary)
    elsewhere = geography.CITY_COUNTRY[world.people.city[paid["account"]]] != paid["country"]
    fresh = paid["device"] >= first_free_device(world.people)
    reached = Counter(
        paid["beneficiary"][(paid["beneficiary"] >= 0) & (paid["beneficiary"] < len(world.people))].tolist()
    )
    assert (elsewhere & (paid["channel"] == rows.POS)).sum() > 300
    assert fresh.sum() > 300
    assert ((ordinary["kind"] == rows.LOGIN) & (ordinary["success"] == 0)).sum() > 1_000
    assert reached.most_common(1)[0][1] > 50
    assert (paid["authorization"] == rows.DECLINED).sum() > 1_000


def test_names_give_nothing_away(world: Timeline, records: list[dict[str, Any]]) -> None:
    truth = {record["event_id"]: record for record in truth_records(world)}
    shapes: dict[bool, set[str]] = {True: set(), False: set()}
    for record in records:
        is_fraud = truth[record["event_id"]]["fraud_type"] is not None
        for field in ("device_id", "card_id", "beneficiary_id", "email", "ip", "merchant_id"):
            if field in record:
                shapes[is_fraud].add(f"{field} {re.sub('[0-9a-f]', 'x', record[field])[:3]}")
    assert shapes[True] <= shapes[False]
    numbers = [int(record["event_id"][1:]) for record in records]
    fraud = np.array([truth[record["event_id"]]["fraud_type"] is not None for record in records])
    assert abs(np.mean(np.array(numbers)[fraud]) / len(records) - 0.5) < 0.1  # numbered by time, not by kind


def caught(feature: NDArray[np.float64], fraud: NDArray[np.bool_], false_alarms: float = 0.01) -> float:
    """Share of fraud above, or below, the threshold that lets so many honest payments through; ties are drawn."""
    lots = np.random.default_rng(0).random(len(feature))
    recalls = []
    for side in (feature, -feature):
        ranked = fraud[np.lexsort((lots, -side))]
        alarms = np.cumsum(~ranked) <= false_alarms * (~fraud).sum()
        recalls.append(float(ranked[alarms].sum() / fraud.sum()))
    return max(recalls)


def single_features(paid: rows.Rows, world: Timeline) -> dict[str, NDArray[np.float64]]:
    """What one look at a payment, or one memory of its account, tells."""
    euros = money.euro_cents(paid)
    usual = np.bincount(paid["account"], np.log1p(euros)) / np.maximum(np.bincount(paid["account"]), 1)
    home = geography.CITY_COUNTRY[world.people.city]
    since_payment, since_change, first_use = [], [], []
    paid_at: dict[int, int] = {}
    changed_at: dict[int, int] = {}
    used: set[tuple[int, int]] = set()
    for event in world.events[["account", "time_ms", "device", "kind"]].tolist():
        account, time_ms, device, kind = event
        if kind == rows.PAYMENT:
            since_payment.append(time_ms - paid_at.get(account, -(10**12)))
            since_change.append(time_ms - changed_at.get(account, -(10**12)))
            first_use.append(device >= 0 and (account, device) not in used)
            paid_at[account] = time_ms
        elif kind == rows.PROFILE_CHANGE:
            changed_at[account] = time_ms
        used.add((account, device))
    return {
        "amount in euros": euros,
        "amount as it is written": paid["amount_minor"].astype(float),
        "amount against the account's usual": np.log1p(euros) - usual[paid["account"]],
        "hour": (paid["time_ms"] // HOUR_MS % 24).astype(float),
        "foreign merchant": (home[paid["account"]] != paid["country"]).astype(float),
        "device new to the account": np.array(first_use, dtype=float),
        "declined": (paid["authorization"] == rows.DECLINED).astype(float),
        "time since the account's last payment": np.array(since_payment, dtype=float),
        "time since its profile changed": np.array(since_change, dtype=float),
        "method": paid["method"].astype(float),
        "channel": paid["channel"].astype(float),
        "category": merchants.CODES[world.merchants.category[np.maximum(paid["merchant"], 0)]].astype(float),
        "new account": (paid["time_ms"] - world.people.opened_ms[paid["account"]]).astype(float),
    }


def test_no_single_threshold_catches_most_fraud(world: Timeline) -> None:
    paid = payments(world.events)
    fraud = fraudulent(paid)
    recall = {name: caught(feature, fraud) for name, feature in single_features(paid, world).items()}
    assert {name: value for name, value in recall.items() if value > 0.6} == {}
    assert recall["amount in euros"] < 0.25


def test_a_feature_that_leaks_would_be_noticed(world: Timeline) -> None:
    fraud = fraudulent(payments(world.events))
    leak = fraud + np.random.default_rng(0).normal(0.0, 0.1, size=len(fraud))
    assert caught(leak, fraud) > 0.95
