"""Missing values without a branch: where data decide, the processor guesses wrongly and loses some twenty cycles."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled

_ADDED: NDArray[np.float64] = np.array([np.nan, 0.0])


@compiled
def nan_unless(condition: Any) -> float:
    """0 if `condition` holds, else NaN: to be added to a value that then is what it was, or missing."""
    return float(_ADDED[np.uint64(condition)])
