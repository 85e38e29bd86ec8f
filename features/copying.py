"""Bytes from one place to another, in a form that the compiler turns into wide moves."""

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled


@compiled
def copy_bytes(into: NDArray[np.uint8], place: int, data: NDArray[np.uint8], start: int, length: int) -> None:
    """Copy `length` bytes of `data` from `start` to `into` from `place` on; the two must not overlap.

    Over slices from 0: an index that is computed might be negative, and a loop that has to ask is eight times slower.
    """
    target, source = into[place : place + length], data[start : start + length]
    for byte in range(len(target)):
        target[byte] = source[byte]
