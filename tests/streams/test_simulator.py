"""The simulator: the same bytes every time, events as the contract wants them, attacks that show and still hide."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import typer
from confluent_kafka import Consumer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from typer.testing import CliRunner

from features.decode import decode, decode_label
from features.errors import AssayError, InvalidRecord
from features.events import Label, LabelIntake
from streams.broker import RunningBroker
from streams.commands.simulate import simulate as simulate_command
from streams.event_files import EventFile
from streams.simulator import Scenario, Timeline, clock, geography, labels, merchants, money, rows, simulate
from streams.simulator import sale as sales
from streams.simulator.attacks import ATTACKS as TABLE
from streams.simulator.broadcast import Delivery, Message, broadcast, messages
from streams.simulator.known import label_records, truth_records
from streams.simulator.population import first_free_device
from streams.simulator.records import event_records
from streams.simulator.scenario import DAY_MS, DEFAULT_START_MS, HOUR_MS, MINUTE_MS
from streams.simulator.summary import summarise
from streams.simulator.writer import write

ATTACKS = [name for name in rows.ATTACK_NAMES if name not in ("none", "sale")]

app = typer.Typer()
app.command("simulate")(simulate_command)
app.callback()(lambda: None)  # so that the command keeps its name


@pytest.fixture(scope="module")
def world() -> Timeline:
    """60 days of 1,500 accounts with the usual amount of fraud."""
    return simulate(Scenario(events=120_000, seed=11))


@pytest.fixture(scope="module")
def records(world: Timeline) -> list[dict[str, Any]]:
    return list(event_records(world))


def part_of(world: Timeline, attack: str) -> rows.Rows:
    return np.asarray(world.events[world.events["attack"] == rows.ATTACK_NAMES.index(attack)])


def instances(world: Timeline, attack: str) -> Iterator[rows.Rows]:
    """The events of each instance of an attack, in order of time."""
    part = part_of(world, attack)
    for number in np.unique(part["attack_number"]):
        yield part[part["attack_number"] == number]


def payments(events: rows.Rows) -> rows.Rows:
    return np.asarray(events[events["kind"] == rows.PAYMENT])


def fraudulent(events: rows.Rows) -> NDArray[np.bool_]:
    return np.asarray((events["kind"] == rows.PAYMENT) & (events["fraud_type"] >= 0))


def share_of(cases: list[bool]) -> float:
    assert cases
    return sum(cases) / len(cases)


# --- the same bytes -------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
from pathlib import Path
from streams.simulator import Scenario, simulate
from streams.simulator.writer import write
write(simulate(Scenario(events=6_000, seed=int(sys.argv[2]))), Path(sys.argv[1]), sys.argv[3])
"""


def digests(directory: Path, hash_seed: str, seed: int, file_format: str) -> dict[str, str]:
    """Hashes of the files that another process writes."""
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(directory), str(seed), file_format],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir())}


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_the_same_scenario_gives_the_same_bytes_in_every_process(tmp_path: Path, file_format: str) -> None:
    first = digests(tmp_path / "a", "1", 5, file_format)
    assert sorted(first) == [f"{name}.{file_format}" for name in ("events", "labels", "truth")]
    assert digests(tmp_path / "b", "2", 5, file_format) == first


def test_another_seed_gives_other_bytes_in_every_file(tmp_path: Path) -> None:
    first, second = digests(tmp_path / "a", "1", 5, "jsonl"), digests(tmp_path / "b", "1", 6, "jsonl")
    assert not set(first.values()) & set(second.values())


# --- as the contract wants it ---------------------------------------------------------------------------------------


def test_every_event_decodes_and_its_key_is_its_account(records: list[dict[str, Any]]) -> None:
    refused = [
        outcome
        for record in records
        if isinstance(outcome := decode(orjson.dumps(record), key=record["account_id"].encode()), InvalidRecord)
    ]
    assert refused == []


def test_every_label_decodes_as_intake_and_as_a_record_of_the_log(world: Timeline) -> None:
    for record in label_records(world):
        value = orjson.dumps(record)
        intake, entry = decode_label(value), decode(value, key=record["account_id"].encode())
        assert isinstance(intake, LabelIntake)
        assert isinstance(entry, Label)
        assert entry.time_ms == entry.known_at_ms == intake.known_at_ms
        assert (entry.fraud_type is None) == (entry.label == "legit")


