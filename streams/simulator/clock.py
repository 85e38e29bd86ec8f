"""In which order events arrive, and what their clocks say: jitter, late events, duplicates, clocks of whole seconds."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streams.simulator.merchants import Merchants
from streams.simulator.rows import API, Rows
from streams.simulator.scenario import HOUR_MS, SECOND_MS, Scenario

LATE_SHARE = 0.005
LATE_AFTER_MS = 5 * SECOND_MS
"""An event that arrives this long after its time, or later, is late; ordinary jitter stays well below."""
LATEST_MS = 12 * HOUR_MS
DUPLICATE_SHARE = 0.001

_JITTER_MEDIAN_MS = 120.0
_JITTER_SIGMA = 0.7
_LATE_MEDIAN_MS = 240 * SECOND_MS
_LATE_SIGMA = 1.9
_REPEATED_AFTER_MS = 20 * SECOND_MS


class Arrival(NamedTuple):
    """Records in order of arrival: the position of each one's row (twice for a duplicate), when it arrived (rising),
    and whether it repeats an earlier record."""

    row: NDArray[np.int64]
    at_ms: NDArray[np.int64]
    repeats: NDArray[np.bool_]


def duplicates_of(events: int) -> int:
    """How many of this many records are repetitions of others."""
    return round(events * DUPLICATE_SHARE)


def confine(events: Rows, scenario: Scenario) -> None:
    """Mirror the few times that fall just outside the scenario at its first or last moment, in place."""
    time_ms = events["time_ms"]
    time_ms = np.where(time_ms < scenario.start_ms, 2 * scenario.start_ms - time_ms, time_ms)
    events["time_ms"] = np.where(time_ms >= scenario.end_ms, 2 * scenario.end_ms - 1 - time_ms, time_ms)


def coarsen(events: Rows, merchants: Merchants) -> None:
    """Cut times to whole seconds where the source's clock knows no more, in place."""
    merchant = events["merchant"]
    coarse = (merchant >= 0) & merchants.coarse_clock[np.maximum(merchant, 0)]
    coarse |= events["channel"] == API
    events["time_ms"][coarse] -= events["time_ms"][coarse] % SECOND_MS


def arrive(events: Rows, duplicates: int, rng: Generator) -> Arrival:
    """Order of arrival of the events and of exact repetitions of `duplicates` of them.

    An event arrives a fraction of a second after its time, or, if it is late, seconds to 12 hours after it. A
    repetition arrives after what it repeats.
    """
    count = len(events)
    delay = rng.lognormal(np.log(_JITTER_MEDIAN_MS), _JITTER_SIGMA, size=count)
    late = rng.random(count) < LATE_SHARE
    late_by = LATE_AFTER_MS + rng.lognormal(np.log(_LATE_MEDIAN_MS), _LATE_SIGMA, size=int(late.sum()))
    delay[late] = np.minimum(late_by, LATEST_MS)
    at_ms = events["time_ms"] + delay.astype(np.int64)
    repeated = rng.permutation(count)[:duplicates]
    again_ms = at_ms[repeated] + 1 + rng.exponential(_REPEATED_AFTER_MS, size=duplicates).astype(np.int64)
    row = np.concatenate([np.arange(count), repeated])
    all_ms = np.concatenate([at_ms, again_ms])
    order = np.argsort(all_ms, kind="stable")
    return Arrival(row[order], all_ms[order], order >= count)
