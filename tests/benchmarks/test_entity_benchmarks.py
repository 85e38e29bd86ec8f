"""The measurements of graph and rates run, and measure what they say."""

from benchmarks.entity_graph import entity_graph, traffic
from features.entities import ENTITY_KINDS


def test_the_graph_is_measured() -> None:
    found = entity_graph(events=5_000, accounts=500, seed=1)
    assert found["links"] == 5_000
    assert found["nodes"] > 500
    assert 1_000 < found["edges"] <= 5_000
    assert found["entities_described"] >= 1_000
    assert found["stored_mib"] > 0


def test_its_links_are_of_kinds_that_there_are() -> None:
    assert set(traffic(5_000, 500, seed=1)["kind"].tolist()) <= set(range(len(ENTITY_KINDS)))