def test_every_optional_field_of_the_contract_is_used(records: list[dict[str, Any]]) -> None:
    seen: dict[str, set[str]] = {}
    for record in records:
        seen.setdefault(record["type"], set()).update(record)
    common = {"event_id", "type", "account_id", "time_ms", "device_id", "ip"}
    money_fields = {"amount_minor", "currency", "method", "card_id", "bin", "beneficiary_id", "authorization"}
    place = {"merchant_id", "mcc", "country", "channel", "lat", "lon", "email", "session"}
    assert seen["payment"] == common | money_fields | place
    assert seen["login"] == common | {"country", "success", "method", "session"}
    assert seen["profile_change"] == common | {"field"}
    person = {"email", "phone", "address", "national_id", "name", "date_of_birth", "session"}
    assert seen["application"] == common | person | {"requested_minor", "currency"}


def test_every_word_of_the_contract_occurs(records: list[dict[str, Any]]) -> None:
    def words(kind: str, field: str) -> set[str]:
        return {record[field] for record in records if record["type"] == kind and field in record}

    assert words("payment", "method") == set(rows.METHODS)
    assert words("payment", "channel") == set(rows.CHANNELS)
    assert words("payment", "authorization") == {"approved", "declined"}
    assert {"EUR", "GBP", "JPY", "KWD"} <= words("payment", "currency")
    assert words("login", "method") == set(rows.LOGIN_METHODS)
    assert words("profile_change", "field") == set(rows.FIELDS)


def test_amounts_are_in_the_minor_unit_of_their_currency(records: list[dict[str, Any]]) -> None:
    decimals = {currency.code: currency.decimals for currency in money.CURRENCIES}
    assert (decimals["JPY"], decimals["KWD"]) == (0, 3)
    euros: dict[str, list[float]] = {}
    for record in records:
        if record["type"] == "payment":
            per_euro = next(currency.per_euro for currency in money.CURRENCIES if currency.code == record["currency"])
            amount = record["amount_minor"] / 10 ** decimals[record["currency"]] / per_euro
            euros.setdefault(record["currency"], []).append(amount)
    for code in ("GBP", "JPY", "KWD"):
        assert np.median(euros[code]) == pytest.approx(np.median(euros["EUR"]), rel=0.5)


def test_the_account_receives_nothing_from_itself(records: list[dict[str, Any]]) -> None:
    assert not [record for record in records if record.get("beneficiary_id") == record["account_id"]]


# --- counts, order, clocks ------------------------------------------------------------------------------------------


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


# --- attacks --------------------------------------------------------------------------------------------------------


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


def test_card_testing_tries_many_accounts_at_one_merchant_and_is_often_refused(world: Timeline) -> None:
    for instance in instances(world, "card_testing"):
        assert len(np.unique(instance["account"])) >= 5
        assert len(np.unique(instance["merchant"])) == 1
    tested, ordinary = part_of(world, "card_testing"), payments(world.events[world.events["attack"] == rows.NONE])
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
    assert share_of(shared) > 0.5


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


# --- hard enough ----------------------------------------------------------------------------------------------------


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


# --- the sale -------------------------------------------------------------------------------------------------------


def test_a_sale_triples_the_traffic_with_larger_baskets_and_no_fraud_of_its_own(world: Timeline) -> None:
    events, sale = world.events, world.sale
    now = sales.during(sale, events["time_ms"]).sum()
    before = [sales.during(sale, events["time_ms"] + week * 7 * DAY_MS).sum() for week in (1, 2, 3)]
    assert 2.4 < now / np.mean(before) < 3.6
    crowd = part_of(world, "sale")
    assert set(crowd["merchant"]) == set(sale.merchants)
    assert (crowd["fraud_type"] < 0).all()
    elsewhen = payments(events[(events["attack"] == rows.NONE) & np.isin(events["merchant"], sale.merchants)])
    assert np.median(crowd["cents"]) > 1.4 * np.median(elsewhen["cents"])


# --- labels ---------------------------------------------------------------------------------------------------------


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


# --- any scenario ---------------------------------------------------------------------------------------------------


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


# --- files ----------------------------------------------------------------------------------------------------------


def test_both_formats_say_the_same(tmp_path: Path) -> None:
    timeline = simulate(Scenario(events=3_000, seed=2))
    lines = write(timeline, tmp_path, "jsonl")
    tables = write(timeline, tmp_path, "parquet")
    for name in ("events", "labels"):
        of_lines = [orjson.loads(line) for line in EventFile(lines[name])]
        assert of_lines == [orjson.loads(row) for row in EventFile(tables[name])]
    assert not list(tmp_path.glob("*.partial"))


def test_a_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AssayError, match=r"file.*--out"):
        write(simulate(Scenario(events=100)), tmp_path / "file", "jsonl")


# --- into Kafka -----------------------------------------------------------------------------------------------------


