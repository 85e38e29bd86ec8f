"""Verdicts that the anomaly score changed: which inputs they name, and that cuts and restarts never show."""

from dataclasses import replace

import msgspec
import orjson
import pytest

from features.store import MemoryStore
from models.detector import DetectorKind, DetectorSpec
from models.policy import Policy
from streams.model_in_force import ModelInForce
from streams.partition import Partition
from streams.signature import everybody
from tests.streams.logs import mixed_log, records
from tests.streams.small_model import WINDOW_ROWS, small_model

LOG = mixed_log(1_200, seed=5)


def model_with(kind: DetectorKind) -> ModelInForce:
    """The small model with this detector, and a policy that asks for a step-up at a middling anomaly score."""
    model = small_model()
    trained = model.artefact.manifest.detector
    detector = (
        trained
        if kind == trained.kind
        else DetectorSpec(kind=kind, names=trained.names, limits=trained.limits, window_size=WINDOW_ROWS)
    )
    policy = msgspec.structs.replace(Policy.default(), anomaly_step_up_at=0.3)
    manifest = msgspec.structs.replace(model.artefact.manifest, detector=detector)
    return replace(model, artefact=replace(model.artefact, manifest=manifest, policy=policy))


def verdicts_of(model: ModelInForce, batch: int, restart_at: int | None = None) -> list[bytes]:
    store = MemoryStore()
    partition = Partition(3, store, model, lambda _: model)
    verdicts = []
    all_records = records(LOG)
    for start in range(0, len(all_records), batch):
        if start == restart_at:
            partition.checkpoint()
            partition = Partition(3, store, model, lambda _: model)
        output = partition.fold(all_records[start : start + batch], everybody)
        verdicts += [record.value for record in output.verdicts]
    return verdicts


def raised(verdicts: list[bytes]) -> list[list[dict[str, object]]]:
    """Reasons of the verdicts that begin with the anomaly."""
    reasons = [orjson.loads(verdict)["reasons"] for verdict in verdicts]
    return [some for some in reasons if some and some[0]["code"] == "ANO01"]


def test_a_detector_that_can_tell_names_the_inputs() -> None:
    model = model_with("tail_log_probability")
    found = raised(verdicts_of(model, 300))
    assert len(found) > 5
    for reasons in found:
        named = [reason["feature"] for reason in reasons if reason["code"] == "ANO02"]
        assert 1 <= len(named) <= 2
        assert set(named) <= set(model.detector.names)
        assert [reason["code"] for reason in reasons[1 : 1 + len(named)]] == ["ANO02"] * len(named)
        assert all(" of recent events" in str(reason["text"]) for reason in reasons[1 : 1 + len(named)])


def test_half_space_trees_name_none() -> None:
    found = raised(verdicts_of(model_with("half_space_trees"), 300))
    assert len(found) > 5
    assert "ANO02" not in {reason["code"] for reasons in found for reason in reasons}


@pytest.mark.parametrize("kind", ["tail_log_probability", "half_space_trees"])
@pytest.mark.parametrize(("batch", "restart_at"), [(1, None), (7, 700), (64, 320), (100, 100), (1_200, None)])
def test_cuts_and_restarts_never_show(kind: DetectorKind, batch: int, restart_at: int | None) -> None:
    model = model_with(kind)
    assert verdicts_of(model, batch, restart_at) == verdicts_of(model, 333)
