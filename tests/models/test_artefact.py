import json
import re
from pathlib import Path

import numpy as np
import pytest

from features.errors import AssayError
from features.money import Rates
from models.artefact import load_artefact, read_artefact, write_artefact
from models.attribution import reached_leaves
from models.calibration import Calibration
from models.detector import DetectorSpec
from models.golden import Golden
from models.manifest import FILES, MANIFEST
from models.trees import Trees
from tests.models.artefacts import FEATURE_SET, FEATURES, POLICY, SomeFeatures, make, reference, reseal, trained
from tests.models.random_models import random_rows, train


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def directory(tmp_path):
    make(tmp_path / "models" / "one")
    return tmp_path / "models" / "one"


def content(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def refusal(directory, feature_set=FEATURE_SET):
    with pytest.raises(AssayError) as raised:
        load_artefact(directory, feature_set)
    assert "\n" not in str(raised.value)
    assert not re.search(r"\b(unable|bad|illegal|unknown)\b", str(raised.value).lower())
    return str(raised.value)


def test_what_was_written_is_read(tmp_path):
    policy = POLICY
    written = make(tmp_path / "m", policy=policy)
    read = load_artefact(tmp_path / "m", FEATURE_SET)
    assert read.id == written.id
    assert (read.policy, read.rates) == (policy, Rates.default())
    assert read.manifest.calibration == Calibration(kind="platt", low_slope=1.25, high_slope=1.25, intercept=-0.5)
    assert read.manifest.detector == DetectorSpec(names=FEATURE_SET.names[:2], limits=((0.0, 1.0), (0.0, 40.0)))
    assert read.manifest.feature_set.names == FEATURE_SET.names
    assert read.manifest.baselines[:4] == (0.0, None, None, 0.0)
    assert np.array_equal(read.baselines[:4], [0.0, np.nan, np.nan, 0.0], equal_nan=True)
    assert read.manifest.trained.metrics == {"average_precision": 0.5, "auc": 0.9}
    assert read.reference == reference()
    assert isinstance(read.trees, Trees)


def test_the_same_inputs_give_the_same_bytes_anywhere(tmp_path):
    first = make(tmp_path / "a")
    second = make(tmp_path / "b" / "deeper" / "c")
    assert content(tmp_path / "a") == content(tmp_path / "b" / "deeper" / "c")
    assert (first.id, first.policy_id) == (second.id, second.policy_id)


def test_whole_and_decimal_numbers_of_one_value_are_one_model(tmp_path):
    whole = make(tmp_path / "a", baselines=[0] * FEATURES, trained=trained(metrics={"auc": 1}))
    decimal = make(tmp_path / "b", baselines=[0.0] * FEATURES, trained=trained(metrics={"auc": np.float32(1)}))
    assert whole.id == decimal.id


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2},
        {"name": "other"},
        {"rates": Rates(base="EUR", as_of="2026-01-01", source="test", rates={"USD": "1.1"})},
        {"baselines": [None] * FEATURES},
        {"calibration": Calibration(kind="none")},
        {"detector": DetectorSpec(names=FEATURE_SET.names[:1], limits=((0.0, 1.0),))},
        {"reference": reference(seed=2)},
        {"trained": trained(seed=7)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_part_is_another_model(tmp_path, change):
    assert make(tmp_path / "a").id != make(tmp_path / "b", **change).id


def test_the_policy_has_an_id_of_its_own(tmp_path):
    first, second = make(tmp_path / "a"), make(tmp_path / "b", seed=2)
    assert first.policy_id == second.policy_id
    assert first.policy_id.startswith(POLICY.policy_id)


def test_nothing_is_left_beside_a_written_model(directory):
    assert [path.name for path in directory.parent.iterdir()] == ["one"]
    assert sorted(content(directory)) == sorted([*FILES, MANIFEST])


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(AssayError, match=r"models/one: the model was not written: .*No space left"):
        make(tmp_path / "models" / "one")
    assert list((tmp_path / "models").iterdir()) == []


def test_an_existing_directory_is_never_written_over(directory):
    before = content(directory)
    with pytest.raises(AssayError, match="exists: choose another"):
        make(directory, seed=2)
    assert content(directory) == before


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_a_missing_file_is_named(directory, name):
    (directory / name).unlink()
    message = refusal(directory)
    assert str(directory / name) in message
    assert "No such file" in message


def test_a_missing_directory_is_named(tmp_path):
    assert str(tmp_path / "nowhere") in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b" ", lambda data: b"\x00" + data[1:]])
