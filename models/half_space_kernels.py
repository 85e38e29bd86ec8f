"""Half-space trees as arrays: the compiled walks that score and learn.

Nodes lie in heap order: node i has the children 2i + 1 and 2i + 2, and the leaves come last. What a path says is added
up once, when a window is full, and kept with its leaf (`settled`): a row is scored by one look-up per tree, and a walk
touches cuts alone.

Rows are walked in one of two orders, whichever is faster; both give what one row after the other gives:

- **tree by tree**, a block of rows at a time, where no value is missing: no walk depends on another then, a tree stays
  in the nearest cache, and the paths of many rows overlap. Only leaves are counted, inner nodes lag behind.
- **row by row**, all trees side by side, where a value is missing: the walk then follows the child that more rows of
  the current window took, so every row before has to be counted in every node.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled

BLOCK_ROWS = 64
"""Most rows that go through a tree together; their inputs fit the nearest cache beside the tree."""
SMALLEST_BLOCK = 32
"""Fewer rows go row by row: there is too little to overlap in one tree."""

FILLED, WARM, LAGGING = 0, 1, 2
"""Places in `progress`: rows in the window being filled, 1 once a window was full, 1 while inner nodes lag behind."""


@compiled
def score_and_learn(
    rows: NDArray[np.float64],
    learn: NDArray[np.bool_],
    feature: NDArray[np.uint32],
    threshold: NDArray[np.float64],
    newest: NDArray[np.int32],
    reference: NDArray[np.int32],
    settled: NDArray[np.int64],
    progress: NDArray[np.int64],
    window_size: int,
    largest_score: float,
    cold_score: float,
    scores: NDArray[np.float64],
) -> None:
    """Score each row, then learn it where `learn` says so; the masses and `progress` change in place.

    Args:
        rows: float64 (n, k); NaN and infinite values are missing.
        learn: bool (n,).
        feature: uint32 (trees, inner nodes), column that a node cuts.
        threshold: float64 (trees, inner nodes); a smaller value goes left.
        newest: int32 (trees, nodes), rows of the window being filled.
        reference: int32 (trees, leaves), rows of the last full window.
        settled: int64 (trees, leaves), see `settle`.
        progress: int64 (3,), see `FILLED`.
        window_size: learnt rows in a window.
        largest_score: what all trees say together of a row where every row lies.
        cold_score: score of a row while no window was full.
        scores: float64 (n,), written.
    """
    totals = np.empty(BLOCK_ROWS, dtype=np.int64)
    nodes = np.empty(max(BLOCK_ROWS, len(feature)), dtype=np.uint32)
    start = 0
    while start < len(rows):
        # A block ends with the window: from the next row on, another window is the reference.
        end, learnt, complete = start, 0, True
        while end < len(rows) and end - start < BLOCK_ROWS and progress[FILLED] + learnt < window_size:
            learnt += learn[end]
            for column in range(rows.shape[1]):
                complete &= np.isfinite(rows[end, column])
            end += 1
        block, taught = rows[start:end], learn[start:end]
        if complete and end - start >= SMALLEST_BLOCK:
            _walk_tree_by_tree(block, taught, feature, threshold, newest, settled, nodes, totals)
            progress[LAGGING] = 1
        else:
            if progress[LAGGING]:
                add_up(newest)
                progress[LAGGING] = 0
            _walk_row_by_row(block, taught, feature, threshold, newest, settled, nodes, totals)
        for row in range(start, end):
            scores[row] = 1.0 - totals[row - start] / largest_score if progress[WARM] else cold_score
        progress[FILLED] += learnt
        if progress[FILLED] == window_size:
            add_up(newest)
            reference[:] = newest[:, feature.shape[1] :]
            settle(newest, 0.1 * window_size, settled)
            newest[:] = 0
            progress[FILLED] = 0
            progress[WARM] = 1
            progress[LAGGING] = 0
        start = end


@compiled
def _height(inner_nodes: int) -> int:
    """Levels of cuts in a tree of 2^height - 1 inner nodes."""
    height = 0
    while (1 << height) - 1 < inner_nodes:
        height += 1
    return height


@compiled
def _walk_tree_by_tree(
    rows: NDArray[np.float64],
    learn: NDArray[np.bool_],
    feature: NDArray[np.uint32],
    threshold: NDArray[np.float64],
    newest: NDArray[np.int32],
    settled: NDArray[np.int64],
    nodes: NDArray[np.uint32],
    totals: NDArray[np.int64],
) -> None:
    """Walk rows without missing values: write what the trees say to `totals`, count the leaves of learnt rows."""
    n_inner = np.uint32(feature.shape[1])
    height = _height(feature.shape[1])
    totals[: len(rows)] = 0
    for tree in range(len(feature)):
        columns, cuts = feature[tree], threshold[tree]
        nodes[: len(rows)] = 0
        for _ in range(height):
            for row in range(len(rows)):
                node = nodes[row]
                nodes[row] = np.uint32(2 * node + 1) + np.uint32(rows[row, columns[node]] >= cuts[node])
        for row in range(len(rows)):
            newest[tree, nodes[row]] += np.int32(learn[row])
            totals[row] += settled[tree, nodes[row] - n_inner]


@compiled
def _walk_row_by_row(
    rows: NDArray[np.float64],
    learn: NDArray[np.bool_],
    feature: NDArray[np.uint32],
    threshold: NDArray[np.float64],
    newest: NDArray[np.int32],
    settled: NDArray[np.int64],
    nodes: NDArray[np.uint32],
    totals: NDArray[np.int64],
) -> None:
    """Walk any rows: write what the trees say to `totals`, count all nodes on the paths of learnt rows.

    One walk scores and learns: a decision at a missing value reads the masses of the children, which this row has not
    raised yet. All trees go down one level at a time, so that their memory accesses overlap.
    """
    n_trees, n_inner = feature.shape
    height = _height(n_inner)
    for row in range(len(rows)):
        increment = np.int32(learn[row])
        nodes[:n_trees] = 0
        for _ in range(height):
            for tree in range(n_trees):
                node = nodes[tree]
                newest[tree, node] += increment
                value = rows[row, feature[tree, node]]
                left = np.uint32(2 * node + 1)
                right = left + np.uint32(1)
                if np.isfinite(value):
                    nodes[tree] = right if value >= threshold[tree, node] else left
                else:
                    nodes[tree] = right if newest[tree, left] < newest[tree, right] else left
        total = 0
        for tree in range(n_trees):
            node = nodes[tree]
            newest[tree, node] += increment
            total += settled[tree, node - np.uint32(n_inner)]
        totals[row] = total


@compiled
def add_up(masses: NDArray[np.int32]) -> None:
    """Give every inner node of (trees, nodes) what its two children hold."""
    for tree in range(len(masses)):
        for node in range(masses.shape[1] // 2 - 1, -1, -1):
            masses[tree, node] = masses[tree, 2 * node + 1] + masses[tree, 2 * node + 2]


@compiled
def settle(masses: NDArray[np.int32], size_limit: float, settled: NDArray[np.int64]) -> None:
    """Write to `settled`, for each leaf, the sum of mass * 2^depth over its path.

    The sum ends with the first node of a mass below `size_limit`: that few rows say enough (Tan et al. 2011).
    """
    n_nodes = masses.shape[1]
    n_inner = n_nodes // 2
    said = np.empty(n_nodes, dtype=np.int64)
    goes_on = np.empty(n_nodes, dtype=np.bool_)
    for tree in range(len(masses)):
        said[0] = masses[tree, 0]
        goes_on[0] = masses[tree, 0] >= size_limit
        depth, level_ends = 0, 1
        for node in range(1, n_nodes):
            if node == level_ends:
                depth += 1
                level_ends = 2 * level_ends + 1
            parent = (node - 1) // 2
            mass = np.int64(masses[tree, node])
            said[node] = said[parent] + (mass << depth if goes_on[parent] else 0)
            goes_on[node] = goes_on[parent] and mass >= size_limit
        settled[tree] = said[n_inner:]


def with_inner_nodes(leaves: NDArray[Any]) -> NDArray[np.int32]:
    """Masses of all nodes from those of the leaves (n_trees, 2^height): a node holds what its two children hold."""
    n_inner = leaves.shape[1] - 1
    masses = np.zeros((len(leaves), n_inner + leaves.shape[1]), dtype=np.int32)
    masses[:, n_inner:] = leaves
    add_up(masses)
    return masses
