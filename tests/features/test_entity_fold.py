"""The entity fold: its numbers are those of graph and rates, and only what changed is told."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.entities import BENEFICIARY, BIN, DEVICE, EMAIL_DOMAIN, ENTITY_KINDS, IP, MERCHANT, NETWORK
from features.entity_fold import EntityFold, MissingFlushError
from features.entity_measures import is_material
from features.entity_profile import VALUES, no_profiles
from features.errors import AssayError
from features.links import FLUSH, LINK, MARK, VOLUME, Flushes, flushes_json, flushes_of, joined
from features.windows import DAY_MS, HOUR_MS, MINUTE_MS

START_MS = 20_000 * DAY_MS


def flush(
    number: int,
    time_ms: int,
    links: list[tuple[int, int, int]] = [],  # noqa: B006 - never changed
    volumes: list[tuple[int, int, int]] = [],  # noqa: B006
    marks: list[tuple[int, int, bool]] = [],  # noqa: B006
) -> Flushes:
    """One flush: links are (account, kind, entity), volumes (kind, entity, payments), marks (account, event, fraud)."""
    flushes = np.array([(number, number, time_ms)], dtype=FLUSH)
    rows = np.zeros(len(links), dtype=LINK)
    for row, (account, kind, entity) in zip(rows, links, strict=True):
        row["account"], row["kind"], row["entity"], row["time_ms"], row["payments"] = account, kind, entity, time_ms, 1
    counted = np.zeros(len(volumes), dtype=VOLUME)
    for row, (kind, entity, payments) in zip(counted, volumes, strict=True):
        row["kind"], row["entity"], row["payments"], row["day"] = kind, entity, payments, time_ms // DAY_MS
    said = np.zeros(len(marks), dtype=MARK)
    for row, (account, event, fraud) in zip(said, marks, strict=True):
        row["account"], row["event"], row["fraud"], row["label"] = account, event, fraud, 100 + event
        row["known_at_ms"] = row["event_time_ms"] = time_ms
        row["device"], row["merchant"] = 7, 70
    for table in (rows, counted, said):
        table["flush"] = number
    return Flushes(flushes, rows, counted, said)


def newest(fold: EntityFold, kind: int, entity: int) -> dict[str, float]:
    found = fold.table.profile(kind, entity, fold.told)
    return dict(zip(VALUES, found["values"][0].tolist(), strict=True)) if len(found) else {}


def random_flushes(seed: int, count: int, step_ms: int = 20 * MINUTE_MS) -> list[Flushes]:
    """Flushes of one partition over some days, in which accounts share few entities."""
    random = np.random.default_rng(seed)
    found, time_ms = [], START_MS
    for number in range(count):
        time_ms += int(random.integers(0, step_ms))
        pairs = {
            (int(random.integers(1, 30)), int(random.choice((DEVICE, IP, BENEFICIARY))), int(random.integers(1, 12)))
            for _ in range(random.integers(0, 4))
        }
        volumes = {(int(random.choice((MERCHANT, BIN))), int(random.integers(60, 75))) for _ in range(2)}
        mark = (int(random.integers(1, 30)), 1 + number, bool(random.random() < 0.7))
        marks = [mark] if random.random() < 0.2 else []
        rows = [(kind, entity, int(random.integers(1, 9))) for kind, entity in sorted(volumes)]
        found.append(flush(number, time_ms, sorted(pairs), rows, marks))
    return found


def test_a_device_of_two_accounts_is_told_and_one_of_one_is_not() -> None:
    fold = EntityFold()
    assert len(fold.step(0, flush(0, START_MS, [(1, DEVICE, 7)])).profiles) == 0
    (told,) = fold.step(0, flush(1, START_MS + 1_000, [(2, DEVICE, 7)])).profiles
    assert (ENTITY_KINDS[told["kind"]], told["entity"], told["as_of_ms"]) == ("device", 7, START_MS + 1_000)
    said = dict(zip(VALUES, told["values"].tolist(), strict=True))
    assert [said[f"accounts_{window}"] for window in ("1h", "1d", "7d", "90d")] == [2, 2, 2, 2]
    assert said["component_accounts"] == 2


def test_fraud_of_one_account_shows_at_its_device_and_a_reversal_takes_it_back() -> None:
    fold = EntityFold()
    for number in range(2):
        fold.step(0, flush(number, START_MS + number, [(number, DEVICE, 7)]))
    fold.step(0, flush(2, START_MS + HOUR_MS, marks=[(1, 5, True)]))
    assert newest(fold, DEVICE, 7)["fraud_accounts"] == 1
    fold.step(0, flush(3, START_MS + 2 * HOUR_MS, marks=[(1, 5, False)]))
    assert newest(fold, DEVICE, 7)["fraud_accounts"] == 0


def test_rates_are_told_when_their_days_have_matured() -> None:
    fold = EntityFold()
    fold.step(0, flush(0, START_MS, volumes=[(MERCHANT, 70, 200)], marks=[(1, 5, True)]))
    fold.step(0, flush(1, START_MS + 9 * DAY_MS))
    said = newest(fold, MERCHANT, 70)
    assert said["payments_30d"] == 200
    assert 0.004 < said["fraud_rate_30d"] < 0.006


def test_addresses_of_a_network_count_together_and_a_pseudonym_nowhere() -> None:
    fold = EntityFold()
    met = flush(0, START_MS, [(account, IP, 500 + account) for account in range(1, 31)])
    met.links["network"] = np.where(met.links["account"] <= 25, 9, 0)
    fold.step(0, met)
    marked = flush(1, START_MS + HOUR_MS, marks=[(1, 5, True), (2, 6, True), (30, 7, True)])
    marked.marks["network"] = [9, 9, 0]
    fold.step(0, marked)
    fold.step(0, flush(2, START_MS + DAY_MS))
    said = newest(fold, NETWORK, 9)
    assert said["payments_30d"] == 25
    assert 0.03 < said["fraud_rate_7d"] < 2 / 25  # two frauds, weighed against the usual rate
    assert np.isnan(newest(fold, IP, 501)["fraud_rate_30d"]), "of a single address no rate is told"
    assert fold.table.newest()["entity"][fold.table.newest()["kind"] == NETWORK].tolist() == [9]


def test_a_domain_of_many_frauds_is_told() -> None:
    fold = EntityFold()
    marked = flush(0, START_MS, volumes=[(EMAIL_DOMAIN, 51, 40), (EMAIL_DOMAIN, 52, 4_000)], marks=[(1, 5, True)] * 3)
    marked.marks["email_domain"], marked.marks["event"] = 51, [5, 6, 7]
    fold.step(0, marked)
    fold.step(0, flush(1, START_MS + 9 * DAY_MS))
    assert (
        newest(fold, EMAIL_DOMAIN, 51)["fraud_rate_30d"]
        > 0.03
        > 0.001
        > newest(fold, EMAIL_DOMAIN, 52)["fraud_rate_30d"]
    )


def test_a_lent_rate_is_not_told() -> None:
    fold = EntityFold()
    fold.step(0, flush(0, START_MS, volumes=[(MERCHANT, 70, 3), (MERCHANT, 71, 3)], marks=[(1, 5, True)]))
    fold.step(0, flush(1, START_MS + 9 * DAY_MS))
    assert newest(fold, MERCHANT, 70)["fraud_rate_30d"] > 0.01
    assert newest(fold, MERCHANT, 71) == {}


@given(st.integers(0, 1_000), st.lists(st.integers(1, 59), max_size=5))
@settings(max_examples=15)
def test_neither_records_nor_repetitions_nor_a_stored_state_show(seed: int, cuts: list[int]) -> None:
    flushes = random_flushes(seed, 60)
    whole = EntityFold()
    told = whole.step(2, joined(flushes))
    ends = sorted({*cuts, 60})
    fold, parts, begin = EntityFold(), [], 0
    for end in ends:
        record = flushes_of(flushes_json(2, joined(flushes[max(0, begin - 3) : end])))  # three of them come again
        parts.append(fold.step(*record).profiles)
        stored = fold.state()
        fold = EntityFold()
        fold.restore(stored)
        assert fold.state() == stored
        begin = end
    assert np.concatenate(parts).tobytes() == told.profiles.tobytes()
    assert fold.state() == whole.state()
    assert (np.diff(told.turns) >= 0).all()


def test_what_is_told_follows_graph_and_rates_within_what_is_material() -> None:
    fold = EntityFold()
    for one in random_flushes(5, 400):
        fold.step(0, one)
    last = fold.table.newest()
    assert {ENTITY_KINDS[kind] for kind in last["kind"]} >= {"device", "ip", "beneficiary"}
    graph = fold._graph.profiles(last[["kind", "entity"]].astype([("kind", "u1"), ("entity", "u8")]), fold.clock_ms)
    degree = np.where(graph["degree"] < 2, 0, graph["degree"])[last["kind"] == DEVICE]
    assert last["values"][last["kind"] == DEVICE, VALUES.index("accounts_90d")].tolist() == degree.tolist()


def test_a_missing_flush_is_noticed_and_changes_nothing() -> None:
    fold = EntityFold()
    fold.step(0, flush(0, START_MS, [(1, DEVICE, 7)]))
    before = fold.state()
    with pytest.raises(MissingFlushError, match="expected flush 1, got 2"):
        fold.step(0, flush(2, START_MS, [(2, DEVICE, 7)]))
    assert fold.state() == before
    assert fold.has_taken(0, 0)
    assert not fold.has_taken(0, 1)
    fold.step(1, flush(9, START_MS))  # a partition whose beginning the topic holds no more


def test_a_damaged_state_is_refused() -> None:
    with pytest.raises(AssayError, match="state of entities"):
        EntityFold().restore(b"\x81\xa6schema\x01")


@pytest.mark.parametrize(
    ("name", "before", "after", "told"),
    [
        ("accounts_1d", 3, 4, True),
        ("accounts_1d", 100, 105, False),
        ("accounts_1d", 100, 120, True),
        ("fraud_rate_30d", 0.010, 0.0102, False),
        ("fraud_rate_30d", 0.010, 0.02, True),
        ("fraud_rate_30d", np.nan, 0.01, True),
    ],
)
def test_what_is_material(name: str, before: float, after: float, told: bool) -> None:
    one, other = no_profiles(1), no_profiles(1)
    one["values"][0, VALUES.index(name)], other["values"][0, VALUES.index(name)] = before, after
    assert is_material(one, other).tolist() == [told]


def test_a_window_that_goes_on_is_told_again_before_it_would_seem_over() -> None:
    one = no_profiles(1)
    one["values"][0, VALUES.index("accounts_1h")] = 4
    later: Any = one.copy()
    later["as_of_ms"] += 11 * MINUTE_MS
    assert is_material(one, later).tolist() == [True]


def test_versions_that_nobody_sees_any_more_are_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fold runs for months: what it holds follows from the entities, not from how often they were told."""
    kept = EntityFold()
    told = [kept.step(0, one).profiles.tobytes() for one in random_flushes(6, 300)]
    monkeypatch.setattr("features.entity_table._FORGET_FROM", 4)
    fold = EntityFold()
    assert [fold.step(0, one).profiles.tobytes() for one in random_flushes(6, 300)] == told
    assert fold.state() == kept.state()
    assert len(fold.table) < len(kept.table) / 2
