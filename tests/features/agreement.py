"""What it means that two answers agree: the same float32, or one part in a million after a root or a division."""

import math
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from features.accounts import Accounts
from features.catalogue import FEATURES
from features.keys import keys_of
from tests.features.sequences import Arrival, columns

RELATIVE = 1e-6
_ROUNDED_PARTS = ("_mean_", "_std_", "_ratio_", "_share_", "_z_", "_distance_km_", "_speed_kmh_")
_SMALLEST = {"_z_": 1e-6, "_distance_km_": 1e-6, "_speed_kmh_": 4e-3}
"""Absolute difference allowed where the answer itself may be as good as 0: 1e-6 deviations, a millimetre."""


def served(arrivals: list[Arrival], cuts: Iterable[int] = ()) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Features float32[n, features] and flags uint8[n] of the kernel, given to it in batches that start at `cuts`."""
    keys, records = columns(arrivals)
    accounts = Accounts()
    bounds = sorted({0, len(keys), *(cut for cut in cuts if cut < len(keys))})
    batches = [accounts.apply(keys_of(keys[start:end]), records[start:end]) for start, end in pairwise(bounds)]
    assert all(not batch.status.any() for batch in batches), "no event here is a duplicate"
    return np.concatenate([b.features for b in batches]), np.concatenate([b.flags for b in batches])


def agree(name: str, got: float, expected: float) -> bool:
    """Whether two values of the feature are the same answer; NaN agrees with NaN alone."""
    if math.isnan(expected) or math.isnan(got):
        return math.isnan(expected) and math.isnan(got)
    if not any(part in name for part in _ROUNDED_PARTS):
        return bool(np.float32(got) == np.float32(float(expected)))
    smallest = next((value for part, value in _SMALLEST.items() if part in name), 0.0)
    return math.isclose(got, expected, rel_tol=RELATIVE, abs_tol=smallest)


OF_ACCOUNTS = tuple(feature.name for feature in FEATURES.of_accounts)
"""Names of the features that an account gives; those of entities stand behind them."""


def differences(row: NDArray[np.float32], expected: dict[str, float]) -> list[str]:
    """One line per feature on which the two sides do not agree."""
    return [
        f"{name}: kernel {float(got)!r}, naive {expected[name]!r}"
        for name, got in zip(OF_ACCOUNTS, row[: len(OF_ACCOUNTS)], strict=True)
        if not agree(name, float(got), expected[name])
    ]
