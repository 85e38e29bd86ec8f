"""Summaries: bins against a slow count, sums in any order, each summary once."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.errors import AssayError
from models.bins import SCORE_BINS, SCORE_EDGES_MICRO, bin_edges, count_bins, count_scores, score_micro
from models.minutes import Minutes
from models.summary import Counts, Summary, count_batch, is_sampled

NAMES = ("cold_start", "late", "approximate")
VALUES = st.one_of(st.floats(width=32), st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf, -math.inf]))


def slow_bins(column: list[float], edges: list[float]) -> tuple[list[int], int]:
    """Each value walks past the edges."""
    counts, missing = [0] * (len(edges) + 1), 0
    for value in column:
        if value != value:
            missing += 1
            continue
        place = 0
        while place < len(edges) and value > edges[place]:
            place += 1
        counts[place] += 1
    return counts, missing


@given(st.lists(VALUES, max_size=60), st.lists(st.floats(width=32, allow_nan=False), max_size=9, unique=True))
def test_values_are_counted_as_by_hand(values: list[float], edges: list[float]) -> None:
    edges = sorted(edges)
    counts, missing = count_bins(np.array(values, dtype=np.float32), np.array(edges, dtype=np.float32))
    assert (counts.tolist(), missing) == slow_bins(values, edges)


def test_an_edge_on_the_wrong_side_would_be_noticed() -> None:
    """The comparison has two sides: a value on an edge belongs below it."""
    column, edges = np.array([1.0, 2.0], dtype=np.float32), np.array([1.0], dtype=np.float32)
    wrong = np.bincount(np.searchsorted(edges, column, side="right"), minlength=2).tolist()
    assert wrong != slow_bins([1.0, 2.0], [1.0])[0] == count_bins(column, edges)[0].tolist()


@given(st.lists(VALUES, max_size=80))
def test_edges_are_finite_ascending_and_at_most_eleven(values: list[float]) -> None:
    edges = bin_edges(np.array(values, dtype=np.float32))
    assert edges.dtype == np.float32
    assert len(edges) <= 11
    assert (np.diff(edges.astype(np.float64)) > 0).all()


def test_a_feature_of_few_values_has_a_bin_for_each_and_one_for_what_it_never_was() -> None:
    edges = bin_edges(np.array([3.0, 0.0, 0.0, 3.0], dtype=np.float32))
    counts, _ = count_bins(np.array([-1.0, 0.0, 1.0, 3.0, 4.0], dtype=np.float32), edges)
    assert counts.tolist() == [1, 1, 2, 1]


def test_deciles_hold_a_tenth_each() -> None:
    column = np.random.default_rng(1).normal(size=10_000).astype(np.float32)
    counts, _ = count_bins(column, bin_edges(column))
    assert counts.tolist() == [1_000] * 10


def test_score_bins_are_half_a_unit_of_log_odds() -> None:
    assert len(SCORE_EDGES_MICRO) == SCORE_BINS - 1
    assert (np.diff(SCORE_EDGES_MICRO) > 0).all()
    log_odds = np.arange(-11.75, 12.0, 0.5)
    counts = count_scores(score_micro(1.0 / (1.0 + np.exp(-log_odds))))
    assert counts.tolist() == [0, *[1] * 48, 0]


def random_counts(seed: int) -> Counts:
    random = np.random.default_rng(seed)
    n = int(random.integers(0, 30))
    score = random.random(n).round(6)
    score[random.random(n) < 0.2] = np.nan
    sample = random.normal(size=(n // 2, 2)).astype(np.float32)
    sample[random.random(sample.shape) < 0.3] = np.nan
    edges = [np.array([-1.0, 0.0], dtype=np.float32), np.array([0.5], dtype=np.float32)]
    outcome = random.integers(0, 4, n).astype(np.uint8)
    reasons = random.choice(["VEL01", "AMT01", "GEO02"], int((outcome > 0).sum())).tolist()
    return count_batch(score, outcome, outcome, reasons, random.integers(0, 8, n), NAMES, sample, edges)


def test_a_batch_is_counted_as_by_hand() -> None:
    score = np.array([0.1, 0.2, np.nan, 0.300001])
    outcome = np.array([0, 1, 3, 3], dtype=np.uint8)
    flag_bits = np.array([0, 1, 3, 4])
    sample = np.array([[0.0], [2.0], [np.nan]], dtype=np.float32)
    counts = count_batch(
        score, outcome, outcome, ["B", "A", "A"], flag_bits, NAMES, sample, [np.array([1.0], np.float32)]
    )
    assert counts.decisions == (1, 1, 0, 2)
    assert (counts.verdicts, counts.alerts, counts.scored) == (4, 3, 3)
    assert counts.score_sum_micro == 600_001
    assert counts.reasons == {"A": 2, "B": 1}
    assert counts.flags == {"approximate": 1, "cold_start": 2, "late": 1}
    assert (counts.sampled, counts.bins, counts.missing) == (3, ((1, 1),), (1,))


def test_a_score_outside_of_0_to_1_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match=r"expected scores in \[0, 1\]"):
        score_micro(np.array([1.5]))


def test_nothing_counted_has_no_mean_score() -> None:
    assert Counts().mean_score is None
    assert Counts().verdicts == 0


@given(st.lists(st.integers(0, 10_000), min_size=3, max_size=3))
def test_counts_add_up_in_any_order(seeds: list[int]) -> None:
    a, b, c = map(random_counts, seeds)
    assert (a + b) + c == a + (b + c) == (c + a) + b
    assert a + Counts() == Counts() + a == a
    assert (a + b).verdicts == a.verdicts + b.verdicts


def slow_totals(summaries: list[Summary]) -> dict[tuple[int, str], int]:
    """Verdicts of each minute and model, every summary once."""
    totals: dict[tuple[int, str], int] = {}
    for one in {(one.partition, one.number): one for one in summaries}.values():
        key = one.time_ms // 60_000, one.model
        totals[key] = totals.get(key, 0) + one.counts.verdicts
    return totals


def some_summaries(seed: int) -> list[list[Summary]]:
    """Of three partitions, each in order."""
    random = np.random.default_rng(seed)
    return [
        [
            Summary(
                partition=partition,
                number=10 * number,
                time_ms=1_000_000 + 20_000 * number + int(random.integers(0, 15_000)),
                model="ab"[number // 4],
                counts=random_counts(1_000 * seed + 10 * partition + number),
            )
            for number in range(8)
        ]
        for partition in range(3)
    ]


def interleaved(partitions: list[list[Summary]], seed: int, repeat: bool) -> list[Summary]:
    """Any interleaving that keeps the order in each partition; with repeats as after a crash."""
    random = np.random.default_rng(seed)
    waiting = [list(one) for one in partitions]
    order: list[Summary] = []
    while any(waiting):
        place = int(random.integers(0, 3))
        if waiting[place]:
            order.append(waiting[place].pop(0))
            if repeat and random.random() < 0.3:
                begin = int(random.integers(0, len(order)))
                order += order[begin:]
    return order


def all_minutes(order: list[Summary]) -> tuple[bytes, dict[tuple[int, str], int]]:
    minutes = Minutes()
    for one in order:
        minutes.add(one)
    state = minutes.state()
    return state, {(m.minute_ms // 60_000, m.model): m.counts.verdicts for m in minutes.take(10_000_000)}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1_000), st.integers(0, 1_000))
def test_minutes_are_the_same_in_any_order_and_with_any_repetition(seed: int, order_seed: int) -> None:
    partitions = some_summaries(seed)
    plain = [one for partition in partitions for one in partition]
    expected = all_minutes(plain)
    assert expected[1] == slow_totals(plain)
    assert all_minutes(interleaved(partitions, order_seed, repeat=False)) == expected
    assert all_minutes(interleaved(partitions, order_seed, repeat=True)) == expected


def test_adding_a_repeated_summary_twice_would_be_noticed() -> None:
    partitions = some_summaries(1)
    order = interleaved(partitions, 3, repeat=True)
    assert len(order) > 24
    forgetful = Minutes()
    forgetful._newest = _Forgets()
    for one in order:
        forgetful.add(one)
    found = {(m.minute_ms // 60_000, m.model): m.counts.verdicts for m in forgetful.take(10_000_000)}
    assert found != all_minutes([one for partition in partitions for one in partition])[1]


class _Forgets(dict[int, int]):
    def get(self, key: int, default: int = -1) -> int:  # type: ignore[override]
        return -1


def test_minutes_go_on_from_their_state() -> None:
    order = interleaved(some_summaries(4), 5, repeat=True)
    whole, first = Minutes(), Minutes()
    for one in order:
        whole.add(one)
    for one in order[:10]:
        first.add(one)
    second = Minutes.restore(first.state())
    for one in order[5:]:
        second.add(one)
    assert second.state() == whole.state()
    assert second.take(10_000_000) == whole.take(10_000_000)


def test_a_late_summary_counts_in_the_oldest_minute_that_still_fills() -> None:
    minutes = Minutes()
    early = Summary(partition=0, number=1, time_ms=10, model="m", counts=Counts(decisions=(5, 0, 0, 0)))
    assert minutes.take(120_000) == []
    assert minutes.add(early)
    assert minutes.late == 5
    assert [(one.minute_ms, one.counts.verdicts) for one in minutes.take(180_000)] == [(120_000, 5)]


def test_a_state_of_minutes_that_is_none_is_refused() -> None:
    with pytest.raises(AssayError, match="state of the minutes"):
        Minutes.restore(b"[]")


@given(st.integers(1, 500), st.integers(0, 2**40))
@settings(max_examples=50)
def test_about_one_in_n_is_sampled_whatever_the_distance_of_offsets(one_in: int, start: int) -> None:
    for distance in (1, 2, 64, 1001):
        offsets = start + distance * np.arange(20_000)
        taken = int(is_sampled(offsets, one_in).sum())
        assert abs(taken - 20_000 / one_in) <= 0.5 * 20_000 / one_in + 20
    everything: NDArray[np.bool_] = is_sampled(np.arange(start, start + 10), 1)
    assert everything.all()


def test_every_offset_modulo_n_would_miss_what_comes_at_regular_distances() -> None:
    """Why offsets are spread first: the marker of a transaction may stand at each offset that a division selects."""
    offsets = np.arange(1, 64_000)
    offsets = offsets[offsets % 64 != 0]
    assert not (offsets % 64 == 0).any()
    assert is_sampled(offsets, 64).sum() > 900


def test_a_summary_survives_json() -> None:
    one = some_summaries(2)[0][3]
    assert msgspec.json.decode(msgspec.json.encode(one), type=Summary) == one
