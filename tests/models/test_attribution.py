import math

import lightgbm
import numpy as np
import pytest

from models.attribution import path_contributions, reached_leaves, shap_contributions
from models.booster import Booster
from models.forest_walk import walk_of
from models.prepared_paths import paths_of, prepared_contributions
from models.trees import NEARLY_ZERO, Trees, parse_trees
from tests.models.random_models import chain, labels_of, nasty_rows, random_rows, train

VARIANTS = {
    "missing as NaN": {},
    "missing not used": {"use_missing": False},
    "deep": {"num_leaves": 63, "min_data_in_leaf": 1},
    "stumps": {"num_leaves": 2},
    "dart": {"boosting": "dart"},
    "bagged, few bins": {"bagging_freq": 1, "bagging_fraction": 0.5, "max_bin": 7},
    "weighted": {"scale_pos_weight": 10.0, "lambda_l2": 5.0, "path_smooth": 1.0},
    "single leaves": {"min_data_in_leaf": 3000},
}


@pytest.fixture(scope="module", params=VARIANTS)
def model(request):
    features = 7
    booster = train(list(VARIANTS).index(request.param), features=features, **VARIANTS[request.param])
    text = booster.model_to_string()
    trees = parse_trees(text, "model.txt")
    assert isinstance(trees, Trees)
    rows = np.concatenate([random_rows(99, 1000, features, missing_share=0.3), nasty_rows(text, features)])
    return booster, trees, rows


def naive_contributions(trees, rows, order=1):
    """One addition after the other, as path attribution is defined; `order` -1 takes the last tree first."""
    found = np.zeros(rows.shape, dtype=np.float64)
    for row, values in enumerate(rows.astype(np.float64).tolist()):
        for here in trees.root[::order].tolist():
            while here >= 0:
                feature = trees.split_feature[here]
                value = values[feature]
                if math.isnan(value) and trees.missing_is_nan[here]:
                    left = trees.missing_goes_left[here]
                else:
                    left = (0.0 if math.isnan(value) or abs(value) <= NEARLY_ZERO else value) <= trees.threshold[here]
                child = int(trees.left_child[here] if left else trees.right_child[here])
                mean = trees.node_value[child] if child >= 0 else trees.leaf_value[~child]
                found[row, feature] += mean - trees.node_value[here]
                here = child
    return found


def test_prepared_paths_add_up_to_the_same_bits(model):
    _, trees, rows = model
    prepared = prepared_contributions(paths_of(trees, walk_of(trees)), rows)
    walked = path_contributions(trees, rows)
    assert prepared.values.tobytes() == walked.values.tobytes()
    assert prepared.bias == walked.bias
    some = np.concatenate([rows[:60], rows[-60:]])
    assert (
        prepared_contributions(paths_of(trees, walk_of(trees)), some).values.tobytes()
        == naive_contributions(trees, some).tobytes()
    )


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 65])
def test_prepared_paths_of_any_number_of_rows_in_any_memory_order(model, count):
    _, trees, rows = model
    found = prepared_contributions(paths_of(trees, walk_of(trees)), np.asfortranarray(rows[:count]))
    assert found.values.tobytes() == path_contributions(trees, rows[:count]).values.tobytes()


def test_another_order_of_the_trees_gives_other_bits():
    trees = parse_trees(train(1, features=7).model_to_string(), "model.txt")
    rows = random_rows(5, 50, 7)
    other = naive_contributions(trees, rows, order=-1)
    assert other.tobytes() != prepared_contributions(paths_of(trees, walk_of(trees)), rows).values.tobytes()


