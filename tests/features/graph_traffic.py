"""Random links for tests of the entity graph, and both sides of a comparison."""

import math
from dataclasses import astuple
from itertools import chain
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from features import graph_profiles as flags
from features.graph import Graph
from features.graph_links import ENTITY, LABEL, LINK
from tests.features.graph_oracle import DAY, HOUR, REMEMBERED, Oracle, PlainLink

NOW = 1_767_225_600_000 + 12_345_678


def links_of(rows: list[PlainLink]) -> NDArray[Any]:
    return np.array([astuple(row) for row in rows], dtype=LINK)


def labels_of(rows: list[tuple[int, bool, int]]) -> NDArray[Any]:
    return np.array(rows, dtype=LABEL)


def entities_of(rows: list[tuple[int, int]]) -> NDArray[Any]:
    return np.array(rows, dtype=ENTITY)


def random_links(seed: int, count: int, accounts: int, entities: int, days: float = 9.0) -> list[PlainLink]:
    """Links of up to 3 sources; some entities have many accounts, some ids are accounts and beneficiaries, and half of
    the times are whole hours, so that accounts share them."""
    random = np.random.default_rng(seed)
    rows: dict[tuple[int, ...], PlainLink] = {}
    for _ in range(count):
        kind, source, flush = (int(random.integers(0, most)) for most in (7, 3, 12))
        account = 1 + int(random.integers(0, accounts))
        entity = 1 + min(int(random.exponential(entities / 3)), entities)
        payments = int(random.integers(0, 4))
        ago_ms = int(random.exponential(days / 3) * DAY)
        rows[source, flush, account, kind, entity] = PlainLink(
            account=account,
            kind=kind,
            entity=entity,
            time_ms=NOW + HOUR - (ago_ms if random.integers(0, 2) else ago_ms // HOUR * HOUR),
            payments=payments,
            declined=int(random.integers(0, payments + 1)),
            small=int(random.integers(0, payments + 1)),
            amount_minor=int(random.integers(0, 30)) * (payments > 0),
            source=source,
            flush=flush,
        )
    return list(rows.values())


def random_labels(seed: int, count: int, accounts: int) -> list[tuple[int, bool, int]]:
    random = np.random.default_rng(seed)
    return [
        (1 + int(random.integers(0, accounts)), bool(random.integers(0, 3)), NOW - int(random.integers(0, 20)))
        for _ in range(count)
    ]


def batches_of(rows: list[PlainLink], per_batch: int = 4) -> list[NDArray[Any]]:
    """Whole flushes, a few in each batch."""
    flushes: dict[tuple[int, int], list[PlainLink]] = {}
    for row in rows:
        flushes.setdefault((row.source, row.flush), []).append(row)
    groups = list(flushes.values())
    return [links_of([*chain(*groups[at : at + per_batch])]) for at in range(0, len(groups), per_batch)]


def compare_accounts(graph: Graph, oracle: Oracle, as_of_ms: int = NOW) -> None:
    """Degree, windows, frauds and two hops of every entity: exact, or lower bounds that say so."""
    entities = sorted(oracle.times)
    tied = oracle.graph()
    for entity, profile in zip(entities, graph.profiles(entities_of(entities), as_of_ms), strict=True):
        remembered = oracle.remembered(entity)
        frauds = sum(account in oracle.frauds for _, account in remembered)
        assert profile["degree"] == len(remembered)
        assert profile["frauds"] == frauds
        share = frauds / len(remembered) if remembered else math.nan
        assert profile["fraud_share"] == pytest.approx(share, nan_ok=True)
        is_bound = bool(profile["flags"] & flags.DEGREE_IS_LOWER_BOUND)
        if oracle.forgotten_before_ms is None or len(remembered) < REMEMBERED:
            assert is_bound == (len(oracle.newest(entity)) > len(remembered))
        else:  # the 65th may have been too old to count: then nobody can tell, and the flag stays
            assert is_bound or len(oracle.newest(entity)) == REMEMBERED
        assert bool(profile["flags"] & flags.HUB) == oracle.is_hub(entity)
        for name, window_ms, flag in (
            ("accounts_1h", HOUR, flags.ACCOUNTS_1H_IS_LOWER_BOUND),
            ("accounts_1d", DAY, flags.ACCOUNTS_1D_IS_LOWER_BOUND),
            ("accounts_7d", 7 * DAY, flags.ACCOUNTS_7D_IS_LOWER_BOUND),
        ):
            of_those_remembered, of_all = oracle.since(entity, as_of_ms, window_ms)
            assert profile[name] == of_those_remembered
            assert profile["flags"] & flag or of_those_remembered == of_all
        near = oracle.two_hops(entity, tied)
        near_frauds = len(near & oracle.frauds)
        if profile["flags"] & flags.TWO_HOPS_IS_LOWER_BOUND:
            assert profile["two_hop_accounts"] <= len(near)
            assert profile["two_hop_frauds"] <= near_frauds
        else:
            assert profile["two_hop_accounts"] == len(near)
            assert profile["two_hop_frauds"] == near_frauds
            share = near_frauds / len(near) if near else math.nan
            assert profile["two_hop_fraud_share"] == pytest.approx(share, nan_ok=True)


def compare_components(graph: Graph, oracle: Oracle, as_of_ms: int = NOW, is_rebuilt: bool = True) -> None:
    """Components of every entity; when accounts joined them only if `is_rebuilt`."""
    entities = sorted(oracle.times)
    tied, joined = oracle.graph(), oracle.joined_ms()
    for entity, profile in zip(entities, graph.profiles(entities_of(entities), as_of_ms), strict=True):
        component = oracle.component(entity, tied)
        assert not profile["flags"] & (flags.JOINED_IS_LOWER_BOUND | flags.COMPONENT_IS_UPPER_BOUND)
        assert profile["component_accounts"] == len(component)
        assert profile["component_frauds"] == len(component & oracle.frauds)
        if is_rebuilt:
            expected = sum(as_of_ms - DAY < joined[account] <= as_of_ms for account in component)
            assert profile["component_joined_1d"] == expected
