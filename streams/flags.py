"""Flags of a verdict: names of what the fold noticed, in their fixed order."""

from functools import cache

from features.kernel import APPROXIMATE, COLD_START, LATE

_NAMES = ((COLD_START, "cold_start"), (LATE, "late"), (APPROXIMATE, "approximate"))


@cache
def flag_names(bits: int, degraded: bool) -> tuple[str, ...]:
    """Names of the flags that are set.

    >>> flag_names(COLD_START | APPROXIMATE, degraded=True)
    ('cold_start', 'approximate', 'degraded')
    """
    names = tuple(name for bit, name in _NAMES if bits & bit)
    return (*names, "degraded") if degraded else names


COUNTED_FLAGS = (*(name for _, name in _NAMES), "degraded")
"""Names by bit: of those that the fold sets, and one more for the whole engine."""
DEGRADED_BIT = 1 << len(_NAMES)
EVERY_SET_OF_FLAGS = tuple(flag_names(bits, degraded=False) for bits in range(2 * APPROXIMATE))
"""The flags of each combination of bits."""
EVERY_DEGRADED_SET_OF_FLAGS = tuple(flag_names(bits, degraded=True) for bits in range(2 * APPROXIMATE))
"""The same while something else than the model that the log asks for decides."""
