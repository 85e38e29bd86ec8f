"""The fold: one verdict per judged event, and the way the log is cut never shows."""

import ast
from pathlib import Path

import orjson
import pytest

from features.errors import AssayError
from features.links import flushes_of, joined
from features.money import Rates
from features.store import MemoryStore
from streams.log import Output
from streams.model_in_force import ModelInForce, open_model
from streams.partition import Partition
from streams.signature import everybody, nobody
from tests.streams.logs import MINUTE_MS, START_MS, label, mixed_log, model_marker, payment, records
from tests.streams.small_model import small_model, write_small_model


def open_small(model_id: str) -> ModelInForce:
    for seed in (1, 2):
        if small_model(seed).id == model_id:
            return small_model(seed)
    raise AssayError(f"model {model_id}: there is none")


def new_partition(**settings: int) -> Partition:
    return Partition(3, MemoryStore(), small_model(), open_small, **settings)


def fold(partition: Partition, log: list[bytes], batch: int) -> list[Output]:
    all_records = records(log)
    return [
        partition.fold(all_records[start : start + batch], everybody) for start in range(0, len(all_records), batch)
    ]


def flushes_of_all(outputs: list[Output]) -> list[list[object]]:
    """Every table of what they say of entities; which batch says what may differ."""
    parts = [flushes_of(value)[1] for output in outputs for value in output.links]
    return [table.tolist() for table in joined(parts)]


def published(outputs: list[Output]) -> tuple[list[bytes], list[bytes], list[list[object]], list[tuple[str, str]]]:
    return (
        [record.value for output in outputs for record in output.verdicts],
        [record.value for output in outputs for record in output.outcomes],
        flushes_of_all(outputs),
        [(item.error.code, item.error.path) for output in outputs for item in output.set_aside],
    )


def full_log() -> list[bytes]:
    return mixed_log(2_500, seed=5, model_ids=(small_model(2).id, small_model(1).id, "f" * 64))


@pytest.mark.parametrize("batch", [1, 7, 100, 999])
def test_how_the_log_is_cut_never_shows(batch: int) -> None:
    log = full_log()
    whole = published(fold(new_partition(), log, len(log)))
    assert published(fold(new_partition(), log, batch)) == whole


def test_the_log_of_these_tests_holds_what_it_should() -> None:
    """The comparison above says something only if every case occurs."""
    partition = new_partition()
    outputs = fold(partition, full_log(), 500)
    verdicts = [orjson.loads(record.value) for output in outputs for record in output.verdicts]
    outcomes = [orjson.loads(record.value) for output in outputs for record in output.outcomes]
    assert {verdict["decision"] for verdict in verdicts} >= {"approve", "step_up", "review"}
    flags = {flag for verdict in verdicts for flag in verdict["flags"]}
    assert flags >= {"cold_start", "late", "approximate", "degraded"}
    assert {verdict["model"] for verdict in verdicts} == {small_model(1).id[:16], small_model(2).id[:16]}
    assert any(verdict["anomaly"] is None for verdict in verdicts)
    assert any(verdict["anomaly"] is not None for verdict in verdicts)
    codes = {item.error.code for output in outputs for item in output.set_aside}
    assert codes >= {"not_json", "missing_field", "conflict"}
    assert sum(output.duplicates for output in outputs) > 0
    assert any(outcome["judged"] is None for outcome in outcomes)
    assert any(outcome["judged"] is not None for outcome in outcomes)
    assert all(flushes_of_all(outputs))
    assert any(len(partition.engine.accounts.history(f"a{number}")) >= 256 for number in range(12))


def test_each_judged_event_gets_one_verdict() -> None:
    log = mixed_log(800, seed=8)
    outputs = fold(new_partition(), log, 50)
    verdicts = [orjson.loads(record.value)["event_id"] for output in outputs for record in output.verdicts]
    refused = {
        records(log)[place].value
        for output, base in zip(outputs, range(0, 800, 50), strict=True)
        for place in [base + item.place for item in output.set_aside]
    }
    expected = []
    for value in log:
        if value in refused:
            continue
        event = orjson.loads(value)
        if event["type"] in ("payment", "login", "application") and event["event_id"] not in expected:
            expected.append(event["event_id"])
    assert verdicts == expected


def test_a_verdict_has_the_fields_of_the_contract_in_their_order() -> None:
    output = fold(new_partition(), [payment(1, "a1", START_MS)], 1)[0]
    assert list(orjson.loads(output.verdicts[0].value)) == [
        "event_id", "account_id", "time_ms", "decision", "score", "anomaly", "expected_loss_minor", "reasons", "model",
        "policy", "at", "flags", "schema",
    ]  # fmt: skip
    verdict = orjson.loads(output.verdicts[0].value)
    assert verdict["at"]["partition"] == 3
    assert verdict["at"]["offset"] == 0
    assert verdict["flags"] == ["cold_start"]
    assert output.verdicts[0].key == b"a1"


def test_a_duplicate_is_counted_and_a_conflict_is_set_aside() -> None:
    log = [
        payment(1, "a1", START_MS),
        payment(1, "a1", START_MS),
        payment(1, "a1", START_MS, amount_minor=9),
        payment(2, "a1", START_MS + 1),
    ]
    output = fold(new_partition(), log, 4)[0]
    assert [orjson.loads(record.value)["event_id"] for record in output.verdicts] == ["p1", "p2"]
    assert output.duplicates == 1
    assert [(item.place, item.error.code) for item in output.set_aside] == [(2, "conflict")]


