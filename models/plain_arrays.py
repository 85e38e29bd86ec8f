"""Arrays as compiled kernels take them."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def plain(array: NDArray[Any], dtype: type[Number]) -> NDArray[Number]:
    """The array itself if it has this dtype, lies in C order and may be written, else a copy that does.

    A kernel is compiled for each dtype and layout that it is called with: with plain arrays once. A value that is too
    large for `dtype` becomes infinite.

    >>> plain(np.arange(4.0)[::2], np.float32)
    array([0., 2.], dtype=float32)
    """
    if array.dtype == dtype and array.flags.c_contiguous and array.flags.writeable:
        return array
    with np.errstate(over="ignore"):
        return np.array(array, dtype=dtype, order="C")


def shapes_differ(inputs: int, rows: NDArray[Any], learn: NDArray[Any]) -> ValueError:
    """The error for rows that do not fit a detector with so many inputs, or `learn` that does not fit the rows."""
    expected = f"rows of shape (n, {inputs}) and learn of shape (n,)"
    return ValueError(f"expected {expected}, got {rows.shape} and {learn.shape}")
