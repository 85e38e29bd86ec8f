import lightgbm
import numpy as np
import pytest

from features.errors import AssayError
from models.trees import Trees, UnsupportedTrees, parse_trees
from tests.models.random_models import labels_of, random_rows, train

SOUND = train(1).model_to_string()


def changed(text: str, key: str, change: object) -> str:
    """The text with the list of numbers at the first `key` replaced by `change(list)`."""
    head, tail = text.split(f"\n{key}=", 1)
    line, rest = tail.split("\n", 1)
    return f"{head}\n{key}={' '.join(change(line.split(' ')))}\n{rest}"


def replaced(index: int, word: str) -> object:
    return lambda words: [*words[:index], word, *words[index + 1 :]]


def leaves_below(trees: Trees, child: int) -> list[int]:
    if child < 0:
        return [~child]
    return leaves_below(trees, trees.left_child[child]) + leaves_below(trees, trees.right_child[child])


def test_every_number_of_the_model_is_in_the_arrays():
    booster = train(2, trees=7)
    trees = parse_trees(booster.model_to_string(), "model.txt")
    assert isinstance(trees, Trees)
    frame = []
    for info in booster.dump_model()["tree_info"]:
        pending = [info["tree_structure"]]
        while pending:
            node = pending.pop(0)
            if "split_index" in node:
                frame.append((info["tree_index"], node))
                pending += [node["left_child"], node["right_child"]]
    assert len(frame) == len(trees.threshold)
    first_node = {tree: trees.root[tree] for tree in range(trees.tree_count)}
    for tree, node in frame:
        position = first_node[tree] + node["split_index"]
        assert trees.split_feature[position] == node["split_feature"]
        assert min(trees.threshold[position], 1e300) == node["threshold"]  # JSON has no infinity
        assert trees.missing_goes_left[position] == node["default_left"]
        assert trees.missing_is_nan[position] == (node["missing_type"] == "NaN")
        for child, there in ((trees.left_child, node["left_child"]), (trees.right_child, node["right_child"])):
            if "leaf_index" in there:
                assert ~child[position] == trees.first_leaf[tree] + there["leaf_index"]
                assert trees.leaf_value[~child[position]] == there["leaf_value"]
            else:
                assert child[position] == first_node[tree] + there["split_index"]


def test_the_value_of_a_node_is_the_mean_of_the_training_rows_below_it():
    booster = train(3, trees=1)
    trees = parse_trees(booster.model_to_string(), "model.txt")
    rows = random_rows(3, 3000, 9)
    leaf = booster.predict(rows, pred_leaf=True).ravel()
    raw = booster.predict(rows, raw_score=True)
    assert len(trees.node_value) == 14
    for node, value in enumerate(trees.node_value):
        assert value == pytest.approx(raw[np.isin(leaf, leaves_below(trees, node))].mean(), abs=1e-12)
    assert trees.bias == trees.node_value[0]


def test_trees_of_a_single_leaf_are_kept():
    x = random_rows(4, 300, 3)
    nothing_to_learn = lightgbm.train(
        {"objective": "binary", "verbosity": -1, "min_data_in_leaf": 300}, lightgbm.Dataset(x, labels_of(4, x)), 3
    )
    trees = parse_trees(nothing_to_learn.model_to_string(), "model.txt")
    assert isinstance(trees, Trees)
    assert (trees.root < 0).all()
    assert trees.bias == nothing_to_learn.predict(x[:1], raw_score=True)[0]


def test_leaves_without_training_rows_weigh_the_same():
    text = SOUND
    for _ in range(20):
        text = changed(text, "leaf_count", lambda words: ["0"] * len(words)).replace("\nleaf_count=", "\nleaf_done=", 1)
    trees = parse_trees(text.replace("\nleaf_done=", "\nleaf_count="), "model.txt")
    assert isinstance(trees, Trees)
    last = len(trees.left_child) - 1
    both = [trees.leaf_value[~trees.left_child[last]], trees.leaf_value[~trees.right_child[last]]]
    assert trees.node_value[last] == pytest.approx(sum(both) / 2)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"zero_as_missing": True}, "zero as missing"),
        ({"linear_tree": True, "learning_rate": 0.1}, "linear leaves"),
        ({"objective": "regression"}, "objective is regression"),
        ({"objective": "multiclass", "num_class": 3}, "objective is multiclass"),
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "averaged"),
    ],
)
def test_another_kind_of_model_is_refused_by_value(parameters, reason):
    refusal = parse_trees(train(5, **parameters).model_to_string(), "model.txt")
    assert isinstance(refusal, UnsupportedTrees)
    assert reason in refusal.reason


