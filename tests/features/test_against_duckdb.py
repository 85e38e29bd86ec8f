"""A database that knows nothing of the kernel gives the same features over 300,000 events.

One self-join pairs every event with its account's past (arrived before, happened no later); every feature is then one
aggregate over those pairs. DuckDB counts, sums and sorts on its own.
"""

from collections.abc import Iterator

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from features.accounts import Accounts
from features.catalogue import FEATURES
from features.columns import (
    APPLICATION,
    DECLINED,
    FAILED,
    LOGIN,
    PAYMENT,
    PROFILE_CHANGE,
    Events,
    country_code,
    empty_events,
)
from features.keys import keys_of
from tests.naive import DAY, DISTINCT_WINDOWS, ENTITIES, HOUR, MINUTE, PAYMENT_WINDOWS, SECOND, WINDOWS

SEED = 20240315
BASE_MS = 1_704_067_200_000
BUSY_ACCOUNTS, EVENTS_WHEN_BUSY = 200, 240
QUIET_ACCOUNTS, EVENTS_WHEN_QUIET = 12_000, 21
LATE, APPROXIMATE = 2, 4


def generated() -> tuple[list[str], Events]:
    """Account ids and events in order of arrival: mostly in order of time, one in thirty late by up to days."""
    random = np.random.default_rng(SEED)
    sizes = np.repeat([EVENTS_WHEN_BUSY, EVENTS_WHEN_QUIET], [BUSY_ACCOUNTS, QUIET_ACCOUNTS])
    account = np.repeat(np.arange(len(sizes)), sizes)
    rows = len(account)
    pace_ms = np.array([MINUTE, HOUR, 8 * HOUR, 2 * DAY])[random.integers(0, 4, len(sizes))][account]
    gap_ms = (random.exponential(pace_ms) // SECOND * SECOND).astype(np.int64)
    on_edge = random.random(rows) < 0.05
    gap_ms[on_edge] = random.choice(list(WINDOWS.values())[:7], on_edge.sum()) - random.integers(0, 2, on_edge.sum())
    gap_ms[random.random(rows) < 0.05] = 0
    elapsed_ms = np.cumsum(gap_ms)
    first_row = np.repeat(np.cumsum(sizes) - sizes, sizes)
    start_ms = BASE_MS + random.integers(0, 30 * DAY // SECOND, len(sizes))[account] * SECOND
    time_ms = start_ms + elapsed_ms - elapsed_ms[first_row]
    delay_ms = np.where(random.random(rows) < 1 / 30, random.exponential(4 * pace_ms), 0)
    arrival = np.argsort(time_ms + delay_ms, kind="stable")

    events = empty_events(rows)
    events["time_ms"] = time_ms[arrival]
    events["offset"] = np.arange(rows)
    events["event_hash"] = np.arange(1, rows + 1)
    events["kind"] = random.choice([PAYMENT, LOGIN, PROFILE_CHANGE, APPLICATION], rows, p=[0.7, 0.2, 0.06, 0.04])
    payment, login = events["kind"] == PAYMENT, events["kind"] == LOGIN
    events["amount_minor"][payment] = random.lognormal(8, 1.5, payment.sum()).astype(np.int64)
    events["marks"][payment & (random.random(rows) < 0.1)] = DECLINED
    events["marks"][login & (random.random(rows) < 0.2)] = FAILED
    own = account[arrival].astype(np.uint64) * np.uint64(1000)
    for entity, values in (("merchant", 30), ("device", 5), ("ip", 12), ("beneficiary", 4)):
        events[entity] = np.where(random.random(rows) < 0.3, 0, own + random.integers(1, values + 1, rows, np.uint64))
    events["country"] = random.choice([0, *map(country_code, ("DE", "FR", "US"))], rows)
    return [f"account {number}" for number in account[arrival].tolist()], events


def aggregates() -> Iterator[str]:
    """One SQL aggregate over an event's pairs for every feature, named as in the catalogue."""
    kinds = {"login": LOGIN, "profile_change": PROFILE_CHANGE}
    for window in PAYMENT_WINDOWS:
        inside = f"FILTER (kind = {PAYMENT} AND age_ms < {WINDOWS[window]})"
        yield f"count(*) {inside} AS account_payment_count_{window}"
        yield f"coalesce(sum(amount_minor) {inside}, 0) AS account_amount_minor_sum_{window}"
        yield f"avg(amount_minor) {inside} AS account_amount_minor_mean_{window}"
        yield f"stddev_samp(amount_minor) {inside} AS account_amount_minor_std_{window}"
        yield f"min(amount_minor) {inside} AS account_amount_minor_min_{window}"
        yield f"max(amount_minor) {inside} AS account_amount_minor_max_{window}"
    counted = (
        ("declined", f"kind = {PAYMENT} AND marks & {DECLINED} > 0", ("1h", "1d", "7d", "30d")),
        ("failed_login", f"kind = {LOGIN} AND marks & {FAILED} > 0", ("1h", "1d", "7d")),
        ("login", f"kind = {LOGIN}", ("1h", "1d", "30d")),
        ("profile_change", f"kind = {PROFILE_CHANGE}", ("1d", "7d", "30d")),
    )
    for what, which, windows in counted:
        for window in windows:
            yield f"count(*) FILTER ({which} AND age_ms < {WINDOWS[window]}) AS account_{what}_count_{window}"
    for what, kind in {"payment": PAYMENT, **kinds}.items():
        yield f"min(age_ms) FILTER (kind = {kind}) / 1000.0 AS account_seconds_since_last_{what}"
    failed = f"kind = {LOGIN} AND marks & {FAILED} > 0"
    yield f"min(age_ms) FILTER ({failed}) / 1000.0 AS account_seconds_since_last_failed_login"
    yield f"count(*) FILTER (kind = {PAYMENT}) AS account_payment_count_lifetime"
    yield "count(arrival) AS account_event_count_lifetime"
    yield "max(age_ms) / 1000.0 AS account_age_seconds"


def queries() -> Iterator[str]:
    """What DuckDB is asked: each query gives one row per event, in order of arrival."""
    yield f"SELECT {', '.join(aggregates())} FROM pairs GROUP BY of ORDER BY of"
    for entity in ENTITIES:
        # of each value of the entity in the past: how long ago was it last seen, and first
        seen = (
            f"SELECT of, {entity} AS value, min(age_ms) AS last_age_ms, max(age_ms) AS first_age_ms "
            f"FROM pairs WHERE {entity} <> 0 GROUP BY ALL"
        )
        columns = [
            f"count(*) FILTER (last_age_ms < {WINDOWS[window]}) AS account_{entity}_distinct_{window}"
            for window in DISTINCT_WINDOWS
        ]
        columns.append(
            f"CASE WHEN any_value(events.{entity}) <> 0 THEN (count(*) FILTER (value = events.{entity}) = 0)::INT END "
            f"AS account_{entity}_is_new"
        )
        if entity == "device":
            columns.append("min(first_age_ms) / 1000.0 AS account_seconds_since_last_new_device")
        yield (
            f"SELECT {', '.join(columns)} FROM events LEFT JOIN ({seen}) ON of = arrival "
            "GROUP BY arrival ORDER BY arrival"
        )


@pytest.fixture(scope="module")
def log() -> tuple[list[str], Events]:
    return generated()


@pytest.fixture(scope="module")
def expected(log: tuple[list[str], Events]) -> dict[str, NDArray[np.float64]]:
    keys, records = log
    columns = {name: pa.array(records[name]) for name in ("time_ms", "kind", "marks", "amount_minor", *ENTITIES)}
    with duckdb.connect() as database:
        database.execute("SET threads = 2")
        database.register(
            "rows", pa.table({"account": pa.array(keys), "arrival": pa.array(records["offset"]), **columns})
        )
        database.execute("CREATE TABLE events AS FROM rows")
        database.execute(
            "CREATE TABLE pairs AS SELECT event.arrival AS of, event.time_ms - past.time_ms AS age_ms, past.* "
            "FROM events AS event LEFT JOIN events AS past ON past.account = event.account "
            "AND past.arrival < event.arrival AND past.time_ms <= event.time_ms"
        )
        answers: dict[str, NDArray[np.float64]] = {}
        for query in queries():
            table = database.sql(query).to_arrow_table()
            for name in table.column_names:
                answers[name] = table[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return answers


def test_duckdb_and_the_kernel_agree_on_every_event(
    log: tuple[list[str], Events], expected: dict[str, NDArray[np.float64]]
) -> None:
    keys, records = log
    applied = Accounts().apply(keys_of(keys), records)
    assert not applied.status.any()
    assert not (applied.flags & APPROXIMATE).any()
    assert (applied.flags & LATE > 0).mean() > 0.01
    for name, answer in expected.items():
        got = applied.features[:, FEATURES.index[name]]
        assert len(answer) == len(records)
        if "_mean_" in name or "_std_" in name:
            np.testing.assert_allclose(got, answer, rtol=1e-6, atol=1e-9, err_msg=name)
        else:
            np.testing.assert_array_equal(got, answer.astype(np.float32), err_msg=name)


def test_the_database_answers_every_feature_of_the_account_but_what_follows_from_others(
    expected: dict[str, NDArray[np.float64]],
) -> None:
    follows = ("_ratio_", "_share_", "_z_", "_from_last")
    of_the_account = {feature.name for feature in FEATURES.features if feature.entity == "account"}
    assert set(expected) == {name for name in of_the_account if not any(part in name for part in follows)}
    assert all(np.nanmin(answer) < np.nanmax(answer) for answer in expected.values())
