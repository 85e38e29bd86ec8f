"""The compiled forest gives LightGBM's own raw scores, to the last bit, on whatever row and in whatever batch."""

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.forest import BLOCK_ROWS, Forest, forest_of, raw_scores
from models.trees import Trees, parse_trees
from tests.models.random_models import labels_of, nasty_rows, random_rows, train


def forest(booster: lightgbm.Booster) -> Forest:
    trees = parse_trees(booster.model_to_string(), "model.txt")
    assert isinstance(trees, Trees)
    found = forest_of(trees)
    assert found is not None
    return found


def assert_equal_bits(booster: lightgbm.Booster, rows: np.ndarray) -> None:
    mine, theirs = raw_scores(forest(booster), rows), booster.predict(rows, raw_score=True)
    np.testing.assert_array_equal(mine.view(np.int64), theirs.view(np.int64))


@settings(max_examples=12)
@given(
    st.integers(0, 10_000),
    st.sampled_from([2, 7, 31, 32, 33, 64]),
    st.sampled_from([{}, {"use_missing": False}, {"max_bin": 7}, {"max_depth": 2}]),
)
def test_random_models_on_random_and_on_nasty_rows(seed: int, leaves: int, parameters: dict[str, object]) -> None:
    booster = train(seed, trees=9, num_leaves=leaves, rows=2_000, **parameters)
    rows = np.concatenate([random_rows(seed + 1, 300, 9), nasty_rows(booster.model_to_string(), 9)])
    assert_equal_bits(booster, rows)


def test_both_widths_of_a_word_occur() -> None:
    narrow, wide = (forest(train(3, trees=5, num_leaves=leaves, min_data_in_leaf=1)) for leaves in (32, 64))
    assert narrow.kept.dtype == np.uint32
    assert wide.kept.dtype == np.uint64
    assert np.diff(wide.first_leaf).max() > 32


def test_a_tree_with_too_many_leaves_is_left_to_the_library() -> None:
    trees = parse_trees(train(3, trees=3, num_leaves=65, min_data_in_leaf=1).model_to_string(), "model.txt")
    assert isinstance(trees, Trees)
    assert forest_of(trees) is None


@pytest.mark.parametrize("count", [0, 1, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1, 3 * BLOCK_ROWS + 5])
def test_a_row_has_the_same_bits_alone_and_in_any_batch(count: int) -> None:
    booster = train(5)
    rows = random_rows(6, 400, 9)
    whole = raw_scores(forest(booster), rows)
    part = raw_scores(forest(booster), np.ascontiguousarray(rows[7 : 7 + count]))
    np.testing.assert_array_equal(part.view(np.int64), whole[7 : 7 + count].view(np.int64))


def test_trees_that_never_split() -> None:
    rows = random_rows(1, 200, 3)
    labels = labels_of(1, rows)
    settings = {"objective": "binary", "verbosity": -1, "min_data_in_leaf": 190, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(rows, labels), 3)
    assert_equal_bits(booster, random_rows(2, 70, 3))


def test_the_comparison_sees_a_threshold_that_is_off_by_one_step() -> None:
    booster = train(8)
    exact = forest(booster)
    rows = nasty_rows(booster.model_to_string(), 9)
    assert_equal_bits(booster, rows)
    exact.threshold[:] = np.nextafter(exact.threshold, np.float32(np.inf))
    assert (raw_scores(exact, rows) != booster.predict(rows, raw_score=True)).any()
