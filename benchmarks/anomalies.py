"""Made-up payments with planted anomalies, to compare online detectors on."""

import numpy as np
from numpy.typing import NDArray

ANOMALOUS_SHARE = 0.005
_BURST_ROWS = 60
_PER_BURST = 20
_COMMON_SHARE = 0.25


def payments(
    seed: int, count: int, inputs: int = 12, *, bursts: bool, missing: float = 0.0
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Heavy-tailed rows, 1 in 200 of them anomalous, and which those are.

    An input is log-normal, as amounts and ratios to an account's own past are; a quarter of its variance is common to
    all inputs of a row. An anomaly multiplies 2 to 5 inputs: spread, each row on its own, or in bursts of about 20
    rows within 60, which all raise the same inputs.

    Args:
        seed: of everything random.
        count: rows, some hundreds at least.
        inputs: columns.
        bursts: whether anomalies come together.
        missing: share of values that are not known (NaN).

    Returns:
        float32 (count, inputs) and bool (count,).
    """
    random = np.random.default_rng(seed)
    shape = np.linspace(0.5, 1.2, inputs)
    common, own = random.normal(size=(count, 1)), random.normal(size=(count, inputs))
    rows = np.exp(shape * (np.sqrt(_COMMON_SHARE) * common + np.sqrt(1.0 - _COMMON_SHARE) * own))
    anomalous = random.random(count) < ANOMALOUS_SHARE
    if bursts:
        anomalous[:] = False
        starts = random.choice(count - _BURST_ROWS, size=max(1, int(count * ANOMALOUS_SHARE / _PER_BURST)))
        for start in starts:
            anomalous[start : start + _BURST_ROWS] |= random.random(_BURST_ROWS) < _PER_BURST / _BURST_ROWS
    raised: NDArray[np.int64] = np.empty(0, dtype=np.int64)
    last = -count
    for row in np.flatnonzero(anomalous).tolist():
        if not bursts or row - last > _BURST_ROWS:
            raised = random.choice(inputs, size=random.integers(2, 6), replace=False)
        rows[row, raised] *= np.exp(2.0 * shape[raised] * random.uniform(0.5, 2.5, len(raised)))
        last = row
    rows[random.random(rows.shape) < missing] = np.nan
    return rows.astype(np.float32), anomalous
