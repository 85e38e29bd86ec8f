"""Maps raw inputs of a detector to [0, 1] by limits that are frozen with the model."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled


@compiled
def to_unit(
    rows: NDArray[np.float64], low: NDArray[np.float64], width: NDArray[np.float64], unit: NDArray[np.float64]
) -> None:
    """Write (rows - low) / width, cut to [0, 1], to `unit`; NaN and infinite values become NaN."""
    for row in range(rows.shape[0]):
        for column in range(rows.shape[1]):
            value = rows[row, column]
            if np.isfinite(value):
                unit[row, column] = min(max((value - low[column]) / width[column], 0.0), 1.0)
            else:
                unit[row, column] = math.nan


class UnitScale:
    """Frozen linear limits of k inputs: (value - low) / (high - low), cut to [0, 1]; what is missing stays missing.

    >>> UnitScale([(0.0, 10.0), (-1.0, 1.0)])(np.array([[5.0, 3.0], [-1.0, np.inf]]), np.array([True, True]))
    array([[0.5, 1. ],
           [0. , nan]])
    """

    def __init__(self, limits: Sequence[tuple[float, float]]) -> None:
        bounds = np.array(limits, dtype=np.float64)
        self._low = bounds[:, 0].copy()
        self._width = bounds[:, 1] - bounds[:, 0]

    def __call__(self, rows: NDArray[np.float64], learn: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return a new C-contiguous float64 (n, k); NaN and infinite values become NaN.

        Raises:
            ValueError: `rows` is not (n, k) or `learn`, which goes with it, is not (n,).
        """
        if rows.ndim != 2 or rows.shape[1] != len(self._low) or learn.shape != (len(rows),):
            expected = f"rows of shape (n, {len(self._low)}) and learn of shape (n,)"
            raise ValueError(f"expected {expected}, got {rows.shape} and {learn.shape}")
        layout: tuple[Literal["C"], Literal["W"]] = ("C", "W")  # one signature of the kernel, whatever comes in
        unit = np.empty(rows.shape, dtype=np.float64)
        to_unit(np.require(rows, np.float64, layout), self._low, self._width, unit)
        return unit
