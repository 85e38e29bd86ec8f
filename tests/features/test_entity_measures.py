"""Numbers of profiles in one compiled call: those that graph and flows give one by one, and the same choice of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.entities import BENEFICIARY
from features.entity_measures import is_material, measure_graph
from features.entity_profile import COUNTS, PROFILE, VALUES, no_profiles
from features.graph import Graph
from features.graph_links import ENTITY, LABEL, LINK
from features.windows import HOUR_MS, MINUTE_MS

START_MS = 20_000 * 24 * HOUR_MS
NUMBERS = st.one_of(st.floats(0, 200, width=32), st.integers(0, 20).map(float), st.just(float("nan")))


def small_world(seed: int) -> Graph:
    """Forty accounts on few entities, some of them in fraud; accounts are beneficiaries too."""
    random = np.random.default_rng(seed)
    links = np.zeros(300, dtype=LINK)
    links["account"], links["entity"] = random.integers(1, 40, 300), random.integers(1, 40, 300)
    links["kind"] = random.choice((0, 1, BENEFICIARY), 300)
    links["time_ms"] = START_MS + np.sort(random.integers(0, 60 * HOUR_MS, 300))
    links["payments"], links["amount_minor"] = random.integers(0, 3, 300), random.integers(1, 9_999, 300)
    links["flush"] = np.arange(300)
    labels = np.zeros(5, dtype=LABEL)
    labels["account"], labels["fraud"], labels["known_at_ms"] = random.integers(1, 40, 5), True, START_MS
    graph = Graph()
    graph.apply(links, labels)
    return graph


@pytest.mark.parametrize("seed", range(5))
def test_the_numbers_are_those_of_the_graph(seed: int) -> None:
    graph, now_ms = small_world(seed), START_MS + 60 * HOUR_MS
    profiles = no_profiles(3 * 50)
    profiles["kind"] = np.repeat((0, 1, BENEFICIARY), 50).astype(np.uint8)
    profiles["entity"] = np.tile(np.arange(1, 51), 3)  # some of them the graph does not know
    profiles["values"][:, VALUES.index("fraud_rate_7d")] = 0.25
    entities = np.zeros(len(profiles), dtype=ENTITY)
    entities["kind"], entities["entity"] = profiles["kind"], profiles["entity"]
    found, flows = graph.profiles(entities, now_ms), graph.mules(entities, now_ms)
    measure_graph(graph.arrays, profiles, np.arange(len(profiles)), now_ms)

    def told(name: str) -> np.ndarray:
        return profiles["values"][:, VALUES.index(name)]

    alone = (found["degree"] < 2) & (found["frauds"] == 0) & (found["two_hop_frauds"] == 0)
    alone &= found["component_accounts"] < 2
    assert alone.any()
    for name, column in {
        "accounts_1h": "accounts_1h",
        "accounts_1d": "accounts_1d",
        "accounts_7d": "accounts_7d",
        "accounts_90d": "degree",
        "fraud_accounts": "frauds",
        "component_accounts": "component_accounts",
        "component_joined_1d": "component_joined_1d",
        "two_hop_fraud_accounts": "two_hop_frauds",
    }.items():
        np.testing.assert_array_equal(told(name), np.where(alone, 0, found[column]).astype(np.float32), name)
    np.testing.assert_array_equal(told("pass_through_48h"), flows["pass_through"].astype(np.float32))
    np.testing.assert_array_equal(told("dwell_seconds_48h"), (60 * flows["dwell_minutes"]).astype(np.float32))
    assert np.nanmax(told("dwell_seconds_48h")) > 0
    assert (told("fraud_rate_7d") == 0.25).all(), "what labels say stays as it was"


def test_only_the_rows_that_are_named_change() -> None:
    graph, profiles = small_world(1), no_profiles(2)
    profiles["entity"] = 3
    measure_graph(graph.arrays, profiles, np.array([1]), START_MS + 60 * HOUR_MS)
    assert not profiles["values"][0, :8].any()
    assert profiles["values"][1, :8].any()


@given(st.lists(st.tuples(*[NUMBERS] * (2 * len(VALUES)), st.integers(0, 20)), min_size=1, max_size=5))
@settings(max_examples=200)
def test_the_choice_is_the_one_of_the_rule(rows: list[tuple[float, ...]]) -> None:
    before, after = np.zeros(len(rows), dtype=PROFILE), np.zeros(len(rows), dtype=PROFILE)
    for row, (*numbers, minutes) in enumerate(rows):
        before["values"][row], after["values"][row] = numbers[: len(VALUES)], numbers[len(VALUES) :]
        after["as_of_ms"][row] = int(minutes) * MINUTE_MS
    old, new = before["values"], after["values"]
    distance, larger = np.abs(new - old), np.maximum(np.abs(old), np.abs(new))
    is_count = np.array([name in COUNTS for name in VALUES])
    moved = (distance > 0.0005) & ((distance > 0.1 * larger) | (is_count & (larger < 16)))
    moved |= np.isnan(old) != np.isnan(new)
    fades = (new[:, 0] > 0) & (after["as_of_ms"] >= 10 * MINUTE_MS)
    assert is_material(before, after).tolist() == (moved.any(axis=1) | fades).tolist()
