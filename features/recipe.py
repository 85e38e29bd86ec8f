"""From measures to features: the catalogue's plan, brought into the order in which a kernel follows it soonest."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.feature import DIRECT, RATIO
from features.measures import N_MEASURES
from features.scratch import PLACES, ZERO, place_of_measure

_PLACES: NDArray[np.uint32] = np.array([place_of_measure(measure) for measure in range(N_MEASURES)], dtype=np.uint32)
"""By measure."""


@compiled
def direct_places(plan: NDArray[np.int32]) -> NDArray[np.uint32]:
    """uint32[f]: the place of each feature's first measure, which is all of it where nothing is computed."""
    return _PLACES[plan[:, 1]]


@compiled
def computed_places(plan: NDArray[np.int32]) -> NDArray[np.uint32]:
    """uint32[k, 4]: column of each computed feature, and the places of its parts: (first - second) / third.

    A ratio subtracts the place that holds 0, which changes no bit of a number.
    """
    columns = np.flatnonzero(plan[:, 0] != DIRECT)
    places = np.empty((len(columns), 4), dtype=np.uint32)
    for row in range(len(columns)):
        column = columns[row]
        is_ratio = plan[column, 0] == RATIO
        places[row, 0] = column
        places[row, 1] = _PLACES[plan[column, 1]]
        places[row, 2] = ZERO if is_ratio else _PLACES[plan[column, 2]]
        places[row, 3] = _PLACES[plan[column, 2 if is_ratio else 3]]
    return places


@compiled
def factors_of(plan: NDArray[np.int32], scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[k]: factor of each computed feature; 1, which changes no bit, where the plan has none."""
    columns = np.flatnonzero(plan[:, 0] != DIRECT)
    return np.where(plan[columns, 0] == RATIO, scales[columns], 1.0)


@compiled
def serve(
    features: NDArray[np.float32],
    row: int,
    scratch: Any,
    direct: NDArray[np.uint32],
    computed: NDArray[np.uint32],
    factors: NDArray[np.float64],
) -> None:
    """Fill one row of features, each rounded once, to float32; a divisor of 0 makes it NaN."""
    measures = scratch["measures"]
    narrow = scratch["narrow"]
    for place in range(PLACES):
        narrow[place] = np.float32(measures[place])
    for column in range(len(direct)):
        features[row, column] = narrow[direct[column]]
    measures[ZERO] = 0.0
    for place in range(len(factors)):
        value = factors[place] * (measures[computed[place, 1]] - measures[computed[place, 2]])
        divisor = measures[computed[place, 3]]
        features[row, computed[place, 0]] = np.float32(value / (divisor if divisor != 0.0 else np.nan))
