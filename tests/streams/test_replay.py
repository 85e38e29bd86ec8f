"""A replay from anywhere gives the undisturbed bytes; another model, policy or feature set means what it says."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import orjson
import pytest

from features.catalogue import FEATURES
from features.columns import APPLICATION, LOGIN, PAYMENT
from features.errors import AssayError
from features.feature import FeatureSet
from features.store import MemoryStore
from models.decision import OUTCOMES, decide
from models.policy import Policy
from streams.log import LogRecord
from streams.log_range import PartitionRange
from streams.model_in_force import ModelInForce
from streams.partition import Partition
from streams.replay import replay
from streams.replay_changes import Override, import_feature_set, read_policy, with_policy
from streams.signature import everybody
from tests.streams.histories import ListHistory, machine_over
from tests.streams.logs import START_MS, mixed_log, model_marker, records
from tests.streams.replays import (
    StoredAt,
    decoded,
    folded,
    full_log,
    offset_of,
    replayed,
    small_model_over,
    undisturbed,
)
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small

HARSH = msgspec.structs.replace(
    Policy.default(),
    payment=msgspec.structs.replace(Policy.default().payment, chargeback_fee_minor=90_000, insult_minor=100),
)


def markers_of(log: Sequence[LogRecord]) -> list[int]:
    return [place for place, record in enumerate(log) if b'"marker"' in (record.value or b"")]


def test_the_log_of_these_tests_holds_what_it_should() -> None:
    """The comparisons below say something only if every case occurs."""
    partition = Partition(0, MemoryStore(), small_model(), open_small)
    output = partition.fold(full_log(), everybody)
    flags = {flag for verdict in undisturbed() for flag in decoded(verdict).flags}
    assert flags >= {"late", "degraded", "cold_start"}
    assert output.duplicates > 0
    assert output.refusals().keys() >= {"not_json", "conflict"}
    assert len(markers_of(full_log())) > 3
    assert {decoded(value).model for value in undisturbed()} == {small_model(seed).id[:16] for seed in (1, 2)}


@pytest.mark.parametrize("stored_at", [None, 400])
@pytest.mark.parametrize("start", [0, 1, 777, 1_050])
def test_a_replay_from_anywhere_gives_the_undisturbed_bytes(start: int, stored_at: int | None) -> None:
    snapshots = None if stored_at is None else StoredAt(full_log(), stored_at)
    found, summary = replayed(machine_over({0: full_log()}, snapshots), start)
    assert found == [value for value in undisturbed() if offset_of(value) >= start]
    assert summary.records == sum(record.offset >= start for record in full_log())
    assert summary.verdicts == len(found)


@pytest.mark.parametrize("batch", [1, 13, 5_000])
def test_how_the_log_is_cut_never_shows(batch: int) -> None:
    machine = replace(machine_over({}), history=ListHistory({0: full_log()[:600]}, batch))
    found, _ = replayed(machine, 300)
    assert found == [value for value in folded(full_log()[:600]) if offset_of(value) >= 300]


def test_the_end_of_a_range_is_not_part_of_it() -> None:
    found, _ = replayed(machine_over({0: full_log()}), 500, 900)
    assert found == [value for value in undisturbed() if 500 <= offset_of(value) < 900]


def test_every_partition_has_its_own_range() -> None:
    machine = machine_over({0: full_log()[:300], 1: full_log()[:200], 2: []})
    ranges = [PartitionRange(0, 0, 100), PartitionRange(1, 50, 200), PartitionRange(2, 0, 0)]
    seen: list[tuple[int, int, int | None]] = []
    summary = replay(machine, ranges, Override(), progress=lambda *step: seen.append(step))
    assert summary.records == sum(record.offset < 100 for record in full_log()) + sum(
        50 <= record.offset < 200 for record in full_log()[:200]
    )
    assert seen[-1][2] == 250
    assert seen[-1][1] <= 250


def test_a_log_that_begins_too_late_says_what_to_do() -> None:
    late = full_log()[500:]
    with pytest.raises(AssayError, match="--snapshots.*--archive"):
        replayed(machine_over({0: late}), 900)
    found, _ = replayed(machine_over({0: late}, StoredAt(full_log(), late[0].offset)), 900)
    assert found == [value for value in undisturbed() if offset_of(value) >= 900]


def test_another_model_holds_whatever_the_markers_say() -> None:
    """Oracle: the same log with every marker from there on naming that model, the first of them at the start."""
    log = list(full_log())
    places = markers_of(log)[2:]
    for place in places:
        log[place] = log[place]._replace(value=model_marker(place, small_model(2).id, START_MS))
    start = log[places[0]].offset
    expected = [value for value in folded(log) if offset_of(value) >= start]
    found, summary = replayed(machine_over({0: full_log()}), start, override=Override(small_model(2)))
    assert found == expected
    assert found != [value for value in undisturbed() if offset_of(value) >= start]
    assert summary.markers_passed_over == len(places)
    assert summary.fresh_detectors == ([0] if small_model(1).detector != small_model(2).detector else [])


def test_the_model_that_is_in_force_anyway_changes_nothing() -> None:
    log = records(mixed_log(600, seed=6))
    found, summary = replayed(machine_over({0: log}), 250, override=Override(small_model(1)))
    assert found == [value for value in folded(log) if offset_of(value) >= 250]
    assert summary.fresh_detectors == []


def test_the_policy_that_is_in_force_anyway_changes_nothing() -> None:
    found, summary = replayed(machine_over({0: full_log()}), 300, override=Override(policy=Policy.default()))
    assert found == [value for value in undisturbed() if offset_of(value) >= 300]
    assert summary.markers_passed_over == 0


def test_another_policy_decides_anew_under_every_model() -> None:
    start = 300
    found = [
        decoded(value) for value in replayed(machine_over({0: full_log()}), start, override=Override(None, HARSH))[0]
    ]
    before = [decoded(value) for value in undisturbed() if offset_of(value) >= start]
    same = ("event_id", "score", "anomaly", "model", "at", "flags")
    for verdict, former in zip(found, before, strict=True):
        assert [getattr(verdict, name) for name in same] == [getattr(former, name) for name in same]
        assert verdict.policy == HARSH.policy_id
    assert len({verdict.model for verdict in found}) == 2
    judged = {verdict.at.offset for verdict in found}
    events = {record.offset: orjson.loads(record.value or b"") for record in full_log() if record.offset in judged}
    kinds = {"payment": PAYMENT, "login": LOGIN, "application": APPLICATION}
    euros = [verdict for verdict in found if events[verdict.at.offset].get("currency", "EUR") == "EUR"]
    for verdict in euros:
        event = events[verdict.at.offset]
        amount = event.get("amount_minor", event.get("requested_minor", 0))
        anomaly = np.nan if verdict.anomaly is None else verdict.anomaly
        expected = decide(HARSH, np.array([verdict.score]), np.array([anomaly]), np.array([amount]),
                          np.array([kinds[event["type"]]], dtype=np.uint8))  # fmt: skip
        assert verdict.decision == OUTCOMES[expected.outcome[0]]
        assert verdict.expected_loss_minor == expected.expected_loss_minor[0]
    assert [verdict.decision for verdict in found] != [verdict.decision for verdict in before]


def test_a_policy_in_another_currency_is_refused() -> None:
    with pytest.raises(AssayError, match="EUR.*USD"):
        with_policy(small_model(), msgspec.structs.replace(Policy.default(), currency="USD"))


def test_a_policy_file_that_is_none_is_refused(tmp_path) -> None:
    with pytest.raises(AssayError, match=r"nowhere\.json"):
        read_policy(tmp_path / "nowhere.json")
    (tmp_path / "policy.json").write_bytes(b"\xff")
    with pytest.raises(AssayError, match="policy"):
        read_policy(tmp_path / "policy.json")


REORDERED = FeatureSet(
    version=99,
    features=(*reversed(FEATURES.of_accounts), *reversed(FEATURES.features[len(FEATURES.of_accounts) :])),
)


@pytest.fixture(scope="module")
def reordered_model(tmp_path_factory: pytest.TempPathFactory) -> ModelInForce:
    return small_model_over(REORDERED, tmp_path_factory.mktemp("models") / "reordered")


def test_another_feature_set_needs_no_other_state(reordered_model: ModelInForce) -> None:
    """Oracle: the fold that had it from the beginning; only its detector has seen more when the range begins."""
    log = records(mixed_log(700, seed=9))
    whole = folded(log, Partition(0, MemoryStore(), reordered_model, open_small))
    found, summary = replayed(machine_over({0: log}), override=Override(reordered_model))
    assert found == whole
    found, summary = replayed(machine_over({0: log}), 400, override=Override(reordered_model))
    expected = [decoded(value) for value in whole if offset_of(value) >= 400]
    assert [(verdict.at.offset, verdict.score) for verdict in map(decoded, found)] == [
        (verdict.at.offset, verdict.score) for verdict in expected
    ]
    assert summary.fresh_detectors == [0]


def test_a_model_of_another_feature_set_is_refused(reordered_model: ModelInForce) -> None:
    from streams.model_in_force import open_model

    with pytest.raises(AssayError, match="feature set"):
        open_model(reordered_model.artefact.directory)


def test_a_feature_set_is_found_in_the_current_directory(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_features.py").write_text(
        "from features.catalogue import FEATURES\n"
        "from features.feature import FeatureSet\n"
        "OWN = FeatureSet(version=7, features=FEATURES.features[:3])\n"
    )
    assert import_feature_set("own_features:OWN").version == 7
    for wrong in ("own_features:NONE", "own_features", "no_such_module:OWN", "own_features:FeatureSet", ":OWN"):
        with pytest.raises(AssayError, match="--feature-set"):
            import_feature_set(wrong)
