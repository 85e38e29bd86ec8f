"""The features of a batch of events, against the same windows kept by hand in plain Python."""

import statistics
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.report import circumstances
from benchmarks.stock_windows import NAMES, StockAccount
from features.accounts import Accounts, Applied
from features.catalogue import FEATURES
from features.columns import PAYMENT, Events
from features.kernel import APPROXIMATE
from features.keys import keys_of
from streams.intake import decode_batch
from streams.log import LogRecord
from streams.signature import everybody
from streams.simulator.records import event_records
from streams.simulator.scenario import FEWEST_ACCOUNTS, Scenario
from streams.simulator.timeline import simulate

BATCH_EVENTS = 1_000
_PAST_BATCH_EVENTS = 20_000
_COLUMNS = [FEATURES.index[name] for name in NAMES]


@dataclass(frozen=True, slots=True)
class Case:
    """One shape of traffic.

    Attributes:
        accounts: how many the simulator has.
        past: events of each, on average, before anything is measured.
        round_events: how many are measured in each round.
        copies: how often these accounts stand in memory; the copies take turns at random.
    """

    accounts: int
    past: int
    round_events: int
    copies: int = 1


CASES = {
    "thousand_accounts": Case(1_000, 18, 2_000),
    "hundred_thousand_accounts": Case(1_000, 18, 2_000, copies=100),
    "long_histories": Case(FEWEST_ACCOUNTS, 300, 1_000),
}


@dataclass(frozen=True, slots=True)
class _Traffic:
    """Events in order of time, none of them twice, with their accounts."""

    names: list[str]
    events: Events

    def __getitem__(self, part: slice) -> "_Traffic":
        return _Traffic(self.names[part], self.events[part])


def features(seed: int, repeats: int) -> dict[str, Any]:
    """Measure each case: our 125 features in batches of 1,000, and the 44 of `benchmarks.stock_windows`.

    Both sides begin with the same past and then judge the same events in turn, round by round; the first round warms
    up. A ratio is the median of the ratios of the single rounds. `equal`: all 44 features of every measured event are
    the same float32, but for events that ours says to be approximate.
    """
    facts: dict[str, Any] = circumstances(
        f"simulated payments, logins and profile changes; {', '.join(CASES)} with {CASES['thousand_accounts'].past}, "
        f"{CASES['hundred_thousand_accounts'].past} and {CASES['long_histories'].past} events of past each",
        "events come in order of time and once, because the plain side knows nothing else; it computes a third of the "
        "features, from Python numbers that are made before; ours has columns and keys that are made before",
    )
    facts |= {"seed": seed, "repeats": repeats, "features": len(FEATURES), "stock_features": len(NAMES), "equal": True}
    for name, case in CASES.items():
        measured = _measured(case, seed, repeats)
        facts["equal"] &= measured.pop("equal")
        facts |= {f"{name}_{fact}": value for fact, value in measured.items()}
    return facts | {"ratio": facts["thousand_accounts_ratio"]}


def _measured(case: Case, seed: int, repeats: int) -> dict[str, Any]:
    past, rounds = _traffic(case, seed, repeats + 1)
    ours = Accounts()
    _judge(ours, past, _PAST_BATCH_EVENTS)
    stock: defaultdict[str, StockAccount] = defaultdict(StockAccount)
    measured = {name for part in rounds for name in part.names}
    needed = [row for row, name in enumerate(past.names) if name in measured]
    _judge_by_hand(stock, _visits(_Traffic([past.names[row] for row in needed], past.events[needed])))
    found: list[tuple[float, float]] = []
    equal, compared = True, 0
    for part in rounds:
        batches = [part[start : start + BATCH_EVENTS] for start in range(0, len(part.names), BATCH_EVENTS)]
        prepared = [(keys_of(batch.names), batch.events) for batch in batches]
        visits = _visits(part)
        started = time.perf_counter()
        applied = [ours.apply(*batch) for batch in prepared]
        between = time.perf_counter()
        rows = _judge_by_hand(stock, visits)
        found.append((between - started, time.perf_counter() - between))
        agreed, exact = _agree(applied, rows)
        equal, compared = equal and agreed, compared + exact
    microseconds = [[seconds / case.round_events * 1e6 for seconds in one_round] for one_round in found[1:]]
    return {
        "equal": equal,
        "compared": compared,
        "microseconds_per_event": statistics.median(ours for ours, _ in microseconds),
        "stock_microseconds_per_event": statistics.median(other for _, other in microseconds),
        "ratio": statistics.median(other / ours for ours, other in microseconds),
    }


