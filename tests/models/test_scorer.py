import logging
import subprocess
import sys
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from features.errors import AssayError
from models.artefact import load_artefact
from models.booster import Booster, library_version
from models.forest import scores_by_kernel
from models.prepared_paths import paths_of
from models.scorer import Scorer
from models.trees import UnsupportedTrees
from tests.models.artefacts import FEATURE_SET, FEATURES, make
from tests.models.random_models import nasty_rows, random_rows, train


@pytest.fixture(scope="module")
def text():
    return train(1, features=FEATURES, names=FEATURE_SET.names).model_to_string()


@pytest.fixture(scope="module")
def scorer(tmp_path_factory, text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_CACHE", str(tmp_path_factory.mktemp("cache")))
        make(directory := tmp_path_factory.mktemp("models") / "m", model_text=text)
        return Scorer(load_artefact(directory, FEATURE_SET))


@pytest.fixture(scope="module")
def rows(text):
    return np.concatenate([random_rows(5, 1500, FEATURES, missing_share=0.3), nasty_rows(text, FEATURES)])


def test_raw_scores_are_those_of_the_lightgbm_package_bit_for_bit(scorer, text, rows):
    expected = lightgbm.Booster(model_str=text).predict(rows, raw_score=True, num_threads=1, validate_features=False)
    assert scorer.raw(rows).tobytes() == expected.tobytes()
    assert len(np.unique(expected)) > 500


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 513])
def test_a_row_gets_the_same_bits_in_a_batch_of_any_size(scorer, rows, size):
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    assert np.concatenate([scorer.raw(part) for part in parts]).tobytes() == scorer.raw(rows).tobytes()
    assert np.concatenate([scorer.score(part) for part in parts]).tobytes() == scorer.score(rows).tobytes()


def test_rows_of_any_memory_order_score_the_same(scorer, rows):
    expected = scorer.raw(rows).tobytes()
    assert scorer.raw(np.asfortranarray(rows)).tobytes() == expected
    wide = np.zeros((len(rows), FEATURES + 4), dtype=np.float32)
    wide[:, 2:-2] = rows
    assert scorer.raw(wide[:, 2:-2]).tobytes() == expected


def test_a_model_that_assay_trains_is_compiled(scorer):
    assert scorer.is_compiled


@pytest.mark.parametrize("kernel", [0, 1])
def test_a_kernel_that_misses_a_golden_score_is_not_used(tmp_path, monkeypatch, text, rows, caplog, kernel):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    make(tmp_path / "m", model_text=text)
    artefact = load_artefact(tmp_path / "m", FEATURE_SET)

    def one_is_wrong(forest, golden_rows):
        scores = scores_by_kernel(forest, golden_rows)
        scores[kernel][-1] = np.nextafter(scores[kernel][-1], np.inf)
        return scores

    monkeypatch.setattr("models.scorer.scores_by_kernel", one_is_wrong)
    with caplog.at_level(logging.ERROR, "assay.scorer"):
        scorer = Scorer(artefact)
    assert "does not give the golden scores" in caplog.text
    assert not scorer.is_compiled
    expected = lightgbm.Booster(model_str=text).predict(rows, raw_score=True, num_threads=1, validate_features=False)
    assert scorer.raw(rows).tobytes() == expected.tobytes()


def test_no_rows_give_no_scores(scorer):
    nothing = np.empty((0, FEATURES), dtype=np.float32)
    assert scorer.raw(nothing).shape == (0,)
    assert scorer.score(nothing).shape == (0,)
    assert scorer.contributions(nothing).values.shape == (0, FEATURES)


def test_a_score_is_what_is_published(scorer, rows):
    scores = scorer.score(rows)
    assert [float(f"{score:.6f}") for score in scores] == scores.tolist()
    assert ((scores > 0) & (scores < 1)).all()


def test_scores_are_the_calibrated_probabilities(scorer, rows):
    expected = 1.0 / (1.0 + np.exp(-(1.25 * scorer.raw(rows) - 0.5)))
    assert np.abs(scorer.score(rows) - expected).max() < 1e-6


def test_contributions_of_a_model_with_too_many_paths_are_the_same(tmp_path, monkeypatch, scorer, text, rows):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    make(tmp_path / "m", model_text=text)
    expected = scorer.contributions(rows).values.tobytes()
    monkeypatch.setattr("models.scorer.paths_of", lambda trees, walk: paths_of(trees, walk, most_steps=10))
    monkeypatch.setattr("models.scorer.prepared_contributions", None)
    walking = Scorer(load_artefact(tmp_path / "m", FEATURE_SET))
    assert walking.contributions(rows).values.tobytes() == expected


def test_contributions_add_up_to_the_raw_score(scorer, rows):
    contributions = scorer.contributions(rows)
    assert np.abs(contributions.values.sum(axis=1) + contributions.bias - scorer.raw(rows)).max() < 1e-9


def test_scoring_changes_neither_rows_nor_later_scores(scorer, rows):
    before, first = rows.tobytes(), scorer.score(rows)
    scorer.contributions(rows)
    assert rows.tobytes() == before
    assert scorer.score(rows).tobytes() == first.tobytes()


def test_a_model_that_the_arrays_do_not_hold_is_scored_and_explained_all_the_same(tmp_path, monkeypatch, rows, caplog):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    booster = train(2, features=FEATURES, names=FEATURE_SET.names, zero_as_missing=True)
    make(tmp_path / "m", model_text=booster.model_to_string())
    artefact = load_artefact(tmp_path / "m", FEATURE_SET)
    assert isinstance(artefact.trees, UnsupportedTrees)
    with caplog.at_level(logging.WARNING, "assay.scorer"):
        scorer = Scorer(artefact)
    (message,) = caplog.messages
    assert message.startswith(f"model {artefact.id[:16]} is not compiled")
    assert message.endswith("The reason: there is a split that reads zero as missing")
    assert not scorer.is_compiled
    assert scorer.raw(rows).tobytes() == booster.predict(rows, raw_score=True).tobytes()
    contributions = scorer.contributions(rows[:100])
    assert np.abs(contributions.values.sum(axis=1) + contributions.bias - scorer.raw(rows[:100])).max() < 1e-9
    assert scorer.contributions(rows[:0]).values.shape == (0, FEATURES)


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, FEATURES)), np.zeros((2, 3), np.float32), np.zeros(FEATURES, np.float32)]
)
def test_rows_of_another_shape_or_type_are_our_own_mistake(scorer, wrong):
    with pytest.raises(AssertionError):
        scorer.raw(wrong)


def test_what_lightgbm_refuses_is_one_clear_line():
    with pytest.raises(
        AssayError, match=rf"LightGBM {library_version()} did not load the model: .*train anew$"
    ) as raised:
        Booster(b"tree\nnothing=1\n")
    assert "\n" not in str(raised.value)


def test_the_version_is_that_of_the_package():
    assert library_version() == lightgbm.__version__


def test_scoring_imports_neither_the_lightgbm_package_nor_scikit_learn():
    code = (
        "import sys, models.scorer; "
        "sys.exit(', '.join({'lightgbm', 'sklearn', 'scipy.stats', 'pandas', 'pyarrow'} & sys.modules.keys()) or 0)"
    )
    root = Path(__file__).parents[2]
    child = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert (child.returncode, child.stderr) == (0, "")