def test_very_deep_trees_are_prepared_up_to_a_limit():
    trees = parse_trees(chain(300), "model.txt")
    rows = random_rows(3, 100, trees.feature_count)
    steps = 2 * (299 * 300 // 2 + 299)  # of two trees
    paths = paths_of(trees, walk_of(trees), most_steps=steps)
    assert len(paths.change) == len(paths.feature) == steps
    assert prepared_contributions(paths, rows).values.tobytes() == path_contributions(trees, rows).values.tobytes()
    assert paths_of(trees, walk_of(trees), most_steps=steps - 1) is None


def test_the_path_is_the_path_of_lightgbm(model):
    booster, trees, rows = model
    expected = booster.predict(rows, pred_leaf=True)
    assert np.array_equal(reached_leaves(trees, rows), expected.reshape(len(rows), -1))


def test_contributions_and_bias_add_up_to_the_raw_score(model):
    booster, trees, rows = model
    contributions = path_contributions(trees, rows)
    assert contributions.values.shape == rows.shape
    assert np.isfinite(contributions.values).all()
    total = contributions.values.sum(axis=1) + contributions.bias
    assert np.abs(total - booster.predict(rows, raw_score=True)).max() < 1e-9


def test_the_bias_is_that_of_treeshap(model):
    booster, trees, rows = model
    assert booster.predict(rows[:1], pred_contrib=True)[0, -1] == pytest.approx(trees.bias, abs=1e-9)


def test_the_variants_have_both_ways_of_missing_and_both_defaults():
    seen = set()
    for number, parameters in enumerate(VARIANTS.values()):
        trees = parse_trees(train(number, features=7, **parameters).model_to_string(), "model.txt")
        seen |= set(zip(trees.missing_is_nan.tolist(), trees.missing_goes_left.tolist(), strict=True))
    assert {(True, True), (True, False)} < seen
    assert {is_nan for is_nan, _ in seen} == {True, False}


def test_each_row_depends_on_itself_alone(model):
    _, trees, rows = model
    together = path_contributions(trees, rows).values
    one_by_one = np.concatenate([path_contributions(trees, rows[i : i + 1]).values for i in range(0, len(rows), 50)])
    assert one_by_one.tobytes() == together[::50].tobytes()


def test_no_rows_give_no_contributions(model):
    _, trees, rows = model
    assert path_contributions(trees, rows[:0]).values.shape == (0, rows.shape[1])


def test_rows_of_any_memory_order_give_the_same(model):
    _, trees, rows = model
    assert np.array_equal(
        path_contributions(trees, np.asfortranarray(rows)).values, path_contributions(trees, rows).values
    )


def test_the_fallback_is_treeshap_itself(model):
    booster, _, rows = model
    contributions = shap_contributions(Booster(booster.model_to_string().encode()), rows[:50])
    expected = booster.predict(rows[:50], pred_contrib=True)
    assert contributions.values.tobytes() == np.ascontiguousarray(expected[:, :-1]).tobytes()
    assert contributions.bias == expected[0, -1]


def test_the_leading_four_are_mostly_those_of_treeshap_where_the_score_is_high():
    """A fraud-like table: 1-2 % positive, 40 features of which a dozen matter, the highest scores explained."""
    generator = np.random.default_rng(7)
    rows = random_rows(7, 20_000, 40)
    strength = np.zeros(40)
    strength[generator.choice(40, 12, replace=False)] = generator.normal(size=12) * 2
    log_odds = np.nan_to_num(np.tanh(rows)) @ strength + np.isnan(rows) @ strength[::-1] - 7.0
    y = (generator.random(len(rows)) < 1 / (1 + np.exp(-log_odds))).astype(int)
    assert 0.005 < y.mean() < 0.05
    parameters = {"objective": "binary", "num_leaves": 31, "learning_rate": 0.05, "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(rows, y), 80)
    trees = parse_trees(booster.model_to_string(), "model.txt")
    highest = rows[np.argsort(-booster.predict(rows, raw_score=True))[:200]]
    path = np.argsort(-path_contributions(trees, highest).values, axis=1)[:, :4]
    shap = np.argsort(-booster.predict(highest, pred_contrib=True)[:, :-1], axis=1)[:, :4]
    overlap = np.mean([len(set(a) & set(b)) / 4 for a, b in zip(path, shap, strict=True)])
    assert overlap >= 0.7, overlap
    assert overlap < 1.0, "both sides are the same thing: the comparison would prove nothing"


def test_labels_of_the_test_models_are_not_of_one_class():
    rows = random_rows(1, 3000, 9)
    assert 0.005 < labels_of(1, rows).mean() < 0.95
