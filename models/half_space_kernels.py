"""Half-space trees as arrays: how they grow, and the compiled walk that scores and learns.

Nodes lie in heap order: node i has the children 2i + 1 and 2i + 2, and the leaves come last.
"""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled

PADDING = 0.15
"""A cut keeps this share of the range clear on both sides, as in River."""


@compiled
def score_and_learn(
    rows: NDArray[np.float64],
    learn: NDArray[np.bool_],
    feature: NDArray[np.uint32],
    threshold: NDArray[np.float64],
    newest: NDArray[np.int32],
    reference: NDArray[np.int32],
    progress: NDArray[np.int64],
    window_size: int,
    largest_score: float,
    cold_score: float,
    scores: NDArray[np.float64],
) -> None:
    """Score each row, then learn it where `learn` says so; `newest`, `reference` and `progress` change in place.

    One walk does both: a decision at a missing value reads the newest mass of the children, which this row has not
    raised yet. All trees go down one level at a time, so that their memory accesses overlap.
    """
    n_trees, n_inner = feature.shape
    height = 0
    while (1 << height) - 1 < n_inner:
        height += 1
    # 0.1 is the constant of the paper: a smaller mass says enough, the walk need not look deeper.
    size_limit = 0.1 * window_size
    nodes = np.zeros(n_trees, dtype=np.uint32)
    counted = np.empty(n_trees, dtype=np.int64)
    for row in range(rows.shape[0]):
        increment = np.int32(learn[row])
        nodes[:] = 0
        counted[:] = 1
        total = 0
        for depth in range(height):
            level_total = 0
            for tree in range(n_trees):
                node = nodes[tree]
                mass = np.int64(reference[tree, node])
                level_total += mass * counted[tree]
                counted[tree] &= mass >= size_limit
                newest[tree, node] += increment
                value = rows[row, feature[tree, node]]
                left = 2 * node + 1
                if np.isfinite(value):
                    nodes[tree] = left + (value >= threshold[tree, node])
                else:
                    nodes[tree] = left + (newest[tree, left] < newest[tree, left + 1])
            total += level_total << depth
        level_total = 0
        for tree in range(n_trees):
            node = nodes[tree]
            level_total += np.int64(reference[tree, node]) * counted[tree]
            newest[tree, node] += increment
        total += level_total << height
        scores[row] = 1.0 - total / largest_score if progress[1] else cold_score
        if learn[row]:
            progress[0] += 1
            if progress[0] == window_size:
                reference[:] = newest
                newest[:] = 0
                progress[0] = 0
                progress[1] = 1


def grow(
    columns: Sequence[int], limits: Sequence[tuple[float, float]], n_trees: int, height: int, chance: random.Random
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """Cut the space at random, drawing exactly as River does: node, then its left side, then its right side.

    `columns` and `limits` are in the order of the sorted feature names. Returns the column and the threshold of every
    inner node, each of shape (n_trees, 2^height - 1).
    """
    n_inner = 2**height - 1
    feature = np.zeros((n_trees, n_inner), dtype=np.uint32)
    threshold = np.zeros((n_trees, n_inner), dtype=np.float64)
    low = [limit[0] for limit in limits]
    high = [limit[1] for limit in limits]
    positions = range(len(columns))

    def cut(tree: int, node: int) -> None:
        if node >= n_inner:
            return
        widths = [high[position] - low[position] for position in positions]
        chosen = chance.choices(positions, weights=widths)[0]
        start, end = low[chosen], high[chosen]
        at = chance.uniform(start + PADDING * (end - start), end - PADDING * (end - start))
        feature[tree, node] = columns[chosen]
        threshold[tree, node] = at
        high[chosen] = at
        cut(tree, 2 * node + 1)
        high[chosen], low[chosen] = end, at
        cut(tree, 2 * node + 2)
        low[chosen] = start

    for tree in range(n_trees):
        cut(tree, 0)
    return feature, threshold


def with_inner_nodes(leaves: NDArray[Any]) -> NDArray[np.int32]:
    """Masses of all nodes from those of the leaves (n_trees, 2^height): a node holds what its two children hold."""
    levels = [leaves.astype(np.int32)]
    while levels[0].shape[1] > 1:
        levels.insert(0, levels[0][:, 0::2] + levels[0][:, 1::2])
    return np.concatenate(levels, axis=1)
