"""float32 values as int32 keys in the same order, so that one integer comparison decides a split, whatever the value.

LightGBM decides a split in four steps: is the value missing, is a missing value read as 0 or does it have a side of its
own, is the value so small that it is read as 0, is it <= the threshold. All but the last depend on the value and on how
the split treats what is missing, of which there are three ways. So each value gets a key for each way, once for a row,
and every split that asks about it is ``key < limit``.

The order: the bits of a float32, read as an integer, rise with the value while it is positive and fall while it is
negative; turning the lower 31 bits of the negative ones around makes them rise too.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from models.trees import NEARLY_ZERO, Trees

WAYS = 3
"""How a split may treat NaN: reads it as 0, sends it left, sends it right."""

KEY_OF_NAN = np.array([0, -(2**31), 2**31 - 2], dtype=np.int32)
"""Of each way: 0.0 itself, below minus infinity, above infinity."""

ALWAYS_BELOW = np.int32(2**31 - 1)
"""A limit that every key is below."""

_WITHOUT_SIGN = np.int32(0x7FFFFFFF)
_INFINITY = np.float32(np.inf).view(np.int32)
_NEARLY_ZERO = np.float32(NEARLY_ZERO).view(np.int32)


def limits(threshold: NDArray[np.float64]) -> NDArray[np.int32]:
    """The key that a value's key is below exactly if the value is <= the threshold.

    Args:
        threshold: float64[n], not NaN. It is rounded down to float32 first: a float32 is <= the threshold exactly if
            it is <= the largest float32 not above it.
    """
    with np.errstate(over="ignore"):
        rounded = threshold.astype(np.float32)
    above = rounded.astype(np.float64) > threshold
    rounded = np.where(above, np.nextafter(rounded, np.float32(-np.inf)), rounded).astype(np.float32)
    bits = (rounded + np.float32(0.0)).view(np.int32)  # -0.0 becomes 0.0: they are equal, their bits are not
    return (bits ^ ((bits >> 31) & _WITHOUT_SIGN)) + np.int32(1)


def way_of_split(trees: Trees) -> NDArray[np.int64]:
    """int64[nodes]: how each split treats NaN, an index of `KEY_OF_NAN`."""
    return np.where(trees.missing_is_nan, np.where(trees.missing_goes_left, 1, 2), 0).astype(np.int64)


@compiled
def key_of(bits: Any, key_of_nan: Any) -> Any:
    """int32 key of the float32 with these bits (int32), where NaN gets `key_of_nan` (int32)."""
    size = np.int32(bits & _WITHOUT_SIGN)
    key = np.int32(bits ^ ((bits >> np.int32(31)) & _WITHOUT_SIGN))
    if size <= _NEARLY_ZERO:
        key = np.int32(0)
    return key_of_nan if size > _INFINITY else key
