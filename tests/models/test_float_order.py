"""A key is below a limit exactly if LightGBM sends the value left: its rule, written down once more in doubles."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.float_order import ALWAYS_BELOW, KEY_OF_NAN, key_of, limits

READS_AS_ZERO, GOES_LEFT, GOES_RIGHT = range(3)
NARROW = st.one_of(
    st.floats(width=32), st.sampled_from([0.0, -0.0, 1e-35, -1e-35, 2e-35, math.inf, -math.inf, math.nan])
)
WIDE = st.one_of(
    st.floats(allow_nan=False),
    st.floats(width=32, allow_nan=False),
    st.sampled_from([0.0, -0.0, 1e-35, -1e-35, 1e-40, -1e-46, 1e300, -1e300, 3.4028235677973366e38]),
)


def lightgbm_goes_left(value: float, threshold: float, way: int) -> bool:
    """`NumericalDecision` of include/LightGBM/tree.h."""
    if math.isnan(value):
        if way != READS_AS_ZERO:
            return way == GOES_LEFT
        value = 0.0
    if abs(value) <= float(np.float32(1e-35)):
        value = 0.0
    return value <= threshold


def key(value: float, way: int) -> int:
    return int(key_of(np.float32(value).view(np.int32), KEY_OF_NAN[way]))


@given(NARROW, WIDE, st.sampled_from([READS_AS_ZERO, GOES_LEFT, GOES_RIGHT]))
def test_a_key_is_below_the_limit_exactly_if_the_value_goes_left(value: float, threshold: float, way: int) -> None:
    value = float(np.float32(value))
    (limit,) = limits(np.array([threshold])).tolist()
    assert (key(value, way) < limit) == lightgbm_goes_left(value, threshold, way)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.sampled_from([-1, 0, 1]))
def test_values_on_the_threshold_and_one_step_beside(value: float, step: int) -> None:
    there = np.float32(value)
    beside = float(np.nextafter(there, np.float32(step * np.inf))) if step else float(there)
    (limit,) = limits(np.array([value])).tolist()
    assert (key(beside, GOES_LEFT) < limit) == lightgbm_goes_left(beside, value, GOES_LEFT)


@given(NARROW, st.sampled_from([READS_AS_ZERO, GOES_LEFT, GOES_RIGHT]))
def test_every_key_is_below_the_limit_of_a_leaf(value: float, way: int) -> None:
    assert key(value, way) < ALWAYS_BELOW
