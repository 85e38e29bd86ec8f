"""`assay train`: files in, a model directory out, and each thing that can be wrong with a file."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pyarrow
import pytest
import typer
from pyarrow import parquet
from typer.testing import CliRunner

from features.catalogue import FEATURES
from features.errors import AssayError
from features.events import LabelIntake, as_log_record
from features.money import Rates
from models.artefact import load_artefact, read_artefact
from models.detector import DetectorSpec
from models.policy import Policy
from models.scorer import Scorer
from streams.commands.train import train
from streams.log import JudgedFeatures
from streams.sinks import FeatureSink
from streams.train import TrainRequest, train_files
from streams.training_rows import read_rows
from tests.models.labelled import START_MS, labelled_rows

ROWS = labelled_rows(4_000)
DAY_MS = 86_400_000
END_MS = int(ROWS.time_ms.max())


def write_features(path, rows=ROWS, feature_set=FEATURES):
    """As `assay score --features` does."""
    n = len(rows.labels)
    sink = FeatureSink(path, feature_set)
    sink.write(
        [
            JudgedFeatures(
                [f"e{row}" for row in range(n)],
                ["a1"] * n,
                rows.time_ms,
                rows.kind,
                rows.amount_minor,
                rows.features,
            )
        ]
    )
    sink.close()
    return path


def fraud(row, **changes):
    fields = {
        "judged_event_id": f"e{row}",
        "account_id": "a1",
        "label": "fraud",
        "known_at_ms": int(ROWS.time_ms[row]) + 1,
        "source": "chargeback",
        "fraud_type": "scam" if row % 2 else "card_testing",
        **changes,
    }
    return LabelIntake(**fields)


FRAUDS = [fraud(row) for row in np.flatnonzero(ROWS.labels).tolist()]


def write_labels(path, labels=FRAUDS):
    path.write_bytes(b"".join(msgspec.json.encode(label) + b"\n" for label in labels))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    directory = tmp_path_factory.mktemp("files")
    return write_features(directory / "features.parquet"), write_labels(directory / "labels.jsonl")


def model_of(tmp_path, files, part="one", **changes):
    """Id of the model; its directory has the same name each time, because the name is part of the model."""
    features, labels = files
    request = TrainRequest(**{"features": features, "labels": labels, "out": tmp_path / part / "model", **changes})
    return train_files(request)


def run(*arguments):
    app = typer.Typer()
    app.command()(train)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "120"})


def test_a_model_is_trained_told_and_ready_to_load(tmp_path, files):
    out = tmp_path / "model"
    result = run("--features", files[0], "--labels", files[1], "--out", out)
    assert result.exit_code == 0, result.output
    artefact = load_artefact(out, FEATURES)
    for text in (
        "average precision",
        "recall at 0.1% false positives",
        "calibration error",
        "caught: scam",
        "caught: card_testing",
        "savings against approving everything",
        artefact.id[:16],
        f"next: assay score EVENTS.jsonl --model {out} --out VERDICTS.jsonl",
    ):
        assert text in result.output
    trained = artefact.manifest.trained
    assert trained.event_count == int(4_000 * 0.7) + 600
    assert trained.metrics["average_precision"] > 3 * trained.fraud_count / trained.event_count
    assert artefact.policy == Policy.default()
    score = Scorer(artefact).score(ROWS.features)
    assert score[ROWS.labels == 1].mean() > 3 * score[ROWS.labels == 0].mean()


def test_a_label_judges_the_event_of_its_own_account(tmp_path, files):
    """Event ids are unique within an account; a stranger's event may have the same."""
    honest = np.flatnonzero(ROWS.labels == 0).tolist()
    labels = write_labels(tmp_path / "labels.jsonl", [*FRAUDS, *(fraud(row, account_id="a2") for row in honest)])
    result = model_of(tmp_path, (files[0], labels), "with")
    assert result.model == model_of(tmp_path, files, "without").model
    assert result.labels_without_event == len(honest)


