"""Feature rows with labels for tests of training: few informative columns, missing values, time that moves."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.catalogue import FEATURES
from features.columns import LOGIN, PAYMENT

START_MS = 1_700_000_000_000


class Labelled(NamedTuple):
    """Rows in order of arrival."""

    features: NDArray[np.float32]
    labels: NDArray[np.uint8]
    time_ms: NDArray[np.int64]
    amount_minor: NDArray[np.int64]
    kind: NDArray[np.uint8]
    probability: NDArray[np.float64]


def labelled_rows(n: int = 6_000, seed: int = 0) -> Labelled:
    """About 5 per cent fraud, driven by new devices, a velocity and an amount ratio; other columns are noise or NaN."""
    random = np.random.default_rng(seed)
    features = np.full((n, len(FEATURES)), np.nan, dtype=np.float32)
    new_device = (random.random(n) < 0.1).astype(np.float32)
    count = random.poisson(1.0, n).astype(np.float32)
    ratio = random.lognormal(0.0, 1.0, n).astype(np.float32)
    for name, values in (
        ("account_device_is_new", new_device),
        ("account_payment_count_1h", count),
        ("account_amount_to_mean_ratio_30d", ratio),
        ("account_amount_z_30d", random.normal(0, 2, n)),
        ("event_local_hour", random.integers(0, 24, n)),
    ):
        features[:, FEATURES.index[name]] = values
    features[random.random(n) < 0.1, FEATURES.index["account_amount_to_mean_ratio_30d"]] = np.nan
    log_odds = -5.5 + 3.0 * new_device + 0.6 * count + 0.8 * np.log(ratio)
    probability = 1 / (1 + np.exp(-log_odds))
    kind = np.where(random.random(n) < 0.8, PAYMENT, LOGIN).astype(np.uint8)
    return Labelled(
        features=features,
        labels=(random.random(n) < probability).astype(np.uint8),
        time_ms=START_MS + np.arange(n, dtype=np.int64) * 60_000 + random.integers(-300_000, 300_000, n),
        amount_minor=np.where(kind == PAYMENT, random.lognormal(8, 1, n).astype(np.int64), 0),
        kind=kind,
        probability=probability,
    )
