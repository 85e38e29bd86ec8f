"""Raw scores of a few rows: every tree of the model walked at the same time, one level after the other.

A walk alone waits for memory at each level, and nobody can guess which way it goes. So all trees take their first
step, then all take their second: a step is a load, a comparison and an addition without a branch, because the two
children of a split stand side by side and a leaf leads to itself, and the processor overlaps the steps of many trees.
Trees stand in the order of their depth, so that a level asks only those that are that deep.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from models.float_order import ALWAYS_BELOW, KEY_OF_NAN, WAYS, key_of, limits, way_of_split
from models.trees import Trees, splits_by_level

LEAF = 3
"""In an entry: the place of a leaf in `Walk.leaf_value`."""
_COLUMN, _LIMIT, _CHILD = 0, 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """The trees as the kernel steps through them.

    Attributes:
        entries: int32[splits and leaves, 4], the deepest tree's root first, then all other roots, then the children of
            each split, left and right side by side. A split has its column (its way to treat NaN * features + its
            feature), its limit, and the entry of its left child; a leaf has a limit that every key is below, itself as
            left child, and its place in `leaf_value`.
        root: int32[trees], the entry of each tree's root.
        walking: int32[levels], how many trees have a split at that level.
        leaf_value: float64[leaves].
    """

    entries: NDArray[np.int32]
    root: NDArray[np.int32]
    walking: NDArray[np.int32]
    leaf_value: NDArray[np.float64]


def walk_of(trees: Trees) -> Walk:
    """The arrays of these trees."""
    depth = _depths(trees)
    root = np.empty(trees.tree_count, dtype=np.int64)
    root[np.argsort(-depth, kind="stable")] = np.arange(trees.tree_count)
    pairs = trees.tree_count + 2 * np.arange(len(trees.threshold))
    child = np.concatenate([trees.root, trees.left_child, trees.right_child])
    entry = np.concatenate([root, pairs, pairs + 1])
    split, leaf = child >= 0, child < 0
    entries = np.empty((len(child), 4), dtype=np.int32)
    column = way_of_split(trees) * trees.feature_count + trees.split_feature
    asked = child[split]
    entries[entry[split]] = np.stack(
        [column[asked], limits(trees.threshold)[asked], pairs[asked], np.zeros_like(asked)], axis=1
    )
    reached = ~child[leaf]
    nothing = np.zeros_like(reached)
    entries[entry[leaf]] = np.stack([nothing, nothing + ALWAYS_BELOW, entry[leaf], reached], axis=1)
    levels = np.arange(depth.max())
    return Walk(
        entries=entries,
        root=root.astype(np.int32),
        walking=(depth[None, :] > levels[:, None]).sum(axis=1, dtype=np.int32),
        leaf_value=trees.leaf_value,
    )


def _depths(trees: Trees) -> NDArray[np.int64]:
    """int64[trees], the largest number of splits from the root of each tree to a leaf."""
    splits = np.diff(np.append(trees.first_leaf, len(trees.leaf_value))) - 1
    tree = np.repeat(np.arange(trees.tree_count), splits)
    depth = np.zeros(trees.tree_count, dtype=np.int64)
    for level, here in enumerate(splits_by_level(trees), 1):
        depth[tree[here]] = level
    return depth


def walked_scores(walk: Walk, rows: NDArray[np.float32], scores: NDArray[np.float64]) -> None:
    """Write the raw score of each row.

    Args:
        walk: the model.
        rows: float32[n, features], C-contiguous; NaN is missing.
        scores: float64[n], is overwritten.
    """
    _walk_together(rows, walk.entries, walk.root, walk.walking, walk.leaf_value, scores)


@compiled
def _walk_together(
    rows: NDArray[np.float32],
    entries: NDArray[np.int32],
    root: NDArray[np.int32],
    walking: NDArray[np.int32],
    leaf_value: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> None:
    """Unsigned numbers as indices: numba asks of signed ones whether they count from the end."""
    bits = rows.view(np.int32)
    keys = np.empty(WAYS * rows.shape[1], dtype=np.int32)
    at = np.empty(len(root), dtype=np.uint32)
    for row in range(len(rows)):
        fill_keys(bits[row], keys)
        for tree in range(len(root)):
            at[tree] = tree
        for level in range(len(walking)):
            for tree in range(walking[level]):
                at[tree] = next_entry(entries, keys, at[tree])
        score = 0.0
        for tree in range(len(root)):
            leaf = entries[np.uint64(at[np.uint32(root[tree])]), LEAF]
            score += leaf_value[np.uint32(leaf)]
        scores[row] = score


@compiled
def fill_keys(bits: NDArray[np.int32], keys: NDArray[np.int32]) -> None:
    """Write the keys of one row, by way to treat NaN and then by feature: int32[`WAYS` * features]."""
    features = len(bits)
    for way in range(WAYS):
        for feature in range(features):
            keys[way * features + feature] = key_of(bits[feature], KEY_OF_NAN[way])


@compiled
def next_entry(entries: NDArray[np.int32], keys: NDArray[np.int32], entry: Any) -> Any:
    """Where a row with these keys goes from an entry (uint32): to a child; from a leaf nowhere."""
    here = np.uint64(entry)
    goes_right = keys[np.uint32(entries[here, _COLUMN])] >= entries[here, _LIMIT]
    return np.uint32(entries[here, _CHILD] + goes_right)
