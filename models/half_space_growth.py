"""How half-space trees grow: random cuts, drawn exactly as River draws them."""

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled

PADDING = 0.15
"""A cut keeps this share of the range clear on both sides, as in River."""

_DRAWS_PER_NODE = 2  # one chooses the feature, one the place of the cut


def grow(
    columns: Sequence[int], limits: Sequence[tuple[float, float]], n_trees: int, height: int, chance: random.Random
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """Cut the space at random, drawing exactly as River does: node, then its left side, then its right side.

    River calls `choices` and `uniform` for each node. Each of them draws one number with `chance.random()`, the only
    method whose sequence Python promises never to change. The draws of a tree are made at once here, and used in
    River's order.

    Args:
        columns: place of each feature in a row, in the order of the sorted names.
        limits: (low, high) of each feature, in the same order; low <= high.
        n_trees: number of trees.
        height: levels of cuts.
        chance: where to draw from.

    Returns:
        Column (uint32) and threshold (float64) of every inner node, each (n_trees, 2^height - 1).

    Raises:
        ValueError: no feature has low < high, so that there is nothing to cut.
    """
    low, high = (np.array([limit[side] for limit in limits], dtype=np.float64) for side in (0, 1))
    if not (high - low).sum() > 0.0:
        raise ValueError(f"limits: expected low < high for one feature or more, got {list(limits)}")
    n_inner = 2**height - 1
    position = np.zeros((n_trees, n_inner), dtype=np.uint32)
    threshold = np.zeros((n_trees, n_inner), dtype=np.float64)
    for tree in range(n_trees):
        draws = np.fromiter((chance.random() for _ in range(n_inner * _DRAWS_PER_NODE)), dtype=np.float64)
        _cut(draws, low, high, PADDING, position[tree], threshold[tree])
    return np.asarray(columns, dtype=np.uint32)[position], threshold


@compiled
def _cut(
    draws: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    padding: float,
    position: NDArray[np.uint32],
    threshold: NDArray[np.float64],
) -> None:
    """Cut one tree: fill the arrays (inner nodes,); `low` and `high` follow the path to the node at hand."""
    n_inner = len(position)
    start = np.empty(64, dtype=np.float64)  # per level of the path: limits before its cut
    end = np.empty(64, dtype=np.float64)
    node, level, drawn = 0, 0, 0
    while True:
        chosen = _choose(low, high, draws[drawn])
        start[level], end[level] = low[chosen], high[chosen]
        clear = padding * (end[level] - start[level])
        first, last = start[level] + clear, end[level] - clear
        position[node], threshold[node] = chosen, first + (last - first) * draws[drawn + 1]
        drawn += 2
        if 2 * node + 1 < n_inner:  # down to the left
            high[chosen] = threshold[node]
            node, level = 2 * node + 1, level + 1
            continue
        while node > 0 and node % 2 == 0:  # both sides are cut: up
            node, level = (node - 1) // 2, level - 1
            low[position[node]] = start[level]
        if node == 0:
            return
        parent = (node - 1) // 2  # the left side is cut: over to the right
        high[position[parent]], low[position[parent]] = end[level - 1], threshold[parent]
        node += 1


@compiled
def _choose(low: NDArray[np.float64], high: NDArray[np.float64], draw: float) -> int:
    """What `random.choices` returns for `draw`, with the widths high - low as weights."""
    total = 0.0
    for feature in range(len(low)):
        total += high[feature] - low[feature]
    aim, reached = draw * total, 0.0
    for feature in range(len(low) - 1):
        reached += high[feature] - low[feature]
        if aim < reached:
            return feature
    return len(low) - 1
