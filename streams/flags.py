"""Flags of a verdict: names of what the fold noticed and of what decided, in their fixed order."""

from functools import cache

from features.kernel import APPROXIMATE, COLD_START, LATE

_NAMES = ((COLD_START, "cold_start"), (LATE, "late"), (APPROXIMATE, "approximate"))


@cache
def flag_names(bits: int, *, degraded: bool = False, rules_only: bool = False) -> tuple[str, ...]:
    """Names of the flags that are set.

    >>> flag_names(COLD_START | APPROXIMATE, degraded=True, rules_only=True)
    ('cold_start', 'approximate', 'degraded', 'rules_only')
    """
    names = [name for bit, name in _NAMES if bits & bit]
    return (*names, *(["degraded"] if degraded else []), *(["rules_only"] if rules_only else []))


@cache
def sets_of_flags(*, degraded: bool, rules_only: bool) -> tuple[tuple[str, ...], ...]:
    """The flags of each combination of bits, while something else than the log's model decides or not."""
    return tuple(flag_names(bits, degraded=degraded, rules_only=rules_only) for bits in range(2 * APPROXIMATE))


COUNTED_FLAGS = (*(name for _, name in _NAMES), "degraded", "rules_only")
"""Names by bit: of those that the fold sets, and two more for the whole engine."""
_DEGRADED_BIT = 1 << len(_NAMES)


def engine_bits(*, degraded: bool, rules_only: bool) -> int:
    """The bits of `COUNTED_FLAGS` that are those of the whole engine."""
    return _DEGRADED_BIT * degraded | 2 * _DEGRADED_BIT * rules_only
