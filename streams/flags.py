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
