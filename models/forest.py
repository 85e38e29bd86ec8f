"""Raw scores of a whole batch in one compiled call, bit for bit those of LightGBM's own predict.

A row's way through a tree is not walked. Each tree has one bit per leaf, from left to right; every split that a row
answers with "right" clears the bits of the leaves to its left, in any order; the lowest bit left is the row's leaf. So
each split is one comparison and one AND for a block of rows side by side, which the compiler turns into vector
instructions, and nothing depends on a branch.

Source: Lucchese et al., "QuickScorer: a fast algorithm to rank documents with additive ensembles of regression trees",
SIGIR 2015; here over blocks of rows instead of sorted thresholds.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from models.attribution import NEARLY_ZERO
from models.trees import Trees

BLOCK_ROWS = 64
MOST_LEAVES = 64
"""Largest tree whose leaves fit into one word."""

_TABLE_32 = np.array(
    [
        0,
        1,
        28,
        2,
        29,
        14,
        24,
        3,
        30,
        22,
        20,
        15,
        25,
        17,
        4,
        8,
        31,
        27,
        13,
        23,
        21,
        19,
        16,
        7,
        26,
        12,
        18,
        6,
        11,
        5,
        10,
        9,
    ],
    dtype=np.int64,
)
"""Place of a word's only bit, by the highest five bits of its product with a de Bruijn number."""


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """Splits and leaves of a model as the kernel reads them.

    Attributes:
        column_feature: int64[columns], feature of each column of a block.
        column_keeps_nan: bool[columns], False: NaN is read as 0.
        split_column: int64[splits].
        split_tree: int64[splits], rising.
        threshold: float32[splits], rounded down, so that comparing float32 values says the same.
        nan_goes_right: bool[splits].
        kept: uint32 or uint64[splits], the leaves that answering "right" leaves possible.
        every_leaf: one word of the same width, all bits set.
        first_leaf: int64[trees].
        leaf_value: float64[leaves], of each tree from left to right.
    """

    column_feature: NDArray[np.int64]
    column_keeps_nan: NDArray[np.bool_]
    split_column: NDArray[np.int64]
    split_tree: NDArray[np.int64]
    threshold: NDArray[np.float32]
    nan_goes_right: NDArray[np.bool_]
    kept: NDArray[Any]
    every_leaf: NDArray[Any]
    first_leaf: NDArray[np.int64]
    leaf_value: NDArray[np.float64]


def forest_of(trees: Trees) -> Forest | None:
    """The trees as masks; None if one has more than `MOST_LEAVES` leaves."""
    leaf_counts = np.diff(np.append(trees.first_leaf, len(trees.leaf_value)))
    if leaf_counts.max() > MOST_LEAVES:
        return None
    word = np.uint32 if leaf_counts.max() <= 32 else np.uint64
    every_leaf = int(np.iinfo(word).max)
    pairs = np.stack([trees.split_feature, trees.missing_is_nan], axis=1).astype(np.int64)
    columns, split_column = np.unique(pairs, axis=0, return_inverse=True)
    order: list[int] = []
    split_tree: list[int] = []
    kept: list[int] = []
    leaf_value: list[float] = []
    for tree, root in enumerate(trees.root.tolist()):
        first = len(leaf_value)
        for node, leaves_before, leaves_until in _in_order(trees, root, leaf_value):
            order.append(node)
            split_tree.append(tree)
            left = ((1 << (leaves_until - first)) - 1) & ~((1 << (leaves_before - first)) - 1)
            kept.append(every_leaf & ~left)
    return Forest(
        column_feature=np.ascontiguousarray(columns[:, 0]),
        column_keeps_nan=columns[:, 1] != 0,
        split_column=split_column.reshape(-1)[order].astype(np.int64),
        split_tree=np.array(split_tree, dtype=np.int64),
        threshold=_rounded_down(trees.threshold[order]),
        nan_goes_right=~trees.missing_goes_left[order],
        kept=np.array(kept, dtype=word),
        every_leaf=np.array([every_leaf], dtype=word),
        first_leaf=trees.first_leaf.astype(np.int64),
        leaf_value=np.array(leaf_value, dtype=np.float64),
    )


