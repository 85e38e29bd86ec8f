"""Each operation on rows as bits against the obvious answer, row by row."""

import numpy as np
import pytest
from numpy.typing import NDArray

from features.compiled import compiled
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


@compiled
def ask(keys: NDArray[np.int32], limit: np.int32, chunks: int, out: NDArray[np.uint32]) -> None:
    rows = no_rows()
    for chunk in range(chunks - 1, -1, -1):
        rows = below_before(keys, 64 * chunk, limit, rows)
    store_rows(out, 0, rows)


@compiled
def combine(first: NDArray[np.uint32], second: NDArray[np.uint32], out: NDArray[np.uint32]) -> None:
    one, two = load_rows(first, 0), load_rows(second, 0)
    store_rows(out, 0, in_both(one, two))
    store_rows(out, WORDS, in_first_only(one, two))
    store_rows(out, 2 * WORDS, in_either(one, two))
    store_rows(out, 3 * WORDS, no_rows())
    store_rows(out, 4 * WORDS, every_row())


@compiled
def number(leaves: NDArray[np.uint32], planes: NDArray[np.uint32], numbers: NDArray[np.uint8]) -> None:
    rows = add_leaves(leaves, 0, planes)
    store_rows(planes, (PLANES - 1) * WORDS, rows)
    store_numbers(planes, numbers, 0)


def packed(rows: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """256 answers as eight words, as the module says: row r is bit r // 8 of lane r % 8."""
    words = np.zeros(WORDS, dtype=np.uint32)
    for row in np.flatnonzero(rows):
        words[row % 8] |= np.uint32(1 << (int(row) // 8))
    return words


@pytest.mark.parametrize("limit", [-(2**31), -5, 0, 1, 7, 2**31 - 1])
def test_a_question_is_answered_for_each_row(limit: int) -> None:
    keys = np.random.default_rng(1).choice([-(2**31), -7, -5, -4, 0, 1, 6, 7, 2**31 - 2], BLOCK_ROWS).astype(np.int32)
    out = np.empty(WORDS, dtype=np.uint32)
    ask(keys, np.int32(limit), 4, out)
    assert out.tolist() == packed(keys < limit).tolist()


@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_rows_that_were_not_asked_are_in_no_answer(chunks: int) -> None:
    out = np.empty(WORDS, dtype=np.uint32)
    ask(np.full(BLOCK_ROWS, -1, dtype=np.int32), np.int32(0), chunks, out)
    assert out.tolist() == packed(np.arange(BLOCK_ROWS) < 64 * chunks).tolist()


def test_sets_of_rows_are_combined() -> None:
    generator = np.random.default_rng(2)
    first, second = generator.integers(0, 2**32, size=(2, WORDS), dtype=np.uint32)
    out = np.empty(5 * WORDS, dtype=np.uint32)
    combine(first, second, out)
    expected = [first & second, first & ~second, first | second, np.zeros_like(first), ~np.zeros_like(first)]
    assert out.tolist() == np.concatenate(expected).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_the_rows_of_each_leaf_become_the_number_of_each_rows_leaf(seed: int) -> None:
    leaf_of_row = np.random.default_rng(seed).integers(0, LEAVES_AT_ONCE, size=BLOCK_ROWS)
    leaves = np.concatenate([packed(leaf_of_row == leaf) for leaf in range(LEAVES_AT_ONCE)])
    planes = np.zeros(PLANES * WORDS, dtype=np.uint32)
    numbers = np.empty(BLOCK_ROWS, dtype=np.uint8)
    number(leaves, planes, numbers)
    highest = 1 << (PLANES - 1)  # the test puts every row that is in a leaf there
    assert numbers[PLACE_OF_ROW].tolist() == (leaf_of_row + highest).tolist()


def test_every_row_has_a_place_of_its_own() -> None:
    assert sorted(PLACE_OF_ROW.tolist()) == list(range(BLOCK_ROWS))
