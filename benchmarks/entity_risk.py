"""Entity risk: what a row costs, and what its rates find as a single feature with other delays, weights and windows."""

import subprocess
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from benchmarks.report import ASSAY, announce, circumstances, environment
from features.entity_risk import EntityRisk
from features.risk_rows import KINDS, OUTCOME, VOLUME
from features.risk_settings import RiskSettings
from features.windows import DAY_MS

DAYS, FIRST_JUDGED_DAY = 120, 60
SPEED_ENTITIES, SPEED_ROWS, CALL_ROWS = 1_000_000, 1_000_000, 20_000
_START_DAY = 20_000
_SIMULATED_KINDS = {
    "merchant": ("merchant_id", "hash(mcc)"),
    "device": ("device_id", "0"),
    "network": ("regexp_replace(ip, '[.][0-9]+$', '')", "0"),
    "email_domain": ("regexp_extract(email, '@(.+)$', 1)", "0"),
    "bin": ("bin", "0"),
    "beneficiary": ("beneficiary_id", "0"),
}
Change = Callable[[NDArray[np.void]], None]


class Traffic(NamedTuple):
    """Payments of one kind of entity, in the order of their days, and the labels that follow."""

    day: NDArray[np.int32]
    entity: NDArray[np.uint64]
    parent: NDArray[np.uint64]
    fraud: NDArray[np.bool_]
    """What each really is."""
    outcomes: NDArray[np.void]


def _as_it_is(_: NDArray[np.void]) -> None:
    pass


def _known_at_once(rows: NDArray[np.void]) -> None:
    rows["known_at_ms"] = rows["event_time_ms"]


def _counted_when_known(rows: NDArray[np.void]) -> None:
    rows["event_time_ms"] = rows["known_at_ms"]


def _without_parents(rows: NDArray[np.void]) -> None:
    rows["parent"] = 0


def _settings(delay_days: int, prior_payments: float = 20.0) -> RiskSettings:
    """Every profile is published at every beginning of a day."""
    delays = (delay_days,) * len(KINDS)
    return RiskSettings(delay_days=delays, prior_payments=prior_payments, root_rate=0.005, published_for_ms=1)


VARIANTS: dict[str, tuple[RiskSettings, Change]] = {
    **{f"delay {days} d": (_settings(days), _as_it_is) for days in (0, 1, 3, 7, 14, 30)},
    "delay 0 d, frauds counted on the day of their label": (_settings(0), _counted_when_known),
    "delay 7 d, labels known at once (hindsight)": (_settings(7), _known_at_once),
    "delay 0 d, labels known at once (hindsight)": (_settings(0), _known_at_once),
    "delay 7 d, no smoothing": (_settings(7, 1e-9), _as_it_is),
    **{f"delay 7 d, prior worth {a}": (_settings(7, a), _as_it_is) for a in (5.0, 100.0)},
    "delay 7 d, no parents": (_settings(7), _without_parents),
}


def entity_risk(directory: Path, seed: int, events: int = 600_000) -> dict[str, Any]:
    """Microseconds for each row, and average precision of each rate alone.

    A rate is read at the beginning of the day of its payment; an entity without a profile has the rate of all that
    have one. Payments of the days from 60 on are judged by what they really are.
    """
    facts: dict[str, Any] = circumstances(
        f"speed: {SPEED_ROWS:,} rows of {SPEED_ENTITIES:,} entities, {CALL_ROWS:,} a call; precision: {events:,} "
        f"simulated events of {DAYS} days, and {DAYS} days of merchants of which two a day are compromised for 28 days",
        "every call brings rows of entities in no order; the simulated world has few entities that stay bad",
    )
    _speed(seed, rows=CALL_ROWS)  # compiles
    facts |= {"seed": seed, **_speed(seed, SPEED_ROWS)}
    worlds: dict[str, dict[str, Traffic]] = {"simulated": _simulated(directory, seed, events)}
    for name, median_days in (("labels after 2 days", 2.0), ("labels after 20 days", 20.0)):
        worlds[name] = {"merchant": _compromised(seed, median_days)}
    for world, kinds in worlds.items():
        for kind, traffic in kinds.items():
            announce(f"{world}: {kind}, {len(traffic.day):,} payments, {int(traffic.fraud.sum()):,} frauds")
            judged = traffic.day >= _START_DAY + FIRST_JUDGED_DAY
            facts[f"{world}, {kind}: share of fraud"] = float(traffic.fraud[judged].mean())
            for variant, (settings, change) in VARIANTS.items():
                rates = _rates(traffic, KINDS.index(kind), settings, change)[judged]
                for window, name in enumerate(("7d", "30d", "90d")):
                    precision = average_precision_score(traffic.fraud[judged], rates[:, window])
                    facts[f"{world}, {kind}: {variant}, {name}"] = float(precision)
    return facts


