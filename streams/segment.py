"""Rows of a batch between two markers, with what their accounts and entities say."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.accounts import Applied
from features.columns import Events
from streams.intake import Decoded


class Segment(NamedTuple):
    """Rows of a batch between two markers.

    Attributes:
        batch: the whole of it.
        rows: intp[n], their numbers in the batch.
        columns: `EVENT`[n], amounts in the base currency.
        applied: what their accounts say, and what is known of their entities.
        visible: int64[n], the offset of the entities topic that is visible at each row.
    """

    batch: Decoded
    rows: NDArray[np.intp]
    columns: Events
    applied: Applied
    visible: NDArray[np.int64]