def _traffic(case: Case, seed: int, rounds: int) -> tuple[_Traffic, list[_Traffic]]:
    """The past of all accounts, and then the events of each round."""
    first = case.accounts * case.past
    wanted = first + rounds * case.round_events
    with_repeated = wanted + wanted // 100
    played = simulate(Scenario(events=with_repeated, accounts=case.accounts, seed=seed))
    records = {record["event_id"]: record for record in event_records(played)}
    ordered = sorted(records.values(), key=lambda record: record["time_ms"])
    log = [LogRecord(offset, orjson.dumps(record)) for offset, record in enumerate(ordered)]
    decoded = decode_batch(log, everybody)
    names, events = decoded.account_ids(), decoded.columns
    past = np.tile(np.arange(first), case.copies)
    copy_of_past = np.repeat(np.arange(case.copies), first)
    later, copy_of_later = _take_turns(case.copies, first, rounds * case.round_events, seed)
    whole = _copied(names, events, np.concatenate([past, later]), np.concatenate([copy_of_past, copy_of_later]))
    begins = range(len(past), len(past) + len(later), case.round_events)
    return whole[: len(past)], [whole[begin : begin + case.round_events] for begin in begins]


def _take_turns(copies: int, first: int, count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each copy goes on from event `first` in its own order of time; whose turn it is, is drawn."""
    turns = np.random.default_rng(seed).integers(0, copies, count)
    rows = np.empty(count, dtype=np.int64)
    for copy in range(copies):
        its_turns = np.flatnonzero(turns == copy)
        rows[its_turns] = first + np.arange(len(its_turns))
    return rows, turns


def _copied(names: list[str], events: Events, rows: NDArray[np.int64], copies: NDArray[np.int64]) -> _Traffic:
    """Events of the copies, as they come in the log."""
    chosen = events[rows]
    chosen["offset"] = np.arange(len(rows))
    return _Traffic([f"{names[row]}-{copy}" for row, copy in zip(rows.tolist(), copies.tolist(), strict=True)], chosen)


def _judge(ours: Accounts, traffic: _Traffic, batch_events: int) -> None:
    for start in range(0, len(traffic.names), batch_events):
        part = traffic[start : start + batch_events]
        ours.apply(keys_of(part.names), part.events)


def _visits(traffic: _Traffic) -> list[tuple[str, int, bool, int, int]]:
    """The same events as the plain side takes them."""
    events = traffic.events
    columns = (events["time_ms"], events["kind"] == PAYMENT, events["amount_minor"], events["merchant"])
    return list(zip(traffic.names, *(column.tolist() for column in columns), strict=True))


def _judge_by_hand(
    stock: defaultdict[str, StockAccount], visits: list[tuple[str, int, bool, int, int]]
) -> list[list[float]]:
    return [stock[name].judge(time_ms, pays, amount, merchant) for name, time_ms, pays, amount, merchant in visits]


def _agree(applied: list[Applied], rows: list[list[float]]) -> tuple[bool, int]:
    """Whether every exact row of ours is the other side's, and how many rows are exact."""
    exact = np.concatenate([batch.flags for batch in applied]) & APPROXIMATE == 0
    ours = np.concatenate([batch.features[:, _COLUMNS] for batch in applied])[exact]
    stock = np.array(rows, dtype=np.float32)[exact]
    return bool(np.array_equal(ours, stock, equal_nan=True)), int(exact.sum())
