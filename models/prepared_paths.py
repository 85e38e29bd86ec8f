"""Path attribution of `models.attribution`, the same bits in a fraction of the time, for models of usual size.

A walk that adds up its changes as it goes waits twice at every split: for memory, and for which way it goes. So some
rows are sent through a tree together, step by step and without a branch, while the tree is at hand; and what each
leaf's path adds, and to which features, was written down when the model was opened. The order of the additions to a row
stays: tree by tree, from the root to the leaf.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from models.attribution import Contributions
from models.float_order import WAYS
from models.forest_walk import LEAF, Walk, fill_keys, next_entry
from models.trees import Trees, splits_by_level

MOST_STEPS = 2**22
"""Steps of all paths that are written down, 12 bytes each. 300 trees of 31 leaves have some 80 thousand; deep trees of
thousands of leaves have a number that grows with the square of their size."""

_ROWS_AT_ONCE = 32  # their keys and contributions fit into the processor's second cache beside a tree


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """The paths to all leaves of a model.

    Attributes:
        feature_count: columns of a row.
        bias: log-odds before anything is known about a row.
        walk: how a row finds its leaves.
        depth: int32[trees], the largest number of steps from each root to a leaf.
        start: uint32[leaves + 1], where the path to each leaf starts.
        feature: uint32[steps], asked at each step, from the root to the leaf.
        change: float64[steps], how the step changes the mean of the leaves still in reach.
    """

    feature_count: int
    bias: float
    walk: Walk
    depth: NDArray[np.int32]
    start: NDArray[np.uint32]
    feature: NDArray[np.uint32]
    change: NDArray[np.float64]


def paths_of(trees: Trees, walk: Walk, most_steps: int = MOST_STEPS) -> Paths | None:
    """Write down the paths of a model, in a few milliseconds; None if they have more than `most_steps` steps.

    Args:
        trees: the model.
        walk: the same as it is walked, from `models.forest_walk.walk_of`.
        most_steps: of all paths together.
    """
    splits, leaves = len(trees.split_feature), len(trees.leaf_value)
    children = np.concatenate([trees.left_child, trees.right_child])  # each also its index below: leaf ~c from the end
    split = np.tile(np.arange(splits), 2)
    value = np.concatenate([trees.node_value, trees.leaf_value[::-1]])
    parent, change = np.full(splits + leaves, -1), np.zeros(splits + leaves)
    parent[children] = split
    change[children] = value[children] - trees.node_value[split]
    start = np.concatenate([[0], np.cumsum(_steps_to(trees)[splits:][::-1])])
    if start[-1] > most_steps:
        return None
    step_feature, step_change = np.empty(start[-1], dtype=np.uint32), np.empty(start[-1])
    here, step = ~np.arange(leaves), start[1:] - 1
    while len(here):
        below = parent[here] >= 0
        here, step = here[below], step[below]
        step_feature[step] = trees.split_feature[parent[here]]
        step_change[step] = change[here]
        here, step = parent[here], step - 1
    return Paths(
        feature_count=trees.feature_count,
        bias=trees.bias,
        walk=walk,
        depth=(walk.walking[:, None] > walk.root[None, :]).sum(axis=0, dtype=np.int32),
        start=start.astype(np.uint32),
        feature=step_feature,
        change=step_change,
    )


def _steps_to(trees: Trees) -> NDArray[np.int64]:
    """int64[splits + leaves]: steps from the root to each split, then, from the end, to each leaf."""
    steps = np.zeros(len(trees.split_feature) + len(trees.leaf_value), dtype=np.int64)
    for level, here in enumerate(splits_by_level(trees), 1):
        steps[trees.left_child[here]] = level
        steps[trees.right_child[here]] = level
    return steps


def prepared_contributions(paths: Paths, rows: NDArray[np.float32]) -> Contributions:
    """What `models.attribution.path_contributions` gives, bit for bit.

    Args:
        paths: the model.
        rows: float32[n, features]; NaN is missing; n may be 0.
    """
    assert rows.dtype == np.float32, rows.dtype
    assert rows.ndim == 2, rows.shape
    assert rows.shape[1] == paths.feature_count, (rows.shape, paths.feature_count)
    walk = paths.walk
    contributions = np.zeros(rows.shape, dtype=np.float64)
    _add_paths(
        np.ascontiguousarray(rows),
        walk.entries,
        walk.root,
        paths.depth,
        paths.start,
        paths.feature,
        paths.change,
        contributions,
    )
    return Contributions(contributions, paths.bias)


@compiled
def _add_paths(
    rows: NDArray[np.float32],
    entries: NDArray[np.int32],
    root: NDArray[np.int32],
    depth: NDArray[np.int32],
    start: NDArray[np.uint32],
    feature: NDArray[np.uint32],
    change: NDArray[np.float64],
    contributions: NDArray[np.float64],
) -> None:
    """Unsigned numbers as indices: numba asks of signed ones whether they count from the end."""
    bits = rows.view(np.int32)
    keys = np.empty((_ROWS_AT_ONCE, WAYS * rows.shape[1]), dtype=np.int32)
    at = np.empty(_ROWS_AT_ONCE, dtype=np.uint32)
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        together = min(_ROWS_AT_ONCE, len(rows) - first)
        for row in range(together):
            fill_keys(bits[first + row], keys[row])
        for tree in range(len(root)):
            at[:together] = root[tree]
            for _ in range(depth[tree]):
                for row in range(together):
                    at[row] = next_entry(entries, keys[row], at[row])
            for row in range(together):
                leaf = np.uint64(entries[np.uint64(at[row]), LEAF])
                added = contributions[first + row]
                for step in range(start[leaf], start[leaf + np.uint64(1)]):
                    added[feature[np.uint64(step)]] += change[np.uint64(step)]
