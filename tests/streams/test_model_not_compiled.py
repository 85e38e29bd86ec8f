"""Whoever is on call sees that a model is scored by LightGBM itself; every metric stands in the handbook."""

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from models.scorer import Scorer
from models.trees import UnsupportedTrees
from streams.config import load_config
from streams.metrics import WorkerMetrics
from streams.model_in_force import ModelInForce
from streams.outbound import targets_of
from streams.publisher import Message
from streams.state_keeper import DiskStates
from streams.worker import Worker
from tests.memory_broker import MemoryBroker
from tests.memory_log import MemoryEventsLog, MemoryFlushingPublisher
from tests.streams.logs import START_MS, payment
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small

ROOT = Path(__file__).parents[2]
TARGETS = targets_of("t.")


def scored_by_lightgbm() -> ModelInForce:
    model = small_model()
    artefact = replace(model.artefact, trees=UnsupportedTrees("there is a categorical split"))
    return replace(model, scorer=Scorer(artefact))


@pytest.mark.parametrize(("model", "expected"), [(small_model, 0), (scored_by_lightgbm, 1)])
def test_the_metric_says_whether_the_model_in_force_is_compiled(
    model: Callable[[], ModelInForce], expected: int, tmp_path: Path
) -> None:
    broker = MemoryBroker()
    for topic in TARGETS:
        broker.create(topic, 1)
    group = broker.group("engine", TARGETS.source, 1e9)
    broker.append(Message(TARGETS.source, 0, b"a1", payment(1, "a1", START_MS), None))
    config = load_config(environment={}, overrides={"topics.prefix": "t.", "security.trust_internal": True})
    log = MemoryEventsLog(broker, TARGETS.source, group)
    states = DiskStates(tmp_path, TARGETS.source, "id")
    publisher = MemoryFlushingPublisher(broker, log)
    worker = Worker(config, model(), open_small, log, publisher, states, itertools.count().__next__)
    try:
        worker.join()
        worker.turn()
        assert worker.metrics.registry.get_sample_value("assay_model_not_compiled") == expected
        assert worker.metrics.registry.get_sample_value("assay_degraded") == 0
    finally:
        worker.close()


def test_every_metric_is_explained_to_whoever_is_on_call() -> None:
    handbook = (ROOT / "docs/operations.md").read_text()
    shown = set(re.findall(r"`(assay_\w+)(?:\{[\w,]+\})?`", handbook))
    suffix = {"counter": "_total", "info": "_info"}
    assert shown >= {metric.name + suffix.get(metric.type, "") for metric in WorkerMetrics().registry.collect()}
