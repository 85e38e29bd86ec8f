"""Raw scores of 256 rows at a time, one bit for each row.

Trees ask the same questions again and again: is this feature <= that threshold. So first every question of the model is
asked once, of 256 rows at a time, and answered by 256 bits. Then the rows are sent down each tree together: a set of
rows is 256 bits, and a split parts it by one AND and one AND NOT, whatever the rows say. What arrives at the leaves is
turned around, from the rows of each leaf to the leaf of each row. Nothing depends on a branch, and a comparison costs a
fraction of an instruction for each row.

Source: the idea to keep bits instead of walking is that of QuickScorer (Lucchese et al., SIGIR 2015), which keeps one
bit for each leaf of a row; here the bits are turned around, one for each row of a leaf, so that trees may have any size
and equal questions of several trees are asked once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from models.float_order import KEY_OF_NAN, WAYS, key_of, limits, way_of_split
from models.row_bits import (
    BLOCK_ROWS,
    LEAVES_AT_ONCE,
    PLACE_OF_ROW,
    PLANES,
    WORDS,
    add_leaves,
    below_before,
    every_row,
    in_both,
    in_either,
    in_first_only,
    load_rows,
    no_rows,
    store_numbers,
    store_rows,
)
from models.trees import Trees

MOST_LEAVES = 2**PLANES
"""Largest tree: the number of a leaf is a byte."""

_TREES_AT_ONCE = 4
_ROWS_AT_ONCE = 64
_LOW_PLANES = 5  # those that `add_leaves` fills


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Questions and trees as the kernel reads them.

    A tree's sets of rows stand in one array: those of its leaves first, those of its splits behind `MOST_LEAVES`.

    Attributes:
        column: int64[columns], feature * `WAYS` + way to treat NaN, rising.
        first_question: int64[columns + 1], where the questions about each column start.
        limit: int32[questions], a key below it goes left.
        split: int32[splits, 3], of each tree from its root, every split behind its parent: question, left and right set
            of rows, each multiplied by `WORDS`.
        first_split: int64[trees + 1].
        first_leaf: int64[trees + 1]. The number of trees is a multiple of `_TREES_AT_ONCE`: trees of one leaf that
            is 0 make it so, which change no sum.
        leaf_value: float64[leaves].
    """

    column: NDArray[np.int64]
    first_question: NDArray[np.int64]
    limit: NDArray[np.int32]
    split: NDArray[np.int32]
    first_split: NDArray[np.int64]
    first_leaf: NDArray[np.int64]
    leaf_value: NDArray[np.float64]


def block_of(trees: Trees) -> Block | None:
    """The arrays of these trees; None if one of them has more than `MOST_LEAVES` leaves."""
    leaves = np.diff(np.append(trees.first_leaf, len(trees.leaf_value))).astype(np.int64)
    if leaves.max() > MOST_LEAVES:
        return None
    column = trees.split_feature.astype(np.int64) * WAYS + way_of_split(trees)
    questions, question = np.unique(column << 32 | (limits(trees.threshold) + np.int64(2**31)), return_inverse=True)
    columns, first_question = np.unique(questions >> 32, return_index=True)
    first_split = np.cumsum(leaves - 1) - (leaves - 1)
    tree = np.repeat(np.arange(len(leaves)), leaves - 1)

    def set_of(child: NDArray[np.int32]) -> NDArray[np.int64]:
        return np.where(child >= 0, MOST_LEAVES + child - first_split[tree], ~child - trees.first_leaf[tree])

    split = np.stack([question, set_of(trees.left_child), set_of(trees.right_child)], axis=1) * WORDS
    added = -len(leaves) % _TREES_AT_ONCE
    return Block(
        column=columns,
        first_question=np.append(first_question, len(questions)),
        limit=((questions & 0xFFFFFFFF) - 2**31).astype(np.int32),
        split=np.ascontiguousarray(split.astype(np.int32)),
        first_split=np.append(first_split, np.full(added + 1, len(tree))),
        first_leaf=np.append(trees.first_leaf, len(trees.leaf_value) + np.arange(added + 1)).astype(np.int64),
        leaf_value=np.append(trees.leaf_value, np.zeros(added)),
    )


def block_scores(block: Block, rows: NDArray[np.float32], scores: NDArray[np.float64]) -> None:
    """Write the raw score of each row.

    Args:
        block: the model.
        rows: float32[n, features], C-contiguous; NaN is missing.
        scores: float64[n], is overwritten.
    """
    _score_blocks(
        rows,
        block.column,
        block.first_question,
        block.limit,
        block.split,
        block.first_split,
        block.first_leaf,
        block.leaf_value,
        scores,
    )


