"""A LightGBM text model as flat arrays: what the attribution kernel walks, and a check that the trees are trees.

Only what assay trains is read: one binary model, numerical splits, missing values as NaN or not at all. Anything else
that is a valid model is refused by value (`UnsupportedTrees`), and the caller falls back to LightGBM itself.

Source: LightGBM's `src/io/tree.cpp` (format) and `include/LightGBM/tree.h` (`NumericalDecision`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import AssayError

NEARLY_ZERO = float(np.float32(1e-35))
"""LightGBM reads a value of at most this size as 0 (`kZeroThreshold`)."""

_CATEGORICAL, _DEFAULT_LEFT, _MISSING_SHIFT = 1, 2, 2
_MISSING_ZERO, _MISSING_NAN = 1, 2


@dataclass(frozen=True, slots=True)
class UnsupportedTrees:
    """A model that LightGBM scores and these arrays do not hold.

    Attributes:
        reason: which property of the model it is, for a log line.
    """

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """All trees of a model, one after the other. A child >= 0 is a node, a child < 0 is the leaf ``~child``.

    Attributes:
        feature_count: columns of a row.
        root: int32[trees], where each tree starts, as a child.
        first_leaf: int32[trees], where the leaves of each tree start.
        split_feature: int32[nodes].
        threshold: float64[nodes], a value <= it goes left.
        missing_goes_left: bool[nodes], where NaN goes if `missing_is_nan`.
        missing_is_nan: bool[nodes], False: NaN is read as 0 and compared.
        left_child: int32[nodes].
        right_child: int32[nodes].
        node_value: float64[nodes], mean of the leaves below, weighted by their training rows.
        leaf_value: float64[leaves], in log-odds.
        bias: sum of the mean of every tree: what a row scores before anything is known about it.
    """

    feature_count: int
    root: NDArray[np.int32]
    first_leaf: NDArray[np.int32]
    split_feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    missing_goes_left: NDArray[np.bool_]
    missing_is_nan: NDArray[np.bool_]
    left_child: NDArray[np.int32]
    right_child: NDArray[np.int32]
    node_value: NDArray[np.float64]
    leaf_value: NDArray[np.float64]
    bias: float

    @property
    def tree_count(self) -> int:
        """How many trees are summed."""
        return len(self.root)


def splits_by_level(trees: Trees) -> Iterator[NDArray[np.int32]]:
    """The splits of all trees, level by level from the roots: int32[n] each, n > 0."""
    splits = trees.root[trees.root >= 0]
    while len(splits):
        yield splits
        children = np.concatenate([trees.left_child[splits], trees.right_child[splits]])
        splits = children[children >= 0]


@dataclass(frozen=True, slots=True)
class _Text:
    """The trees of the file as lists of words, and where each tree's nodes and leaves go in the flat arrays."""

    where: str
    fields: list[dict[str, str]]
    leaf_count: NDArray[np.int64]

    @property
    def node_count(self) -> NDArray[np.int64]:
        return self.leaf_count - 1

    def per_node(self, key: str, number: type[int] | type[float] = int) -> list[int] | list[float]:
        return self._numbers(key, number, self.node_count)

    def per_leaf(self, key: str, number: type[int] | type[float] = int) -> list[int] | list[float]:
        return self._numbers(key, number, self.leaf_count)

    def _numbers(self, key: str, number: type[int] | type[float], counts: NDArray[np.int64]) -> list[int] | list[float]:
        numbers: list[float] = []
        for tree, (fields, count) in enumerate(zip(self.fields, counts.tolist(), strict=True)):
            words = fields.get(key, "").split()
            if len(words) != count:
                raise _damaged(f"{self.where}, tree {tree}", f"expected {count} numbers in {key}, got {len(words)}")
            try:
                numbers.extend(map(number, words))
            except ValueError as error:
                raise _damaged(f"{self.where}, tree {tree}", f"expected numbers in {key}: {error}") from error
        return numbers


def parse_trees(model_text: str, where: str) -> Trees | UnsupportedTrees:
    """Read the trees of a LightGBM text model.

    Args:
        model_text: the whole file.
        where: its path, for error messages.

    Raises:
        AssayError: the text is cut off, a number does not parse, a list has another length than its tree says, a
            feature or child is out of range, a tree has a cycle or a part that its root does not reach, or a value is
            not finite.
    """
    header_text, *tree_texts = model_text.split("\nTree=")
    header = _fields(header_text)
    if not header_text.startswith("tree\n") or not tree_texts:
        raise _damaged(where, 'expected "tree" in the first line, and trees')
    if "\nend of trees\n" not in tree_texts[-1]:
        raise _damaged(where, 'expected "end of trees" after the last tree: the file is cut off')
    fields = [_fields(text) for text in tree_texts]
    reason = _unsupported(header, fields)
    if reason:
        return UnsupportedTrees(reason)
    expected_count = len(header.get("tree_sizes", "").split())
    if len(fields) != expected_count:
        raise _damaged(where, f"expected {expected_count} trees as tree_sizes says, got {len(fields)}")
    ones = np.ones(len(fields), dtype=np.int64)
    leaf_count = _integers(_Text(where, fields, ones).per_leaf("num_leaves"), where)
    if (leaf_count < 1).any():
        raise _damaged(where, "expected num_leaves >= 1 in every tree")
    (last_feature,) = _Text(where, [header], ones[:1]).per_leaf("max_feature_idx")
    return _read(_Text(where, fields, leaf_count), int(last_feature) + 1)


def column_names(model_text: str) -> tuple[str, ...]:
    """Names of the columns as LightGBM was told in training; empty if the text does not say.

    >>> column_names("tree\\nversion=v4\\nfeature_names=amount country\\n")
    ('amount', 'country')
    """
    return tuple(_fields(model_text.split("\nTree=", 1)[0]).get("feature_names", "").split())