def test_a_changed_byte_of_a_file_is_found_before_it_is_parsed(directory, name, damage):
    (directory / name).write_bytes(damage((directory / name).read_bytes()))
    message = refusal(directory)
    assert f"{directory / name}: expected sha256 " in message


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (b"{", b"", "manifest"),
        (b'"schema":1', b'"schema":2', "$.schema"),
        (b'"kind":"assay-model"', b'"kind":"other"', "$.kind"),
        (b'"name":"test"', b'"name":"test","more":1', "no manifest has a field named `more`"),
        (b'"name":"test"', b'"name":"\xff"', "manifest"),
        (b'"name":"test"', b'"name":""', "$.name"),
        (b'"auc":0.9', b'"auc":null', "$.trained.metrics"),
        (b'"model.txt":', b'"../model.txt":', "expected files to name golden.json, model.txt"),
        (b'"baselines":[0.0,', b'"baselines":[', "expected 9 baselines, got 8"),
        (b'"names":["account_thing_0"', b'"names":["another"', "read features of the set, got another"),
        (b'"limits":[[0.0,', b'"limits":[[2.0,', "limits of account_thing_0"),
        (b'"kind":"platt"', b'"kind":"isotonic"', "$.calibration.kind"),
    ],
)
def test_a_manifest_of_another_shape_is_refused_with_the_place(directory, old, new, what):
    before = (directory / MANIFEST).read_bytes()
    assert old in before
    (directory / MANIFEST).write_bytes(before.replace(old, new, 1))
    assert what in refusal(directory)


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("policy.json", b"{}", "policy.json is not a policy"),
        ("policy.json", b'{"schema":"\xff"}', "policy.json"),
        ("policy.json", b"[" * 100_000, "policy.json"),
        ("rates.json", b"{", "expected JSON"),
        ("rates.json", b"[" * 100_000, "expected JSON"),
        ("rates.json", b"[]", "expected an object"),
        ("rates.json", b"{}", "rates.json: rates: expected the members"),
        ("golden.json", b"{}", "golden.json: expected hexadecimal numbers"),
        ("golden.json", b'{"rows":[],"scores":[]}', "expected one finite score for each row"),
        ("golden.json", b'{"rows":[["0x1p0"],["0x1p0","0x1p0"]],"scores":["0x1p0","0x1p0"]}', "rows of one length"),
        ("golden.json", b'{"rows":[["0x1p0"]],"scores":["0x1p0"]}', "expected rows of 9 features, got 1"),
        ("golden.json", b'{"rows":[["0x1p0"]],"scores":["nan"]}', "expected one finite score"),
        ("golden.json", b'{"rows":[["one"]],"scores":["0x1p0"]}', "expected hexadecimal numbers"),
        ("reference.json", b"{}", "reference.json is not a model's reference: Object missing required field"),
        ("reference.json", b"[" * 100_000, "reference.json is not a model's reference"),
        ("reference.json", b"\xff", "reference.json is not a model's reference"),
        ("reference.json", reference(rows=0).to_json(), "expected what was counted over some rows, got none"),
        ("model.txt", b"", "expected the columns of the feature set"),
        ("model.txt", b"\xff", "expected UTF-8 text"),
    ],
)
def test_a_file_with_the_right_hash_and_another_content_is_refused_by_name(directory, name, data, what):
    (directory / name).write_bytes(data)
    reseal(directory)
    message = refusal(directory)
    assert what in message
    assert str(directory / name) in message


NAMES = FEATURE_SET.names


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("other", *NAMES[1:]), "feature 0 to be account_thing_0, got other"),
        ((*NAMES[:4], NAMES[5], NAMES[4], *NAMES[6:]), "feature 4 to be account_thing_4, got account_thing_5"),
        (NAMES[:-1], "feature 8 to be account_thing_8, got none"),
        ((*NAMES, "further"), "feature 9 to be none, got further"),
    ],
    ids=["another feature", "another order", "one too few", "one too many"],
)
def test_the_reference_of_another_model_is_refused_with_the_first_feature_that_differs(directory, names, said):
    (directory / "reference.json").write_bytes(reference(names).to_json())
    reseal(directory)
    message = refusal(directory)
    assert message.startswith(f"{directory / 'reference.json'}: ")
    assert f"expected the features of the manifest in its order, {said}" in message


@pytest.mark.parametrize("fault", ["missing", "damaged", "foreign"])
def test_the_reference_is_refused_before_the_trees_are_parsed(directory, fault):
    (directory / "model.txt").write_bytes(b"\xff")
    reseal(directory)
    assert "model.txt" in refusal(directory), "a sound reference lets the trees have their turn"
    path = directory / "reference.json"
    if fault == "missing":
        path.unlink()
    elif fault == "damaged":
        path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    else:
        path.write_bytes(reference(NAMES[::-1]).to_json())
        reseal(directory)
    assert str(path) in refusal(directory)


