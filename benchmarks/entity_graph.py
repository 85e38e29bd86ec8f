"""The entity graph alone: links of a stream in batches, what is known of the entities they changed, and a rebuild."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import announce, circumstances
from features.entities import BENEFICIARY, ENTITY_KINDS
from features.graph import Graph
from features.graph_links import LABEL, LINK
from features.windows import DAY_MS

BATCH = 1_000
_START_MS = 1_767_225_600_000
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def traffic(links: int, accounts: int, seed: int, days: int = 30) -> NDArray[Any]:
    """Links in the order of their time, few accounts and merchants having most of them.

    A quarter is with one of three devices of the account, a quarter with addresses of which four tenths are shared (a
    tenth of all links), and half of the beneficiaries are accounts.
    """
    random = np.random.default_rng(seed)
    rows = np.zeros(links, dtype=LINK)
    account = np.minimum(random.pareto(1.2, links) * accounts / 50, accounts - 1).astype(np.uint64)
    kind = random.choice(len(ENTITY_KINDS), links, p=(0.25, 0.25, 0.25, 0.15, 0.05, 0.05, 0.0))
    own = account * np.uint64(3) + random.integers(0, 3, links).astype(np.uint64)
    common = np.minimum(random.pareto(1.0, links) * 20, 19_999).astype(np.uint64)
    is_shared = np.isin(kind, (2, 4)) | ((kind == 1) & (random.random(links) < 0.4))
    entity = np.where(is_shared, common, own + np.uint64(1_000_000))
    paid = random.integers(0, 2 * accounts, links).astype(np.uint64)
    entity = np.where(kind == BENEFICIARY, paid, entity)
    rows["account"] = (account + np.uint64(1)) * _SPREAD
    rows["kind"] = kind
    rows["entity"] = (entity + np.uint64(1)) * _SPREAD
    rows["time_ms"] = _START_MS + np.sort(random.integers(0, days * DAY_MS, links))
    rows["payments"] = 1 + random.integers(0, 3, links)
    rows["declined"] = random.integers(0, 2, links)
    rows["amount_minor"] = random.integers(1, 100_000, links)
    rows["source"] = np.arange(links) // 250 % 4
    rows["flush"] = np.arange(links) // BATCH
    return rows


def _timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds on the clock, seconds of CPU, and the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def entity_graph(events: int = 1_000_000, accounts: int = 200_000, seed: int = 7) -> dict[str, Any]:
    """Apply links in batches of 1,000 with a label in each, describe what changed, then rebuild and store.

    Tiles are released once a day of the traffic, between what is timed.

    Args:
        events: links.
        accounts: accounts that they are spread over.
        seed: of the traffic.
    """
    rows = traffic(events, accounts, seed)
    labels = np.zeros(1, dtype=LABEL)
    labels["fraud"] = True
    warm = Graph()
    for query in (warm.profiles, warm.card_testing, warm.mules):  # compiles
        query(warm.apply(rows[:1], labels), _START_MS)
    warm.rebuild(_START_MS)
    announce(f"{events:,} links of {accounts:,} accounts")
    graph, spent, named, released_ms = Graph(), np.zeros((4, 2)), 0, 0
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        now_ms = int(batch["time_ms"][-1])
        if now_ms >= released_ms + DAY_MS:
            graph.release_tiles(now_ms)
            released_ms = now_ms
        labels["account"], labels["known_at_ms"] = batch["account"][0], now_ms
        *applied, entities = _timed(lambda batch=batch: graph.apply(batch, labels))
        *described, _ = _timed(lambda entities=entities, now_ms=now_ms: graph.profiles(entities, now_ms))
        *tested, _ = _timed(lambda entities=entities, now_ms=now_ms: graph.card_testing(entities, now_ms))
        *flowed, _ = _timed(lambda entities=entities, now_ms=now_ms: graph.mules(entities, now_ms))
        spent += (applied, described, tested, flowed)
        named += len(entities)
    held, nodes = graph.nbytes, len(graph)
    rebuilding, rebuilding_cpu, _ = _timed(lambda: graph.rebuild(_START_MS + 30 * DAY_MS))
    storing, _, data = _timed(graph.to_bytes)
    restoring, _, _ = _timed(lambda: Graph.from_bytes(data))
    per_link, per_entity = spent / events * 1e6, spent / named * 1e6
    return {
        **circumstances(
            f"{events:,} links of {accounts:,} accounts, 30 days, batches of {BATCH:,} with a label each, seed {seed}",
            "batches are arrays already: what a broker and a decoder cost is not in it",
        ),
        "links": events,
        "nodes": nodes,
        "edges": int(graph._arrays.counts[1]),
        "entities_described": named,
        "apply_us_per_link": round(per_link[0, 0], 3),
        "apply_cpu_us_per_link": round(per_link[0, 1], 3),
        "profile_cpu_us_per_entity": round(per_entity[1, 1], 3),
        "card_testing_cpu_us_per_entity": round(per_entity[2, 1], 3),
        "mule_cpu_us_per_entity": round(per_entity[3, 1], 3),
        "held_mib": round(held / 2**20, 1),
        "rebuild_s": round(rebuilding, 2),
        "rebuild_cpu_s": round(rebuilding_cpu, 2),
        "held_after_rebuild_mib": round(graph.nbytes / 2**20, 1),
        "stored_mib": round(len(data) / 2**20, 1),
        "store_s": round(storing, 2),
        "restore_s": round(restoring, 2),
    }