def _unsupported(header: dict[str, str], trees: list[dict[str, str]]) -> str:
    if not header.get("objective", "").startswith("binary"):
        return f"the objective is {header.get('objective', 'not named')}, not binary"
    if header.get("num_tree_per_iteration") != "1":
        return "there is more than one tree per iteration"
    if "average_output" in header:
        return "the trees are averaged, not summed"
    if any(tree.get("num_cat", "0") != "0" for tree in trees):
        return "there is a categorical split"
    if any(tree.get("is_linear", "0") != "0" for tree in trees):
        return "there are linear leaves"
    return ""


def _read(text: _Text, feature_count: int) -> Trees | UnsupportedTrees:
    where = text.where
    feature = _integers(text.per_node("split_feature"), where)
    if ((feature < 0) | (feature >= feature_count)).any():
        raise _damaged(where, f"expected every split_feature from 0 to {feature_count - 1}")
    decision = _integers(text.per_node("decision_type"), where)
    missing = decision >> _MISSING_SHIFT
    if ((decision < 0) | (missing > _MISSING_NAN)).any():
        raise _damaged(where, "expected every decision_type from 0 to 11")
    if (decision & _CATEGORICAL).any():
        return UnsupportedTrees("there is a categorical split")
    if (missing == _MISSING_ZERO).any():
        return UnsupportedTrees("there is a split that reads zero as missing")
    threshold = np.array(text.per_node("threshold", float), dtype=np.float64)
    if np.isnan(threshold).any():  # infinity is sound: it parts what is missing from what is not
        raise _damaged(where, "expected no NaN in threshold")
    leaf_value = np.array(text.per_leaf("leaf_value", float), dtype=np.float64)
    if not np.isfinite(leaf_value).all():
        raise _damaged(where, "expected finite numbers in leaf_value")
    weight = _integers(text.per_leaf("leaf_count"), where)
    if (weight < 0).any():
        raise _damaged(where, "expected every leaf_count >= 0")
    left, right = _children(text)
    node_value = _means(left, right, leaf_value, weight)
    first_node, first_leaf = _starts(text.node_count), _starts(text.leaf_count)
    root = np.where(text.node_count > 0, first_node, ~first_leaf)
    every_value = np.concatenate(
        [node_value, leaf_value[::-1]]
    )  # child c is at c: a leaf, being negative, from the end
    return Trees(
        feature_count=feature_count,
        root=root.astype(np.int32),
        first_leaf=first_leaf.astype(np.int32),
        split_feature=feature.astype(np.int32),
        threshold=threshold,
        missing_goes_left=(decision & _DEFAULT_LEFT) != 0,
        missing_is_nan=missing == _MISSING_NAN,
        left_child=left.astype(np.int32),
        right_child=right.astype(np.int32),
        node_value=node_value,
        leaf_value=leaf_value,
        bias=float(every_value[root].sum()),
    )


def _children(text: _Text) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Left and right children, numbered over all trees.

    A tree: every leaf, and every node but the root, has one parent. LightGBM numbers a node after its parent, so the
    numbers rule out a cycle.
    """
    leaf_count = np.repeat(text.leaf_count, text.node_count)
    first_leaf = np.repeat(_starts(text.leaf_count), text.node_count)
    first_node = np.repeat(_starts(text.node_count), text.node_count)
    own = np.arange(len(first_node)) - first_node
    both = []
    for key in ("left_child", "right_child"):
        child = _integers(text.per_node(key), text.where)
        if ((child < -leaf_count) | (child >= leaf_count - 1)).any():
            raise _damaged(text.where, f"expected every {key} to be a node or a leaf of its tree")
        if ((child >= 0) & (child <= own)).any():
            raise _damaged(text.where, f"expected every {key} to come after its parent: there is a cycle")
        both.append(np.where(child >= 0, child + first_node, child - first_leaf))
    is_root = np.zeros(len(own), dtype=np.bool_)
    is_root[first_node] = True
    expected = np.concatenate([np.arange(-text.leaf_count.sum(), 0), np.flatnonzero(~is_root)])
    single_leaves = ~_starts(text.leaf_count)[text.node_count == 0]
    if not np.array_equal(np.sort(np.concatenate([*both, single_leaves])), expected):
        raise _damaged(text.where, "expected every leaf, and every node but the first of a tree, to have one parent")
    return both[0], both[1]


def _means(
    left: NDArray[np.int64], right: NDArray[np.int64], leaf_value: NDArray[np.float64], leaf_weight: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean below each node, children before parents. Where no training row was counted, both sides weigh the same."""
    node_count = len(left)
    value = [0.0] * node_count + leaf_value[::-1].tolist()
    weight = [0] * node_count + leaf_weight[::-1].tolist()
    backwards = range(node_count - 1, -1, -1)
    for node, first, second in zip(backwards, left[::-1].tolist(), right[::-1].tolist(), strict=True):
        weight[node] = weight[first] + weight[second]
        share = weight[first] / weight[node] if weight[node] > 0 else 0.5
        value[node] = value[second] + share * (value[first] - value[second])
    return np.array(value[:node_count], dtype=np.float64)


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(counts) - counts


def _fields(text: str) -> dict[str, str]:
    return {key: value for key, _, value in (line.partition("=") for line in text.split("\n"))}


def _integers(numbers: list[int] | list[float], where: str) -> NDArray[np.int64]:
    try:
        return np.array(numbers, dtype=np.int64)
    except OverflowError as error:
        raise _damaged(where, "expected whole numbers of at most 64 bits") from error


def _damaged(where: str, what: str) -> AssayError:
    return AssayError(f"{where}: {what}. Take the model from its source again, or train anew")
