"""Two parts of the entity graph by themselves: which flushes came before, and where nodes are."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.graph_deliveries import WINDOW, Deliveries
from features.graph_edges import node_of
from features.graph_links import LINK
from features.graph_nodes import find_node
from features.graph_state import empty_arrays, reserve

NUMBERS = st.one_of(st.integers(0, 40), st.integers(WINDOW - 3, WINDOW + 3), st.integers(0, 5 * WINDOW))
FLUSHES = st.lists(st.tuples(st.integers(0, 3), NUMBERS), min_size=1, max_size=6)


def rows_of(flushes: list[tuple[int, int]]) -> np.ndarray:
    rows = np.zeros(len(flushes), dtype=LINK)
    rows["source"], rows["flush"] = np.array(flushes).T
    return rows


@settings(max_examples=200, deadline=None)
@given(st.lists(FLUSHES, max_size=12))
def test_a_flush_is_new_once_while_it_is_among_the_1024_newest_of_its_source(
    batches: list[list[tuple[int, int]]],
) -> None:
    deliveries = Deliveries()
    came: set[tuple[int, int]] = set()
    for batch in batches:
        highest = {source: max(flush for one, flush in came if one == source) for source, _ in came}
        expected = [
            pair not in came and pair[1] > highest.get(pair[0], -1) - WINDOW for pair in batch
        ]  # fmt: skip
        assert deliveries.take(rows_of(batch)).tolist() == expected
        came |= set(batch)


def test_the_rows_of_one_flush_are_all_new_and_then_none_is() -> None:
    deliveries = Deliveries()
    assert deliveries.take(rows_of([(2, 7), (2, 7), (2, 8)])).tolist() == [True, True, True]
    assert deliveries.take(rows_of([(2, 7), (2, 9), (1, 7)])).tolist() == [False, True, True]


def test_a_source_that_jumps_ahead_forgets_what_its_bits_said() -> None:
    deliveries = Deliveries()
    deliveries.take(rows_of([(0, 5)]))
    assert deliveries.take(rows_of([(0, 5 + 10 * WINDOW), (0, 4 + 10 * WINDOW)])).tolist() == [True, True]
    assert deliveries.take(rows_of([(0, 5 + 9 * WINDOW + 1)])).tolist() == [True]
    assert deliveries.take(rows_of([(0, 5 + 9 * WINDOW)])).tolist() == [False], "too late to tell"


NAMES = st.tuples(st.integers(0, 8), st.sampled_from((0, 1, 2, 15, 16, 2**32, 2**63, 2**64 - 1)))


@settings(max_examples=100, deadline=None)
@given(st.lists(NAMES, max_size=80))
def test_nodes_are_found_by_kind_and_hash_whatever_hashes_they_share(names: list[tuple[int, int]]) -> None:
    arrays = empty_arrays()
    expected: dict[tuple[int, int], int] = {}
    for kind, hash64 in names:
        found = find_node(arrays.table, arrays.nodes, kind, np.uint64(hash64))
        assert found == expected.get((kind, hash64), -1)
        arrays = reserve(arrays, 1, 0, 0)
        assert node_of(arrays, kind, np.uint64(hash64)) == expected.setdefault((kind, hash64), len(expected))
    for (kind, hash64), node in expected.items():
        assert find_node(arrays.table, arrays.nodes, kind, np.uint64(hash64)) == node
