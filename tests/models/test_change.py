"""Levels: River's own ADWIN is followed to the minute, and a restored detector goes on the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river.drift import ADWIN

from features.errors import AssayError
from models.change import ChangeDetector
from models.watch_limits import ChangeLimits

LIMITS = ChangeLimits(delta=0.002)


def steps(seed: int, levels: list[float], each: int = 150) -> list[float]:
    random = np.random.default_rng(seed)
    return [float(level + random.normal(0.0, 0.1)) for level in levels for _ in range(each)]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1_000), st.lists(st.sampled_from([0.5, 1.0, 1.3, 2.0]), min_size=1, max_size=5))
def test_changes_are_noticed_in_the_minutes_of_river(seed: int, levels: list[float]) -> None:
    detector, river = ChangeDetector(LIMITS), ADWIN(delta=0.002, clock=1)
    noticed, expected = [], []
    for number, value in enumerate(steps(seed, levels)):
        river.update(value)
        if detector.update(value):
            noticed.append(number)
        if river.drift_detected:
            expected.append(number)
    assert noticed == expected


def test_a_change_tells_both_levels_and_how_long_ago_it_was() -> None:
    detector = ChangeDetector(LIMITS)
    noticed = [
        (number, change) for number, value in enumerate(steps(1, [1.0, 2.0])) if (change := detector.update(value))
    ]
    number, change = noticed[0]
    assert abs(change.before - 1.0) < 0.05
    assert abs(change.after - 2.0) < 0.2
    assert change.minutes == number - 150 + 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 100), st.integers(0, 700), st.sampled_from([50, 200, 10_000]))
def test_a_restored_detector_goes_on_as_the_one_that_was_stored(seed: int, cut: int, most: int) -> None:
    limits = ChangeLimits(delta=0.002, most_values=most)
    values = steps(seed, [1.0, 1.2, 1.0, 2.0, 0.5])
    whole, first = ChangeDetector(limits), ChangeDetector(limits)
    expected = [whole.update(value) for value in values]
    found = [first.update(value) for value in values[:cut]]
    second = ChangeDetector.restore(limits, first.state())
    found += [second.update(value) for value in values[cut:]]
    assert found == expected
    assert second.state() == whole.state()


def test_a_detector_that_forgot_its_past_would_be_noticed() -> None:
    values = steps(3, [1.0, 1.2, 1.0, 2.0])
    whole = ChangeDetector(LIMITS)
    expected = [whole.update(value) for value in values]
    first = ChangeDetector(LIMITS)
    found = [first.update(value) for value in values[:140]]
    second = ChangeDetector(LIMITS)  # not restored
    assert found + [second.update(value) for value in values[140:]] != expected


def test_the_state_stays_bounded() -> None:
    detector = ChangeDetector(ChangeLimits(most_values=100))
    for value in steps(4, [1.0], each=1_000):
        detector.update(value)
        assert len(detector._values) < 100


@pytest.mark.parametrize("data", [b"", b"{}", b'{"schema":2,"values":[]}', b"\xff"])
def test_a_state_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(AssayError, match="state of a change detector"):
        ChangeDetector.restore(LIMITS, data)


def test_a_minute_without_a_value_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="leave a minute out"):
        ChangeDetector(LIMITS).update(float("nan"))
