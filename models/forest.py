"""Raw scores in one compiled call, bit for bit those of LightGBM's own predict: the same comparisons, the same sum.

Two kernels give the same bits. One walks all trees for a row (`models.forest_walk`), the other sends 256 rows at a time
down each tree (`models.forest_block`). The second costs nearly the same for one row as for 64, so it takes some rows
to pay; how many was measured (`docs/decisions/0012-rows-as-bits.md`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.forest_block import Block, block_of, block_scores
from models.forest_walk import Walk, walk_of, walked_scores
from models.trees import Trees


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """A model as both kernels read it.

    Attributes:
        walk: for a few rows.
        block: for many rows; None: a tree is too large, every row is walked.
        few_rows: batches of at most this size are walked.
    """

    walk: Walk
    block: Block | None
    few_rows: int


def forest_of(trees: Trees) -> Forest:
    """The trees as arrays for the kernels."""
    walk, block = walk_of(trees), block_of(trees)
    return Forest(walk, block, 0 if block is None else _few_rows(walk, block))


def _few_rows(walk: Walk, block: Block) -> int:
    """Up to which size of a batch walking was faster, on models of 7 to 255 leaves.

    A block costs by its questions and splits, a row that is walked by the steps of its trees; the eight stands for what
    a block does besides.
    """
    steps = int(walk.walking.sum())
    return 8 + (len(block.limit) + len(block.split)) // max(1, steps)


def raw_scores(forest: Forest, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """float64[n]: sum over all trees, in their order, of the leaf that each row reaches.

    Args:
        forest: the model.
        rows: float32[n, features], C-contiguous; NaN is missing; n may be 0.
    """
    scores = np.empty(len(rows), dtype=np.float64)
    if forest.block is None or len(rows) <= forest.few_rows:
        walked_scores(forest.walk, rows, scores)
    else:
        block_scores(forest.block, rows, scores)
    return scores


def scores_by_kernel(forest: Forest, rows: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """What each kernel that can hold the model gives, whatever the number of rows: they have to agree."""
    walked = np.empty(len(rows), dtype=np.float64)
    walked_scores(forest.walk, rows, walked)
    if forest.block is None:
        return [walked]
    together = np.empty(len(rows), dtype=np.float64)
    block_scores(forest.block, rows, together)
    return [walked, together]
