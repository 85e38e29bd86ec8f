"""Card testing and mules against the slow answer, and as stories that a reader can check in the head."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import graph_patterns as flags
from features.graph import Graph
from tests.features.graph_oracle import BENEFICIARY, DAY, HOUR, MINUTE, Oracle, PlainLink
from tests.features.graph_traffic import NOW, batches_of, entities_of, links_of, random_links

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from(((60, 10, 6), (300, 20, 8), (500, 100, 4)))
TILE = 10 * MINUTE


def share(part: int, whole: int) -> Any:
    return pytest.approx(part / whole if whole else math.nan, nan_ok=True)


def compare_patterns(graph: Graph, oracle: Oracle, as_of_ms: int = NOW) -> None:
    """Both patterns of every entity: exact, or lower bounds that say so."""
    names = sorted(oracle.times)
    entities = entities_of(names)
    for entity, found in zip(names, graph.card_testing(entities, as_of_ms), strict=True):
        assert found["accounts_10m"] == oracle.since(entity, as_of_ms, TILE)[0]
        assert found["accounts_1h"] == oracle.since(entity, as_of_ms, HOUR)[0]
        for name, window_ms in (("10m", TILE), ("1h", HOUR)):
            attempts, declined, small, _ = oracle.sums(oracle.through(entity), as_of_ms, window_ms)
            if found["flags"] & flags.ATTEMPTS_IS_LOWER_BOUND:
                assert found[f"attempts_{name}"] <= attempts
                continue
            assert found[f"attempts_{name}"] == attempts
            assert found[f"small_share_{name}"] == share(small, attempts)
            assert found[f"declined_share_{name}"] == share(declined, attempts)
    for entity, found in zip(names, graph.mules(entities, as_of_ms), strict=True):
        if entity[0] != BENEFICIARY:
            assert found["payers_7d"] == 0
            continue
        for name, window_ms in (("1h", HOUR), ("1d", DAY), ("7d", 7 * DAY)):
            assert found[f"payers_{name}"] == oracle.since(entity, as_of_ms, window_ms)[0]
            paid = oracle.paid_since(entity[1], as_of_ms, window_ms)
            assert found[f"paid_{name}"] == paid or found["flags"] & flags.FAN_OUT_IS_LOWER_BOUND
        came = oracle.sums(oracle.through(entity), as_of_ms, 2 * DAY)[3]
        went = oracle.sums(oracle.paid_by(entity[1]), as_of_ms, 2 * DAY)[3]
        if found["flags"] & flags.FLOW_IS_LOWER_BOUND:
            assert found["in_minor_48h"] <= came
            assert found["out_minor_48h"] <= went
            continue
        assert (found["in_minor_48h"], found["out_minor_48h"]) == (came, went)
        assert found["pass_through"] == share(went, came)
        assert found["dwell_minutes"] == pytest.approx(oracle.dwell_minutes(entity[1], as_of_ms), nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(SEEDS, SIZES, st.sampled_from((0.02, 0.3, 3.0, 9.0)), st.integers(0, 4 * HOUR))
def test_patterns_agree_with_the_slow_answer(seed: int, size: tuple[int, int, int], days: float, before: int) -> None:
    links = random_links(seed, *size, days=days)
    graph = Graph()
    for batch in batches_of(links):
        graph.apply(batch)
    oracle = Oracle(links)
    compare_patterns(graph, oracle, NOW - before)
    graph.release_tiles(NOW)
    compare_patterns(graph, oracle, NOW)
    graph.release_tiles(NOW + HOUR)
    compare_patterns(graph, oracle, NOW + 30 * HOUR)


@pytest.mark.parametrize("column", ["payments", "declined", "small", "amount_minor"])
def test_the_comparison_notices_a_wrong_sum(column: str) -> None:
    links = [PlainLink(1, BENEFICIARY, 7, NOW, payments=3, declined=1, small=1, amount_minor=10)]
    graph = Graph()
    graph.apply(links_of(links))
    compare_patterns(graph, Oracle(links))
    with pytest.raises(AssertionError):
        compare_patterns(graph, Oracle([replace(links[0], **{column: 5})]))


def test_the_comparison_notices_money_that_stays_longer() -> None:
    into = PlainLink(1, BENEFICIARY, 7, NOW - HOUR, payments=1, amount_minor=10)
    out = PlainLink(7, BENEFICIARY, 8, NOW, payments=1, amount_minor=10)
    graph = Graph()
    graph.apply(links_of([into, out]))
    compare_patterns(graph, Oracle([into, out]))
    with pytest.raises(AssertionError):
        compare_patterns(graph, Oracle([replace(into, time_ms=NOW - 5 * HOUR), out]))


def test_forty_stolen_cards_at_one_merchant_show_as_card_testing() -> None:
    graph, merchant = Graph(), entities_of([(2, 500)])
    rows = [PlainLink(n, 2, 500, NOW - n, payments=2, declined=1, small=2, amount_minor=100) for n in range(1, 41)]
    graph.apply(links_of(rows))
    found = graph.card_testing(merchant, NOW)[0]
    assert (found["accounts_10m"], found["attempts_10m"]) == (40, 80)
    assert (found["small_share_10m"], found["declined_share_10m"]) == (1.0, 0.5)
    assert found["flags"] == 0


def test_a_window_takes_tiles_whole_and_accounts_to_the_millisecond() -> None:
    end = NOW // TILE * TILE + TILE // 2
    graph, merchant = Graph(), entities_of([(2, 500)])
    graph.apply(links_of([PlainLink(1, 2, 500, end - TILE - TILE // 2, payments=1)]))
    found = graph.card_testing(merchant, end)[0]
    assert (found["attempts_10m"], found["accounts_10m"]) == (1, 0)
    assert graph.card_testing(merchant, end + TILE // 2)[0]["attempts_10m"] == 0


def test_a_mule_takes_money_from_many_and_passes_it_on_within_the_hour() -> None:
    mule = 77
    rows = [PlainLink(n, BENEFICIARY, mule, NOW - HOUR, payments=1, amount_minor=100) for n in range(1, 11)]
    rows += [PlainLink(mule, BENEFICIARY, 900 + n, NOW, payments=1, amount_minor=450) for n in range(2)]
    graph = Graph()
    named = graph.apply(links_of(rows))
    assert (BENEFICIARY, mule) in [tuple(row) for row in named.tolist()]
    found = graph.mules(entities_of([(BENEFICIARY, mule)]), NOW)[0]
    assert (found["payers_1d"], found["paid_1h"]) == (10, 2)
    assert (found["in_minor_48h"], found["out_minor_48h"], found["pass_through"]) == (1_000, 900, 0.9)
    assert found["dwell_minutes"] == 60.0


def test_a_payment_out_names_the_beneficiary_that_made_it() -> None:
    graph = Graph()
    graph.apply(links_of([PlainLink(1, BENEFICIARY, 77, NOW, payments=1)]))
    named = graph.apply(links_of([PlainLink(77, BENEFICIARY, 88, NOW, payments=1, flush=1)]))
    assert named.tolist() == [(BENEFICIARY, 77), (BENEFICIARY, 88)]


def test_what_goes_out_before_anything_comes_in_did_not_pass_through() -> None:
    out = PlainLink(7, BENEFICIARY, 8, NOW - HOUR, payments=1, amount_minor=10)
    into = PlainLink(1, BENEFICIARY, 7, NOW, payments=1, amount_minor=10)
    graph = Graph()
    graph.apply(links_of([out, into]))
    assert math.isnan(graph.mules(entities_of([(BENEFICIARY, 7)]), NOW)[0]["dwell_minutes"])


def test_money_in_more_than_sixteen_tiles_is_a_lower_bound_and_says_so() -> None:
    rows = [PlainLink(1, BENEFICIARY, 7, NOW - n * TILE, payments=1, amount_minor=1, flush=n) for n in range(17)]
    graph = Graph()
    graph.apply(links_of(rows))
    found = graph.mules(entities_of([(BENEFICIARY, 7)]), NOW)[0]
    assert found["in_minor_48h"] == 16
    assert found["flags"] & flags.FLOW_IS_LOWER_BOUND


def test_sums_stop_before_they_overflow() -> None:
    row = PlainLink(1, BENEFICIARY, 7, NOW, payments=2**31 - 1, amount_minor=2**62 - 1)
    graph = Graph()
    for flush in range(4):
        graph.apply(links_of([replace(row, flush=flush)]))
    entity = entities_of([(BENEFICIARY, 7)])
    assert graph.mules(entity, NOW)["in_minor_48h"] == 2**62 - 1
    assert graph.card_testing(entity, NOW)["attempts_1h"] == 2**31 - 1


def test_released_tiles_give_memory_back() -> None:
    graph = Graph()
    rows = links_of([PlainLink(n, 0, n, NOW, payments=1) for n in range(1, 2_000)])
    graph.apply(rows)
    before = graph.nbytes
    graph.release_tiles(NOW + 2 * HOUR)
    assert graph.nbytes < before
    assert np.isnan(graph.card_testing(entities_of([(0, 5)]), NOW + 2 * HOUR)["small_share_1h"][0])