def test_json_tells_the_same(tmp_path, files):
    out = tmp_path / "model"
    result = run("--features", files[0], "--labels", files[1], "--out", out, "--json")
    told = json.loads(result.stdout)
    assert told["model"] == read_artefact(out).id
    assert told["directory"] == str(out)
    assert told["policy"] == read_artefact(out).policy_id
    assert told["events"] == 4_000
    assert told["labels_without_event"] == 0
    assert told["report"]["events"] == 600
    assert told["report"]["frauds"] == int(ROWS.labels[np.argsort(ROWS.time_ms, kind="stable")[-600:]].sum())
    assert told["next"].startswith("assay score")


def test_the_same_files_give_the_same_model(tmp_path, files):
    first = model_of(tmp_path, files, "one")
    assert model_of(tmp_path, files, "two").model == first.model
    assert model_of(tmp_path, files, "three", threads=2).model == first.model
    assert model_of(tmp_path, files, "four", seed=1).model != first.model


def test_labels_as_records_of_the_log_are_the_same_labels(tmp_path, files):
    records = write_labels(tmp_path / "log.jsonl", [as_log_record(label) for label in FRAUDS])
    assert model_of(tmp_path, files, "one", labels=records).model == model_of(tmp_path, files, "two").model


def test_until_hides_later_events_and_later_labels(tmp_path, files):
    """Training until a moment is training on files that end there."""
    until_ms = START_MS + 3_200 * 60_000
    late = [fraud(row, known_at_ms=until_ms + 1) for row in range(100)]
    known = [label for label in FRAUDS if label.known_at_ms <= until_ms]
    past = ROWS.time_ms <= until_ms
    cut = tmp_path / "cut.parquet"
    parquet.write_table(parquet.read_table(files[0]).filter(pyarrow.array(past)), cut)
    whole = model_of(
        tmp_path, files, "whole", until_ms=until_ms, labels=write_labels(tmp_path / "all.jsonl", FRAUDS + late)
    )
    truncated = model_of(tmp_path, files, "cut", features=cut, labels=write_labels(tmp_path / "known.jsonl", known))
    assert whole.model == truncated.model
    assert whole.events == past.sum()
    shown = run(
        "--features", files[0], "--labels", tmp_path / "all.jsonl", "--out", tmp_path / "cli" / "model",
        "--until", str(until_ms), "--json",
    )  # fmt: skip
    assert json.loads(shown.stdout)["model"] == whole.model


def test_a_reversal_makes_an_event_legitimate_again(tmp_path, files):
    taken_back = FRAUDS[::3]
    reversals = [
        fraud(int(label.judged_event_id[1:]), label="legit", known_at_ms=label.known_at_ms + 1, source="reversal")
        for label in taken_back
    ]
    with_reversals = write_labels(tmp_path / "reversed.jsonl", reversals + FRAUDS)
    never = [label for label in FRAUDS if label not in taken_back]
    legit = [msgspec.structs.replace(label, label="legit") for label in taken_back]
    assert (
        model_of(tmp_path, files, "one", labels=with_reversals).model
        == model_of(tmp_path, files, "two", labels=write_labels(tmp_path / "never.jsonl", never + legit)).model
    )


def test_young_events_can_be_left_out(tmp_path, files):
    mature_ms = 10 * 3_600_000
    result = model_of(tmp_path, files, mature_ms=mature_ms)
    assert result.events == (ROWS.time_ms <= END_MS - mature_ms).sum() < 4_000
    until_ms = END_MS + 5 * 3_600_000
    later = model_of(tmp_path, files, "later", mature_ms=mature_ms, until_ms=until_ms)
    assert result.events < later.events == (ROWS.time_ms <= until_ms - mature_ms).sum() < 4_000


