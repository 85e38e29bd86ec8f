"""Served against recomputed: equality by value, and a report that names what differs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.skew import skew_findings, skewed_features

NAMES = ("a", "b", "c")
VALUE = st.sampled_from([0.0, -0.0, 1.0, 2.5, math.nan, math.inf, -math.inf])
ROWS = st.lists(st.tuples(VALUE, VALUE, VALUE), min_size=1, max_size=12)


def matrix(rows: list[tuple[float, float, float]]) -> NDArray[np.float32]:
    return np.array(rows, dtype=np.float32).reshape(len(rows), 3)


def slow_answer(served: list[tuple[float, ...]], again: list[tuple[float, ...]]) -> dict[str, tuple[int, int, int]]:
    """Feature to differing rows, one-sided rows and first row, value by value."""
    found: dict[str, tuple[int, int, int]] = {}
    for row, (mine, yours) in enumerate(zip(served, again, strict=True)):
        for name, a, b in zip(NAMES, mine, yours, strict=True):
            if a == b or (a != a and b != b):
                continue
            differing, one_sided, first = found.get(name, (0, 0, row))
            found[name] = differing + 1, one_sided + ((a != a) != (b != b)), first
    return found


@given(ROWS, ROWS)
def test_what_differs_is_what_differs_value_by_value(one: list, other: list) -> None:  # type: ignore[type-arg]
    rows = min(len(one), len(other))
    found = skewed_features(NAMES, matrix(one[:rows]), matrix(other[:rows]))
    assert {s.name: (s.differing, s.one_sided, s.first_row) for s in found} == slow_answer(one[:rows], other[:rows])
    assert [skew.differing for skew in found] == sorted((skew.differing for skew in found), reverse=True)


@given(ROWS)
def test_rows_equal_themselves(rows: list) -> None:  # type: ignore[type-arg]
    assert skewed_features(NAMES, matrix(rows), matrix(rows)) == []


def test_the_last_bit_counts() -> None:
    served = np.ones((1_000, 3), dtype=np.float32)
    again = served.copy()
    again[700, 1] = np.nextafter(np.float32(1.0), np.float32(2.0))
    (skew,) = skewed_features(NAMES, served, again)
    assert (skew.name, skew.differing, skew.share, skew.first_row) == ("b", 1, 0.001, 700)
    assert 0.0 < skew.largest < 1e-6
    (finding,) = skew_findings([skew])
    assert (finding.name, finding.level, finding.value) == ("skew:b", "act", 0.001)
    assert "in 0.10% of the rows (1; 0 with a value on one side only), by up to 1.19209e-07" in finding.text


def test_no_rows_differ_in_nothing() -> None:
    assert skewed_features(NAMES, np.empty((0, 3), np.float32), np.empty((0, 3), np.float32)) == []


def test_other_shapes_are_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="expected the same rows and features"):
        skewed_features(NAMES, np.zeros((2, 3), np.float32), np.zeros((3, 3), np.float32))
