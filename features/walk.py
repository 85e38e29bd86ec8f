"""One walk over an account's history, newest to oldest, that measures everything about one event.

Windows are nested, so the walk keeps running totals and notes them for a window when it comes to the first event
outside of it: every window is exact and the whole set costs one pass. There is no branch on what an event is, because
the processor could not guess it. What was folded away is merged after the walk. `tests/naive.py` gives the same answers
the obvious way.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import measures as m
from features.columns import PAYMENT
from features.compiled import compiled
from features.folded import NEVER_MS
from features.packed_counts import COUNT_BITS, COUNT_MASK, INCREMENTS
from features.scratch import ROOM, SORTS_OF_EVENT, WHOLE_PAST
from features.seen import DEVICE, meet
from features.windows import WINDOW_LENGTHS_MS

_LENGTHS_MS = np.array([*WINDOW_LENGTHS_MS, 2**62], dtype=np.int64)
"""By place; the whole past is a window that nothing leaves."""
_IS_PAYMENT: NDArray[np.bool_] = np.arange(SORTS_OF_EVENT) // 4 == PAYMENT
_ONE_IF_PAYMENT = np.where(_IS_PAYMENT, 1.0, 0.0)
_NOTHING_IF_PAYMENT = np.where(_IS_PAYMENT, 0.0, np.inf)
_ZERO, _ONE, _THREE, _FOUR, _SEVEN = (np.uint64(number) for number in (0, 1, 3, 4, 7))
_COUNT_BITS = np.uint64(COUNT_BITS)
_SUM, _MIN, _MAX = (np.uint64(statistic * ROOM) for statistic in (m.SUM, m.MIN, m.MAX))


@compiled
def place_until(pool: Any, start: int, end: int, time_ms: int) -> int:
    """One past the last of the records `start` to `end` of `pool`, sorted by time, with a time <= `time_ms`."""
    if end > start and pool[end - 1]["time_ms"] <= time_ms:
        return end
    low, high = start, end
    while low < high:
        middle = (low + high) // 2
        if pool[middle]["time_ms"] <= time_ms:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def walk(scratch: Any, pool: Any, newest: int, oldest: int, offset: int, event_ms: int) -> None:
    """Fill the totals of each window and of the whole past; the tables of entities were emptied before.

    The mean and the squares are those of Welford's update (`features.folded.add_to_moments`) to the last bit: an event
    that is no payment divides by infinity and multiplies by 0, which changes neither.

    Args:
        scratch: one `SCRATCH` record.
        pool: `EVENT` records, those of the account sorted by time, then arrival.
        newest: one past the newest record that is not later than `event_ms`.
        oldest: the account's oldest record.
        offset: only what arrived before it counts: an event that a label judges is measured as of its own arrival.
        event_ms: time of the event that is measured.
    """
    held = scratch["held"]
    newest_ms = scratch["newest_ms"]
    earliest_ms = scratch["earliest_ms"]
    devices = scratch["devices"]
    sort_ms = scratch["sort_ms"]
    mask = scratch["mask"]
    for every in range(SORTS_OF_EVENT):
        sort_ms[every] = NEVER_MS
    events, first_ms = 0, NEVER_MS
    counts, distinct = _ZERO, _ZERO
    sum_minor, low, high = 0, np.inf, -np.inf
    payments, mean, squares = 0.0, 0.0, 0.0
    window = _ZERO
    begin_ms = event_ms - _LENGTHS_MS[0]
    place, end = np.uint64(newest), np.uint64(oldest)
    while place > end:
        place -= _ONE
        past = pool[place]
        if past["offset"] >= offset:
            continue
        time_ms = past["time_ms"]
        while time_ms <= begin_ms:
            _leave(scratch, window, counts, distinct, sum_minor, low, high, mean, squares)
            window += _ONE
            begin_ms = event_ms - _LENGTHS_MS[window]
        events += 1
        first_ms = time_ms
        sort = (np.uint64(past["kind"]) & _SEVEN) * _FOUR + (np.uint64(past["marks"]) & _THREE)
        sort_ms[sort] = max(sort_ms[sort], time_ms)
        counts += INCREMENTS[sort]

        amount = past["amount_minor"]
        sum_minor += amount if past["kind"] == PAYMENT else 0
        value = np.float64(amount)
        one, nothing = _ONE_IF_PAYMENT[sort], _NOTHING_IF_PAYMENT[sort]
        payments += one
        delta = value - mean
        mean += delta / (payments + nothing)
        squares += one * delta * (value - mean)
        low = min(low, value + nothing)
        high = max(high, value - nothing)

        _, new = meet(held, newest_ms, mask, 0, past["merchant"], time_ms)
        distinct += new
        device, new = meet(held, newest_ms, mask, DEVICE, past["device"], time_ms)
        devices[(distinct >> _COUNT_BITS) & COUNT_MASK] = device
        earliest_ms[device] = time_ms
        distinct += new << _COUNT_BITS
        _, new = meet(held, newest_ms, mask, 2, past["ip"], time_ms)
        distinct += new << np.uint64(2 * COUNT_BITS)
        _, new = meet(held, newest_ms, mask, 3, np.uint64(past["country"]), time_ms)
        distinct += new << np.uint64(3 * COUNT_BITS)
        _, new = meet(held, newest_ms, mask, 4, past["beneficiary"], time_ms)
        distinct += new << np.uint64(4 * COUNT_BITS)
    while window <= WHOLE_PAST:
        _leave(scratch, window, counts, distinct, sum_minor, low, high, mean, squares)
        window += _ONE
    scratch["events"] = events
    scratch["first_ms"] = first_ms


@compiled
def _leave(
    scratch: Any,
    window: Any,
    counts: Any,
    distinct: Any,
    sum_minor: int,
    low: float,
    high: float,
    mean: float,
    squares: float,
) -> None:
    """What is running now is what `window` holds."""
    measures = scratch["measures"]
    measures[_SUM + window] = sum_minor
    measures[_MIN + window] = low
    measures[_MAX + window] = high
    scratch["counts"][window] = counts
    scratch["distinct"][window] = distinct
    scratch["mean"][window] = mean
    scratch["squares"][window] = squares


@compiled
def find_position(scratch: Any, pool: Any, newest: int, oldest: int, offset: int) -> None:
    """Fill the latest position among the records that the walk meets; NaN if there is none."""
    scratch["position_ms"] = NEVER_MS
    scratch["latitude"] = np.nan
    scratch["longitude"] = np.nan
    for place in range(newest - 1, oldest - 1, -1):
        past = pool[place]
        if past["offset"] < offset and not (np.isnan(past["latitude"]) or np.isnan(past["longitude"])):
            scratch["position_ms"] = past["time_ms"]
            scratch["latitude"] = past["latitude"]
            scratch["longitude"] = past["longitude"]
            return
