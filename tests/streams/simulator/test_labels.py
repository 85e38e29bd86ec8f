"""What becomes known of the events, when and how wrongly; and the truth beside it."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streams.simulator import Timeline, labels, rows
from streams.simulator.known import truth_records
from streams.simulator.scenario import HOUR_MS, MINUTE_MS
from streams.simulator.summary import summarise
from tests.streams.simulator.selections import ATTACKS, payments


def delays_hours(world: Timeline, fraud_type: str) -> NDArray[np.float64]:
    judged = world.labels[world.labels["fraud_type"] == rows.FRAUD_TYPES.index(fraud_type)]
    genuine = world.events["fraud_type"][judged["row"]] >= 0
    judged = judged[genuine]
    return np.asarray((judged["known_at_ms"] - world.events["time_ms"][judged["row"]]) / HOUR_MS)


def test_labels_stand_in_the_order_in_which_they_become_known_after_their_events(world: Timeline) -> None:
    arrived = np.zeros(len(world.events), dtype=np.int64)
    arrived[world.arrival.row[::-1]] = world.arrival.at_ms[::-1]  # the first arrival is written last
    assert (np.diff(world.labels["known_at_ms"]) >= 0).all()
    assert (world.labels["known_at_ms"] >= arrived[world.labels["row"]] + MINUTE_MS).all()


def test_most_fraud_is_reported_sooner_or_later(world: Timeline) -> None:
    fraud = np.flatnonzero(world.events["fraud_type"] >= 0)
    reported = np.isin(fraud, world.labels["row"][world.labels["label"] == labels.FRAUD])
    refused = world.events["authorization"][fraud] == rows.DECLINED
    assert 0.8 < reported.mean() < 0.92
    assert reported[refused].mean() < reported[~refused].mean() - 0.2


def test_each_kind_of_fraud_becomes_known_in_its_own_time(world: Timeline) -> None:
    medians = {name: float(np.median(delays_hours(world, name))) for name in rows.FRAUD_TYPES}
    assert medians["account_takeover"] < 24  # the customer sees it
    assert 24 < medians["scam"] < 7 * 24
    assert 7 * 24 < medians["card_not_present"] < 30 * 24  # chargebacks take weeks
    assert medians["first_party"] > 20 * 24  # the first instalment has to fail
    for name in rows.FRAUD_TYPES:
        low, high = np.quantile(delays_hours(world, name), [0.1, 0.9])
        assert high > 2 * low, f"{name}: a curve, not a fixed delay"


def test_labels_err_and_some_are_set_right(world: Timeline) -> None:
    truly_fraud = world.events["fraud_type"][world.labels["row"]] >= 0
    said_fraud = world.labels["label"] == labels.FRAUD
    wrong = set(world.labels["row"][said_fraud & ~truly_fraud].tolist())
    reversals = world.labels[world.labels["source"] == labels.REVERSAL]
    assert 0.01 < len(wrong) / said_fraud.sum() < 0.15
    assert wrong > set(reversals["row"].tolist()) != set()
    for reversal in reversals:
        both = world.labels[world.labels["row"] == reversal["row"]]
        assert both["label"].tolist()[-2:] == [labels.FRAUD, labels.LEGIT]
    assert (truly_fraud & ~said_fraud).sum() > 0  # an analyst was mistaken first


def test_analysts_look_at_some_ordinary_payments_the_large_ones_more_often(world: Timeline) -> None:
    reviewed = world.labels[(world.labels["label"] == labels.LEGIT) & (world.labels["source"] == labels.ANALYST)]
    ordinary = payments(world.events[world.events["fraud_type"] < 0])
    assert len(reviewed) / len(ordinary) == pytest.approx(labels.REVIEWED_SHARE, rel=0.3)
    assert np.median(world.events["cents"][reviewed["row"]]) > 1.5 * np.median(ordinary["cents"])


def test_the_truth_names_every_event_once(world: Timeline, records: list[dict[str, Any]]) -> None:
    truth = list(truth_records(world))
    assert [record["event_id"] for record in truth] == list(dict.fromkeys(record["event_id"] for record in records))
    assert {record["attack"] for record in truth} == set(rows.ATTACK_NAMES)
    for record in truth:
        assert (record["attack_id"] is None) == (record["attack"] == "none")
        assert record["fraud_type"] is None or record["attack"] in ATTACKS
    by_attack = Counter(record["attack"] for record in truth)
    assert by_attack["mule"] == summarise(world)["attacks"]["mule"]["events"]
