"""Working memory of the kernel: one record, made once per batch, small enough to stay in the nearest caches.

It is one record with arrays inside and not many arrays: compiled code then needs one address for all of it, knows every
length, and counts no references. See docs/decisions/0015-a-kernel-without-guesses.md.
"""

import numpy as np

from features import measures as m
from features.folded import ENTITIES, SET_SIZE, TILES

HISTORY_CAPACITY = 320
"""Most events an account's exact history holds."""
MOST_PLACES = 512
"""Places of the largest table of entities, a power of two: the longest history leaves a third of them free."""
_TABLE = MOST_PLACES + 40
"""Rows of a table that lay exactly 4 KiB apart would share cache lines, and loads would wait for unrelated stores."""
SORTS_OF_EVENT = 32
"""An event's kind * 4 + its marks DECLINED and FAILED."""

ROOM = 12
"""Places of a per-window statistic: the windows, the whole past, and two more that make whole vectors of four."""
WHOLE_PAST = m.N_WINDOWS
"""Place of the whole past among them."""
ONCE = m.N_WINDOWED * (ROOM - m.N_WINDOWS)
"""What to add to a measure that is taken once to get its place."""
PLACES = m.N_MEASURES + ONCE
"""Places of all measures."""
ZERO = PLACES
"""A place that always holds 0."""


def place_of_measure(measure: int) -> int:
    """Where the scratch holds a measure of `features.measures`.

    >>> place_of_measure(m.windowed(m.SUM, "5m")) == m.SUM * ROOM + 1, place_of_measure(m.AMOUNT) == m.AMOUNT + ONCE
    (True, True)
    """
    if measure < m.N_WINDOWED * m.N_WINDOWS:
        return measure // m.N_WINDOWS * ROOM + measure % m.N_WINDOWS
    return measure + ONCE


SCRATCH = np.dtype(
    [
        ("room", np.int64),  # ROOM; a bound that the compiler does not know makes it use vectors and not unroll
        ("measures", np.float64, (PLACES + 1,)),  # by place
        ("narrow", np.float32, (PLACES + 1,)),  # the same, rounded
        # What the walk had met when it left each window, and at its end, by place:
        ("counts", np.uint64, (ROOM,)),  # of kinds, packed: see `features.packed_counts`
        ("distinct", np.uint64, (ROOM,)),  # of entities, packed in their order
        ("mean", np.float64, (ROOM,)),  # of payments
        ("squares", np.float64, (ROOM,)),  # sum of squared distances from the mean
        # Of the whole past:
        ("events", np.int64),
        ("first_ms", np.int64),  # the earliest event, NEVER_MS if there is none
        ("sort_ms", np.int64, (SORTS_OF_EVENT,)),  # the latest of each sort, NEVER_MS if there is none, like all below
        ("payment_ms", np.int64),
        ("login_ms", np.int64),
        ("failed_login_ms", np.int64),
        ("profile_change_ms", np.int64),
        ("position_ms", np.int64),
        ("latitude", np.float32),
        ("longitude", np.float32),
        # The entities that the walk has met, see `features.seen`:
        ("mask", np.uint64),
        ("held", np.uint64, (ENTITIES, _TABLE)),
        ("newest_ms", np.int64, (ENTITIES, _TABLE)),
        ("devices", np.uint64, (HISTORY_CAPACITY + 1,)),  # places of the devices met; the next one is not yet counted
        ("earliest_ms", np.int64, (_TABLE,)),  # of the device in each place
        # The entities of the folded past that were first seen no later than the event, see `features.folded_windows`:
        ("folded", np.uint64, (ENTITIES,)),  # how many of each sort
        ("folded_keys", np.uint64, (ENTITIES, SET_SIZE)),
        ("folded_first_ms", np.int64, (ENTITIES, SET_SIZE)),
        ("folded_last_ms", np.int64, (ENTITIES, SET_SIZE)),
        ("tiles", np.uint64, (TILES + 1,)),  # places of the tiles that the longest window overlaps
        ("tile_end_ms", np.int64, (TILES + 1,)),
    ]
)
