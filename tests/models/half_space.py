"""What the tests of half-space trees share: rows with gaps, in River's form too, and scoring row by row."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMES = ("amount", "country", "device", "hour", "merchant")
Row = dict[str, float]


def random_rows(count: int, missing: float, seed: int = 7) -> NDArray[np.float64]:
    """Rows with a cluster, a tail and planted gaps (NaN); the first row is whole, so that River knows every name."""
    random = np.random.default_rng(seed)
    rows = np.where(random.random((count, len(NAMES))) < 0.1, random.random((count, len(NAMES))), 0.0)
    rows += random.beta(2, 8, rows.shape)
    rows[1:][random.random((count - 1, len(NAMES))) < missing] = math.nan
    return rows


def as_dicts(rows: NDArray[np.float64], names: tuple[str, ...] = NAMES) -> list[Row]:
    """River's form: what is missing has no key."""
    return [{name: value for name, value in zip(names, row, strict=True) if value == value} for row in rows.tolist()]


def scored_one_by_one(model: Any, rows: list[Row], learn: NDArray[np.bool_] | None = None) -> list[float]:
    """Scores of the rows; each is learnt after it was scored where `learn` says so."""
    scores = []
    for position, row in enumerate(rows):
        scores.append(model.score_one(row))
        if learn is None or learn[position]:
            model.learn_one(row)
    return scores