def test_policy_and_rates_are_part_of_the_model(tmp_path, files):
    policy = msgspec.structs.replace(Policy.default(), anomaly_step_up_at=0.9, currency="USD")
    (tmp_path / "policy.json").write_bytes(policy.to_json())
    rates = Rates(base="USD", as_of="2025-01-01", source="test", rates={"EUR": "0.9"})
    (tmp_path / "rates.json").write_text(json.dumps(rates.to_json()))
    result = model_of(tmp_path, files, policy=tmp_path / "policy.json", rates=tmp_path / "rates.json")
    artefact = read_artefact(result.directory)
    assert artefact.policy == policy
    assert result.policy == artefact.policy_id
    assert artefact.policy_id[:16] == policy.policy_id
    assert artefact.rates == rates


def test_labels_that_judge_nothing_are_counted(tmp_path, files):
    labels = write_labels(tmp_path / "more.jsonl", [*FRAUDS, fraud(0, judged_event_id="elsewhere")])
    assert model_of(tmp_path, files, labels=labels).labels_without_event == 1


def test_rows_are_read_as_they_were_served(files):
    rows = read_rows(files[0])
    assert rows.features.tobytes() == ROWS.features.tobytes()
    assert rows.time_ms.tobytes() == ROWS.time_ms.tobytes()
    assert rows.kind.tobytes() == ROWS.kind.tobytes()
    assert rows.amount_minor.tobytes() == ROWS.amount_minor.tobytes()
    assert [event.event_id for event in rows.events] == [f"e{row}" for row in range(4_000)]


def column_removed(path):
    table = parquet.read_table(path)
    parquet.write_table(table.drop_columns(["account_device_is_new"]), path)


def column_of_another_type(path):
    table = parquet.read_table(path)
    place = table.schema.get_field_index("time_ms")
    parquet.write_table(table.set_column(place, "time_ms", table["time_ms"].cast(pyarrow.float64())), path)


def another_feature_set(path):
    table = parquet.read_table(path)
    parquet.write_table(table.replace_schema_metadata({"assay-feature-set": "f" * 64}), path)


def not_parquet(path):
    path.write_bytes(b"event_id,time_ms\n")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (column_removed, "expected a column account_device_is_new, there is none"),
        (column_of_another_type, "expected column time_ms as int64, got double"),
        (another_feature_set, "expected rows of the feature set in force"),
        (not_parquet, "expected feature rows in Parquet"),
        (Path.unlink, "expected feature rows in Parquet"),
    ],
)
def test_a_fault_of_the_feature_rows_is_told(tmp_path, files, damage, told):
    path = write_features(tmp_path / "features.parquet")
    damage(path)
    with pytest.raises(AssayError, match=told) as failure:
        model_of(tmp_path, files, features=path)
    assert str(path) in str(failure.value)
    assert "\n" not in str(failure.value)
    assert not (tmp_path / "one").exists()


def test_a_line_that_is_no_label_is_named_and_not_repeated(tmp_path, files):
    path = write_labels(tmp_path / "labels.jsonl", FRAUDS[:2])
    path.write_bytes(path.read_bytes() + b'{"judged_event_id":"secret","account_id":"a1","label":"stolen"}\n')
    with pytest.raises(AssayError, match="record 3: expected a label") as failure:
        model_of(tmp_path, files, labels=path)
    assert "secret" not in str(failure.value)


def test_labels_of_another_log_are_refused(tmp_path, files):
    path = write_labels(tmp_path / "labels.jsonl", [fraud(0, judged_event_id="elsewhere")])
    with pytest.raises(AssayError, match="none of 1 known labels does for 4000 events"):
        model_of(tmp_path, files, labels=path)


def test_too_few_frauds_are_refused_with_what_to_do(tmp_path, files):
    path = write_labels(tmp_path / "labels.jsonl", FRAUDS[:30])
    with pytest.raises(AssayError, match=r"expected 10 frauds .* train on a longer time or with more labels"):
        model_of(tmp_path, files, labels=path)


def test_a_model_is_never_written_over_another(tmp_path, files):
    (tmp_path / "one" / "model").mkdir(parents=True)
    with pytest.raises(AssayError, match="exists: choose another directory"):
        model_of(tmp_path, files)