def _rates(traffic: Traffic, kind: int, settings: RiskSettings, change: Change) -> NDArray[np.float32]:
    """The three rates of each payment's entity at the beginning of its day."""
    outcomes = traffic.outcomes.copy()
    volumes = np.zeros(len(traffic.day), dtype=VOLUME)
    for name in ("day", "entity", "parent"):
        volumes[name] = getattr(traffic, name)
    volumes["payments"], volumes["flush"] = 1, np.arange(len(volumes))
    outcomes["kind"] = volumes["kind"] = kind
    change(outcomes)
    if change is _without_parents:
        change(volumes)
    risk = EntityRisk(settings)
    risk.receive(outcomes, volumes[:0])
    rates = np.empty((len(volumes), 3), dtype=np.float32)
    bounds = np.searchsorted(traffic.day, np.arange(_START_DAY, _START_DAY + DAYS + 1))
    for number, (start, end) in enumerate(pairwise(bounds)):
        profiles = risk.changes((_START_DAY + number) * DAY_MS).profiles
        frauds, payments = (int(profiles[name].sum()) for name in ("frauds_30d", "payments_30d"))
        weight = settings.prior_payments
        rates[start:end] = (frauds + weight * settings.root_rate) / (payments + weight)  # without a profile
        if len(profiles):
            place = np.minimum(np.searchsorted(profiles["entity"], traffic.entity[start:end]), len(profiles) - 1)
            is_there = profiles["entity"][place] == traffic.entity[start:end]
            for window, name in enumerate(("rate_7d", "rate_30d", "rate_90d")):
                rates[start:end, window][is_there] = profiles[name][place[is_there]]
        risk.receive(outcomes[:0], volumes[start:end])
    return rates


