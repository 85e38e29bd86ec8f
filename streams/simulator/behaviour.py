"""Session summaries: how somebody types, moves and reads. Each typist has a profile; a manner bends it."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.simulator.identifiers import TYPIST, VISIT, deviates

Summary = dict[str, Any]


class Measure(NamedTuple):
    """One number of a summary: typical value, spread between typists and between sessions (sigma of the logarithm),
    factors of the three manners, digits kept (-1: a whole number)."""

    name: str
    typical: float
    between: float
    within: float
    stranger: float
    coached: float
    digits: int


OWNER, STRANGER, COACHED = range(3)
"""Manners: at home in the form; pasting what is stolen, in a hurry; told on the telephone what to do."""

MEASURES: tuple[Measure, ...] = (
    Measure("dwell_ms_mean", 105.0, 0.20, 0.08, 1.00, 1.05, 1),
    Measure("dwell_ms_std", 32.0, 0.30, 0.15, 1.05, 1.20, 1),
    Measure("flight_ms_mean", 185.0, 0.30, 0.12, 0.95, 1.25, 1),
    Measure("flight_ms_std", 95.0, 0.35, 0.18, 1.00, 1.35, 1),
    Measure("keys", 42.0, 0.25, 0.45, 0.85, 1.10, -1),
    Measure("backspaces", 3.0, 0.40, 0.60, 0.90, 1.40, -1),
    Measure("pastes", 0.35, 0.50, 0.80, 2.60, 1.00, -1),
    Measure("mouse_speed_mean", 610.0, 0.35, 0.18, 1.10, 0.85, 1),
    Measure("mouse_curvature", 0.24, 0.30, 0.18, 0.90, 1.10, 4),
    Measure("touch_pressure_mean", 0.42, 0.25, 0.08, 1.00, 1.05, 4),
    Measure("duration_ms", 95_000.0, 0.40, 0.55, 0.75, 1.80, -1),
    Measure("pages", 5.0, 0.30, 0.45, 0.85, 1.20, -1),
)


_NAMES = [measure.name for measure in MEASURES]
_TYPICAL = np.array([measure.typical for measure in MEASURES])
_BETWEEN = np.array([measure.between for measure in MEASURES])
_WITHIN = np.array([measure.within for measure in MEASURES])
_FACTORS = np.array([[1.0, measure.stranger, measure.coached] for measure in MEASURES]).T


def summaries(
    typists: NDArray[np.int32], manners: NDArray[np.int8], visits: NDArray[np.int64], seed: int
) -> list[Summary]:
    """One summary for each session: the typist's profile, bent by the manner, with noise that `visits` numbers fix."""
    count = len(MEASURES)
    noise = deviates(visits, VISIT, 2 * count, seed)
    profile = _BETWEEN * deviates(typists, TYPIST, count, seed)
    values = _TYPICAL * _FACTORS[manners] * np.exp(profile + _WITHIN * noise[:, :count])
    columns: list[list[float]] = []
    for index, measure in enumerate(MEASURES):
        if measure.digits < 0:
            dithered = values[:, index] + 0.4 * noise[:, count + index]  # so that small counts keep their mean
            columns.append(np.maximum(np.round(dithered), 0.0).astype(np.int64).tolist())
        else:
            columns.append(np.round(values[:, index], measure.digits).tolist())
    return [dict(zip(_NAMES, row, strict=True)) for row in zip(*columns, strict=True)]