@pytest.mark.parametrize(
    ("option", "content", "told"),
    [
        ("policy", b"{}", "is not a policy"),
        ("policy", None, "expected a policy: No such file"),
        (
            "policy",
            msgspec.structs.replace(Policy.default(), currency="USD").to_json(),
            "policy in USD and rates to EUR",
        ),
        ("rates", b"{", "expected exchange rates as JSON"),
        ("rates", b"[]", "expected exchange rates as a JSON object"),
        ("rates", b"{}", "add "),
        ("rates", None, "expected exchange rates: No such file"),
    ],
)
def test_a_fault_of_policy_or_rates_is_told_before_training(tmp_path, files, option, content, told):
    path = tmp_path / f"{option}.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AssayError, match=told):
        model_of(tmp_path, files, **{option: path})


@pytest.mark.parametrize("until", ["yesterday", "2025-13-01", "-5"])
def test_a_time_that_is_none_is_wrong_usage(tmp_path, files, until):
    result = run("--features", files[0], "--labels", files[1], "--out", tmp_path / "model", "--until", until)
    assert result.exit_code == 2
    assert "ISO 8601" in result.output


def test_help_says_what_it_needs():
    result = run("--help")
    assert result.exit_code == 0
    for option in ("--features", "--labels", "--out", "--until", "--policy", "--rates", "--seed", "--json"):
        assert option in result.output


def test_another_detector_of_river_can_be_named(tmp_path, files):
    detector = tmp_path / "detector.json"
    detector.write_text(
        '{"kind":"river","detector":"river.anomaly.OneClassSVM","arguments":{"nu":0.2},"warm_up_rows":20}'
    )
    result = model_of(tmp_path, files, detector=detector)
    spec = load_artefact(result.directory, FEATURES).manifest.detector
    assert (spec.kind, spec.detector, spec.arguments) == ("river", "river.anomaly.OneClassSVM", {"nu": 0.2})
    assert spec.names == load_artefact(model_of(tmp_path, files, "two").directory, FEATURES).manifest.detector.names


def test_the_kind_of_detector_can_be_named(tmp_path, files):
    usual = load_artefact(model_of(tmp_path, files).directory, FEATURES).manifest.detector
    named = load_artefact(
        model_of(tmp_path, files, "two", detector=Path("tail_log_probability")).directory, FEATURES
    ).manifest.detector
    assert named == DetectorSpec(
        kind="tail_log_probability", names=usual.names, limits=usual.limits, seed=usual.seed
    ), "what was chosen for trees is not kept"
    same = load_artefact(
        model_of(tmp_path, files, "three", detector=Path("half_space_trees")).directory, FEATURES
    ).manifest.detector
    assert same == usual


def test_fields_of_a_kind_can_be_changed(tmp_path, files):
    detector = tmp_path / "detector.json"
    detector.write_text('{"kind":"tail_log_probability","bins":32}')
    spec = load_artefact(model_of(tmp_path, files, detector=detector).directory, FEATURES).manifest.detector
    assert (spec.kind, spec.bins, spec.window_size) == ("tail_log_probability", 32, 1_000)
    detector.write_text('{"window_size":500}')
    spec = load_artefact(model_of(tmp_path, files, "two", detector=detector).directory, FEATURES).manifest.detector
    assert (spec.kind, spec.n_trees, spec.window_size) == ("half_space_trees", 50, 500)


def test_a_detector_that_is_neither_a_kind_nor_a_file_is_one_line(tmp_path, files):
    with pytest.raises(AssayError, match="expected one of half_space_trees, tail_log_probability, river, or a detect"):
        model_of(tmp_path, files, detector=Path("tails"))


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "truncated"), ('{"trees":3}', "trees"), ('{"kind":"river","detector":"os.system"}', "os.system")],
)
def test_a_detector_that_does_not_fit_is_one_line(tmp_path, files, content, said):
    detector = tmp_path / "detector.json"
    detector.write_text(content)
    with pytest.raises(AssayError, match=said) as refused:
        model_of(tmp_path, files, detector=detector)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "one" / "model").exists()
