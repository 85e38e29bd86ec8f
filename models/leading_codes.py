"""Which reason codes explain each score most, for many rows in one compiled call."""

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled

MOST_REASONS = 4
"""A verdict gives no more reasons: customers and analysts read the principal ones."""

SMALLEST_CONTRIBUTION = 0.01
"""In log-odds: what moves the odds of fraud by less than 1 per cent is no reason."""


@compiled
def leading_codes(
    contributions: NDArray[np.float64],
    code_of_column: NDArray[np.int64],
    only_if_alone: NDArray[np.bool_],
    told_before: NDArray[np.int64],
    already_told: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The codes that a row's features tell, strongest first.

    A code counts with the sum of its features' positive contributions, added in the order of the columns, and is told
    by the strongest of them; ties keep the order of the columns, among features and among codes.

    Args:
        contributions: float64[n, f], log-odds that each feature adds; NaN adds nothing.
        code_of_column: int64[f], number of each feature's code.
        only_if_alone: bool[codes], told only where nothing else is.
        told_before: int64[n], how many reasons each row has already, fewer than `MOST_REASONS`.
        already_told: int64[n, k], columns that those reasons name, -1 for none: a code that one of them would tell is
            left out.

    Returns:
        Columns int64[n, `MOST_REASONS`] of the features that tell, -1 behind the last, and the sum of each one's code.
    """
    rows, columns = contributions.shape
    codes = len(only_if_alone)
    speakers = np.full((rows, MOST_REASONS), -1, dtype=np.int64)
    sums = np.zeros((rows, MOST_REASONS), dtype=np.float64)
    total = np.empty(codes, dtype=np.float64)
    speaker = np.empty(codes, dtype=np.int64)
    for row in range(rows):
        total[:] = 0.0
        speaker[:] = -1
        for column in range(columns):
            contribution = contributions[row, column]
            if contribution > 0.0:
                code = code_of_column[column]
                total[code] += contribution
                if speaker[code] < 0 or contribution > contributions[row, speaker[code]]:
                    speaker[code] = column
        others = told_before[row] > 0
        for code in range(codes):
            for column in already_told[row]:
                if speaker[code] == column:
                    total[code] = 0.0
            others |= total[code] >= SMALLEST_CONTRIBUTION and not only_if_alone[code]
        for place in range(MOST_REASONS - told_before[row]):
            best = -1
            for code in range(codes):
                if total[code] < SMALLEST_CONTRIBUTION or (others and only_if_alone[code]):
                    continue
                if (
                    best < 0
                    or total[code] > total[best]
                    or (total[code] == total[best] and speaker[code] < speaker[best])
                ):
                    best = code
            if best < 0:
                break
            speakers[row, place] = speaker[best]
            sums[row, place] = total[best]
            total[best] = 0.0
    return speakers, sums
