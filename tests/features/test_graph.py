"""The entity graph against an oracle of plain dictionaries and networkx, in any order and with any repetition."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features import graph_profiles as flags
from features.errors import AssayError
from features.graph import Graph
from features.graph_links import LABEL, LINK
from tests.features.graph_oracle import DAY, HOUR, Oracle, PlainLink
from tests.features.graph_traffic import (
    NOW,
    batches_of,
    compare_accounts,
    compare_components,
    entities_of,
    labels_of,
    links_of,
    random_labels,
    random_links,
)

SIZES = st.sampled_from(((40, 12, 8), (150, 30, 60), (400, 90, 12), (1_600, 110, 2)))
"""Links, accounts, entities: sparse and dense, without and with hubs and more accounts than are remembered."""
SEEDS = st.integers(0, 2**32 - 1)
KEPT = 90 * DAY


def folded(batches: list[NDArray[Any]], labels: NDArray[Any] | None = None) -> Graph:
    graph = Graph()
    for batch in batches:
        graph.apply(batch)
    if labels is not None:
        graph.apply(np.zeros(0, LINK), labels)
    return graph


@settings(max_examples=40, deadline=None)
@given(SEEDS, SIZES)
def test_every_number_of_every_entity_agrees_with_the_slow_answer(seed: int, size: tuple[int, int, int]) -> None:
    links, labels = random_links(seed, *size), random_labels(seed, size[1] // 3, size[1])
    graph = folded(batches_of(links), labels_of(labels))
    compare_accounts(graph, Oracle(links, labels))
    compare_components(graph, Oracle(links, labels), is_rebuilt=False)
    graph.rebuild(NOW)
    compare_accounts(graph, Oracle(links, labels))
    compare_components(graph, Oracle(links, labels))


@settings(max_examples=30, deadline=None)
@given(SEEDS, SIZES)
def test_after_a_rebuild_what_is_older_than_90_days_is_gone(seed: int, size: tuple[int, int, int]) -> None:
    links, labels = random_links(seed, *size, days=250.0), random_labels(seed, size[1] // 3, size[1])
    graph = folded(batches_of(links), labels_of(labels))
    graph.rebuild(NOW)
    oracle = Oracle(links, labels, forgotten_before_ms=NOW - KEPT)
    compare_accounts(graph, oracle)
    compare_components(graph, oracle)


@settings(max_examples=40, deadline=None)
@given(SEEDS, SIZES, st.sampled_from((9.0, 250.0)), st.randoms(use_true_random=False))
def test_order_and_repetition_of_batches_show_nowhere(
    seed: int, size: tuple[int, int, int], days: float, order: random.Random
) -> None:
    links = random_links(seed, *size, days=days)
    labels = [labels_of([row]) for row in random_labels(seed, size[1] // 3, size[1])]
    batches = batches_of(links, per_batch=2)
    first, second = Graph(), Graph()
    for batch in batches:
        first.apply(batch)
    for label in labels:
        first.apply(np.zeros(0, LINK), label)
    deliveries: list[tuple[NDArray[Any], NDArray[Any] | None]] = [(batch, None) for batch in batches]
    deliveries += [(np.zeros(0, LINK), label) for label in labels]
    deliveries += order.choices(deliveries, k=len(deliveries) // 2)
    order.shuffle(deliveries)
    for batch, label in deliveries:
        second.apply(batch, label)

    entities = entities_of(sorted({(link.kind, link.entity) for link in links}))
    ours, theirs = first.profiles(entities, NOW), second.profiles(entities, NOW)
    exact = ("degree", "accounts_1h", "accounts_1d", "accounts_7d", "frauds", "fraud_share")
    for name in (*exact, "component_accounts", "component_frauds"):
        assert np.array_equal(ours[name], theirs[name]), name
    assert np.array_equal(ours["flags"], theirs["flags"])
    found = ours["flags"] & flags.TWO_HOPS_IS_LOWER_BOUND == 0
    for name in ("two_hop_accounts", "two_hop_frauds"):
        assert np.array_equal(ours[name][found], theirs[name][found]), name
    assert first.card_testing(entities, NOW).tobytes() == second.card_testing(entities, NOW).tobytes()
    assert first.mules(entities, NOW).tobytes() == second.mules(entities, NOW).tobytes()

    first.rebuild(NOW)
    second.rebuild(NOW)
    assert first.to_bytes() == second.to_bytes()


@settings(max_examples=20, deadline=None)
@given(SEEDS, SIZES)
def test_the_same_batch_again_changes_no_byte_and_names_the_same_entities(
    seed: int, size: tuple[int, int, int]
) -> None:
    links, labels = links_of(random_links(seed, *size)), labels_of(random_labels(seed, 5, size[1]))
    graph = Graph()
    graph.apply(links, labels)
    before = graph.to_bytes()
    again = graph.apply(links, labels)
    assert graph.to_bytes() == before
    named = {(int(row["kind"]), int(row["entity"])) for row in again}
    assert named >= {(int(row["kind"]), int(row["entity"])) for row in links}


@settings(max_examples=20, deadline=None)
@given(SEEDS, SIZES, st.booleans())
def test_a_graph_from_bytes_goes_on_as_the_one_that_was_stored(
    seed: int, size: tuple[int, int, int], rebuilt: bool
) -> None:
    links = random_links(seed, *size)
    batches = batches_of(links)
    half = len(batches) // 2
    graph = folded(batches[:half])
    if rebuilt:
        graph.rebuild(NOW)
    data = graph.to_bytes()
    restored = Graph.from_bytes(data)
    assert restored.to_bytes() == data
    for batch in batches[half:]:
        assert np.array_equal(restored.apply(batch), graph.apply(batch))
    assert restored.to_bytes() == graph.to_bytes()


TAMPERING: dict[str, Callable[[Any], None]] = {
    "a time": lambda arrays: np.subtract(arrays.edges["newest_ms"], 3 * DAY, out=arrays.edges["newest_ms"]),
    "a label": lambda arrays: np.logical_not(arrays.nodes["fraud"], out=arrays.nodes["fraud"], casting="unsafe"),
    "an account": lambda arrays: arrays.edges["member"].__setitem__(slice(None), arrays.edges["member"][::-1].copy()),
    "the size of a component": lambda arrays: np.add(arrays.nodes["accounts"], 1, out=arrays.nodes["accounts"]),
    "frauds of a component": lambda arrays: np.add(arrays.nodes["frauds"], 1, out=arrays.nodes["frauds"]),
    "when it joined": lambda arrays: np.add(arrays.nodes["joined_ms"], 30 * DAY, out=arrays.nodes["joined_ms"]),
}


@pytest.mark.parametrize("fault", TAMPERING)
def test_the_comparison_notices_a_wrong_graph(fault: str) -> None:
    links, labels = random_links(3, 60, 20, 8, days=1.0), random_labels(3, 6, 20)
    graph = folded(batches_of(links), labels_of(labels))
    graph.rebuild(NOW)
    oracle = Oracle(links, labels)
    compare_accounts(graph, oracle)
    compare_components(graph, oracle)
    TAMPERING[fault](graph._arrays._replace(nodes=graph._arrays.nodes[:], edges=graph._arrays.edges[:]))
    with pytest.raises(AssertionError):
        compare_accounts(graph, oracle)
        compare_components(graph, oracle)


def test_the_comparison_notices_a_missing_link() -> None:
    links = random_links(3, 60, 20, 8)
    with pytest.raises(AssertionError):
        compare_accounts(folded(batches_of(links)), Oracle([*links, replace(links[0], account=999)]))


def shared_address_traffic(accounts: int, addresses: int, links: int) -> NDArray[Any]:
    """Two accounts share a device and an address at home; a tenth of the traffic goes through shared addresses."""
    random = np.random.default_rng(11)
    rows = np.zeros(links, dtype=LINK)
    rows["account"] = 1 + random.integers(0, accounts, links)
    home = rows["account"] // 2
    is_shared = random.random(links) < 0.1
    rows["kind"] = np.where(is_shared, 1, random.integers(0, 2, links))
    rows["entity"] = np.where(is_shared, 1 + random.integers(0, addresses, links), 1_000_000 + home)
    rows["time_ms"] = NOW - random.integers(0, 30 * DAY, links)
    rows["flush"] = np.arange(links) // 1_000
    return rows


def test_a_tenth_of_the_traffic_through_shared_addresses_does_not_tie_everybody_together() -> None:
    rows = shared_address_traffic(accounts=20_000, addresses=40, links=60_000)
    without_cap = nx.Graph()
    names = rows[["kind", "entity", "account"]].tolist()
    without_cap.add_edges_from(((kind, entity), account) for kind, entity, account in names)
    largest = max(nx.connected_components(without_cap), key=len)
    assert sum(isinstance(node, int) for node in largest) > 5_000, "the traffic would poison the components"

    graph, largest_ever = Graph(), 0
    for start in range(0, len(rows), 1_000):
        entities = graph.apply(rows[start : start + 1_000])
        largest_ever = max(largest_ever, int(graph.profiles(entities, NOW)["component_accounts"].max()))
    assert 2 < largest_ever < 1_000, "addresses that are no hubs yet tie a few"
    graph.rebuild(NOW)
    everything = entities_of([(kind, entity) for kind, entity, _ in names])
    assert graph.profiles(everything, NOW)["component_accounts"].max() == 2, "only homes are left"


def test_a_component_too_large_to_be_made_anew_says_that_it_is_an_upper_bound_until_a_rebuild() -> None:
    graph = Graph()
    neighbours = [(account, device) for device in range(1, 4_200) for account in (device, device + 1)]
    graph.apply(links_of([PlainLink(account, 0, device, NOW) for account, device in neighbours]))
    graph.apply(accounts_on(90_000, list(range(1, 22))))
    device = entities_of([(0, 1)])
    profile = graph.profiles(device, NOW)[0]
    assert profile["component_accounts"] == 4_200
    assert profile["flags"] & flags.COMPONENT_IS_UPPER_BOUND
    graph.rebuild(NOW)
    assert not graph.profiles(device, NOW)[0]["flags"] & flags.COMPONENT_IS_UPPER_BOUND


def accounts_on(entity: int, accounts: list[int], time_ms: int = NOW, kind: int = 0) -> NDArray[Any]:
    return links_of([PlainLink(account, kind, entity, time_ms, flush=entity) for account in accounts])


def test_a_device_that_becomes_a_hub_lets_go_of_its_accounts() -> None:
    graph = Graph()
    graph.apply(accounts_on(1, list(range(1, 21))))
    home = entities_of([(0, 500)])
    graph.apply(accounts_on(500, [1]))
    assert graph.profiles(home, NOW)["component_accounts"] == 20
    graph.apply(accounts_on(1, [21]))
    hub = graph.profiles(entities_of([(0, 1)]), NOW)[0]
    assert hub["component_accounts"] == 0
    assert hub["flags"] == flags.HUB
    assert graph.profiles(home, NOW)["component_accounts"] == 1


def test_a_hub_that_loses_its_accounts_to_age_ties_the_others_together_again() -> None:
    graph = Graph()
    graph.apply(accounts_on(1, list(range(1, 20)), NOW - KEPT))
    graph.apply(accounts_on(1, [30, 31]))
    graph.rebuild(NOW)
    profile = graph.profiles(entities_of([(0, 1)]), NOW)[0]
    assert (profile["degree"], profile["component_accounts"], profile["flags"]) == (2, 2, 0)


def test_of_65_accounts_the_64_most_recent_are_remembered_and_the_profile_says_so() -> None:
    graph = Graph()
    graph.apply(links_of([PlainLink(n, 2, 9, NOW - n * 60_000, flush=n) for n in range(1, 66)]))
    profile = graph.profiles(entities_of([(2, 9)]), NOW)[0]
    assert (profile["degree"], profile["accounts_1h"], profile["accounts_1d"]) == (64, 59, 64)
    assert profile["flags"] & flags.DEGREE_IS_LOWER_BOUND
    assert not profile["flags"] & flags.ACCOUNTS_1H_IS_LOWER_BOUND, "the four before the window prove that it is exact"
    assert profile["flags"] & flags.ACCOUNTS_1D_IS_LOWER_BOUND


def test_an_account_counts_once_with_its_newest_time_and_not_before_it() -> None:
    graph = Graph()
    graph.apply(accounts_on(1, [7], NOW - 2 * HOUR))
    graph.apply(accounts_on(1, [7], NOW))
    device = entities_of([(0, 1)])
    assert graph.profiles(device, NOW)[["degree", "accounts_1h", "accounts_1d"]].tolist() == [(1, 1, 1)]
    assert graph.profiles(device, NOW + HOUR)["accounts_1h"] == 0, "a window is open at its far edge"
    assert graph.profiles(device, NOW - 1)["accounts_1d"] == 0, "what is after it is in no window"


def test_a_reversal_takes_an_account_out_of_fraud_and_an_older_label_does_not_put_it_back() -> None:
    graph, device = Graph(), entities_of([(0, 1)])
    graph.apply(accounts_on(1, [7, 8]), labels_of([(7, True, 100)]))
    assert graph.profiles(device, NOW)[["frauds", "component_frauds"]].tolist() == [(1, 1)]
    named = graph.apply(np.zeros(0, LINK), labels_of([(7, False, 200)]))
    assert named.tolist() == [(0, 1)]
    graph.apply(np.zeros(0, LINK), labels_of([(7, True, 150)]))
    assert graph.profiles(device, NOW)[["frauds", "component_frauds"]].tolist() == [(0, 0)]


def test_a_label_may_come_before_the_account_and_outlives_a_rebuild() -> None:
    graph = Graph()
    graph.apply(np.zeros(0, LINK), labels_of([(7, True, NOW - DAY)]))
    graph.rebuild(NOW)
    graph.apply(accounts_on(1, [7, 8]))
    graph.rebuild(NOW + 80 * DAY)
    assert graph.profiles(entities_of([(0, 1)]), NOW)[["frauds", "component_frauds"]].tolist() == [(1, 1)]


def test_the_second_hop_stops_after_256_edges_and_says_so() -> None:
    graph = Graph()
    rows = [PlainLink(1, 0, 1, NOW)]
    rows += [PlainLink(1, 1, ip, NOW) for ip in range(1, 20)]
    rows += [PlainLink(100 * ip + n, 1, ip, NOW) for ip in range(1, 20) for n in range(15)]
    graph.apply(links_of(rows), labels_of([(100 * ip, True, 1) for ip in range(1, 20)]))
    profile = graph.profiles(entities_of([(0, 1)]), NOW)[0]
    assert profile["flags"] == flags.TWO_HOPS_IS_LOWER_BOUND
    assert 200 < profile["two_hop_accounts"] < 19 * 15
    assert 0 < profile["two_hop_frauds"] <= 19


def test_the_growth_of_a_huge_component_is_a_lower_bound_and_says_so() -> None:
    graph = Graph()
    chain = [PlainLink(account, 0, device, NOW) for device in range(1, 800) for account in (device, device + 1)]
    graph.apply(links_of(chain))
    profile = graph.profiles(entities_of([(0, 1)]), NOW)[0]
    assert profile["component_accounts"] == 800
    assert 400 < profile["component_joined_1d"] < 800
    assert profile["flags"] & flags.JOINED_IS_LOWER_BOUND


def test_an_entity_that_the_graph_does_not_know_has_no_accounts_and_no_shares() -> None:
    profile = Graph().profiles(entities_of([(0, 1)]), NOW)[0]
    assert (profile["degree"], profile["flags"]) == (0, 0)
    assert np.isnan(profile["fraud_share"])


def test_an_account_is_no_entity() -> None:
    with pytest.raises(AssertionError, match="no profile"):
        Graph().profiles(entities_of([(7, 1)]), NOW)


def test_no_link_at_all_is_a_batch_too() -> None:
    assert len(Graph().apply(np.zeros(0, LINK), np.zeros(0, LABEL))) == 0


@pytest.mark.parametrize(
    ("column", "value"),
    [("kind", 7), ("time_ms", -1), ("time_ms", 2**50), ("payments", -1), ("source", -1), ("amount_minor", 2**62)],
)
def test_rows_out_of_range_are_our_own_mistake_and_change_nothing(column: str, value: int) -> None:
    rows = accounts_on(1, [7])
    rows[column] = value
    graph = Graph()
    with pytest.raises(AssertionError):
        graph.apply(rows)
    assert graph.to_bytes() == Graph().to_bytes()


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda data: b"", "at the start"),
        (lambda data: b"x" + data[1:], "at the start"),
        (lambda data: data[:12] + b"\2" + data[13:], "version 2"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "damaged"),
        (lambda data: data[:-1], "damaged"),
    ],
)
def test_damaged_bytes_are_refused(damage: Callable[[bytes], bytes], expected: str) -> None:
    graph = Graph()
    graph.apply(accounts_on(1, [7]))
    with pytest.raises(AssayError, match=expected):
        Graph.from_bytes(damage(graph.to_bytes()))
