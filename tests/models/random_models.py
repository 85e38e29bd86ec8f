"""LightGBM models and rows for tests: small, seeded, with every kind of missing value that assay trains with."""

import lightgbm
import numpy as np
from numpy.typing import NDArray


def random_rows(seed: int, count: int, features: int, missing_share: float = 0.1) -> NDArray[np.float32]:
    """float32 rows of counts, amounts and ratios with NaN and exact zeros among them."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(count, features)).astype(np.float32)
    rows[:, ::3] = generator.poisson(2.0, size=rows[:, ::3].shape)
    rows[:, 1::3] = np.exp(rows[:, 1::3] * 2)
    rows[generator.random(rows.shape) < missing_share] = np.nan
    rows[generator.random(rows.shape) < 0.05] = 0.0
    return rows


def labels_of(seed: int, rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """Labels that depend on some features, on their being missing, and on chance; a few per cent are 1."""
    generator = np.random.default_rng(seed)
    features = rows.shape[1]
    strength = generator.normal(size=features) * (generator.random(features) < 0.5)
    log_odds = np.nan_to_num(np.tanh(rows)) @ strength + np.isnan(rows) @ (strength[::-1]) - 3.0
    chosen: NDArray[np.int64] = (generator.random(len(rows)) < 1.0 / (1.0 + np.exp(-log_odds))).astype(np.int64)
    chosen[:2] = [0, 1]
    return chosen


def train(
    seed: int,
    features: int = 9,
    trees: int = 20,
    rows: int = 3000,
    names: tuple[str, ...] | None = None,
    **parameters: object,
) -> lightgbm.Booster:
    """A trained binary model; `names` are those of the columns, `parameters` override the defaults."""
    x = random_rows(seed, rows, features)
    settings = {
        "objective": "binary",
        "num_leaves": 15,
        "min_data_in_leaf": 5,
        "learning_rate": 0.2,
        "verbosity": -1,
        "num_threads": 1,
        "deterministic": True,
        "seed": seed,
        **parameters,
    }
    return lightgbm.train(
        settings, lightgbm.Dataset(x, labels_of(seed, x), feature_name=list(names) if names else "auto"), trees
    )


def nasty_rows(model_text: str, features: int) -> NDArray[np.float32]:
    """Rows that sit on the thresholds of the model and one step beside, infinities, tiny numbers and nothing at all."""
    words = [
        line.removeprefix("threshold=").split() for line in model_text.split("\n") if line.startswith("threshold=")
    ]
    thresholds = np.array([float(word) for line in words for word in line] or [0.0])
    exact = thresholds.astype(np.float32)
    tiny = np.array([0.0, -0.0, 1e-35, -1e-35, 1e-40, -1e-40, 2e-35, np.inf, -np.inf, np.nan], dtype=np.float32)
    below, above = np.nextafter(exact, np.float32(-np.inf)), np.nextafter(exact, np.float32(np.inf))
    values = np.concatenate([exact, below, above, tiny])
    generator = np.random.default_rng(len(model_text))
    return np.concatenate(
        [generator.choice(values, size=(500, features)), np.repeat(tiny[:, None], features, axis=1)]
    ).astype(np.float32)
