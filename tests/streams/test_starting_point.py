"""A table of all the ways in which state, group and log can stand to each other."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import AssayError
from streams.history import Bounds
from streams.starting_point import starting_point


def start(stored: int, committed: int | None, low: int, high: int, accept_gap: bool = False) -> tuple[int, int]:
    return starting_point(
        where="fraud.events[3]",
        state="the state in state/fraud.events-3",
        stored=stored,
        committed=committed,
        bounds=Bounds(low, high),
        accept_gap=accept_gap,
    )


@pytest.mark.parametrize(
    ("stored", "committed", "low", "high", "expected"),
    [
        (0, None, 0, 0, (0, 0)),  # nothing anywhere
        (0, None, 0, 90, (0, 0)),  # the first start: the whole log
        (0, None, 40, 90, (40, 40)),  # the first start after the log lost its beginning: what is left of it
        (50, 50, 0, 90, (50, 50)),  # stopped in order
        (50, 70, 0, 90, (50, 70)),  # killed after a commit: fold again, publish nothing twice
        (0, 70, 0, 90, (0, 70)),  # the state is gone, the log is whole: fold all of it again
        (50, 70, 50, 90, (50, 70)),  # the log begins exactly where the state ends
        (90, 90, 0, 90, (90, 90)),  # everything is judged
        (0, 90, 0, 90, (0, 90)),
    ],
)
def test_numbers_that_fit(stored: int, committed: int | None, low: int, high: int, expected: tuple[int, int]) -> None:
    assert start(stored, committed, low, high) == expected


@pytest.mark.parametrize(
    ("stored", "committed", "low", "high", "told"),
    [
        (50, None, 0, 90, "the group has committed nothing: set kafka.group"),
        (50, 40, 0, 90, r"beyond what is committed \(40\)"),
        (50, 0, 0, 90, r"beyond what is committed \(0\)"),
        (0, 70, 0, 60, r"the group has committed 70, beyond the log \(up to 60\)"),
        (70, 70, 0, 60, r"beyond the log \(up to 60\)"),
        (50, 70, 60, 90, "the records between are gone"),
        (0, 70, 10, 90, "the records between are gone"),
        (0, 70, 70, 90, "the records between are gone"),
        (50, 50, 60, 90, "dropped unjudged"),
    ],
)
def test_numbers_that_do_not_fit_are_refused_with_what_to_do(
    stored: int, committed: int | None, low: int, high: int, told: str
) -> None:
    with pytest.raises(AssayError, match=told) as refused:
        start(stored, committed, low, high)
    assert "fraud.events[3]" in str(refused.value)
    assert "\n" not in str(refused.value)


@settings(deadline=None)
@given(
    stored=st.integers(0, 12),
    committed=st.none() | st.integers(0, 12),
    low=st.integers(0, 12),
    length=st.integers(0, 6),
)
def test_whatever_is_accepted_loses_nothing_and_doubles_nothing(
    stored: int, committed: int | None, low: int, length: int
) -> None:
    try:
        read_from, publish_from = start(stored, committed, low, low + length)
    except AssayError:
        return
    assert low <= read_from, "what the log no longer has cannot be read"
    assert stored <= read_from, "what the state holds is not folded twice"
    assert publish_from == (low if committed is None else committed), "what was published is not published again"
    published_until = publish_from
    assert read_from == max(stored, low)
    assert published_until <= low + length, "what comes into the log from now on is published"
    if stored < low:
        assert published_until <= max(stored, low), "no published record is missing from the state"
    assert committed is None or committed >= low, "no record was dropped before it was judged"


def test_a_gap_is_accepted_only_when_asked_for() -> None:
    assert start(50, 50, 60, 90, accept_gap=True) == (60, 50)
    with pytest.raises(AssayError, match="records between are gone"):  # windows would be wrong, whatever was accepted
        start(40, 50, 60, 90, accept_gap=True)