def test_a_model_from_before_there_was_a_reference_is_refused_with_what_to_do(directory):
    manifest = json.loads((directory / MANIFEST).read_bytes())
    del manifest["files"]["reference.json"]
    (directory / MANIFEST).write_text(json.dumps(manifest))
    (directory / "reference.json").unlink()
    message = refusal(directory)
    assert f"expected files to name {', '.join(FILES)}, got" in message
    assert "train anew" in message


@pytest.mark.parametrize("wrong", [reference(NAMES[::-1]), reference(rows=0)], ids=["another order", "no rows"])
def test_a_reference_that_would_not_be_read_back_is_not_written(tmp_path, wrong):
    with pytest.raises(AssayError, match=r"reference\.json: expected"):
        make(tmp_path / "m", reference=wrong)
    assert list(tmp_path.iterdir()) == []


def test_another_feature_set_is_named_with_both_hashes_and_the_difference(directory):
    other = SomeFeatures(names=("first", *FEATURE_SET.names[1:-1], "last", "further"), version=2)
    message = refusal(directory, other)
    assert FEATURE_SET.hash[:16] in message
    assert other.hash[:16] in message
    assert "only the model has account_thing_0, account_thing_8" in message
    assert "the model lacks first, last, further" in message
    assert "assay train" in message


def test_another_order_and_another_definition_are_told_apart(directory):
    assert "another order" in refusal(directory, SomeFeatures(names=FEATURE_SET.names[::-1]))
    assert "a definition changed" in refusal(directory, SomeFeatures(version=2))


def test_many_differences_are_cut_short(directory):
    message = refusal(directory, SomeFeatures(names=tuple(f"new_{number}" for number in range(100))))
    assert "new_4 and 95 more" in message
    assert "account_thing_4 and 4 more" in message


def test_a_model_trained_on_columns_without_names_or_in_another_order_is_not_written(tmp_path):
    nameless = train(1, features=FEATURES).model_to_string()
    with pytest.raises(AssayError, match=r"only the model has Column_0.*feature_name"):
        make(tmp_path / "m", model_text=nameless)
    reversed_columns = train(1, features=FEATURES, names=FEATURE_SET.names[::-1]).model_to_string()
    with pytest.raises(AssayError, match="another order"):
        make(tmp_path / "m", model_text=reversed_columns)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [{"baselines": [0.0]}, {"name": ""}, {"trained": trained(metrics={"auc": float("nan")})}],
    ids=["baselines", "name", "metric"],
)
def test_what_would_not_be_read_back_is_not_written(tmp_path, change):
    with pytest.raises(AssayError, match=r"manifest\.json"):
        make(tmp_path / "m", **change)
    assert list(tmp_path.iterdir()) == []


def test_golden_rows_survive_their_file_bit_for_bit(directory):
    golden = read_artefact(directory).golden
    again = Golden.from_json(golden.to_json(), "golden.json")
    assert again.rows.tobytes() == golden.rows.tobytes()
    assert again.scores.tobytes() == golden.scores.tobytes()


def test_golden_rows_reach_more_leaves_than_the_first_rows_and_one_misses_everything(directory):
    artefact = read_artefact(directory)
    assert np.isnan(artefact.golden.rows[-1]).all()

    def reach(rows):
        leaves = reached_leaves(artefact.trees, rows) + artefact.trees.first_leaf
        return len(np.unique(leaves)) / len(artefact.trees.leaf_value)

    assert reach(artefact.golden.rows[:-1]) > 1.1 * reach(
        random_rows(1, 500, FEATURES)[: len(artefact.golden.rows) - 1]
    )
    assert reach(artefact.golden.rows) > 0.6


def test_a_sample_without_rows_still_gives_a_golden_row(tmp_path):
    artefact = make(tmp_path / "m", sample=np.empty((0, FEATURES), dtype=np.float32))
    assert artefact.golden.rows.shape == (1, FEATURES)


def test_nothing_in_an_artefact_is_pickled_and_all_of_it_is_text(directory):
    for name, data in content(directory).items():
        data.decode("utf-8")
        if name.endswith(".json"):
            json.loads(data)


def test_write_artefact_takes_every_part_by_name():
    with pytest.raises(TypeError):
        write_artefact(Path("m"), "name")  # type: ignore[call-arg, misc]