@pytest.mark.parametrize("batch", [1, 3])
def test_a_label_is_joined_with_the_verdict_it_judges(batch: int) -> None:
    log = [
        payment(1, "a1", START_MS),
        payment(2, "a1", START_MS + MINUTE_MS, amount_minor=99_000),
        label(3, "p2", "a1", START_MS + 2 * MINUTE_MS),
    ]
    outputs = fold(new_partition(), log, batch)
    verdict = orjson.loads([record.value for output in outputs for record in output.verdicts][1])
    outcome = orjson.loads(outputs[-1].outcomes[0].value)
    assert outcome["judged"]["decision"] == verdict["decision"]
    assert outcome["judged"]["score"] == verdict["score"]
    assert outcome["judged"]["offset"] == verdict["at"]["offset"]
    assert outcome["features"]["account_payment_count_1h"] == 1.0
    assert outcome["features"]["account_amount_minor"] == 99_000.0
    assert outcome["flags"] == []


def test_an_outcome_carries_the_features_that_the_event_was_judged_by() -> None:
    """Recomputed from the history, as of the event's own arrival, after more events have come."""
    log = mixed_log(400, seed=9, accounts=3)
    partition = new_partition(keep_features=True)
    outputs = fold(partition, log, 37)
    served = {
        event_id: segment.features[row]
        for output in outputs
        for segment in output.judged
        for row, event_id in enumerate(segment.event_ids)
    }
    names = [feature.name for feature in partition.engine.model.feature_set.of_accounts]
    compared = 0
    for output in outputs:
        for record in output.outcomes:
            outcome = orjson.loads(record.value)
            if outcome["judged"] is None or outcome["judged_event_id"] not in served or outcome["flags"]:
                continue
            compared += 1
            values = served[outcome["judged_event_id"]].tolist()[: len(names)]
            assert [outcome["features"][name] for name in names] == [None if v != v else v for v in values]
    assert compared > 5


def test_a_model_marker_takes_effect_at_its_record() -> None:
    log = [payment(1, "a1", START_MS), model_marker(2, small_model(2).id, START_MS), payment(3, "a1", START_MS + 5)]
    output = fold(new_partition(), log, 3)[0]
    assert [orjson.loads(record.value)["model"] for record in output.verdicts] == [
        small_model(1).id[:16],
        small_model(2).id[:16],
    ]


def test_a_model_that_cannot_be_opened_degrades_loudly() -> None:
    log = [
        model_marker(1, "0" * 64, START_MS),
        payment(2, "a1", START_MS),
        model_marker(3, small_model(2).id, START_MS),
        payment(4, "a1", START_MS + 1),
    ]
    output = fold(new_partition(), log, 4)[0]
    verdicts = [orjson.loads(record.value) for record in output.verdicts]
    assert output.refused_models == ["0" * 64]
    assert "degraded" in verdicts[0]["flags"]
    assert verdicts[0]["model"] == small_model(1).id[:16]
    assert "degraded" not in verdicts[1]["flags"]


def test_a_model_in_another_currency_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Amounts of the accounts' past would be read as another currency."""
    rates = Rates.from_json({"base": "USD", "as_of": "2026-01-02", "source": "test", "rates": {"EUR": "0.9"}})
    write_small_model(tmp_path / "dollars", rates=rates)
    dollars = open_model(tmp_path / "dollars")
    partition = Partition(3, MemoryStore(), small_model(), lambda _: dollars)
    log = [model_marker(1, dollars.id, START_MS), payment(2, "a1", START_MS)]
    verdict = orjson.loads(fold(partition, log, 2)[0].verdicts[0].value)
    assert verdict["model"] == small_model().id[:16]
    assert verdict["flags"] == ["cold_start", "degraded"]
    assert "USD" in caplog.text


def test_labels_and_markers_from_strangers_are_set_aside() -> None:
    log = [payment(1, "a1", START_MS), label(2, "p1", "a1", START_MS), model_marker(3, small_model(2).id, START_MS)]
    output = new_partition().fold(records(log), nobody)
    assert [item.error.code for item in output.set_aside] == ["not_authorized", "not_authorized"]
    assert output.outcomes == []


def test_everything_but_approve_has_reasons() -> None:
    outputs = fold(new_partition(), full_log(), 200)
    for output in outputs:
        for record in output.verdicts:
            verdict = orjson.loads(record.value)
            assert bool(verdict["reasons"]) == (verdict["decision"] != "approve")


def test_the_fold_touches_no_clock_disk_or_network() -> None:
    for name in ("engine", "scores", "intake", "flags", "log"):
        source = ast.parse(Path("streams", f"{name}.py").read_text())
        imported = {
            alias.name.split(".")[0]
            for node in ast.walk(source)
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {node.module.split(".")[0] for node in ast.walk(source) if isinstance(node, ast.ImportFrom) and node.module}
        assert not imported & {"time", "datetime", "random", "os", "pathlib", "socket", "confluent_kafka", "rocksdict"}
