"""Maps raw inputs of a detector to [0, 1] by limits that are frozen with the model."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from models.plain_arrays import plain, shapes_differ


@compiled
def to_unit(
    features: NDArray[np.float32],
    columns: NDArray[np.int64],
    low: NDArray[np.float64],
    width: NDArray[np.float64],
    unit: NDArray[np.float64],
) -> None:
    """Write (value - low) / width, cut to [0, 1], of the `columns` to `unit`; NaN and infinite values become NaN."""
    for row in range(features.shape[0]):
        for place in range(len(columns)):
            value = np.float64(features[row, columns[place]])
            if np.isfinite(value):
                unit[row, place] = min(max((value - low[place]) / width[place], 0.0), 1.0)
            else:
                unit[row, place] = math.nan


class UnitScale:
    """Frozen linear limits of k inputs: (value - low) / (high - low), cut to [0, 1]; what is missing stays missing.

    >>> scale = UnitScale([(0.0, 10.0), (-1.0, 1.0)])
    >>> scale(np.array([[7, 5, 3], [7, -1, np.inf]], np.float32), np.array([1, 2]), np.array([True, True]))
    array([[0.5, 1. ],
           [0. , nan]])
    """

    def __init__(self, limits: Sequence[tuple[float, float]]) -> None:
        bounds = np.array(limits, dtype=np.float64)
        self._low = bounds[:, 0].copy()
        self._width = bounds[:, 1] - bounds[:, 0]

    def __call__(
        self, features: NDArray[np.float32], columns: NDArray[np.int64], learn: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return a new C-contiguous float64 (n, k) from the k `columns` of float32 (n, f).

        Raises:
            ValueError: `columns` is not (k,) or leads out of `features`, or `learn`, which goes with it, is not (n,).
        """
        if (
            features.ndim != 2
            or columns.shape != self._low.shape
            or not 0 <= columns.min() <= columns.max() < features.shape[1]
            or learn.shape != (len(features),)
        ):
            raise shapes_differ(len(self._low), features, learn)
        unit = np.empty((len(features), len(columns)), dtype=np.float64)
        to_unit(plain(features, np.float32), plain(columns, np.int64), self._low, self._width, unit)
        return unit
