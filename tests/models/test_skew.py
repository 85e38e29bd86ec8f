"""Served against recomputed: equality by value, and counts that name what differs."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.skew import FeatureSkew, SkewTally, skew_findings

NAMES = ("a", "b", "c")
VALUE = st.sampled_from([0.0, -0.0, 1.0, 2.5, math.nan, math.inf, -math.inf])
ROW = st.tuples(VALUE, VALUE, VALUE)
PAIRS = st.lists(st.tuples(ROW, ROW), max_size=12)
Values = tuple[float, ...]


def matrix(rows: list[Values]) -> NDArray[np.float32]:
    return np.array(rows, dtype=np.float32).reshape(len(rows), 3)


def tallied(pairs: list[tuple[Values, Values]], cuts: set[int] = frozenset()) -> SkewTally:  # type: ignore[assignment]
    """All pairs, in pieces that end at `cuts`."""
    tally = SkewTally(NAMES)
    ends = [0, *sorted(cut for cut in cuts if cut < len(pairs)), len(pairs)]
    for first, last in pairwise(ends):
        served, again = ([pair[side] for pair in pairs[first:last]] for side in (0, 1))
        tally.add(np.arange(first, last), matrix(served), matrix(again))
    return tally


def slow_answer(pairs: list[tuple[Values, Values]]) -> dict[str, tuple[int, int, float, int]]:
    """Feature to differing rows, one-sided rows, largest distance and first row, value by value."""
    found: dict[str, tuple[int, int, float, int]] = {}
    for row, (mine, yours) in enumerate(pairs):
        for name, a, b in zip(NAMES, mine, yours, strict=True):
            if a == b or (a != a and b != b):
                continue
            differing, one_sided, largest, first = found.get(name, (0, 0, 0.0, row))
            distance = abs(a - b) if math.isfinite(a - b) else 0.0
            found[name] = differing + 1, one_sided + ((a != a) != (b != b)), max(largest, distance), first
    return found


@given(PAIRS, st.sets(st.integers(0, 12)))
def test_what_differs_is_what_differs_value_by_value_however_it_is_cut(
    pairs: list[tuple[Values, Values]], cuts: set[int]
) -> None:
    tally = tallied(pairs, cuts)
    found, slow = tally.found(), slow_answer(pairs)
    assert {s.name: (s.differing, s.one_sided, s.largest, tally.first_row[s.name]) for s in found} == slow
    assert [skew.share for skew in found] == [skew.differing / len(pairs) for skew in found]
    assert found == sorted(found, key=lambda skew: (-skew.differing, skew.name))
    unequal = [pair for pair in pairs if slow_answer([pair])]
    assert (tally.rows, tally.differing_rows) == (len(pairs), len(unequal))


@given(st.lists(ROW))
def test_rows_equal_themselves(rows: list[Values]) -> None:
    tally = tallied([(row, row) for row in rows])
    assert (tally.rows, tally.differing_rows, tally.found(), tally.first_row) == (len(rows), 0, [], {})


def test_the_last_bit_counts() -> None:
    served = np.ones((1_000, 3), dtype=np.float32)
    again = served.copy()
    again[700, 1] = np.nextafter(np.float32(1.0), np.float32(2.0))
    tally = SkewTally(NAMES)
    tally.add(np.arange(5_000, 6_000), served, again)
    (skew,) = tally.found()
    assert skew == FeatureSkew(name="b", differing=1, share=0.001, one_sided=0, largest=2.0**-23)
    assert tally.first_row == {"b": 5_700}
    (finding,) = skew_findings([skew])
    assert (finding.name, finding.level, finding.value) == ("skew:b", "act", 0.001)
    assert "in 0.10% of the rows (1; 0 with a value on one side only), by up to 1.19209e-07" in finding.text


def test_other_shapes_are_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="expected the same rows and features"):
        SkewTally(NAMES).add(np.arange(2), np.zeros((2, 3), np.float32), np.zeros((3, 3), np.float32))