def _simulated(directory: Path, seed: int, events: int) -> dict[str, Traffic]:
    """Payments of `assay simulate` by kind of entity."""
    world = directory / f"entity-risk-{events}-{seed}"
    if not world.exists():
        options = ["--events", str(events), "--days", str(DAYS), "--seed", str(seed), "--format", "parquet"]
        command = [*ASSAY, "simulate", *options, "--out", str(world)]
        subprocess.run(command, check=True, env=environment(), stdout=subprocess.DEVNULL)
    first_ms = duckdb.sql(f"SELECT min(time_ms) FROM '{world}/events.parquet'").fetchall()[0][0] // DAY_MS * DAY_MS
    shift_ms = _START_DAY * DAY_MS - first_ms
    found = {}
    for kind, (name, parent) in _SIMULATED_KINDS.items():
        payments = duckdb.sql(
            f"""SELECT DISTINCT ON (event_id, account_id) e.time_ms + {shift_ms} AS time_ms, hash({name}) AS entity,
                {parent} AS parent, t.fraud_type IS NOT NULL AS fraud, hash(event_id, account_id) AS event
            FROM '{world}/events.parquet' e JOIN '{world}/truth.parquet' t USING (event_id, account_id)
            WHERE type = 'payment' AND {name} IS NOT NULL
            ORDER BY time_ms"""
        )
        labels = duckdb.sql(
            f"""SELECT event, entity, parent, p.time_ms AS event_time_ms, known_at_ms + {shift_ms} AS known_at_ms,
                hash(l.event_id) AS label, l.label = 'fraud' AS fraud
            FROM payments p JOIN '{world}/labels.parquet' l ON p.event = hash(l.judged_event_id, l.account_id)"""
        ).fetchnumpy()
        outcomes = np.zeros(len(labels["event"]), dtype=OUTCOME)
        for field, column in labels.items():
            outcomes[field] = column
        columns = payments.order("time_ms").fetchnumpy()
        day = (columns["time_ms"] // DAY_MS).astype(np.int32)
        entity, of = (columns[field].astype(np.uint64) for field in ("entity", "parent"))
        found[kind] = Traffic(day, entity, of, columns["fraud"].astype(np.bool_), outcomes)
    return found


def _compromised(seed: int, median_days: float) -> Traffic:
    """After the handbook's second scenario: two merchants a day are compromised, 30 % of their payments are fraud."""
    random = np.random.default_rng(seed)
    merchants, payments = 2_000, 400_000
    popularity = 1.0 / (random.permutation(merchants) + 10.0)
    entity = random.choice(merchants, payments, p=popularity / popularity.sum())
    day = np.sort(random.integers(0, DAYS, payments))
    share = np.full((DAYS, merchants), 0.001)
    for first in range(DAYS):
        for merchant in random.choice(merchants, 2, replace=False):
            share[first : first + 28, merchant] = 0.3
    fraud = random.random(payments) < share[day, entity]
    rows = np.flatnonzero(fraud)
    outcomes = np.zeros(len(rows), dtype=OUTCOME)
    outcomes["event"], outcomes["entity"], outcomes["label"], outcomes["fraud"] = rows + 1, entity[rows] + 1, rows, True
    outcomes["event_time_ms"] = (_START_DAY + day[rows]) * DAY_MS + DAY_MS // 2
    delay_ms = (random.lognormal(np.log(median_days), 0.6, len(rows)) * DAY_MS).astype(np.int64)
    outcomes["known_at_ms"] = outcomes["event_time_ms"] + delay_ms
    return Traffic(
        (_START_DAY + day).astype(np.int32),
        (entity + 1).astype(np.uint64),
        np.zeros(payments, dtype=np.uint64),
        fraud,
        outcomes,
    )


def _speed(seed: int, rows: int) -> dict[str, float]:
    """Microseconds for each row, and for each entity that is held."""
    random = np.random.default_rng(seed)
    names = random.integers(1, 2**63, SPEED_ENTITIES, dtype=np.uint64)
    volumes, outcomes = np.zeros(rows, dtype=VOLUME), np.zeros(rows, dtype=OUTCOME)
    for array in (volumes, outcomes):
        array["entity"] = names[random.integers(0, SPEED_ENTITIES, rows)]
        array["kind"] = np.arange(rows) % len(KINDS)
        array["parent"] = np.where(array["kind"] == 0, array["entity"] % np.uint64(300) + np.uint64(1), np.uint64(0))
    volumes["day"] = _START_DAY + np.arange(rows) * 30 // rows
    volumes["flush"], volumes["payments"] = np.arange(rows) // 200, 3
    outcomes["event"] = np.arange(rows) // len(KINDS) + 1
    outcomes["label"] = outcomes["event"]
    outcomes["event_time_ms"] = (_START_DAY + random.integers(0, 30, rows)) * DAY_MS
    outcomes["known_at_ms"] = outcomes["event_time_ms"] + DAY_MS
    outcomes["fraud"] = random.random(rows) < 0.3
    risk = EntityRisk()
    now_ms = (_START_DAY + 40) * DAY_MS
    risk.receive(outcomes[:0], volumes[:0])
    risk.changes(now_ms)
    facts = {
        "volume_us": _timed(lambda: _in_calls(risk, outcomes[:0], volumes)) / rows,
        "outcome_us": _timed(lambda: _in_calls(risk, outcomes, volumes[:0])) / rows,
        "repeated_volume_us": _timed(lambda: _in_calls(risk, outcomes[:0], volumes)) / rows,
        "repeated_outcome_us": _timed(lambda: _in_calls(risk, outcomes, volumes[:0])) / rows,
    }
    held = len(risk)
    facts |= {
        "entities": held,
        "changes_of_all_us": _timed(lambda: risk.changes(now_ms + 1)) / held,
        "changes_of_none_us": _timed(lambda: risk.changes(now_ms + 2)) / held,
        "new_day_us": _timed(lambda: risk.changes(now_ms + DAY_MS)) / held,
        "held_bytes": risk.nbytes / held,
    }
    data: list[bytes] = []
    facts["state_us"] = _timed(lambda: data.append(risk.state())) / held
    facts["state_bytes"] = len(data[0]) / held
    facts["restore_us"] = _timed(lambda: EntityRisk().restore(data[0])) / held
    return facts


def _in_calls(risk: EntityRisk, outcomes: NDArray[np.void], volumes: NDArray[np.void]) -> None:
    for start in range(0, max(len(outcomes), len(volumes)), CALL_ROWS):
        risk.receive(outcomes[start : start + CALL_ROWS], volumes[start : start + CALL_ROWS])


def _timed(work: Callable[[], object]) -> float:
    """CPU time in microseconds."""
    start = time.process_time_ns()
    work()
    return (time.process_time_ns() - start) / 1_000
