"""The measurements that need a broker, on a few events: smoke tests, so that they cannot rot."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from benchmarks import ceiling, entities, entities_on_kafka, kafka, latency, rates, rivals
from benchmarks.arena import Arena
from streams import broker as real
from streams.admin import connect

EVENTS = 4_000


@pytest.fixture(autouse=True)
def shared_broker(broker: real.RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session's broker instead of one on a core of its own; topics are gone afterwards. Any speed will do."""

    @contextmanager
    def arena(_: Path) -> Iterator[Arena]:
        asked = Arena(broker.client_settings)
        asked.warm_up()
        yield asked
        asked.close()
        client, _ = connect(broker.client_settings)
        names = [name for name in client.list_topics(timeout=20).topics if name.startswith("bench")]
        for answer in client.delete_topics(names).values():
            answer.result(timeout=20)
        until_s = time.monotonic() + 60
        while [name for name in client.list_topics(timeout=20).topics if name.startswith("bench")]:
            assert time.monotonic() < until_s
            time.sleep(0.1)

    for module in (ceiling, entities_on_kafka, kafka, latency, rivals):
        monkeypatch.setattr(module, "arena", arena)
    monkeypatch.setattr(rates, "WARM_UP_SHARE", 0.0)
    monkeypatch.setattr(rates, "_LEAST_S", 0.0)


def test_every_verdict_of_the_worker_is_compared(small_cache: Path, tmp_path: Path) -> None:
    facts = kafka.end_to_end(tmp_path, small_cache, seed=1, repeats=1, events=20_000)
    assert facts["equal"] is True
    assert facts["lost"] == facts["doubled"] == 0
    assert facts["ratio"] == facts["share_of_ceiling"] > 0


def test_the_ceiling_gives_back_what_it_was_given(small_cache: Path, tmp_path: Path) -> None:
    facts = ceiling.ceiling(tmp_path, small_cache, seed=1, repeats=1, events=60_000)
    assert facts["equal"] is True
    assert facts["ratio"] > 0


def test_a_rival_answers_every_event_that_it_reached(
    small_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain loop needs nothing that the product does not have; Quix Streams is missing here, and that is said."""
    monkeypatch.setattr(rivals, "peers_python", lambda _: Path(sys.executable))
    monkeypatch.setattr(rivals, "RIVALS", {name: rivals.RIVALS[name] for name in ("plain_batched", "quix")})
    facts = rivals.peers(tmp_path, small_cache, seed=1, repeats=1, events=60_000, peer_s=4.0)
    plain = facts["contestants"]["plain_batched"]
    assert plain["lost"] == plain["doubled"] == 0
    assert facts["best_peer"] == "plain_batched"
    assert "quixstreams" in facts["peers_not_measured"]["quix"]


def test_latency_has_every_load_on_both_sides(
    small_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "SECONDS", 1.0)
    monkeypatch.setattr(latency, "WARM_UP_S", 0.2)
    monkeypatch.setattr(latency, "LOADS", (50,))
    monkeypatch.setattr(latency, "DELIVERIES", ("exactly_once",))
    facts = latency.latency(tmp_path, small_cache, seed=1, repeats=1, events=20_000)
    (load,) = facts["exactly_once"]["loads"].values()
    for side in ("assay", "bare"):
        assert 0 < load[side]["p50_ms"] <= load[side]["p99_ms"] <= load[side]["p999_ms"]
    assert facts["ratio"] == facts["exactly_once"]["loads"]["50"]["ratio"] > 0


def test_profiles_are_what_the_links_say_and_become_visible(
    small_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entities, "RATE", 2_000.0)
    monkeypatch.setattr(entities_on_kafka, "LOADS", (25,))
    monkeypatch.setattr(entities_on_kafka, "WARM_UP_S", 0.0)
    facts = orjson.loads(orjson.dumps(entities.entities(tmp_path, small_cache, seed=1, repeats=1, events=20_000)))
    assert facts["equal"] is True
    assert facts["ratio"] == 1 / facts["dense"]["cpu_s_per_s"] > 0
    for side in ("dense", "sparse"):
        assert 0 < facts[side]["links_per_event"] < 1
        assert facts[side]["profiles_per_event"] > 0
    (load,) = facts["loads"].values()
    assert load["profiles"] > 0
    assert 0 < load["visible_p50_ms"] <= load["visible_p95_ms"]
    assert load["verdict_p50_ms"] > 0