class Recorder:
    """A producer in memory with a clock of its own: waiting is what makes time pass."""

    def __init__(self, queue: int = 1_000_000, refuses: Callable[[str], bool] = lambda _key: False) -> None:
        self.now_s = 0.0
        self.queue, self.refuses = queue, refuses
        self.waiting: list[Callable[[], None]] = []
        self.taken: list[tuple[float, str, str, bytes]] = []

    def produce(self, topic: str, *, key: str, value: bytes, on_delivery: Callable[[Any, Any], None]) -> None:
        if len(self.waiting) >= self.queue:
            raise BufferError
        self.taken.append((self.now_s, topic, key, value))
        error = _Refusal() if self.refuses(key) else None
        self.waiting.append(lambda: on_delivery(error, None))

    def poll(self, timeout: float) -> int:
        self.now_s += timeout
        reports, self.waiting = self.waiting, []
        for report in reports:
            report()
        return len(reports)

    def flush(self, timeout: float) -> int:
        self.poll(0)
        return 0

    def clock(self) -> float:
        return self.now_s


class _Refusal:
    def str(self) -> str:
        return "not today"


def stream(count: int, every_ms: int = 10) -> Iterator[Message]:
    return (Message("events", f"a{number % 3}", b"%d" % number, 1_000 + number * every_ms) for number in range(count))


def test_events_and_labels_go_out_in_the_order_of_the_world() -> None:
    timeline = simulate(Scenario(events=3_000, seed=4, days=20))
    last_ms = int(timeline.labels["known_at_ms"][-1])
    sent = list(messages(timeline, "t.events", "t.labels", now_ms=last_ms))
    assert Counter(message.topic for message in sent) == {"t.events": 3_000, "t.labels": len(timeline.labels)}
    assert [message.at_ms for message in sent] == sorted(message.at_ms for message in sent)
    assert all(orjson.loads(message.value)["account_id"] == message.key for message in sent)
    places = {
        orjson.loads(message.value)["event_id"]: place
        for place, message in reversed(list(enumerate(sent)))
        if message.topic == "t.events"
    }
    for place, message in enumerate(sent):
        if message.topic == "t.labels":
            assert places[orjson.loads(message.value)["judged_event_id"]] < place
    now_ms = int(timeline.events["time_ms"][-1])
    assert max(message.at_ms for message in messages(timeline, "e", "l", now_ms)) <= now_ms


def test_the_rate_is_kept() -> None:
    producer = Recorder()
    delivery = broadcast(stream(1_001), producer, rate=100.0, clock=producer.clock)
    times = np.array([taken[0] for taken in producer.taken])
    assert times[-1] == pytest.approx(10.0)
    assert np.diff(times).max() == pytest.approx(0.01)
    assert (delivery.delivered, delivery.failed, delivery.sent) == (1_001, 0, {"events": 1_001})


def test_simulated_time_passes_at_the_speed_asked_for() -> None:
    producer = Recorder()
    broadcast(stream(101, every_ms=60_000), producer, speed=600.0, clock=producer.clock)
    assert producer.taken[-1][0] == pytest.approx(10.0)
    both = Recorder()
    broadcast(stream(101, every_ms=60_000), both, speed=600.0, rate=5.0, clock=both.clock)
    assert both.taken[-1][0] == pytest.approx(20.0)


def test_a_full_queue_is_waited_for_and_loses_nothing() -> None:
    producer = Recorder(queue=7)
    steps: list[int] = []
    delivery = broadcast(stream(1_000), producer, advance=steps.append, clock=producer.clock)
    assert [taken[3] for taken in producer.taken] == [b"%d" % number for number in range(1_000)]
    assert (delivery.delivered, sum(steps)) == (1_000, 1_000)


def test_a_record_that_is_not_taken_is_counted_with_its_reason() -> None:
    producer = Recorder(refuses=lambda key: key == "a1")
    delivery = broadcast(stream(300), producer, clock=producer.clock)
    assert (delivery.delivered, delivery.failed, delivery.first_error) == (200, 100, "not today")


def test_a_broker_that_never_answers_makes_every_record_a_failure() -> None:
    producer = Recorder()
    producer.flush = lambda timeout: len(producer.waiting)  # type: ignore[method-assign]
    delivery = broadcast(stream(10), producer, clock=producer.clock)
    assert delivery == Delivery(sent={"events": 10}, failed=10, first_error="no answer from the broker within 70 s")


# --- the command ----------------------------------------------------------------------------------------------------


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["simulate", *arguments], env={"COLUMNS": "200"})