def test_categorical_splits_are_refused_by_value():
    generator = np.random.default_rng(6)
    x = generator.integers(0, 30, size=(2000, 2)).astype(np.float64)
    y = (x[:, 0] % 3 == 0).astype(int)
    data = lightgbm.Dataset(x, y, categorical_feature=[0])
    booster = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1}, data, 5)
    refusal = parse_trees(booster.model_to_string(), "model.txt")
    assert isinstance(refusal, UnsupportedTrees)
    assert "categorical" in refusal.reason


def test_a_categorical_split_that_the_tree_does_not_announce_is_refused_too():
    refusal = parse_trees(changed(SOUND, "decision_type", replaced(0, "1")), "model.txt")
    assert isinstance(refusal, UnsupportedTrees)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "first line"),
        (SOUND.split("\nTree=")[0], "trees"),
        (SOUND.split("\nend of trees")[0], "cut off"),
        (SOUND.replace("\nTree=3\n", "\nThree=3\n"), "20 trees"),
        (SOUND.replace("\nTree=19\n", "\nTree=19\n\nTree=20\n"), "20 trees"),
        (SOUND.replace("num_leaves=15", "num_leaves=0", 1), "num_leaves >= 1"),
        (SOUND.replace("num_leaves=15", "num_leaves=16", 1), "15 numbers in split_feature, got 14"),
        (SOUND.replace("num_leaves=15", "num_leaves=99999999999999999999", 1), "64 bits"),
        (SOUND.replace("num_leaves=15", "leaves=15", 1), "num_leaves"),
        (SOUND.replace("max_feature_idx=8", "max_feature_idx="), "max_feature_idx"),
        (SOUND.replace("max_feature_idx=8", "max_feature_idx=0"), "split_feature from 0 to 0"),
        (changed(SOUND, "split_feature", replaced(3, "9")), "split_feature from 0 to 8"),
        (changed(SOUND, "split_feature", replaced(3, "-1")), "split_feature"),
        (changed(SOUND, "split_feature", replaced(3, "1.5")), "tree 0: expected numbers in split_feature"),
        (changed(SOUND, "threshold", replaced(3, "nan")), "NaN in threshold"),
        (changed(SOUND, "threshold", replaced(3, "0.5x")), "numbers in threshold"),
        (changed(SOUND, "threshold", lambda words: words[1:]), "14 numbers in threshold, got 13"),
        (changed(SOUND, "decision_type", replaced(3, "12")), "decision_type"),
        (changed(SOUND, "decision_type", replaced(3, "-4")), "decision_type"),
        (changed(SOUND, "leaf_value", replaced(3, "inf")), "finite numbers in leaf_value"),
        (changed(SOUND, "leaf_value", replaced(3, "nan")), "finite numbers in leaf_value"),
        (changed(SOUND, "leaf_count", replaced(3, "-7")), "leaf_count >= 0"),
        (changed(SOUND, "left_child", replaced(3, "14")), "left_child to be a node or a leaf of its tree"),
        (changed(SOUND, "left_child", replaced(3, "-16")), "left_child to be a node or a leaf of its tree"),
        (changed(SOUND, "left_child", replaced(3, "3")), "cycle"),
        (changed(SOUND, "right_child", replaced(13, "0")), "cycle"),
        (changed(SOUND, "left_child", lambda words: ["-1"] * 14), "one parent"),
    ],
)
def test_damage_is_named_with_its_place(text, what):
    with pytest.raises(AssayError, match=r"model.txt.*train anew") as raised:
        parse_trees(text, "some/model.txt")
    assert what in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_text_cut_anywhere_inside_its_trees_is_refused():
    for size in range(0, SOUND.index("\nend of trees\n") + 14, 97):
        with pytest.raises(AssayError):
            parse_trees(SOUND[:size], "model.txt")