def raw_scores(forest: Forest, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """float64[n]: sum over all trees, in their order, of the leaf that each row reaches.

    Args:
        forest: the model.
        rows: float32[n, features], C-contiguous; NaN is missing.
    """
    scores = np.zeros(len(rows), dtype=np.float64)
    _sum_leaves(
        rows,
        forest.column_feature,
        forest.column_keeps_nan,
        forest.split_column,
        forest.split_tree,
        forest.threshold,
        forest.nan_goes_right,
        forest.kept,
        forest.every_leaf,
        forest.first_leaf,
        forest.leaf_value,
        _TABLE_32,
        scores,
    )
    return scores


def _in_order(trees: Trees, child: int, leaf_value: list[float]) -> list[tuple[int, int, int]]:
    """Splits below `child`, each with the leaves to its left (from, until); leaves are added to `leaf_value`."""
    if child < 0:
        leaf_value.append(float(trees.leaf_value[~child]))
        return []
    before = len(leaf_value)
    left = _in_order(trees, int(trees.left_child[child]), leaf_value)
    until = len(leaf_value)
    right = _in_order(trees, int(trees.right_child[child]), leaf_value)
    return [(child, before, until), *left, *right]


def _rounded_down(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 not above: a float32 is <= the threshold exactly if it is <= this."""
    with np.errstate(over="ignore"):
        rounded = threshold.astype(np.float32)
    above = rounded.astype(np.float64) > threshold
    return np.where(above, np.nextafter(rounded, np.float32(-np.inf)), rounded).astype(np.float32)


@compiled
def _lowest_bit(word: Any, table: NDArray[np.int64]) -> int:
    """Place of the lowest bit that is set; one is."""
    place = 0
    low = np.uint32(word & np.uint32(0xFFFFFFFF))
    if low == 0:
        low = np.uint32(np.uint64(word) >> np.uint64(32))
        place = 32
    only = np.uint32(low & np.uint32(~low + np.uint32(1)))
    found: int = place + table[np.uint32(only * np.uint32(0x077CB531)) >> np.uint32(27)]
    return found


@compiled
def _sum_leaves(
    rows: NDArray[np.float32],
    column_feature: NDArray[np.int64],
    column_keeps_nan: NDArray[np.bool_],
    split_column: NDArray[np.int64],
    split_tree: NDArray[np.int64],
    threshold: NDArray[np.float32],
    nan_goes_right: NDArray[np.bool_],
    kept: NDArray[Any],
    every_leaf: NDArray[Any],
    first_leaf: NDArray[np.int64],
    leaf_value: NDArray[np.float64],
    table: NDArray[np.int64],
    scores: NDArray[np.float64],
) -> None:
    trees = len(first_leaf)
    block = np.empty((len(column_feature), BLOCK_ROWS), dtype=np.float32)
    possible = np.empty((trees, BLOCK_ROWS), dtype=kept.dtype)
    all_leaves = every_leaf[0]
    for start in range(0, len(rows), BLOCK_ROWS):
        count = min(BLOCK_ROWS, len(rows) - start)
        for column in range(len(column_feature)):
            feature = column_feature[column]
            for row in range(count):
                value = rows[start + row, feature]
                if (np.isnan(value) and not column_keeps_nan[column]) or abs(np.float64(value)) <= NEARLY_ZERO:
                    value = np.float32(0.0)
                block[column, row] = value
        for tree in range(trees):
            for row in range(count):
                possible[tree, row] = all_leaves
        for split in range(len(split_column)):
            values = block[split_column[split]]
            leaves = possible[split_tree[split]]
            limit = threshold[split]
            right = kept[split]
            if nan_goes_right[split]:
                for row in range(count):
                    leaves[row] &= all_leaves if values[row] <= limit else right
            else:
                for row in range(count):
                    leaves[row] &= right if values[row] > limit else all_leaves
        for tree in range(trees):
            first = first_leaf[tree]
            for row in range(count):
                scores[start + row] += leaf_value[first + _lowest_bit(possible[tree, row], table)]