def test_the_command_writes_files_and_prints_what_is_in_them(tmp_path: Path) -> None:
    size = ("--events", "6000", "--seed", "9", "--fraud-share", "0.05", "--start", "2024-03-01", "--days", "30")
    options = (*size, "--out", str(tmp_path))
    summary = json.loads(run(*options, "--json").stdout)
    assert summary["files"] == {name: str(tmp_path / f"{name}.jsonl") for name in ("events", "labels", "truth")}
    written = (tmp_path / "events.jsonl").read_bytes().splitlines()
    kinds = Counter(record["type"] for record in {line: orjson.loads(line) for line in written}.values())
    assert len(written) == summary["events"] == 6_000
    assert summary["events_by_type"] == kinds
    assert summary["labels"] == len((tmp_path / "labels.jsonl").read_bytes().splitlines())
    assert (summary["start"], summary["end"]) == ("2024-03-01T00:00:00Z", "2024-03-31T00:00:00Z")
    shown = run(*options).stdout
    for word in ("card_testing", "slow_ramp", "profile_change", "first_party", str(tmp_path / "truth.jsonl")):
        assert word in shown


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--out", "x", "--events", "10"),
        ("--out", "x", "--start", "yesterday"),
        ("--out", "x", "--format", "csv"),
        ("--out", "x", "--events", "100", "--accounts", "200"),
        ("--out", "x", "--rate", "100"),
        ("--kafka", "localhost"),
        ("--kafka", "localhost:1", "--topic", "payments"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*options).exit_code == 2
    assert not list(tmp_path.iterdir())


def test_events_of_the_future_are_not_sent() -> None:
    result = run("--events", "100", "--kafka", "127.0.0.1:1", "--start", "9000-01-01")
    assert result.exit_code == 1
    assert "choose an earlier --start" in str(result.exception)


def test_topics_that_are_missing_are_named(broker: RunningBroker) -> None:
    result = run("--events", "100", "--kafka", broker.client_settings["bootstrap.servers"], "--topic", "no.events")
    assert result.exit_code == 1
    assert "no.events, no.labels; create them with `assay topics apply`" in str(result.exception)


def murmur2(key: bytes) -> int:
    """The hash by which Java producers choose partitions (Austin Appleby's MurmurHash2, seed 0x9747b28c)."""
    mixed = 0x9747B28C ^ len(key)
    for start in range(0, len(key) - 3, 4):
        word = int.from_bytes(key[start : start + 4], "little") * 0x5BD1E995 & 0xFFFFFFFF
        word = (word ^ word >> 24) * 0x5BD1E995 & 0xFFFFFFFF
        mixed = mixed * 0x5BD1E995 & 0xFFFFFFFF ^ word
    if rest := key[len(key) // 4 * 4 :]:
        mixed = (mixed ^ int.from_bytes(rest, "little")) * 0x5BD1E995 & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return mixed ^ mixed >> 15


def test_everything_arrives_in_kafka_in_the_order_of_each_account(broker: RunningBroker, topic: str) -> None:
    options = ("--events", "2000", "--seed", "3", "--kafka", broker.client_settings["bootstrap.servers"])
    result = run(*options, "--topic", f"{topic}events", "--rate", "5000", "--json")
    assert result.exit_code == 0, result.output
    timeline = simulate(Scenario(events=2_000, seed=3))
    expected = Counter({f"{topic}events": 2_000, f"{topic}labels": len(timeline.labels)})
    summary = json.loads(result.stdout)["kafka"]
    assert (summary["sent"], summary["delivered"], summary["failed"]) == (expected, expected.total(), 0)
    arrived: dict[str, list[dict[str, Any]]] = {name: [] for name in expected}
    consumer = Consumer({**broker.client_settings, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe(list(expected))
    while sum(map(len, arrived.values())) < expected.total():
        for message in consumer.consume(1_000, timeout=20.0):
            record = orjson.loads(message.value())
            assert message.key().decode() == record["account_id"]
            assert message.partition() == (murmur2(message.key()) & 0x7FFFFFFF) % 2
            arrived[message.topic()].append(record)
    consumer.close()
    for name, sent in ((f"{topic}events", event_records(timeline)), (f"{topic}labels", label_records(timeline))):
        by_account: dict[str, list[dict[str, Any]]] = {}
        for record in arrived[name]:
            by_account.setdefault(record["account_id"], []).append(record)
        for record in sent:
            assert by_account[record["account_id"]].pop(0) == record


def test_the_default_start_is_a_fixed_monday() -> None:
    assert (DEFAULT_START_MS // DAY_MS + 3) % 7 == 0
    assert DEFAULT_START_MS % DAY_MS == 0
