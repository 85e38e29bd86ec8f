"""The compiled forest gives LightGBM's own raw scores, to the last bit, on whatever row and in whatever batch."""

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.forest import Forest, forest_of, raw_scores, scores_by_kernel
from models.forest_block import MOST_LEAVES
from models.row_bits import BLOCK_ROWS
from models.trees import Trees, parse_trees
from tests.models.random_models import (
    chain,
    for_lightgbm,
    labels_of,
    nasty_rows,
    random_rows,
    train,
    with_other_splits,
)


def trees_of(text: str) -> Trees:
    trees = parse_trees(text, "model.txt")
    assert isinstance(trees, Trees)
    return trees


def forest(text: str) -> Forest:
    return forest_of(trees_of(text))


def theirs(text: str, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    booster = lightgbm.Booster(model_str=for_lightgbm(text))
    scores: NDArray[np.float64] = booster.predict(rows, raw_score=True, num_threads=1)
    return scores


def assert_equal_bits(text: str, rows: NDArray[np.float32]) -> None:
    compiled, expected = forest(text), theirs(text, rows)
    assert len(np.unique(expected)) > 1 or len(np.unique(compiled.walk.leaf_value)) == 1
    for scores in (raw_scores(compiled, rows), *scores_by_kernel(compiled, rows)):
        np.testing.assert_array_equal(scores.view(np.int64), expected.view(np.int64))


def rows_for(text: str, seed: int, features: int = 9) -> NDArray[np.float32]:
    return np.concatenate([random_rows(seed, 300, features), nasty_rows(text, features)])


@settings(max_examples=12)
@given(
    st.integers(0, 10_000),
    st.sampled_from([2, 7, 31, 32, 33, 64, 65, 256]),
    st.sampled_from([{}, {"use_missing": False}, {"max_bin": 7}, {"max_depth": 2}]),
)
def test_random_models_on_random_and_on_nasty_rows(seed: int, leaves: int, parameters: dict[str, object]) -> None:
    booster = train(seed, trees=9, num_leaves=leaves, rows=2_000, **parameters)
    text = booster.model_to_string()
    assert_equal_bits(text, rows_for(text, seed + 1))


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from([5, 31, 64, 100]))
def test_splits_that_training_seldom_makes(seed: int, leaves: int) -> None:
    trained = train(seed % 3, trees=6, num_leaves=leaves, rows=1_500, min_data_in_leaf=2).model_to_string()
    text = with_other_splits(trained, seed)
    trees = trees_of(text)
    assert len(np.unique(trees.missing_is_nan * 2 + trees.missing_goes_left)) > 2
    assert_equal_bits(text, rows_for(text, seed))


@pytest.mark.parametrize("leaves", [2, 31, 32, 33, 64, 65, MOST_LEAVES - 1, MOST_LEAVES])
def test_a_tree_of_any_size_up_to_the_largest_goes_through_both_kernels(leaves: int) -> None:
    text = chain(leaves)
    assert len(scores_by_kernel(forest(text), random_rows(1, 3, 3))) == 2
    assert_equal_bits(text, rows_for(text, leaves, 3))


@pytest.mark.parametrize("leaves", [MOST_LEAVES + 1, 5_000])
def test_larger_and_very_deep_trees_are_walked_by_our_own_kernel(leaves: int) -> None:
    text = chain(leaves)
    assert forest(text).block is None
    assert_equal_bits(text, np.concatenate([rows_for(text, 5, 3), np.full((1, 3), 0.6, dtype=np.float32)]))


def test_trees_that_never_split() -> None:
    rows = random_rows(1, 200, 3)
    labels = labels_of(1, rows)
    parameters = {"objective": "binary", "verbosity": -1, "min_data_in_leaf": 190, "num_threads": 1}
    text = lightgbm.train(parameters, lightgbm.Dataset(rows, labels), 3).model_to_string()
    assert len(trees_of(text).threshold) == 0
    assert_equal_bits(text, random_rows(2, 70, 3))


def test_a_tree_that_never_splits_among_others() -> None:
    text = train(4, trees=7, num_leaves=6, rows=400, min_data_in_leaf=150).model_to_string()
    sizes = np.diff(trees_of(text).first_leaf)
    assert len(np.unique(sizes)) > 1
    assert_equal_bits(text, rows_for(text, 3))


@pytest.mark.parametrize(
    "count", [0, 1, 2, 9, 10, 11, 63, 64, 65, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1, 3 * BLOCK_ROWS + 5]
)
def test_a_row_has_the_same_bits_alone_and_in_any_batch(count: int) -> None:
    compiled = forest(train(5).model_to_string())
    rows = random_rows(6, 1_000, 9)
    whole = raw_scores(compiled, rows)
    part = np.ascontiguousarray(rows[7 : 7 + count])
    for scores in (raw_scores(compiled, part), *scores_by_kernel(compiled, part)):
        np.testing.assert_array_equal(scores.view(np.int64), whole[7 : 7 + count].view(np.int64))


def test_both_kernels_are_chosen() -> None:
    compiled = forest(train(5).model_to_string())
    assert compiled.block is not None
    assert 1 <= compiled.few_rows < 64


def test_the_comparison_sees_a_limit_that_is_off_by_one_step() -> None:
    text = train(8).model_to_string()
    compiled, rows = forest(text), nasty_rows(text, 9)
    assert compiled.block is not None
    compiled.block.limit[:] += 1
    is_split = compiled.walk.entries[:, 1] < 2**31 - 1
    compiled.walk.entries[is_split, 1] += 1
    walked, together = scores_by_kernel(compiled, rows)
    assert (walked != theirs(text, rows)).any()
    np.testing.assert_array_equal(walked, together)


def test_the_comparison_sees_trees_summed_in_another_order() -> None:
    text = with_other_splits(train(8).model_to_string(), 8)
    compiled, rows = forest(text), rows_for(text, 8)
    assert compiled.block is not None
    compiled.walk.root[:] = compiled.walk.root[::-1].copy()
    walked, together = scores_by_kernel(compiled, rows)
    assert (walked != theirs(text, rows)).any()
    np.testing.assert_allclose(walked, together)


def test_a_large_model_is_compiled_without_recursion_and_without_a_step_of_python_for_each_split() -> None:
    text = chain(20_000)
    assert len(forest(text).walk.entries) == 2 * (20_000 + 19_999)