@compiled
def _score_blocks(
    rows: NDArray[np.float32],
    column: NDArray[np.int64],
    first_question: NDArray[np.int64],
    limit: NDArray[np.int32],
    split: NDArray[np.int32],
    first_split: NDArray[np.int64],
    first_leaf: NDArray[np.int64],
    leaf_value: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> None:
    bits = rows.view(np.int32)
    answers = np.empty(len(limit) * WORDS, dtype=np.uint32)
    values = np.empty(BLOCK_ROWS, dtype=np.int32)
    keys = np.zeros(BLOCK_ROWS, dtype=np.int32)  # of rows behind the last there may be any key, they reach some leaf
    sets = np.empty(2 * MOST_LEAVES * WORDS, dtype=np.uint32)
    planes = np.empty(PLANES * WORDS, dtype=np.uint32)
    numbers = np.empty((_TREES_AT_ONCE, BLOCK_ROWS), dtype=np.uint8)
    scores[:] = 0.0
    for start in range(0, len(rows), BLOCK_ROWS):
        end = min(start + BLOCK_ROWS, len(rows))
        _ask(bits[start:end], column, first_question, limit, values, keys, answers)
        for first in range(0, len(first_leaf) - 1, _TREES_AT_ONCE):
            for one in range(_TREES_AT_ONCE):
                tree = first + one
                leaves = first_leaf[tree + 1] - first_leaf[tree]
                _send_down(split[first_split[tree] : first_split[tree + 1]], answers, sets)
                _number(leaves, sets, planes, numbers[one])
            _add(first_leaf[first:], leaf_value, numbers, scores[start:end])


@compiled
def _ask(
    bits: NDArray[np.int32],
    column: NDArray[np.int64],
    first_question: NDArray[np.int64],
    limit: NDArray[np.int32],
    values: NDArray[np.int32],
    keys: NDArray[np.int32],
    answers: NDArray[np.uint32],
) -> None:
    """Answer every question for the rows of a block, as rows that go left."""
    chunks = (len(bits) + _ROWS_AT_ONCE - 1) // _ROWS_AT_ONCE
    previous = -1
    for index in range(len(column)):
        feature = column[index] // WAYS
        if feature != previous:
            previous = feature
            for row in range(len(bits)):
                values[row] = bits[row, feature]
        key_of_nan = KEY_OF_NAN[column[index] % WAYS]
        for row in range(len(bits)):
            keys[row] = key_of(values[row], key_of_nan)
        for question in range(first_question[index], first_question[index + 1]):
            left = no_rows()
            for chunk in range(chunks - 1, -1, -1):
                left = below_before(keys, chunk * _ROWS_AT_ONCE, limit[question], left)
            store_rows(answers, question * WORDS, left)


@compiled
def _send_down(split: NDArray[np.int32], answers: NDArray[np.uint32], sets: NDArray[np.uint32]) -> None:
    """Fill the sets of rows of one tree."""
    here = MOST_LEAVES * WORDS
    store_rows(sets, here if len(split) else 0, every_row())
    for index in range(len(split)):
        rows = load_rows(sets, here)
        left = load_rows(answers, split[index, 0])
        store_rows(sets, split[index, 1], in_both(rows, left))
        store_rows(sets, split[index, 2], in_first_only(rows, left))
        here += WORDS


@compiled
def _number(leaves: int, sets: NDArray[np.uint32], planes: NDArray[np.uint32], numbers: NDArray[np.uint8]) -> None:
    """From the rows of each leaf to the number of each row's leaf."""
    groups = (leaves + LEAVES_AT_ONCE - 1) // LEAVES_AT_ONCE
    for leaf in range(leaves, groups * LEAVES_AT_ONCE):
        store_rows(sets, leaf * WORDS, no_rows())
    for plane in range(PLANES):
        store_rows(planes, plane * WORDS, no_rows())
    for group in range(groups):
        rows = add_leaves(sets, group * LEAVES_AT_ONCE * WORDS, planes)
        for plane in range(_LOW_PLANES, PLANES):
            if group >> (plane - _LOW_PLANES) & 1:
                store_rows(planes, plane * WORDS, in_either(load_rows(planes, plane * WORDS), rows))
    store_numbers(planes, numbers, 0)


@compiled
def _add(
    first_leaf: NDArray[np.int64],
    leaf_value: NDArray[np.float64],
    numbers: NDArray[np.uint8],
    scores: NDArray[np.float64],
) -> None:
    """Add the leaves of `_TREES_AT_ONCE` trees to the scores, in the order of the trees."""
    one, two = leaf_value[first_leaf[0] :], leaf_value[first_leaf[1] :]
    three, four = leaf_value[first_leaf[2] :], leaf_value[first_leaf[3] :]
    for row in range(len(scores)):
        place = PLACE_OF_ROW[row]
        score = scores[row]
        score += one[numbers[0, place]]
        score += two[numbers[1, place]]
        score += three[numbers[2, place]]
        score += four[numbers[3, place]]
        scores[row] = score
