"""The order of ids by their bytes, as a sorted store wants them."""

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled


def rows_by_name(data: NDArray[np.uint8], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of ids that lie one after the other, in the order of their bytes; one that begins another comes first.

    Eight bytes of each are compared as one number, beginning where the ids begin to differ. Whole ids are only looked
    at where those numbers are equal.

    Args:
        data: uint8, the ids.
        ends: int64[n], where each ends.
    """
    numbers = np.empty(len(ends), dtype=np.uint64)
    _first_bytes(data, ends, numbers)
    rows = np.argsort(numbers)
    _settle(data, ends, numbers, rows)
    return rows


@compiled
def _common_bytes(data: NDArray[np.uint8], ends: NDArray[np.int64]) -> int:
    """With how many equal bytes all ids begin."""
    common = ends[0]
    for row in range(1, len(ends)):
        start = ends[row - 1]
        common = min(common, ends[row] - start)
        place = 0
        while place < common and data[start + place] == data[place]:
            place += 1
        common = place
    return int(common)


@compiled
def _first_bytes(data: NDArray[np.uint8], ends: NDArray[np.int64], numbers: NDArray[np.uint64]) -> None:
    """Eight bytes of each id after those that all share, the first the most significant, 0 beyond the end."""
    if len(ends) == 0:
        return
    common = _common_bytes(data, ends)
    for row in range(len(ends)):
        start = (ends[row - 1] if row > 0 else 0) + common
        number = np.uint64(0)
        for place in range(start, start + 8):
            number <<= np.uint64(8)
            if place < ends[row]:
                number |= np.uint64(data[place])
        numbers[row] = number


@compiled
def _is_before(data: NDArray[np.uint8], ends: NDArray[np.int64], row: int, other: int) -> bool:
    start = ends[row - 1] if row > 0 else 0
    other_start = ends[other - 1] if other > 0 else 0
    length, other_length = ends[row] - start, ends[other] - other_start
    for place in range(min(length, other_length)):
        one, two = data[start + place], data[other_start + place]
        if one != two:
            return bool(one < two)
    return bool(length < other_length)


@compiled
def _merge_sort(data: NDArray[np.uint8], ends: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
    """Put `rows` in order, from pairs upwards."""
    width = 1
    while width < len(rows):
        before = rows.copy()
        for start in range(0, len(rows), 2 * width):
            middle, end = min(start + width, len(rows)), min(start + 2 * width, len(rows))
            left, right = start, middle
            for place in range(start, end):
                if right == end or (left < middle and not _is_before(data, ends, before[right], before[left])):
                    rows[place] = before[left]
                    left += 1
                else:
                    rows[place] = before[right]
                    right += 1
        width *= 2


@compiled
def _settle(
    data: NDArray[np.uint8], ends: NDArray[np.int64], numbers: NDArray[np.uint64], rows: NDArray[np.int64]
) -> None:
    """Put rows with equal numbers in order."""
    start = 0
    for place in range(1, len(rows) + 1):
        if place == len(rows) or numbers[rows[place]] != numbers[rows[start]]:
            if place - start > 1:
                _merge_sort(data, ends, rows[start:place])
            start = place
